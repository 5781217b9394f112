import type { Signature } from '../../registry/signature.ts';
import type { RunnerFile, RunnerStep } from './runner.ts';

/** JSON of the load frame: all a runner is told. */
export type LoadMessage = {
  readonly engine: string;
  readonly entry: string;
  /** Where they lie is relative to the runner's working directory: their own `path`. */
  readonly files: readonly Omit<RunnerFile, 'blobPath'>[];
  readonly signature: Signature;
  readonly canBatch: boolean;
  readonly threads: number;
  readonly maxBatchRows: number;
};

/** JSON of the step frame. */
export type StepMessage = { readonly step: Extract<RunnerStep, 'verifying' | 'loading'> };

/** JSON of the failed frame. */
export type FailedMessage = { readonly code: string; readonly message: string; readonly hint?: string };
