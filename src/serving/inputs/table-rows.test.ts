import { describe, expect, test } from 'vitest';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import { readTableRows, type TableRows } from './table-rows.ts';

const signature: Signature = {
  inputs: [
    { name: 'numbers', datatype: 'FP32', shape: [-1, 2], features: ['age', 'income'] },
    { name: 'plan', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'account', datatype: 'INT64', shape: [-1] },
    { name: 'extra', datatype: 'INT8', shape: [-1, 1], optional: true },
  ],
  outputs: [],
};
const plain: Signature = { inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }], outputs: [] };
const read = (names: TableRows['names'], rows: readonly (readonly unknown[])[], of = signature) =>
  readTableRows(
    { names, rows, pointerOfNames: '/columns', pointerOfRow: (row) => `/data/${row}` },
    { name: 'm@1', signature: of, canBatch: true },
  );
const faults = (...given: Parameters<typeof read>): string[] => {
  try {
    read(...given);
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    expect((error as SlipwayError).code).toBe('invalid_input');
    return (error as SlipwayError).fields.map(({ pointer, message }) => `${pointer} ${message}`);
  }
  throw new Error('it was accepted');
};

const TENSORS = [
  { name: 'numbers', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(41, 1000, 0.5, -3) },
  { name: 'plan', datatype: 'BYTES', shape: [2, 1], data: ['pro', ''] },
  { name: 'account', datatype: 'INT64', shape: [2], data: BigInt64Array.of(9007199254740993n, 12n) },
];

describe('rows of a table', () => {
  test('go where the columns of the signature are, in any order', () => {
    const rows = [
      ['pro', 1000, 9007199254740993n, 41],
      ['', -3, 12, 0.5],
    ];
    expect(read(['plan', 'income', 'account', 'age'], rows)).toEqual({ inputs: TENSORS, rows: 2 });
  });

  test('are taken in the order of the signature without names, or with numbers for names', () => {
    const rows = [
      [41, 1000, 'pro', 9007199254740993n],
      [0.5, -3, '', 12],
    ];
    for (const names of [null, [0, 1, 2, 3], ['0', '1', '2', '3']]) expect(read(names, rows).inputs).toEqual(TENSORS);
    expect(
      read(
        null,
        rows.map((row) => [...row, 7]),
      ).inputs.at(-1),
    ).toMatchObject({ name: 'extra', data: Int8Array.of(7, 7) });
  });

  test('go by their order where the model names no columns and knows none of the names; not where it knows one', () => {
    const [X] = read(['sepal length', 'sepal width'], [[1, 2]], plain).inputs;
    expect(X).toEqual({ name: 'X', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) });
    expect(faults(['X.0', 'width'], [[1, 2]], plain)).toEqual([
      '/columns/1 "width" is not a column of this model',
      '/columns lacks X.1 (FP32 [-1,2])',
    ]);
  });

  test('hold null for a missing number, where the type has one', () => {
    expect(read(null, [[null, 2]], plain).inputs[0]!.data).toEqual(Float32Array.of(Number.NaN, 2));
    expect(faults(null, [[1, 2, 'a', null]])).toEqual(['/data/0/3 must be a whole number, not null']);
    expect(faults(null, [[1, 2, null, 3]])).toEqual(['/data/0/2 must be a string, not null']);
  });

  test('may hold lists, under the name of a whole input', () => {
    expect(read(['X'], [[[1, 2]], [[3, 4]]], plain).inputs[0]!.data).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  test('are refused with every fault', () => {
    expect(faults(['age', 'incme', 'plan', 'plan'], [[1, 2, 'a', 'b']])).toEqual([
      '/columns/1 "incme" is not a column of this model; did you mean income?',
      '/columns/3 plan stands twice',
      '/columns lacks income (FP32 [-1,2])',
      '/columns lacks account (INT64 [-1])',
    ]);
    expect(
      faults(null, [
        [1, 2, 'a', 3],
        [1, 2, 'a'],
        [1, 2, 'a', 3, 4, 5],
      ]),
    ).toEqual(['/data/1 has 3 values, but 4 columns', '/data/2 has 6 values, but 4 columns']);
    expect(faults(null, [[1, 2, 3]])).toEqual(['/data/0 has 3 columns, but this model takes 4 or 5']);
    expect(faults(null, [['1', 1e39, 7, 1.5]])).toEqual([
      '/data/0/0 must be a number; among strings only "NaN", "Infinity" and "-Infinity" stand for one',
      '/data/0/1 is too large for FP32',
      '/data/0/2 must be a string, not a number',
      '/data/0/3 must be a whole number for INT64',
    ]);
    expect(faults(null, [])).toEqual(['/data/0 has no rows']);
    expect(faults(['0', '1'], [[1, [2]]], plain)).toEqual(['/data/0/1 must be one value, not an array']);
    const one: Signature = { inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 2] }], outputs: [] };
    expect(
      faults(
        null,
        [
          [1, 2],
          [3, 4],
        ],
        one,
      ),
    ).toEqual(['/data/1 is a second row: this model computes one at a time']);
  });
});
