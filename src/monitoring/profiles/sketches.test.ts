import { createHmac } from 'node:crypto';
import { DDSketch } from '@datadog/sketches-js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomNumbers } from '../../base/random-numbers.ts';
import {
  addBoolean,
  addMissing,
  addNumber,
  addText,
  addVector,
  type ColumnProfile,
  emptyProfile,
  mergeProfiles,
  type OpenProfile,
  openProfile,
  sealProfile,
} from './column-profile.ts';
import {
  addToDdSketch,
  createDdSketch,
  DD_MAX_INDEX,
  DD_MIN_INDEX,
  ddCount,
  ddIndexOf,
  ddQuantile,
  ddShareUpTo,
  ddValueOf,
} from './dd-sketch.ts';
import { addToHistogram, binOf, createFixedHistogram } from './fixed-histogram.ts';
import { addNumberToHll, addTextToHll, createHyperLogLog, hllEstimate, mergeHllInto } from './hyper-log-log.ts';
import { addToMoments, createMoments, mergeMoments, varianceOf } from './moments.ts';
import { murmur3, murmur3Words } from './murmur3.ts';
import { decodeProfile, encodeProfile } from './profile-codec.ts';
import { referenceHistogram } from './reference-histogram.ts';
import { createReservoir, mergeReservoirs, offerToReservoir, RESERVOIR_ROWS } from './reservoir.ts';
import {
  addToTopValues,
  createTopValues,
  K_ANONYMITY,
  mergeTopValues,
  publishedValues,
  sealTopValues,
  TOP_CAPACITY,
} from './top-values.ts';
import { meanVector, projectedCovariance } from './vector-summary.ts';

const hashOf = (value: string): string => createHmac('sha256', 'test').update(value).digest('hex').slice(0, 16);

describe('moments', () => {
  const of = (xs: number[]) => {
    const moments = createMoments();
    for (const x of xs) addToMoments(moments, x);
    return moments;
  };

  test('{1,2,3} and {4.5,5.5} merge to n 5, mean 3.2, M2 13.3', () => {
    const merged = mergeMoments(of([1, 2, 3]), of([4.5, 5.5]));
    expect(merged.n).toBe(5);
    expect(merged.mean).toBeCloseTo(3.2, 12);
    expect(merged.m2).toBeCloseTo(13.3, 12);
    expect([merged.min, merged.max]).toEqual([1, 5.5]);
    expect(varianceOf(merged)).toBeCloseTo(13.3 / 4, 12);
  });

  test('of nothing are of nothing, and merge with anything to that', () => {
    expect(mergeMoments(createMoments(), of([2]))).toEqual(of([2]));
    expect(mergeMoments(of([2]), createMoments())).toEqual(of([2]));
    expect(varianceOf(of([2]))).toBeNull();
  });
});

describe('DDSketch', () => {
  test('reference values: 100 lies in bucket 231, which stands for 100.4945677087', () => {
    expect(ddIndexOf(100)).toBe(231);
    expect(ddValueOf(231)).toBeCloseTo(100.4945677087, 9);
    expect(ddIndexOf(1e3) - ddIndexOf(1e-3) + 1).toBe(692);
  });

  test('agrees with @datadog/sketches-js on every quantile', () => {
    const random = randomNumbers(7);
    const [ours, theirs] = [createDdSketch(), new DDSketch({ relativeAccuracy: 0.01 })];
    for (let i = 0; i < 5000; i++) {
      const x = i % 50 === 0 ? 0 : (random() - 0.4) * 10 ** Math.floor(random() * 8 - 3);
      addToDdSketch(ours, x);
      theirs.accept(x);
    }
    for (let q = 0; q <= 1; q += 0.01) {
      const [mine, wanted] = [ddQuantile(ours, q)!, theirs.getValueAtQuantile(q)];
      expect(Math.abs(mine - wanted)).toBeLessThanOrEqual(1e-9 * Math.abs(wanted));
    }
  });

  test('a quantile is within 1 % of the value at its rank', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (xs, q) => {
          const sketch = createDdSketch();
          const values = xs.map((x) => (Math.abs(x) < 1e-11 ? 0 : x));
          for (const x of values) addToDdSketch(sketch, x);
          const exact = values.toSorted((a, b) => a - b)[Math.floor(q * (xs.length - 1))]!;
          expect(Math.abs(ddQuantile(sketch, q)! - exact)).toBeLessThanOrEqual(0.010001 * Math.abs(exact));
        },
      ),
    );
  });

  test('sizes beyond its range are counted in the outermost buckets, so memory is bounded', () => {
    const sketch = createDdSketch();
    for (const x of [1e-300, 5e-324, 1e300, Number.MAX_VALUE, -1e300, -1e-300]) addToDdSketch(sketch, x);
    expect(ddCount(sketch)).toBe(6);
    expect(ddIndexOf(1e300)).toBe(DD_MAX_INDEX);
    expect(ddIndexOf(1e-300)).toBe(DD_MIN_INDEX);
    expect(sketch.positive.counts.length).toBeLessThan(3300);
  });

  test('what was added is taken away again', () => {
    const sketch = createDdSketch();
    for (const x of [1, 2, 3]) addToDdSketch(sketch, x);
    addToDdSketch(sketch, 3, -1);
    expect(ddCount(sketch)).toBe(2);
    expect(ddQuantile(sketch, 1)).toBeCloseTo(2, 1);
    expect(ddShareUpTo(sketch, 1.5)).toBe(0.5);
    expect(ddQuantile(createDdSketch(), 0.5)).toBeNull();
  });
});

describe('Murmur3', () => {
  const text = (value: string, seed: number) => murmur3(new TextEncoder().encode(value), value.length, seed);
  test.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['test', 0, 0xba6bd213],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
  ])('of %j with seed %i', (value, seed, hash) => expect(text(value, seed)).toBe(hash));

  test('of two words is that of their eight bytes', () => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, -12.5, true);
    const view = new DataView(bytes.buffer);
    expect(murmur3Words(view.getInt32(0, true), view.getInt32(4, true), 9001)).toBe(murmur3(bytes, 8, 9001));
  });
});

describe('HyperLogLog', () => {
  test.each([0, 1, 10, 1000, 20_000, 300_000])('%i different values are counted within 5 %% (three errors)', (n) => {
    const [numbers, texts] = [createHyperLogLog(), createHyperLogLog()];
    for (let i = 0; i < n; i++) {
      addNumberToHll(numbers, i * 1.5);
      addTextToHll(texts, `user-${i}`);
      if (i % 3 === 0) addNumberToHll(numbers, i * 1.5);
    }
    for (const registers of [numbers, texts]) {
      expect(Math.abs(hllEstimate(registers) - n)).toBeLessThanOrEqual(0.05 * n);
    }
  });

  test('its error over many sets is 1.6 %', () => {
    let squares = 0;
    for (let set = 0; set < 60; set++) {
      const registers = createHyperLogLog();
      for (let i = 0; i < 30_000; i++) addNumberToHll(registers, set * 1e6 + i);
      squares += (hllEstimate(registers) / 30_000 - 1) ** 2;
    }
    const error = Math.sqrt(squares / 60);
    expect(error).toBeGreaterThan(0.011);
    expect(error).toBeLessThan(0.023);
  });

  test('-0 is 0, and adding again changes nothing', () => {
    const registers = createHyperLogLog();
    addNumberToHll(registers, 0);
    const before = registers.slice();
    addNumberToHll(registers, -0);
    mergeHllInto(registers, before);
    expect(registers).toEqual(before);
  });
});

describe('histogram with fixed edges', () => {
  test('values lie in their bins, the last one closed, and outside on both sides', () => {
    const at = Float64Array.of(0, 10, 20);
    expect([-1, 0, 9.9, 10, 19, 20, 20.1].map((x) => binOf(at, x))).toEqual([0, 1, 1, 2, 2, 2, 3]);
    expect([1, 2, 3].map((x) => binOf(Float64Array.of(2), x))).toEqual([0, 1, 1]);
  });

  test('edges of a reference lie about its quantiles; one for a constant column; ten rows are enough', () => {
    const of = (values: readonly number[]) => {
      const open = openProfile(null);
      for (const value of values) addNumber(open, value, 1);
      return referenceHistogram(sealProfile(open, hashOf), 1)!;
    };
    const hundred = of(Array.from({ length: 101 }, (_, i) => i));
    expect(hundred.edges.at.length).toBeGreaterThan(15);
    expect([hundred.edges.at[0], hundred.edges.at.at(-1)]).toEqual([0, 100]);
    expect(Math.max(...hundred.counts)).toBeLessThanOrEqual(8);
    expect(of([5, 5, 5, 5])).toMatchObject({ edges: { at: Float64Array.of(5) }, counts: Float64Array.of(0, 4) });
    expect(of([0, 0, 0, 1]).counts).toEqual(Float64Array.of(0, 3, 1, 0));
    expect(of(Array.from({ length: 10 }, (_, i) => i)).edges.at.length).toBe(11);
  });

  test("a reference's own counts are those that counting its values gives, for any values", () => {
    const value = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.double({ noNaN: true, min: -1e9, max: 1e9 }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 300 }), (values) => {
        const open = openProfile(null);
        for (const x of values) addNumber(open, x, 1);
        const made = referenceHistogram(sealProfile(open, hashOf), 1)!;
        const counted = createFixedHistogram(made.edges);
        for (const x of values) addToHistogram(counted, x);
        expect([...made.counts]).toEqual([...counted.counts]);
      }),
    );
  });

  test('counts of two references are never mixed: the newer one stays', () => {
    const [old, young] = [1, 2].map((revision) => createFixedHistogram({ revision, at: Float64Array.of(0, revision) }));
    addToHistogram(old!, 0.5);
    addToHistogram(young!, 0.5);
    const profile = (histogram: typeof old) => ({ ...emptyProfile(), histogram: histogram! });
    expect(mergeProfiles(profile(old), profile(young)).histogram).toEqual(young);
    expect(mergeProfiles(profile(young), profile(old)).histogram).toEqual(young);
  });
});

describe('most frequent values', () => {
  test('a count is never above the truth, and at most n/129 below it', () => {
    const random = randomNumbers(3);
    const [top, truth] = [createTopValues(), new Map<string, number>()];
    const n = 20_000;
    for (let i = 0; i < n; i++) {
      const value = `v${Math.floor(1 / (random() + 0.0005))}`;
      addToTopValues(top, value);
      truth.set(value, (truth.get(value) ?? 0) + 1);
    }
    expect(top.error).toBeLessThanOrEqual(n / (TOP_CAPACITY + 1));
    for (const [value, count] of truth) {
      const seen = top.counts.get(value) ?? 0;
      expect(seen).toBeLessThanOrEqual(count);
      expect(seen).toBeGreaterThanOrEqual(count - top.error);
    }
    expect(top.counts.size).toBeLessThanOrEqual(TOP_CAPACITY);
  });

  test('rare values are kept as keyed hashes only, also where they become frequent by merging', () => {
    const top = createTopValues();
    for (let i = 0; i < K_ANONYMITY - 1; i++) addToTopValues(top, 'alice@example.org');
    for (let i = 0; i < K_ANONYMITY; i++) addToTopValues(top, 'visa');
    const sealed = sealTopValues(top, hashOf);
    expect(JSON.stringify(sealed)).not.toContain('alice');
    expect(publishedValues(sealed)).toEqual([{ value: 'visa', count: K_ANONYMITY }]);
    const twice = mergeTopValues(sealed, sealed);
    expect(twice.values.map((value) => value.count)).toEqual([20, 18]);
    expect(publishedValues(twice)).toEqual([{ value: 'visa', count: 20 }]);
    // Once one part knows its text, the sum is published.
    const common = sealTopValues(top, hashOf, () => true);
    expect(publishedValues(mergeTopValues(sealed, common))).toEqual([
      { value: 'visa', count: 20 },
      { value: 'alice@example.org', count: 18 },
    ]);
  });

  test('merged in any order they are within the summed error', () => {
    const random = randomNumbers(11);
    const parts = Array.from({ length: 9 }, (_, part) =>
      Array.from({ length: 900 }, () => `v${Math.floor(random() * (part % 3 === 0 ? 300 : 90))}`),
    );
    const truth = new Map<string, number>();
    for (const value of parts.flat()) truth.set(value, (truth.get(value) ?? 0) + 1);
    const sealed = parts.map((values) => {
      const top = createTopValues();
      for (const value of values) addToTopValues(top, value);
      return sealTopValues(top, hashOf);
    });
    for (const order of [sealed, sealed.toReversed()]) {
      const merged = order.reduce(mergeTopValues);
      const known = new Map(merged.values.map((value) => [value.hash, value.count]));
      for (const [value, count] of truth) {
        const seen = known.get(hashOf(value)) ?? 0;
        expect(seen).toBeLessThanOrEqual(count);
        expect(seen).toBeGreaterThanOrEqual(count - merged.error);
      }
    }
  });
});

describe('reservoir', () => {
  test('is uniform, bounded, and the same in any order and tree of merges', () => {
    const random = randomNumbers(5);
    const hits = new Float64Array(10);
    for (let round = 0; round < 300; round++) {
      const parts = Array.from({ length: 5 }, () => createReservoir());
      const whole = createReservoir();
      for (let i = 0; i < 1000; i++) {
        const key = random();
        const row = () => ({ subject: null, values: [i] });
        offerToReservoir(parts[i % 5]!, key, row);
        offerToReservoir(whole, key, row);
      }
      const merged = parts.reduce(mergeReservoirs);
      expect(merged).toEqual(whole);
      expect(mergeReservoirs(parts[4]!, parts.slice(0, 4).reduceRight(mergeReservoirs))).toEqual(whole);
      expect(whole.rows).toHaveLength(RESERVOIR_ROWS);
      for (const { values } of whole.rows) hits[Math.floor((values[0] as number) / 100)]! += 1;
    }
    // 1,920 expected in each tenth; the standard deviation is some 42.
    for (const count of hits) expect(Math.abs(count - 1920)).toBeLessThan(210);
  });
});

/** Values of a column, of any kind. */
const anyValue = fc.oneof(
  fc.double({ noNaN: false }),
  fc.integer({ min: -3, max: 3 }),
  fc.constant(null),
  fc.boolean(),
  fc.constantFrom('', 'visa', 'amex', 'ünïcode 12'),
  fc.string({ maxLength: 90 }),
  fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 4, maxLength: 4 }),
);
type AnyValue = number | null | boolean | string | number[];
const edges = { revision: 1, at: Float64Array.of(-2, 0, 1, 50) };

function add(profile: OpenProfile, value: AnyValue, atMs: number): void {
  if (value === null) addMissing(profile, atMs);
  else if (typeof value === 'number') addNumber(profile, value, atMs);
  else if (typeof value === 'boolean') addBoolean(profile, value, atMs);
  else if (typeof value === 'string') addText(profile, value, atMs);
  else addVector(profile, value, atMs);
}

function profileOf(values: readonly AnyValue[], fromMs = 0): ColumnProfile {
  const open = openProfile(edges);
  for (const [at, value] of values.entries()) add(open, value, fromMs + at);
  return sealProfile(open, hashOf, () => true);
}

/** Equal but for rounding in sums of floats. */
function expectSame(a: ColumnProfile, b: ColumnProfile): void {
  const exact = (profile: ColumnProfile) => {
    const { moments, vector, sketch, ...rest } = profile;
    const buckets = (part: typeof sketch.positive) =>
      [...part.counts].flatMap((count, at) => (count === 0 ? [] : [[part.first + at, count]]));
    return {
      ...rest,
      n: moments.n,
      min: moments.min,
      max: moments.max,
      vectors: vector?.n ?? 0,
      sketch: [sketch.zeros, buckets(sketch.positive), buckets(sketch.negative)],
    };
  };
  expect(exact(a)).toEqual(exact(b));
  const near = (x: number, y: number, scale: number): void =>
    expect(Math.abs(x - y)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(scale)));
  const size = Math.max(Math.abs(a.moments.min), Math.abs(a.moments.max));
  if (a.moments.n > 0 && size < 1e100) {
    near(a.moments.mean, b.moments.mean, size);
    near(a.moments.m2, b.moments.m2, size * size * a.moments.n);
  }
  for (const [at, sum] of (a.vector?.products ?? []).entries()) near(sum, b.vector!.products[at]!, 1e4 * a.vector!.n);
}

describe('a profile of a column', () => {
  const lists = fc.array(fc.array(anyValue as fc.Arbitrary<AnyValue>, { maxLength: 12 }), {
    minLength: 1,
    maxLength: 6,
  });

  test('merged is that of all rows together, whatever the order and the tree, also through bytes', () => {
    fc.assert(
      fc.property(lists, fc.integer(), (parts, seed) => {
        let from = 0;
        const profiles = parts.map((values) => {
          const profile = profileOf(values, from);
          from += values.length;
          return profile;
        });
        const whole = profileOf(parts.flat());
        expectSame(profiles.reduce(mergeProfiles, emptyProfile()), whole);
        // A random tree over a random order.
        const random = randomNumbers(seed);
        const forest = profiles.map((profile) => decodeProfile(encodeProfile(profile)));
        while (forest.length > 1) {
          const [a] = forest.splice(Math.floor(random() * forest.length), 1);
          const [b] = forest.splice(Math.floor(random() * forest.length), 1);
          forest.push(decodeProfile(encodeProfile(mergeProfiles(a!, b!))));
        }
        expectSame(forest[0]!, whole);
      }),
      { numRuns: 150 },
    );
  });

  test('survives as bytes exactly', () => {
    fc.assert(
      fc.property(fc.array(anyValue as fc.Arbitrary<AnyValue>, { maxLength: 60 }), (values) => {
        const profile = profileOf(values);
        const back = decodeProfile(encodeProfile(profile));
        expect(encodeProfile(back)).toEqual(encodeProfile(profile));
        expectSame(back, profile);
      }),
      { numRuns: 100 },
    );
  });

  test('bytes that are cut or of another form are refused', () => {
    const bytes = encodeProfile(profileOf([1, 2, 'a', null]));
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeProfile(bytes.subarray(0, length))).toThrow(RangeError);
    }
    expect(() => decodeProfile(Uint8Array.of(9, ...bytes.subarray(1)))).toThrow(/form 9/);
  });

  test('keeps missing, NaN, infinite and zero apart', () => {
    const profile = profileOf([null, Number.NaN, Number.POSITIVE_INFINITY, 0, -0, 5, '']);
    expect(profile).toMatchObject({ missing: 1, values: 6, nan: 1, infinite: 1, zeros: 3, numbers: 5, texts: 1 });
    expect(profile.moments).toMatchObject({ n: 4, min: 0, max: 5 });
  });

  test('takes 2 to 6 kB for a busy numeric column', () => {
    const random = randomNumbers(1);
    const values = Array.from({ length: 50_000 }, () => Math.exp(random() * 6) - 20);
    const before = openProfile(null);
    for (const value of values) addNumber(before, value, 1);
    const open = openProfile(referenceHistogram(sealProfile(before, hashOf), 1)!.edges);
    for (const value of values) addNumber(open, value, 1);
    const { length } = encodeProfile(sealProfile(open, hashOf));
    expect(length).toBeGreaterThan(2000);
    expect(length).toBeLessThan(6000);
  });

  test('of vectors knows their mean, and their covariance through the projection', () => {
    const random = randomNumbers(2);
    const open = openProfile(null);
    for (let i = 0; i < 4000; i++) {
      addVector(
        open,
        Array.from({ length: 64 }, () => random() * 2 - 1 + 3),
        0,
      );
    }
    for (const mean of meanVector(open.vector!)) expect(Math.abs(mean - 3)).toBeLessThan(0.06);
    // Independent dimensions of variance 1/3: so is each projected one, as signs and scale keep it.
    const covariance = projectedCovariance(open.vector!)!;
    for (const [i, row] of covariance.entries()) expect(Math.abs(row[i]! - 1 / 3)).toBeLessThan(0.04);
  });
});
