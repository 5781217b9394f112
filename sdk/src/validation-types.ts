/** How a version was tried, and what it runs in. */

export type ValidationStep = {
  name: 'environment' | 'load' | 'infer' | 'golden' | 'batch';
  outcome: 'passed' | 'failed' | 'skipped';
  durationMs: number;
  /** What was seen; a reason when it failed or was skipped. */
  detail: string | null;
};

export type Validation = {
  outcome: 'passed' | 'failed';
  /** One sentence, null when it passed. */
  reason: string | null;
  hint: string | null;
  steps: ValidationStep[];
  /** The step under way when the process ended before its time, else null. */
  lastStep: string | null;
  exitCode: number | null;
  exitSignal: string | null;
  /** The tail of what the process wrote to standard error. */
  stderr: string;
  loadMs: number | null;
  /** Median of the timed single runs. */
  inferMs: number | null;
  peakMemoryBytes: number | null;
  warnings: string[];
  /** The engine it was done with, and why that one. */
  engine?: { name: string; reason: string };
  /** Protections of a Python runner, as they hold where it was validated. */
  measures?: { name: string; holds: boolean; detail: string }[];
  finishedAt: string;
};

/** What a version needs to run in Python. */
export type Runtime = {
  loader:
    | 'function'
    | 'estimator'
    | 'pyfunc'
    | 'torch'
    | 'tensorflow'
    | 'tflite'
    | 'handler'
    | 'triton'
    | 'huggingface';
  options: Record<string, unknown>;
  /** Major and minor version it was made with; null: any. */
  python: string | null;
  requirements: string[];
  network: boolean;
};
