import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { blobPath } from '../../registry/artifacts/blob-path.ts';
import type { DesiredVersion, ObservedVersion, VersionState } from '../endpoints/desired-state.ts';
import { decodeInputs } from '../inputs/decode-inputs.ts';
import { pythonSpec } from '../python/environment.ts';
import { canBeInline, startInlineRunner } from '../runner/inline-runner.ts';
import {
  type RunnerSupervisor,
  type SupervisedSpec,
  type SupervisorDeps,
  superviseRunner,
} from '../runner/runner-supervisor.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';
import type { StartTurns } from './start-turns.ts';

/** A version that the gateway keeps loaded, and what the hot path wants to know of it ready made. */
export type ServedVersion = {
  readonly spec: DesiredVersion;
  /** `project/model@version`. */
  readonly key: string;
  /** Everything that, when it changes, needs another runner. */
  readonly identity: string;
  readonly target: InputTarget;
  /** Null before its turn to load came, and when it cannot even be started. */
  supervisor: RunnerSupervisor | null;
  /** Whether it can answer here and now. */
  isUp: boolean;
  /** The shadow whose own copy of the version this is; null for those that answer callers. */
  readonly shadow: string | null;
  /** Whether it ever answered its sample request: from then on it may take calls, also while its runner is started again. */
  wasReady: boolean;
  observe(): Omit<ObservedVersion, 'project' | 'model' | 'version'>;
  close(): Promise<void>;
};

/** Gives what keeps a version's runner, here or in another process. */
export type Supervise = (spec: SupervisedSpec, identity: string, deps: SupervisorDeps) => RunnerSupervisor;

export type ServedVersionDeps = {
  readonly dataDir: string;
  readonly scratchDir: string;
  readonly retryAfterS: number;
  /** Whether versions may live in this process, where their engine allows it. */
  readonly inline: boolean;
  readonly log: Logger;
  readonly clock: Clock;
  /** For versions that do not live in this process; absent: their runners are children of this process. */
  readonly supervise?: Supervise;
  readonly turns: StartTurns;
  readonly onChange: () => void;
};

export function versionKey(of: { project: string; model: string; version: number }): string {
  return `${of.project}/${of.model}@${of.version}`;
}

/** The key of a copy that one shadow has for itself. */
export function shadowKey(of: { project: string; model: string; version: number }, shadow: string): string {
  return `${versionKey(of)}#${shadow}`;
}

/** Lets other processes have the processor first. A process that ended meanwhile needs nothing. */
function yieldTo(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // it is gone, or the system does not let us
  }
}

/** A version's digest covers its bytes and signature; limits and the verdicts on sharing runs may change without it. */
export function identityOf(spec: DesiredVersion): string {
  return JSON.stringify([
    spec.digest,
    spec.engine,
    spec.entry,
    spec.blobFolder,
    spec.canBatch,
    spec.canPad,
    spec.limits,
    ...(spec.python === undefined ? [] : [spec.python.environment]),
  ]);
}

const superviseHere: Supervise = (spec, _identity, deps) => superviseRunner(spec, deps);
const superviseInline: Supervise = (spec, _identity, deps) => startInlineRunner(spec, deps);

/**
 * Starts a version as soon as it is its turn.
 * @param shadow for a copy of it that is no caller's: always a process of its own, so that it takes nothing of the event loop
 */
export function startVersion(
  spec: DesiredVersion,
  deps: ServedVersionDeps,
  shadow: string | null = null,
): ServedVersion {
  const { log, clock, retryAfterS } = deps;
  const key = shadow === null ? versionKey(spec) : shadowKey(spec, shadow);
  const { signature, canBatch, canPad } = spec;
  const target: InputTarget = { name: `${spec.model}@${spec.version}`, signature, canBatch };
  const since = clock.now().toISOString();
  let before: { state: VersionState; reason: string } = { state: 'loading', reason: 'It waits for its turn to load.' };

  let closed = false;

  const begin = (): void => {
    try {
      const warmUp = readPlainBody(target, spec.sampleRequest);
      if (warmUp.encoded === undefined) supervise(warmUp);
      else
        decodeInputs(warmUp, target)
          .then((decoded) => closed || supervise(decoded))
          .catch(fail);
    } catch (error) {
      fail(error);
    }
  };
  const supervise = (warmUp: PlainInputs): void => {
    const supervised: SupervisedSpec = {
      name: key,
      engine: spec.engine,
      entry: spec.entry,
      files: spec.files.map((file) => ({
        ...file,
        blobPath: blobPath(join(deps.dataDir, spec.blobFolder), file.digest),
      })),
      signature,
      canBatch,
      canPad,
      limits: spec.limits,
      scratchDir: deps.scratchDir,
      ...(spec.python === undefined ? {} : { python: pythonSpec(deps.dataDir, spec.python) }),
      warmUp,
    };
    const isInline = deps.inline && shadow === null && canBeInline(supervised);
    const start: Supervise = isInline ? superviseInline : (deps.supervise ?? superviseHere);
    version.supervisor = start(supervised, version.identity, {
      log,
      clock,
      retryAfterS,
      onChange: ({ state }) => change(state),
    });
  };
  const fail = (error: unknown): void => {
    before = { state: 'failed', reason: `It cannot be started: ${toSlipwayError(error).message}.` };
    log.error({ version: key, err: error }, 'a version cannot be started');
    queueMicrotask(() => change('failed')); // whoever started it does not have it yet
  };
  const change = (state: VersionState): void => {
    version.isUp = state === 'ready';
    if (shadow !== null) yieldTo(version.supervisor?.pid);
    if (version.isUp) version.wasReady = true;
    if (state !== 'loading' && state !== 'warming') turn.end();
    deps.onChange();
  };

  const version: ServedVersion = {
    spec,
    key,
    identity: identityOf(spec),
    target,
    supervisor: null,
    isUp: false,
    shadow,
    wasReady: false,
    observe() {
      if (version.supervisor === null) return { ...before, since, memoryBytes: null, restarts: 0, waiting: 0 };
      const status = version.supervisor.status();
      return { ...status, since: status.since.toISOString() };
    },
    async close() {
      closed = true;
      turn.end();
      await version.supervisor?.close();
    },
  };
  const turn = deps.turns.take(begin);
  return version;
}

const sameInputs = new WeakMap<ServedVersion, WeakMap<ServedVersion, boolean>>();

/** Whether what was read for one can be given to the other. */
export function takesSameInputs(one: ServedVersion, other: ServedVersion): boolean {
  if (one === other) return true;
  let known = sameInputs.get(one);
  if (known === undefined) {
    known = new WeakMap();
    sameInputs.set(one, known);
  }
  let same = known.get(other);
  if (same === undefined) {
    same = JSON.stringify(one.spec.signature.inputs) === JSON.stringify(other.spec.signature.inputs);
    known.set(other, same);
  }
  return same;
}
