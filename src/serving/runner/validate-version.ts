import { join } from 'node:path';
import { type Clock, systemClock } from '../../base/clock.ts';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { howToRaise } from '../../registry/limits.ts';
import type { Measure } from '../../registry/runtime.ts';
import {
  type GoldenCase,
  isFaultOfServer,
  type PlainBody,
  type Validate,
  type ValidationJob,
  type ValidationOutcome,
  type ValidationStep,
} from '../../registry/validation.ts';
import { tensorsOfRecords } from '../inputs/decode-inputs.ts';
import type { Environments } from '../python/environments.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { checkBatching } from './batch-check.ts';
import { chooseEngine } from './choose-engine.ts';
import { goldenDifference } from './compare-outputs.ts';
import { checkPadding } from './pad-check.ts';
import type { CallTimings, RunnerExit } from './runner.ts';
import { type RunnerProcess, startRunner } from './runner-process.ts';

export type ValidatorDeps = {
  readonly log: Logger;
  /** Folder for the working folders of the throw-away processes. */
  readonly scratchDir: string;
  readonly clock?: Clock;
  /** Makes or finds the environment of versions in Python; absent: such versions are refused. */
  readonly environments?: Environments;
};

const TIMED_RUNS = 5;
/** No more timed runs once they took this long together. */
const TIMED_BUDGET_MS = 2000;

type Answer = { readonly outputs: readonly Tensor[]; readonly timings: CallTimings };

/** What a step found out: a sentence for people, or the reason why the version does not pass. */
class StepFailure extends Error {
  readonly hint: string | null;
  constructor(message: string, hint: string | null = null) {
    super(message);
    this.hint = hint;
  }
}

/**
 * Gives the function that tries a version in throw-away processes: which engine is the right one, then, on that one, load, a first answer, the golden set, rows alone and together. A model that ends its
 * process ends nothing else; what was seen of it is the outcome.
 */
export function createValidator({ scratchDir, clock = systemClock, ...deps }: ValidatorDeps): Validate {
  return (job) => validate(job, { ...deps, scratchDir: join(scratchDir, 'validate'), clock });
}

type Deps = Omit<ValidatorDeps, 'clock'> & { readonly clock: Clock };

async function validate(job: ValidationJob, deps: Deps): Promise<ValidationOutcome> {
  const name = `${job.project}/${job.model}@${job.version}`;
  const prepared = await prepareEnvironment(job, deps);
  const choice = await chooseEngine(job, {
    log: deps.log,
    scratchDir: deps.scratchDir,
    read: (body) => tensorsOfRecords(job.signature, body),
  });
  const runner = startRunner(
    {
      ...job,
      engine: choice.name,
      name,
      canBatch: false,
      canPad: false,
      scratchDir: deps.scratchDir,
      ...(prepared === null ? {} : { python: prepared.python }),
    },
    { log: deps.log },
  );
  const steps: ValidationStep[] = prepared === null ? [] : [prepared.step];
  let measures: readonly Measure[] | null = null;
  const warnings: string[] = choice.warning === null ? [] : [choice.warning];
  let failure: StepFailure | null = null;
  let fault: SlipwayError | null = null;
  let loadMs: number | null = null;
  let inferMs: number | null = null;
  let canBatch = false;
  let canPad = false;
  let sampleRequest: PlainBody | undefined;

  const step = async (
    stepName: ValidationStep['name'],
    work: () => Promise<{ detail: string | null; skipped?: boolean }>,
  ): Promise<void> => {
    if (failure !== null) {
      steps.push({ name: stepName, outcome: 'skipped', durationMs: 0, detail: 'an earlier step failed' });
      return;
    }
    const startedMs = performance.now();
    const result = await work().catch((error: unknown) => {
      if (error instanceof StepFailure) {
        failure = error;
      } else {
        const known = toSlipwayError(error);
        if (isFaultOfServer(known.code)) fault = known;
        failure = new StepFailure(known.message, known.hint ?? null);
      }
      return { detail: failure.message, failed: true };
    });
    const outcome =
      'failed' in result ? 'failed' : 'skipped' in result && result.skipped === true ? 'skipped' : 'passed';
    steps.push({ name: stepName, outcome, durationMs: round(performance.now() - startedMs), detail: result.detail });
  };

  const run = (inputs: readonly Tensor[], rows: number): Promise<Answer> =>
    inferOnce(runner, inputs, rows, job.limits.runTimeoutMs);

  await step('load', async () => {
    const report = await runner.loaded;
    loadMs = round(report.loadMs);
    measures = report.measures;
    return { detail: report.about };
  });

  await step('infer', async () => {
    const answered = await firstAnswer(job, run);
    if (answered.request !== job.sampleRequest) sampleRequest = answered.request;
    if (answered.warning !== null) warnings.push(answered.warning);
    inferMs = await medianRunMs(answered.inputs, answered.rows, run);
    return { detail: null };
  });

  await step('golden', async () => {
    if (job.golden.length === 0) return { detail: 'the version has no golden set', skipped: true };
    for (const [i, golden] of job.golden.entries()) await checkGolden(job, golden, i, run);
    return { detail: `${job.golden.length} of ${job.golden.length} cases agree` };
  });

  await step('batch', async () => {
    const bodies = [...job.golden.map((golden) => golden.inputs), sampleRequest ?? job.sampleRequest];
    const known: Tensor[][] = [];
    for (const body of bodies) known.push((await tensorsOfRecords(job.signature, body)).inputs);
    const outputsOf = async (inputs: readonly Tensor[], rows: number) => (await run(inputs, rows)).outputs;
    const { maxBatchRows } = job.limits;
    const verdict = await checkBatching(job.signature, known, maxBatchRows, outputsOf);
    canBatch = verdict.canBatch;
    if (!canBatch) warnings.push(`Requests will not share runs: ${verdict.reason}.`);
    if (!job.signature.inputs.some((input) => input.pad !== undefined)) return { detail: verdict.reason };
    const padding =
      choice.name === 'python'
        ? { canPad: false, reason: 'the engine python does not pad' }
        : canBatch
          ? await checkPadding(job.signature, known, maxBatchRows, outputsOf)
          : { canPad: false, reason: 'requests do not share runs at all' };
    canPad = padding.canPad;
    if (!canPad) warnings.push(`Nothing is padded, although slipway.yaml declares it: ${padding.reason}.`);
    return { detail: `${verdict.reason}; ${canPad ? '' : 'not padded: '}${padding.reason}` };
  });

  const measuredMemoryBytes = runner.memoryBytes();
  const peakMemoryBytes = runner.peakMemoryBytes();
  // Asked to end only when it still runs: a process that ended by itself has its own story.
  void runner.close();
  const exit = await runner.exited;
  if (fault !== null) throw fault;
  const reason = reasonOf(failure, exit);
  return {
    canBatch: reason === null && canBatch,
    canPad: reason === null && canPad,
    measuredMemoryBytes,
    environment: prepared?.environment ?? null,
    ...(sampleRequest === undefined ? {} : { sampleRequest }),
    validation: {
      outcome: reason === null ? 'passed' : 'failed',
      reason,
      hint: reason === null ? null : hintOf(failure, exit),
      steps,
      lastStep: exit.asked ? null : exit.lastStep,
      exitCode: exit.asked ? null : exit.code,
      exitSignal: exit.asked ? null : exit.signal,
      stderr: exit.stderr,
      loadMs,
      inferMs,
      peakMemoryBytes,
      warnings,
      engine: { name: choice.name, reason: choice.reason },
      ...(measures === null ? {} : { measures }),
      finishedAt: deps.clock.now().toISOString(),
    },
  };
}

/** The environment of a version in Python, and the step that tells of it. @throws SlipwayError when there is none to be had */
async function prepareEnvironment(job: ValidationJob, { environments, clock: _clock }: Deps) {
  if (job.runtime === null || job.runtime === undefined) return null;
  if (environments === undefined) {
    throw new SlipwayError('model_unsupported', 'Versions that run in Python are switched off on this server', {
      hint: 'Have the operator set SLIPWAY_PYTHON=on and start the server again.',
    });
  }
  const startedMs = performance.now();
  const made = await environments.ensure(job.runtime, job.onProgress ?? (() => {}));
  const step: ValidationStep = {
    name: 'environment',
    outcome: 'passed',
    durationMs: round(performance.now() - startedMs),
    detail: made.detail,
  };
  return { python: { runtime: job.runtime, interpreter: made.interpreter }, environment: made.name, step };
}

/** Runs the job's sample request or, should the model not answer it, the golden cases until one is answered. */
async function firstAnswer(
  job: ValidationJob,
  run: (inputs: readonly Tensor[], rows: number) => Promise<Answer>,
): Promise<{ request: PlainBody; inputs: readonly Tensor[]; rows: number; warning: string | null }> {
  let first: unknown = null;
  for (const request of [job.sampleRequest, ...job.golden.map((golden) => golden.inputs)]) {
    try {
      const { inputs, rows } = await tensorsOfRecords(job.signature, request);
      await run(inputs, rows);
      const warning =
        first === null
          ? null
          : 'The sample request was taken from the golden set, because the model does not answer neutral values.';
      return { request, inputs, rows, warning };
    } catch (error) {
      const code = error instanceof SlipwayError ? error.code : 'internal';
      if (code !== 'run_failed' && code !== 'invalid_input') throw error;
      first ??= error;
    }
  }
  const said = toSlipwayError(first);
  throw new StepFailure(
    said.code === 'run_failed'
      ? said.message
      : `${said.message}${said.fields[0] ? `: ${said.fields[0].pointer} ${said.fields[0].message}` : ''}`,
    job.golden.length === 0
      ? 'Push a folder with slipway.yaml and a golden set: inputs that the model answers, with its answers.'
      : 'The golden set has no inputs that the model answers; check their names, order and types.',
  );
}

async function checkGolden(
  job: ValidationJob,
  golden: GoldenCase,
  index: number,
  run: (inputs: readonly Tensor[], rows: number) => Promise<Answer>,
): Promise<void> {
  const title = golden.name === undefined ? `golden case ${index + 1}` : `golden case ${golden.name}`;
  const { inputs, rows } = await tensorsOfRecords(job.signature, golden.inputs);
  const { outputs } = await run(inputs, rows);
  for (const [name, expected] of Object.entries(golden.outputs)) {
    const at = job.signature.outputs.findIndex((output) => output.name === name);
    if (at < 0) {
      const known = job.signature.outputs.map((output) => output.name).join(', ');
      throw new StepFailure(`The ${title} names the output ${name}, which the model does not have (it has ${known})`);
    }
    const difference = goldenDifference(job.signature.outputs[at]!, expected, outputs[at]!, golden.tolerance);
    if (difference !== null) {
      throw new StepFailure(
        `The ${title} is answered differently: ${difference}`,
        'Compare the exported model with the one that was trained, or give the case a tolerance.',
      );
    }
  }
}

async function medianRunMs(
  inputs: readonly Tensor[],
  rows: number,
  run: (inputs: readonly Tensor[], rows: number) => Promise<Answer>,
): Promise<number> {
  const times: number[] = [];
  const startedMs = performance.now();
  while (times.length === 0 || (times.length < TIMED_RUNS && performance.now() - startedMs < TIMED_BUDGET_MS)) {
    times.push((await run(inputs, rows)).timings.runMs);
  }
  times.sort((a, b) => a - b);
  return round(times[times.length >>> 1]!);
}

function inferOnce(
  runner: RunnerProcess,
  inputs: readonly Tensor[],
  rows: number,
  runTimeoutMs: number,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // The process is killed at the run's limit; the call itself waits longer, so that the kill is what is reported.
    runner.infer(inputs, rows, { timeoutMs: 2 * runTimeoutMs + 60_000 }, (error, outputs, timings) => {
      if (error === null) resolve({ outputs: outputs!, timings });
      else reject(error);
    });
  });
}

function reasonOf(failure: StepFailure | null, exit: RunnerExit): string | null {
  if (!exit.asked) return `The model ${exit.reason}.`;
  return failure === null ? null : ended(failure.message);
}

function ended(sentence: string): string {
  return /[.!?…]$/.test(sentence) ? sentence : `${sentence}.`;
}

function hintOf(failure: StepFailure | null, exit: RunnerExit): string | null {
  if (/memory/.test(exit.reason)) return `${howToRaise('memoryBytes')} Or make the model smaller.`;
  if (/was killed after a run/.test(exit.reason))
    return `${howToRaise('runTimeoutMs')} Or look for a loop that never ends.`;
  if (/was killed after/.test(exit.reason))
    return `${howToRaise('loadTimeoutMs')} Or look for a model that unfolds itself while loading.`;
  return (
    failure?.hint ??
    (exit.asked
      ? null
      : 'Export the model again with another version of its exporter, and look at the last words of the process.')
  );
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
