import { type FieldError, SlipwayError } from '../base/errors.ts';
import type { SettingName, Settings } from '../base/settings.ts';

/** What a runner of one version may use. */
export type RunnerLimits = {
  readonly memoryBytes: number;
  readonly loadTimeoutMs: number;
  readonly runTimeoutMs: number;
  readonly threads: number;
  /** Rows that may share one run. */
  readonly maxBatchRows: number;
  /** Milliseconds that a call may wait for others to share its run; 0: it never waits. */
  readonly maxDelayMs: number;
  /** Calls that may wait for this version. */
  readonly queueLimit: number;
};

type LimitRow = {
  /** The operator's setting: the value of versions that set none, and the most that a version may set. */
  readonly setting: SettingName;
  /** Its variable; repeated here, so that a runner can name it without loading all settings. */
  readonly env: string;
  /** The value of versions that set none, where it is not the operator's. */
  readonly unset?: number;
  /** Lowest and highest value that is understood at all. */
  readonly range: readonly [number, number];
};

const MIB = 1024 * 1024;

export const LIMITS: { readonly [K in keyof RunnerLimits]: LimitRow } = {
  memoryBytes: { setting: 'runnerMemoryBytes', env: 'SLIPWAY_RUNNER_MEMORY', range: [64 * MIB, 1024 * 1024 * MIB] },
  loadTimeoutMs: { setting: 'loadTimeoutMs', env: 'SLIPWAY_LOAD_TIMEOUT', range: [100, 3_600_000] },
  runTimeoutMs: { setting: 'runTimeoutMs', env: 'SLIPWAY_RUN_TIMEOUT', range: [10, 3_600_000] },
  threads: { setting: 'runnerThreads', env: 'SLIPWAY_RUNNER_THREADS', range: [1, 256] },
  maxBatchRows: { setting: 'maxBatchRows', env: 'SLIPWAY_MAX_BATCH_ROWS', range: [1, 65_536] },
  maxDelayMs: { setting: 'maxDelayMs', env: 'SLIPWAY_MAX_DELAY', unset: 0, range: [0, 60_000] },
  queueLimit: { setting: 'queueLimit', env: 'SLIPWAY_QUEUE_LIMIT', range: [1, 1_000_000] },
};

const NAMES = Object.keys(LIMITS) as (keyof RunnerLimits)[];

function limitsFrom(value: (name: keyof RunnerLimits) => number): RunnerLimits {
  return Object.fromEntries(NAMES.map((name) => [name, value(name)])) as RunnerLimits;
}

export function limitsOfSettings(settings: Settings): RunnerLimits {
  return limitsFrom((name) => settings[LIMITS[name].setting] as number);
}

/** What holds for a version: its own limits where they are lower, else the operator's of today, which may have changed since it was made. */
export function effectiveLimits(ceiling: RunnerLimits, own: Partial<RunnerLimits>): RunnerLimits {
  return limitsFrom((name) => Math.min(own[name] ?? LIMITS[name].unset ?? ceiling[name], ceiling[name]));
}

/**
 * An artifact is not trusted, so it may ask for less than the operator gives, never for more.
 * @param tell adds where it stands to a fault, such as its line
 * @throws SlipwayError `invalid_request` with every limit that is above the operator's
 */
export function assertWithin(
  ceiling: RunnerLimits,
  own: Partial<RunnerLimits>,
  tell: (fault: FieldError) => FieldError = (fault) => fault,
): void {
  const above = NAMES.filter((name) => (own[name] ?? 0) > ceiling[name]);
  const [first] = above;
  if (first === undefined) return;
  const fields = above.map((name) =>
    tell({
      pointer: `/limits/${name}`,
      message: `${own[name]} is more than ${ceiling[name]}, which ${LIMITS[name].env} allows`,
    }),
  );
  throw new SlipwayError(
    'invalid_request',
    `The limits are above those of the server: ${fields[0]!.pointer} ${fields[0]!.message}`,
    {
      fields,
      hint: `Lower limits.${first}, or have the operator raise ${LIMITS[first].env} and start the server again.`,
    },
  );
}

/** What to do when a limit of a version is too low. */
export function howToRaise(name: keyof RunnerLimits): string {
  return `Raise limits.${name} in slipway.yaml and deploy again; where it is not set there, or as high as it may be, raise ${LIMITS[name].env} and start the server again.`;
}
