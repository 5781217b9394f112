import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packTensor, unpackTensor } from './packed-text.ts';

const cross = (data: readonly string[] | Float32Array): unknown => {
  const memory = new Set<ArrayBuffer>();
  const tensor = { name: 'S', datatype: Array.isArray(data) ? 'BYTES' : 'FP32', shape: [data.length], data } as const;
  const there = structuredClone(packTensor(tensor, memory), { transfer: [...memory] });
  return unpackTensor(there).data;
};

test('strings come back as they were', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (strings) => {
      expect(cross(strings)).toEqual(strings);
    }),
  );
  expect(cross(['', '', 'ü', '', '\ud83d\ude00', 'a\0b', '\ud83d', '\ude00', ''])).toEqual([
    '',
    '',
    'ü',
    '',
    '\ud83d\ude00',
    'a\0b',
    '\ud83d',
    '\ude00',
    '',
  ]);
});

test('numbers are handed over', () => {
  const numbers = Float32Array.of(1, 2, Number.NaN);
  expect(cross(numbers)).toEqual(Float32Array.of(1, 2, Number.NaN));
  expect(numbers.length).toBe(0);
});
