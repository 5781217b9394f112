import { type SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { isFaultOfServer, type PlainBody, type ValidationJob } from '../../registry/validation.ts';
import { ENGINES_DIFFER, TABULAR_CHECK } from '../engines/engine-facts.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { type RunnerProcess, startRunner } from './runner-process.ts';

export type EngineChoice = {
  readonly name: string;
  /** A sentence without its full stop: why this one. */
  readonly reason: string;
  readonly warning: string | null;
};

type Deps = {
  readonly log: Logger;
  readonly scratchDir: string;
  readonly read: (body: PlainBody) => Promise<{ readonly inputs: readonly Tensor[]; readonly rows: number }>;
};

/**
 * The engine of a version: the one asked for, or tabular where a throw-away process has shown that it covers the whole graph, agrees with ONNX Runtime on
 * the golden and on made-up rows, and is faster.
 * @throws SlipwayError with a code of `isFaultOfServer`
 */
export async function chooseEngine(job: ValidationJob, deps: Deps): Promise<EngineChoice> {
  if (job.engine === 'python') return { name: 'python', reason: 'it is the one for models in Python', warning: null };
  // Formats of other libraries have no second engine to compare with.
  if (job.format !== 'onnx' && job.engine === 'tabular')
    return { name: 'tabular', reason: `it is the one for ${job.format}`, warning: null };
  if (job.engine !== 'auto' && job.engine !== 'tabular')
    return { name: job.engine, reason: 'it was asked for', warning: null };
  // Nobody asked for an engine that refuses what ONNX Runtime would take.
  const exact = job.engine === 'auto' ? job.signature.inputs.find(({ datatype }) => datatype === 'INT64') : undefined;
  if (exact !== undefined) {
    const reason = `${exact.name} is INT64, and tabular takes its numbers only up to 2^53`;
    return { name: 'onnxruntime', reason, warning: null };
  }
  const { about, failure } = await check(job, deps);
  if (job.engine === 'auto') {
    if (failure === null) return { name: 'tabular', reason: `it ${about}`, warning: null };
    return { name: 'onnxruntime', reason: clause(failure.message), warning: null };
  }
  if (failure === null) return { name: 'tabular', reason: `it was asked for, and ${about}`, warning: null };
  const warning = failure.message.startsWith(ENGINES_DIFFER)
    ? `${failure.message}. It runs on tabular because that was asked for.`
    : null;
  return { name: 'tabular', reason: `it was asked for; ${clause(failure.message)}`, warning };
}

async function check(job: ValidationJob, deps: Deps): Promise<{ about: string; failure: SlipwayError | null }> {
  const name = `${job.project}/${job.model}@${job.version}`;
  const runner = startRunner(
    { ...job, engine: TABULAR_CHECK, name, canBatch: false, canPad: false, scratchDir: deps.scratchDir },
    { log: deps.log },
  );
  try {
    const { about } = await runner.loaded;
    for (const body of [job.sampleRequest, ...job.golden.map((golden) => golden.inputs)]) {
      const difference = await differenceOn(body, runner, job.limits.runTimeoutMs, deps);
      if (difference !== null) return { about: '', failure: difference };
    }
    return { about: about ?? '', failure: null };
  } catch (error) {
    const failure = toSlipwayError(error);
    if (isFaultOfServer(failure.code)) throw failure;
    return { about: '', failure };
  } finally {
    void runner.close();
    await runner.exited;
  }
}

/** Inputs that cannot be read, or that ONNX Runtime itself does not compute, say nothing of the engine; the steps of the validation tell. */
async function differenceOn(
  body: PlainBody,
  runner: RunnerProcess,
  runTimeoutMs: number,
  { read }: Deps,
): Promise<SlipwayError | null> {
  const call = await read(body).catch(() => null);
  if (call === null) return null;
  const { promise, resolve } = Promise.withResolvers<SlipwayError | null>();
  runner.infer(call.inputs, call.rows, { timeoutMs: 2 * runTimeoutMs + 60_000 }, (error) => resolve(error));
  const error = await promise;
  return error === null || (error.code === 'run_failed' && !error.message.includes(ENGINES_DIFFER)) ? null : error;
}

/** A message as a part of a sentence. */
function clause(message: string): string {
  return message.replace(/[.!]$/, '').replace(/^The /, 'the ');
}
