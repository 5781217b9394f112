import { describe, expect, test } from 'vitest';
import { datatypeInfo } from './datatype.ts';
import { canJoinRows, joinRows, rowWidth, sliceRows } from './rows.ts';
import { elementCount } from './shape.ts';
import type { Tensor } from './tensor.ts';

const floats = (shape: number[], data: number[]): Tensor => ({
  name: 'X',
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
});

describe('shapes', () => {
  test.each([
    [[], 1],
    [[3], 3],
    [[2, 3, 4], 24],
    [[0, 5], 0],
    [[2 ** 40, 0, 2 ** 40], 0],
    [[2 ** 26, 2 ** 26], 2 ** 52],
    [[2 ** 30, 2 ** 30], null],
    [[16, 2 ** 60 + 2], null],
    [[4, 2 ** 60 + 2], null],
    [[-1, 3], null],
    [[1.5], null],
    [[Number.NaN], null],
    [[0, -1], null],
  ])('%j has %s elements', (shape, count) => {
    expect(elementCount(shape)).toBe(count);
  });
});

describe('rows', () => {
  test('join along the first axis and come apart again', () => {
    const a = floats([1, 2], [1, 2]);
    const b = floats([2, 2], [3, 4, 5, 6]);
    const joined = joinRows([a, b]);
    expect(joined.shape).toEqual([3, 2]);
    expect(joined.data).toEqual(Float32Array.from([1, 2, 3, 4, 5, 6]));
    expect(sliceRows(joined, 1, 3)).toEqual(b);
    expect(sliceRows(joined, 0, 1)).toEqual(a);
  });

  test('join into memory that is given and large enough', () => {
    const into = new Float32Array(8);
    const joined = joinRows([floats([1, 2], [1, 2]), floats([1, 2], [3, 4])], into);
    expect((joined.data as Float32Array).buffer).toBe(into.buffer);
    expect(joined.data).toHaveLength(4);
    expect(joinRows([floats([1, 2], [1, 2])], new Float32Array(1)).data).toEqual(Float32Array.from([1, 2]));
  });

  test('of strings join and come apart', () => {
    const of = (data: string[]): Tensor => ({ name: 'S', datatype: 'BYTES', shape: [data.length, 1], data });
    const joined = joinRows([of(['a', 'b']), of(['c'])]);
    expect(joined.shape).toEqual([3, 1]);
    expect(sliceRows(joined, 2, 3).data).toEqual(['c']);
  });

  test('keep 64-bit integers exact', () => {
    const of = (data: bigint[]): Tensor => ({
      name: 'I',
      datatype: 'INT64',
      shape: [data.length],
      data: BigInt64Array.from(data),
    });
    expect(joinRows([of([2n ** 63n - 1n]), of([-(2n ** 63n)])]).data).toEqual(
      BigInt64Array.from([2n ** 63n - 1n, -(2n ** 63n)]),
    );
  });

  test('of other types, names, widths or of scalars do not join', () => {
    const a = floats([1, 2], [1, 2]);
    expect(canJoinRows(a, floats([4, 2], new Array(8).fill(0)))).toBe(true);
    expect(canJoinRows(a, floats([1, 3], [1, 2, 3]))).toBe(false);
    expect(canJoinRows(a, floats([2], [1, 2]))).toBe(false);
    expect(canJoinRows(a, { ...a, name: 'Z' })).toBe(false);
    expect(canJoinRows(a, { ...a, datatype: 'FP64', data: new Float64Array(2) })).toBe(false);
    expect(canJoinRows(floats([], [1]), floats([], [1]))).toBe(false);
  });

  test('of width 1 may have a single dimension', () => {
    expect(rowWidth(floats([4], [1, 2, 3, 4]))).toBe(1);
  });
});

test('every datatype says its size', () => {
  expect(datatypeInfo('INT64')).toMatchObject({ bytes: 8, array: BigInt64Array });
  expect(datatypeInfo('BF16')).toMatchObject({ bytes: 2, array: Uint16Array });
  expect(datatypeInfo('BYTES')).toMatchObject({ bytes: 0, array: null });
});
