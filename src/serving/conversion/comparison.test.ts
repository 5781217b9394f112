import { expect, test } from 'vitest';
import type { Signature } from '../../registry/signature.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { createComparison } from './comparison.ts';
import { judge } from './judge-conversion.ts';

const TOLERANCE = { absolute: 1e-5, relative: 1e-4 };
const CLASSES: Signature = {
  inputs: [],
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [-1] },
    { name: 'scores', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] },
  ],
};
const NUMBER: Signature = { inputs: [], outputs: [{ name: 'price', datatype: 'FP64', shape: [-1] }] };
const rows = { golden: 1, example: 0, reference: 0, drawn: 0, unanswered: 0 };

const label = (...values: number[]): Tensor => ({
  name: 'label',
  datatype: 'INT64',
  shape: [values.length],
  data: BigInt64Array.from(values.map(BigInt)),
});
const scores = (...values: number[]): Tensor => ({
  name: 'scores',
  datatype: 'FP32',
  shape: [values.length / 2, 2],
  data: Float32Array.from(values),
});
const price = (...values: number[]): Tensor => ({
  name: 'price',
  datatype: 'FP64',
  shape: [values.length],
  data: Float64Array.from(values),
});

test('counts what is beyond the tolerance, and says where the largest difference was', () => {
  const comparison = createComparison(CLASSES, TOLERANCE, null);
  comparison.add([label(0, 1), scores(0.9, 0.1, 0.2, 0.8)], [label(0, 1), scores(0.9, 0.1, 0.25, 0.75)], 2);
  const [labels, numbers] = comparison.outputs();
  expect(labels).toMatchObject({ values: 2, unequal: 0, largestDifference: null, fidelity: 1 });
  expect(numbers).toMatchObject({ values: 4, unequal: 2, fidelity: 1 });
  expect(numbers!.largestDifference).toBeCloseTo(0.05, 6);
  expect(comparison.worst()).toMatch(/^scores: 0\.2\d* before, 0\.25 after/);
  expect(judge({ kind: 'convert', to: 'onnx' }, comparison, rows)!.reason).toMatch(
    /scores differs in 2 of 4 values, by up to 0\.05/,
  );
  expect(judge({ kind: 'optimize', quantize: 'int8' }, comparison, rows)).toBeNull();
});

test('another label is a difference, but not where two scores are as good as equal', () => {
  const other = createComparison(CLASSES, TOLERANCE, null);
  other.add([label(0), scores(0.9, 0.1)], [label(1), scores(0.9, 0.1)], 1);
  expect(other.outputs()[0]).toMatchObject({ unequal: 1, fidelity: 0 });
  const tied = createComparison(CLASSES, TOLERANCE, null);
  tied.add([label(0), scores(0.5, 0.5)], [label(1), scores(0.5, 0.5)], 1);
  expect(tied.outputs()[0]).toMatchObject({ unequal: 0 });
});

test.each([
  ['NaN for a number', price(1), price(Number.NaN)],
  ['a number for NaN', price(Number.NaN), price(1)],
  ['an infinity for a number', price(1), price(Number.POSITIVE_INFINITY)],
  ['another infinity', price(Number.NEGATIVE_INFINITY), price(Number.POSITIVE_INFINITY)],
  ['another shape', price(1, 2), price(1)],
])('%s is never within the tolerance', (_title, before, after) => {
  const comparison = createComparison(NUMBER, { absolute: 1e9, relative: 1e9 }, null);
  comparison.add([before], [after], 1);
  expect(comparison.outputs()[0]!.unequal).toBeGreaterThan(0);
});

test('NaN for NaN and an infinity for itself are the same', () => {
  const comparison = createComparison(NUMBER, { absolute: 0, relative: 0 }, null);
  const same = price(Number.NaN, Number.POSITIVE_INFINITY, 1);
  comparison.add([same], [same], 3);
  expect(comparison.outputs()[0]).toMatchObject({ unequal: 0, largestDifference: 0 });
  expect(comparison.worst()).toBeNull();
});

test('fidelity and accuracy of numbers are R², as scikit-learn computes it', () => {
  // sklearn.metrics.r2_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) of its documentation: 0.9486081370449679.
  const comparison = createComparison(NUMBER, TOLERANCE, null);
  comparison.add([price(3, -0.5, 2, 7)], [price(2.5, 0, 2, 8)], 4, ['3', '-0.5', '2', '7']);
  expect(comparison.outputs()[0]!.fidelity).toBeCloseTo(0.9486081370449679, 12);
  const accuracy = comparison.accuracy({ truth: 'paid', mostLost: 0.01 });
  expect(accuracy).toMatchObject({ truth: 'paid', output: 'price', rows: 4, before: 1 });
  expect(accuracy!.after).toBeCloseTo(0.9486081370449679, 12);
  expect(
    judge({ kind: 'optimize', quantize: 'fp16', leastFidelity: 0.9, truth: 'paid' }, comparison, rows)!.reason,
  ).toMatch(/It loses too much: 100 % right before, 94\.86 % after, on 4 rows/);
});

test('accuracy of classes: by label, or by the name of the largest score; blank truth is left out', () => {
  const before: Tensor[] = [label(0, 1, 1), scores(0.9, 0.1, 0.2, 0.8, 0.3, 0.7)];
  const after: Tensor[] = [label(0, 0, 1), scores(0.9, 0.1, 0.6, 0.4, 0.3, 0.7)];
  const byLabel = createComparison(CLASSES, TOLERANCE, null);
  byLabel.add(before, after, 3, ['0', '1.0', '']);
  expect(byLabel.accuracy({ truth: 't', mostLost: 0 })).toMatchObject({
    output: 'label',
    rows: 2,
    before: 1,
    after: 0.5,
  });
  const byScore = createComparison(CLASSES, TOLERANCE, 'scores');
  byScore.add(before, after, 3, ['no', 'yes', 'yes']);
  expect(byScore.accuracy({ truth: 't', mostLost: 0 })).toMatchObject({
    output: 'scores',
    rows: 3,
    before: 1,
    after: 2 / 3,
  });
  expect(judge({ kind: 'optimize', quantize: 'int8' }, byScore, rows)!.reason).toMatch(/label keeps 66\.67 %/);
});

test('nothing compared is nothing proven', () => {
  const comparison = createComparison(NUMBER, TOLERANCE, null);
  expect(judge({ kind: 'convert', to: 'onnx' }, comparison, { ...rows, golden: 0 })!.reason).toMatch(
    /answers none of the rows/,
  );
});
