import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Datatype, Signature } from '../../registry/signature.ts';
import { datatypeInfo } from './datatype.ts';
import { cutRows, hasSizes, longestSizes, paddedSizes, paddingPlan, padRows, resizeRow, SizeSpan } from './padding.ts';
import type { NumericData, Tensor } from './tensor.ts';

const ints = (name: string, shape: number[], ...data: number[]): Tensor => ({
  name,
  datatype: 'INT32',
  shape,
  data: Int32Array.from(data),
});
const SIGNATURE: Signature = {
  inputs: [
    { name: 'ids', datatype: 'INT32', shape: [-1, -1], symbols: ['N', 'T'], pad: { axis: 1, value: 7 } },
    { name: 'mask', datatype: 'INT64', shape: [-1, -1], symbols: ['N', 'T'], pad: { axis: 1, value: 0 } },
    { name: 'boxes', datatype: 'FP32', shape: [-1, 4, -1], symbols: ['N', null, 'B'], pad: { axis: 2, value: -1 } },
    { name: 'kind', datatype: 'FP32', shape: [-1, 2] },
  ],
  outputs: [
    { name: 'pooled', datatype: 'FP32', shape: [-1, 8] },
    { name: 'attention', datatype: 'FP32', shape: [-1, 2, -1, -1], symbols: ['N', null, 'T', 'T'] },
    { name: 'scores', datatype: 'FP32', shape: [-1, -1], symbols: ['N', 'B'] },
  ],
};
const plan = paddingPlan(SIGNATURE)!;
const call = (tokens: number, boxes = 1, mask = tokens): Tensor[] => [
  ints('ids', [1, tokens], ...Array<number>(tokens).fill(1)),
  { name: 'mask', datatype: 'INT64', shape: [1, mask], data: new BigInt64Array(mask) },
  { name: 'boxes', datatype: 'FP32', shape: [1, 4, boxes], data: new Float32Array(4 * boxes) },
  { name: 'kind', datatype: 'FP32', shape: [1, 2], data: new Float32Array(2) },
];

describe('a plan', () => {
  test('has a slot for each padded name, and the places of it in the outputs', () => {
    expect(plan.slots).toBe(2);
    expect([...plan.inputs]).toEqual([
      ['ids', { axis: 1, slot: 0, fill: 7 }],
      ['mask', { axis: 1, slot: 0, fill: 0n }],
      ['boxes', { axis: 2, slot: 1, fill: -1 }],
    ]);
    expect(plan.outputs).toEqual([
      [],
      [
        { axis: 2, slot: 0 },
        { axis: 3, slot: 0 },
      ],
      [{ axis: 1, slot: 1 }],
    ]);
  });

  test('is none where nothing is declared', () => {
    expect(paddingPlan({ ...SIGNATURE, inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, -1] }] })).toBeNull();
  });

  test.each<[Datatype, number | string, unknown]>([
    ['FP16', 1, 0x3c00],
    ['BF16', 1, 0x3f80],
    ['UINT64', 3, 3n],
    ['BYTES', '-', '-'],
    ['BOOL', 1, 1],
  ])('%s holds %s as %s', (datatype, value, fill) => {
    const input = { name: 'X', datatype, shape: [-1, -1], symbols: ['N', 'T'], pad: { axis: 1, value } };
    expect(paddingPlan({ inputs: [input], outputs: [] })!.inputs.get('X')!.fill).toBe(fill);
  });
});

describe('sizes', () => {
  test.each([
    ['of a call', call(3, 2), [3, 2]],
    ['without the inputs that have one', call(3).slice(0, 2), [3, 0]],
    ['that contradict each other', call(3, 2, 4), null],
    ['of which one is empty', call(0), null],
  ])('%s', (_what, inputs, sizes) => {
    expect(paddedSizes(plan, inputs)).toEqual(sizes);
  });

  test.each([
    ['the same', [[3], [3], [3]], 3],
    ['up to twice the least', [[3], [6], [5], [3]], 4],
    ['down to half of the most', [[6], [3], [4]], 3],
    ['never 10 beside 512', [[10], [512], [20], [512]], 2],
    ['never so that one that joined before is padded too far', [[4], [6], [3], [7], [2]], 3],
    [
      'each padded name by itself',
      [
        [4, 1],
        [4, 3],
        [6, 2],
      ],
      2,
    ],
  ])('share a run: %s', (_what, sizes, admitted) => {
    const calls = sizes.map(([tokens, boxes]) => call(tokens!, boxes));
    const span = new SizeSpan(plan, calls[0]!);
    const joined = [sizes[0]!, ...sizes.slice(1).filter((_, i) => span.admits(calls[i + 1]!))];
    expect(joined).toHaveLength(admitted);
    const tokens = joined.map(([size]) => size!);
    expect(Math.max(...tokens)).toBeLessThanOrEqual(2 * Math.min(...tokens));
  });

  test('share nothing when they contradict each other', () => {
    expect(new SizeSpan(plan, call(3, 1, 4)).admits(call(3))).toBe(false);
    expect(new SizeSpan(plan, call(3)).admits(call(3, 1, 4))).toBe(false);
  });

  test('the longest are told only where some differ', () => {
    const same = [3, 1];
    expect(longestSizes([same, [3, 1]])).toBeNull();
    expect(longestSizes([same, [2, 5]])).toEqual([3, 5]);
  });
});

describe('rows', () => {
  test('are filled up at the end of the dimension', () => {
    const joined = padRows([ints('X', [2, 1], 1, 2), ints('X', [1, 3], 3, 4, 5)], { axis: 1, fill: 7 }, 3);
    expect(joined).toEqual(ints('X', [3, 3], 1, 7, 7, 2, 7, 7, 3, 4, 5));
    const inner = padRows([ints('X', [1, 2, 1], 1, 2), ints('X', [1, 2, 2], 3, 4, 5, 6)], { axis: 2, fill: 0 }, 2);
    expect(inner).toEqual(ints('X', [2, 2, 2], 1, 0, 2, 0, 3, 4, 5, 6));
    const outer = padRows([ints('X', [1, 1, 2], 1, 2), ints('X', [1, 2, 2], 3, 4, 5, 6)], { axis: 1, fill: 9 }, 2);
    expect(outer).toEqual(ints('X', [2, 2, 2], 1, 2, 9, 9, 3, 4, 5, 6));
  });

  test('of texts are filled up too', () => {
    const words = (shape: number[], ...data: string[]): Tensor => ({ name: 'S', datatype: 'BYTES', shape, data });
    const joined = padRows([words([1, 1], 'a'), words([1, 2], 'b', 'c')], { axis: 1, fill: '-' }, 2);
    expect(joined).toEqual(words([2, 2], 'a', '-', 'b', 'c'));
    expect(cutRows(joined, 0, 1, [{ axis: 1, slot: 0 }], [1])).toEqual(words([1, 1], 'a'));
  });

  test('use memory that is there, whatever lies in it', () => {
    const memory = Int32Array.from({ length: 9 }, () => 99);
    const joined = padRows([ints('X', [1, 1], 1), ints('X', [1, 3], 3, 4, 5)], { axis: 1, fill: 0 }, 3, memory);
    expect(joined).toEqual(ints('X', [2, 3], 1, 0, 0, 3, 4, 5));
    expect((joined.data as NumericData).buffer).toBe(memory.buffer);
  });

  test('are cut back in each dimension of that name', () => {
    const square = ints('X', [1, 3, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9);
    const cuts = [
      { axis: 1, slot: 0 },
      { axis: 2, slot: 0 },
    ];
    expect(cutRows(square, 0, 1, cuts, [2])).toEqual(ints('X', [1, 2, 2], 1, 2, 4, 5));
    expect(cutRows(square, 0, 1, cuts, [3])).toEqual(square);
    expect(cutRows(square, 0, 1, cuts, [0])).toEqual(square);
    expect(hasSizes(square, cuts, [3])).toBe(true);
    expect(hasSizes(square, cuts, [4])).toBe(false);
    expect(hasSizes(square, cuts, [0])).toBe(true);
  });

  test('that were made longer repeat their elements, and shorter ones lose the last', () => {
    const [ids, mask, , kind] = resizeRow(plan, call(2), (size) => size + 3);
    expect([ids!.shape, mask!.shape, kind!.shape]).toEqual([
      [1, 5],
      [1, 5],
      [1, 2],
    ]);
    const row = [ints('ids', [1, 3], 1, 2, 3)];
    expect(resizeRow(plan, row, () => 5)).toEqual([ints('ids', [1, 5], 1, 2, 3, 1, 2)]);
    expect(resizeRow(plan, row, () => 2)).toEqual([ints('ids', [1, 2], 1, 2)]);
  });

  test('come back as they were, for any shapes and any padded dimension', () => {
    const dims = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }));
    fc.assert(
      fc.property(
        fc.constantFrom<Datatype>('INT8', 'FP32', 'INT64', 'BYTES'),
        fc.array(dims, { minLength: 1, maxLength: 5 }),
        fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
        fc.integer({ min: 1, max: 3 }),
        (datatype, calls, others, axis) => {
          const { array } = datatypeInfo(datatype);
          const parts = calls.map(([rows, size], of): Tensor => {
            const shape = [rows, ...others].toSpliced(axis, 0, size);
            const count = shape.reduce((a, b) => a * b);
            const values = Array.from({ length: count }, (_, i) => 10 * of + i);
            if (array === null) return { name: 'X', datatype, shape, data: values.map(String) };
            const data = new array(count);
            for (const [i, x] of values.entries()) data[i] = datatype === 'INT64' ? BigInt(x) : x;
            return { name: 'X', datatype, shape, data };
          });
          const longest = Math.max(...calls.map(([, size]) => size));
          const fill = datatype === 'BYTES' ? '' : datatype === 'INT64' ? -1n : -1;
          const joined = padRows(parts, { axis, fill }, longest);
          let row = 0;
          for (const [i, [rows, size]] of calls.entries()) {
            expect(cutRows(joined, row, row + rows, [{ axis, slot: 0 }], [size])).toEqual(parts[i]);
            row += rows;
          }
        },
      ),
    );
  });
});
