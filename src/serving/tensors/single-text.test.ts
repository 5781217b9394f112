import { describe, expect, it } from 'vitest';
import { singlesToJson } from './single-text.ts';

const read = (text: string): number[] => (JSON.parse(`[${text}]`) as (number | string)[]).map(Number);

describe('FP32 as text', () => {
  it.each([
    [0.1, '0.1'],
    [-0.25, '-0.25'],
    [1 / 3, '0.33333334'],
    [100, '100'],
    [-1, '-1'],
    [123456.7, '123456.7'],
    [9999999, '9999999'],
    [16777216, '16777216'],
    [0.00012345, '0.00012345'],
    [0.000123, '0.000123'],
    [1e-5, '0.000009999999747378752'],
    [0, '0'],
    [-0, '0'],
    [Number.NaN, '"NaN"'],
    [Number.POSITIVE_INFINITY, '"Infinity"'],
    [Number.NEGATIVE_INFINITY, '"-Infinity"'],
    [0.99999994, '0.99999994'],
    [0.1 + 2 ** -27, '0.10000001'],
  ])('%d is %s', (value, text) => {
    expect(singlesToJson(Float32Array.of(value))).toBe(text);
  });

  it('the largest and smallest of them come back', () => {
    const edges = Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 2 ** -149, -(2 ** -126), 2 ** -126);
    expect(Float32Array.from(read(singlesToJson(edges)))).toEqual(edges);
  });

  it('any bits come back, and ordinary numbers do so in at most nine digits', () => {
    const seed = Number(process.env['SLIPWAY_SEED'] ?? Date.now() % 2 ** 31);
    console.log(`seed ${seed}`);
    let state = seed | 0;
    const random = (): number => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return (state >>> 0) / 2 ** 32;
    };
    const count = 200_000; // several times what is read at once
    const bits = new Uint32Array(count);
    for (let i = 0; i < count; i++) bits[i] = Math.floor(random() * 65536) * 65536 + Math.floor(random() * 65536);
    const any = new Float32Array(bits.buffer).map((value) => (Number.isNaN(value) ? 1 : value));
    expect(Float32Array.from(read(singlesToJson(any)))).toEqual(any);
    const usual = Float32Array.from({ length: count }, () => (random() - 0.5) * 10 ** (random() * 10 - 3));
    const text = singlesToJson(usual);
    expect(Float32Array.from(read(text))).toEqual(usual);
    for (const one of text.split(',').slice(0, 1000)) {
      if (Math.abs(Number(one)) < 1e-5 || Math.abs(Number(one)) >= 1e7) continue; // printed as the double
      expect(one.replace(/e.*|[-.]/g, '').replace(/^0+/, '').length, one).toBeLessThanOrEqual(9);
    }
  });

  it('nothing is nothing', () => {
    expect(singlesToJson(new Float32Array(0))).toBe('');
  });
});
