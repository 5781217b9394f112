import type { Settings } from '../base/settings.ts';

/** What a runner of one version may use. A version may set its own; the rest comes from the settings. */
export type RunnerLimits = {
  readonly memoryBytes: number;
  readonly loadTimeoutMs: number;
  readonly runTimeoutMs: number;
  readonly threads: number;
  /** Rows that may share one run. */
  readonly maxBatchRows: number;
  /** Calls that may wait for this version. */
  readonly queueLimit: number;
};

const MIB = 1024 * 1024;

/** Lowest and highest value of each limit. */
export const LIMIT_RANGES: { readonly [K in keyof RunnerLimits]: readonly [number, number] } = {
  memoryBytes: [64 * MIB, 1024 * 1024 * MIB],
  loadTimeoutMs: [100, 3_600_000],
  runTimeoutMs: [10, 3_600_000],
  threads: [1, 256],
  maxBatchRows: [1, 65_536],
  queueLimit: [1, 1_000_000],
};

export function limitsOfSettings(settings: Settings): RunnerLimits {
  return {
    memoryBytes: settings.runnerMemoryBytes,
    loadTimeoutMs: settings.loadTimeoutMs,
    runTimeoutMs: settings.runTimeoutMs,
    threads: settings.runnerThreads,
    maxBatchRows: settings.maxBatchRows,
    queueLimit: settings.queueLimit,
  };
}
