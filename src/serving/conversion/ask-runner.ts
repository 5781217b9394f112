import { SlipwayError } from '../../base/errors.ts';
import type { RunnerProcess } from '../runner/runner-process.ts';
import type { Tensor } from '../tensors/tensor.ts';

/** One call of a runner. The process is killed at the run's limit; the call itself waits longer, so that the kill is what is reported. */
export function askRunner(
  runner: RunnerProcess,
  inputs: readonly Tensor[],
  rows: number,
  runTimeoutMs: number,
): Promise<{ readonly outputs: readonly Tensor[]; readonly runMs: number }> {
  return new Promise((resolve, reject) => {
    runner.infer(inputs, rows, { timeoutMs: 2 * runTimeoutMs + 60_000 }, (error, outputs, timings) => {
      if (error === null) resolve({ outputs: outputs!, runMs: timings.runMs });
      else reject(error);
    });
  });
}

/** Whether an error says that the model refuses these inputs, and nothing of the version. */
export function isRefusedInput(error: unknown): boolean {
  return error instanceof SlipwayError && error.code === 'run_failed';
}
