import { describe, expect, test } from 'vitest';
import type { Tensor } from '../tensors/tensor.ts';
import { differenceOf, goldenDifference } from './compare-outputs.ts';

const floats = (shape: number[], ...data: number[]): Tensor => ({
  name: 'Y',
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
});
const Y = { name: 'Y', datatype: 'FP32', shape: [-1, 2] } as const;

describe('a golden case', () => {
  test.each<[string, unknown, Tensor, string | null]>([
    ['the same values', [[1, 2]], floats([1, 2], 1, 2), null],
    ['another rounding', [[0.1, 2]], floats([1, 2], 0.100001, 2), null],
    [
      'another value',
      [[0.1, 2]],
      floats([1, 2], 0.11, 2),
      'Y[0,0] is 0.10999999940395355, expected 0.10000000149011612',
    ],
    ['NaN where NaN is expected', [['NaN', 1]], floats([1, 2], Number.NaN, 1), null],
    ['NaN where a number is expected', [[1, 1]], floats([1, 2], Number.NaN, 1), 'Y[0,0] is NaN, expected 1'],
    ['a number where NaN is expected', [['NaN', 1]], floats([1, 2], 0, 1), 'Y[0,0] is 0, expected NaN'],
    ['the same infinity', [['-Infinity', 1]], floats([1, 2], -Infinity, 1), null],
    ['the other infinity', [['-Infinity', 1]], floats([1, 2], Infinity, 1), 'Y[0,0] is Infinity, expected -Infinity'],
    [
      'a large number where infinity is expected',
      [['Infinity', 1]],
      floats([1, 2], 3e38, 1),
      'Y[0,0] is 3.0000000054977558e+38, expected Infinity',
    ],
    [
      'the second row',
      [
        [1, 1],
        [1, 2],
      ],
      floats([2, 2], 1, 1, 1, 5),
      'Y[1,1] is 5, expected 2',
    ],
    [
      'too few rows',
      [
        [1, 1],
        [1, 1],
      ],
      floats([1, 2], 1, 1),
      'Y has the shape [1, 2]; what is expected has 2 elements, the shape [1,2] needs 1 here',
    ],
    [
      'no number',
      [['x', 1]],
      floats([1, 2], 1, 1),
      'Y has the shape [1, 2]; what is expected at /0/0 must be a number; among strings only "NaN", "Infinity" and "-Infinity" stand for one',
    ],
  ])('%s', (_, expected, actual, difference) => {
    expect(goldenDifference(Y, expected, actual, undefined)).toBe(difference);
  });

  test('may name its own tolerance, for all or one of its parts', () => {
    expect(goldenDifference(Y, [[10, 0]], floats([1, 2], 11, 0), { relative: 0.1 })).toBeNull();
    expect(goldenDifference(Y, [[10, 0]], floats([1, 2], 10, 0.5), { relative: 0.1 })).toMatch(/Y\[0,1\]/);
    expect(goldenDifference(Y, [[0.00001, 0]], floats([1, 2], 0.000011, 0), { absolute: 0, relative: 0 })).toMatch(
      /Y\[0,0\]/,
    );
  });

  test('of whole numbers and strings is exact, also beyond 2^53', () => {
    const exact: Tensor = { name: 'Y', datatype: 'INT64', shape: [1], data: BigInt64Array.of(9_007_199_254_740_993n) };
    const spec = { name: 'Y', datatype: 'INT64', shape: [-1] } as const;
    expect(goldenDifference(spec, ['9007199254740993'], exact, undefined)).toBeNull();
    expect(goldenDifference(spec, ['9007199254740992'], exact, undefined)).toBe(
      'Y[0] is 9007199254740993, expected 9007199254740992',
    );
    const text: Tensor = { name: 'Y', datatype: 'BYTES', shape: [1], data: ['pro'] };
    expect(goldenDifference({ name: 'Y', datatype: 'BYTES', shape: [-1] }, ['prO'], text, undefined)).toBe(
      'Y[0] is "pro", expected "prO"',
    );
  });

  test('can name classes by label', () => {
    const spec = { ...Y, labels: ['no', 'yes'] };
    expect(goldenDifference(spec, [{ yes: 0.75, no: 0.25 }], floats([1, 2], 0.25, 0.75), undefined)).toBeNull();
    expect(goldenDifference(spec, [{ yes: 0.25, no: 0.75 }], floats([1, 2], 0.25, 0.75), undefined)).toMatch(
      /Y\[0,0\]/,
    );
  });
});

test('tensors of other shapes differ', () => {
  expect(differenceOf(floats([1, 2], 1, 2), floats([2, 1], 1, 2), { absolute: 1, relative: 1 })).toBe(
    'Y has the shape [2, 1], expected [1, 2]',
  );
});
