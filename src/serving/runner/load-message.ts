import type { ManifestFile } from '../../registry/manifest.ts';
import type { Measure } from '../../registry/runtime.ts';
import type { Signature } from '../../registry/signature.ts';
import type { PythonSpec, RunnerStep } from './runner.ts';

/** JSON of the load frame: all a runner is told. */
export type LoadMessage = {
  readonly engine: string;
  readonly entry: string;
  /** Where they lie is relative to the runner's working directory: their own `path`. */
  readonly files: readonly ManifestFile[];
  readonly signature: Signature;
  readonly canBatch: boolean;
  readonly canPad: boolean;
  readonly threads: number;
  readonly maxBatchRows: number;
  /** For the runner program in Python. */
  readonly python?: PythonSpec['runtime'];
};

/** JSON of the step frame. */
export type StepMessage = { readonly step: Extract<RunnerStep, 'verifying' | 'loading'> };

/** JSON of the ready frame. */
export type ReadyMessage = { readonly about?: string; readonly measures?: readonly Measure[] };

/** What may be wrong with a version; no second attempt mends it. A runner, which is not trusted, can say nothing else. */
export const LOAD_FAULTS = ['artifact_corrupt', 'model_invalid', 'model_unsupported', 'model_refused'] as const;

/** JSON of the failed frame. */
export type FailedMessage = { readonly code: string; readonly message: string; readonly hint?: string };
