import { describe, expect, it } from 'vitest';
import { bfloat16BitsOf, bfloat16Of, float16BitsOf, float16Of } from './half.ts';

const everyBits = Array.from({ length: 0x10000 }, (_, bits) => bits);

describe('FP16', () => {
  it('every one of the 65,536 comes back from the double that it equals', () => {
    for (const bits of everyBits) {
      const value = float16Of(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(float16Of(float16BitsOf(value)))).toBe(true);
      else if (float16BitsOf(value) !== bits) expect([bits, float16BitsOf(value)]).toEqual([bits, bits]);
    }
  });

  it.each([
    ['the largest', 65_504, 0x7bff],
    ['just below the middle to the next power of two', 65_519.99, 0x7bff],
    ['the middle, which is infinite', 65_520, 0x7c00],
    ['a tie goes to the even one below', 2049, 0x6800],
    ['a tie goes to the even one above', 2051, 0x6802],
    ['the smallest', 2 ** -24, 0x0001],
    ['half of the smallest is a tie with zero', 2 ** -25, 0x0000],
    ['more than half of it is the smallest', 2 ** -25 * 1.0001, 0x0001],
    ['a mantissa that carries into the exponent', 1.9999, 0x4000],
    ['the largest subnormal that rounds to the first normal', 2 ** -14 - 2 ** -26, 0x0400],
    ['minus zero', -0, 0x8000],
  ])('%s: %d', (_title, value, bits) => {
    expect(float16BitsOf(value)).toBe(bits);
  });
});

describe('BF16', () => {
  it('every one that is a number comes back', () => {
    for (const bits of everyBits) {
      const value = bfloat16Of(bits);
      if (!Number.isNaN(value) && bfloat16BitsOf(value) !== bits)
        expect([bits, bfloat16BitsOf(value)]).toEqual([bits, bits]);
    }
  });

  it.each([
    ['rounds up above the middle', 1.00391, 0x3f81],
    ['a tie goes to the even one', 1.00390625, 0x3f80],
    ['infinity stays', Number.POSITIVE_INFINITY, 0x7f80],
  ])('%s: %d', (_title, value, bits) => {
    expect(bfloat16BitsOf(value)).toBe(bits);
  });
});
