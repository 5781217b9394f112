/**
 * The two engines beside each other, in one process: how long a call takes on tabular and on ONNX Runtime, for forests of several shapes and other tables. Rows are
 * random and never come again: a repeated row is learnt by the branch predictor, and makes trees look three times as fast.
 *
 *     node bench/engines.ts [--rounds 5] [--only deep] [--json]
 *
 * Times are processor time (of a busy machine the wall shows others' work); both engines take turns in every round. Ratios are comparable, times
 * are of one machine.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomNumbers } from '../src/base/random-numbers.ts';
import type { Signature } from '../src/registry/signature.ts';
import { compareAnswers } from '../src/serving/engines/answers-agree.ts';
import { onnxRuntimeEngine } from '../src/serving/engines/onnxruntime.ts';
import { loadTabular } from '../src/serving/engines/tabular.ts';
import type { Tensor } from '../src/serving/tensors/tensor.ts';
import { denseModel, forestModel, linearModel } from './engine-models.ts';
import { spreadOf } from './statistics.ts';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
});
const ROUNDS = Number(flags.rounds);
const BUDGET_MS = 120;

type Subject = {
  readonly title: string;
  readonly bytes: Uint8Array;
  readonly columns: number;
  readonly outputs: Signature['outputs'];
};

const tabOutputs: Signature['outputs'] = [
  { name: 'label', datatype: 'INT64', shape: [-1] },
  { name: 'probabilities', datatype: 'FP32', shape: [-1, 2] },
];
const oneOutput: Signature['outputs'] = [{ name: 'Y', datatype: 'FP32', shape: [-1, 1] }];
const forest = (title: string, trees: number, depth: number, leafShare: number): Subject => ({
  title,
  bytes: forestModel({ trees, depth, leafShare, columns: 30, seed: 3 }),
  columns: 30,
  outputs: oneOutput,
});

const SUBJECTS: readonly (() => Subject)[] = [
  () => ({
    title: 'tab: 100 trees, depth 6',
    bytes: readFileSync(fileURLToPath(new URL('models/tab.onnx', import.meta.url))),
    columns: 30,
    outputs: tabOutputs,
  }),
  () => forest('shallow: 300 trees, depth 3', 300, 3, 0),
  () => forest('deep: 100 trees, depth 10', 100, 10, 0),
  () => forest('uneven: 100 trees, depth up to 24', 100, 24, 0.3),
  () => forest('large: 1000 trees, depth 8', 1000, 8, 0),
  () => forest('very large: 300 trees, depth 12', 300, 12, 0),
  () => ({ title: 'linear, 30 columns', bytes: linearModel(30), columns: 30, outputs: oneOutput }),
  () => ({ title: 'dense 30-64-32-1', bytes: denseModel([30, 64, 32, 1]), columns: 30, outputs: oneOutput }),
  () => ({ title: 'dense 30-512-512-1', bytes: denseModel([30, 512, 512, 1]), columns: 30, outputs: oneOutput }),
];

const random = randomNumbers(Date.now());

function fresh(rows: number, columns: number): Tensor[] {
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < data.length; i++) data[i] = random() * 8 - 4;
  return [{ name: 'X', datatype: 'FP32', shape: [rows, columns], data }];
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Microseconds of processor time for one row. */
async function timeOf(
  call: (inputs: Tensor[], rows: number) => unknown,
  rows: number,
  columns: number,
): Promise<number> {
  const calls = Array.from({ length: Math.max(20, Math.ceil(4096 / rows)) }, () => fresh(rows, columns));
  let count = 0;
  const startUs = cpuUs();
  const startMs = performance.now();
  while (performance.now() - startMs < BUDGET_MS && count < calls.length) {
    const result = call(calls[count]!, rows);
    if (result instanceof Promise) await result;
    count++;
  }
  return (cpuUs() - startUs) / (count * rows);
}

const results: Record<string, unknown>[] = [];
for (const make of SUBJECTS) {
  const subject = make();
  if (!subject.title.includes(flags.only)) continue;
  const signature: Signature = {
    inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, subject.columns] }],
    outputs: subject.outputs,
  };
  const startUs = cpuUs();
  const tabular = loadTabular({ entryBytes: subject.bytes, signature });
  const compileMs = (cpuUs() - startUs) / 1000;
  const ort = await onnxRuntimeEngine.load({
    entryPath: 'bench.onnx',
    entryBytes: subject.bytes,
    signature,
    threads: 1,
  });
  const inputs = fresh(500, subject.columns);
  const agreement = compareAnswers(await ort.run(inputs), tabular.runNow(inputs, 500));
  if (agreement.difference !== null) throw new Error(`${subject.title}: ${agreement.difference}`);
  for (const rows of [1, 256]) {
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = -1; round < ROUNDS; round++) {
      const a = await timeOf((call, count) => tabular.runNow(call, count), rows, subject.columns);
      const b = await timeOf((call) => ort.run(call), rows, subject.columns);
      if (round < 0) continue; // the first warms up
      ours.push(a);
      theirs.push(b);
    }
    const ratio = spreadOf(theirs.map((time, i) => time / ours[i]!));
    const row = {
      model: subject.title,
      rows,
      tabularUs: spreadOf(ours).median,
      onnxruntimeUs: spreadOf(theirs).median,
      ratio: ratio.median,
      ratioSpread: [ratio.min, ratio.max],
      largestDifference: agreement.largest,
      estimateUs: tabular.costPerRowUs,
      compileMs,
    };
    results.push(row);
    if (!flags.json) {
      console.log(
        `${subject.title.padEnd(34)} ${String(rows).padStart(4)} rows  tabular ${row.tabularUs.toFixed(2).padStart(8)} us  onnxruntime ${row.onnxruntimeUs.toFixed(2).padStart(8)} us a row  ` +
          `${ratio.median.toFixed(1)}x (${ratio.min.toFixed(1)} to ${ratio.max.toFixed(1)})  difference ${agreement.largest.toExponential(1)}  compiled in ${compileMs.toFixed(0)} ms`,
      );
    }
  }
  await ort.close();
}
if (flags.json) console.log(JSON.stringify(results, null, 2));
