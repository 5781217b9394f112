import { SlipwayError } from '../../base/errors.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { compareAnswers } from './answers-agree.ts';
import type { Engine, LoadedModel, LoadOptions } from './engine.ts';
import { ENGINES_DIFFER, TABULAR_CHECK } from './engine-facts.ts';
import { onnxRuntimeEngine } from './onnxruntime.ts';
import { createProbe } from './tabular/probe-inputs.ts';
import { loadTabular, type TabularModel } from './tabular.ts';

/** Rows of the calls that are tried, ordinary ones and wild ones (not numbers, far away, beside thresholds). */
const CALM_ROWS = [1, 3, 8, 64, 128];
const WILD_ROWS = [1, 5, 64];
const BATCH_ROWS = 64;
/** A batch may take this much longer, for what a single row saves. */
const BATCH_FACTOR = 1.25;
const TIMED_CALLS = 60;
const TIMED_BUDGET_MS = 400;
/** Until V8 has compiled the loops of a model, which are then several times faster; what serves has long done that. */
const WARM_UP_MS = 150;

/**
 * No engine to serve with: it runs a model on tabular and on ONNX Runtime, in a throw-away process, and fails where the first should not be chosen. What it found
 * is in `about`.
 */
export const tabularCheck: Engine = { name: TABULAR_CHECK, load };

const SLOWER = 'ONNX Runtime is faster';

async function load(options: LoadOptions): Promise<LoadedModel> {
  const tabular = loadTabular(options);
  const ort = await onnxRuntimeEngine.load(options);
  const probe = createProbe(options.entryBytes, options.signature, 1);
  let rows = 0;
  let largest = 0;
  for (const [sizes, isWild] of [
    [CALM_ROWS, false],
    [WILD_ROWS, true],
  ] as const) {
    for (const size of sizes) {
      largest = Math.max(largest, await compare(tabular, ort, probe(size, isWild)));
      rows += size;
    }
  }
  warmUp(tabular, (rows) => probe(rows, false));
  const single = await race(tabular, ort, () => probe(1, false));
  const batch = await race(tabular, ort, () => probe(BATCH_ROWS, false));
  const times = `one row takes ${us(single.tabularMs)} instead of ${us(single.ortMs)}, ${BATCH_ROWS} rows ${us(batch.tabularMs)} instead of ${us(batch.ortMs)}`;
  if (single.tabularMs > single.ortMs || batch.tabularMs > BATCH_FACTOR * batch.ortMs)
    throw new SlipwayError('model_unsupported', `${SLOWER}: on tabular ${times}`);
  return {
    about: `agrees with ONNX Runtime on ${rows} rows of all kinds, the largest difference ${largest === 0 ? '0' : largest.toExponential(1)}; ${times}`,
    async run(inputs) {
      const outputs = await ort.run(inputs);
      assertAgree(outputs, tabular.runNow(inputs, inputs[0]?.shape[0] ?? 1));
      return outputs;
    },
    close: () => ort.close(),
  };
}

/** Gives the largest difference. What one engine refuses, the other must refuse. */
async function compare(tabular: TabularModel, ort: LoadedModel, inputs: readonly Tensor[]): Promise<number> {
  const expected = await ort.run(inputs).catch((error: Error) => error);
  let actual: readonly Tensor[] | Error;
  try {
    actual = tabular.runNow(inputs, inputs[0]!.shape[0]!);
  } catch (error) {
    actual = error as Error;
  }
  if (expected instanceof Error && actual instanceof Error) return 0;
  if (expected instanceof Error) throw differ(`ONNX Runtime refuses what tabular answers (${expected.message})`);
  if (actual instanceof Error) throw differ(`tabular refuses what ONNX Runtime answers (${actual.message})`);
  return assertAgree(expected, actual);
}

function assertAgree(expected: readonly Tensor[], actual: readonly Tensor[]): number {
  const { largest, difference } = compareAnswers(expected, actual);
  if (difference !== null) throw differ(difference);
  return largest;
}

function differ(how: string): SlipwayError {
  return new SlipwayError('model_unsupported', `${ENGINES_DIFFER}: ${how}`);
}

function warmUp(tabular: TabularModel, fresh: (rows: number) => Tensor[]): void {
  const untilMs = performance.now() + WARM_UP_MS;
  for (let rows = 1; performance.now() < untilMs; rows = rows === 1 ? BATCH_ROWS : 1) {
    try {
      tabular.runNow(fresh(rows), rows);
    } catch {
      // a row that it does not compute
    }
  }
}

/** Median times of both, call by call in turn, with fresh rows: a repeated row is learnt by the processor. */
async function race(
  tabular: TabularModel,
  ort: LoadedModel,
  fresh: () => Tensor[],
): Promise<{ tabularMs: number; ortMs: number }> {
  const ours: number[] = [];
  const theirs: number[] = [];
  const untilMs = performance.now() + TIMED_BUDGET_MS;
  while (ours.length < 5 || (ours.length < TIMED_CALLS && performance.now() < untilMs)) {
    const inputs = fresh();
    const rows = inputs[0]!.shape[0]!;
    const startMs = performance.now();
    try {
      tabular.runNow(inputs, rows);
    } catch {
      // a row that neither computes; it takes its time all the same
    }
    const betweenMs = performance.now();
    await ort.run(inputs).catch(() => null);
    theirs.push(performance.now() - betweenMs);
    ours.push(betweenMs - startMs);
  }
  // The first calls are those of code that is not compiled yet.
  const median = (times: number[]): number =>
    times.slice(times.length >> 2).sort((a, b) => a - b)[(times.length * 3) >> 3]!;
  return { tabularMs: median(ours), ortMs: median(theirs) };
}

function us(ms: number): string {
  const micros = ms * 1000;
  return `${micros < 10 ? micros.toFixed(1) : Math.round(micros)} us`;
}
