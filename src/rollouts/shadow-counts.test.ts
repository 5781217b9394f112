import { describe, expect, it } from 'vitest';
import type { ComparisonSpec } from '../serving/endpoints/traffic.ts';
import { float16BitsOf } from '../serving/tensors/half.ts';
import type { Tensor } from '../serving/tensors/tensor.ts';
import { compareAnswers, hasOtherForm } from './answer-comparison.ts';
import { type Answer, createShadowCounts, type ShadowCall } from './shadow-counts.ts';
import { cohenKappa, concordance, concordanceOfMoments, tableOf } from './statistics/agreement.ts';

const floats = (values: readonly number[], shape: readonly number[] = [1, values.length], name = 'y'): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: Float32Array.from(values),
});
const texts = (...data: string[]): Tensor => ({ name: 'y', datatype: 'BYTES', shape: [data.length], data });
const answered = (tensor: Tensor, latencyMs = 5): Answer => ({ kind: 'answered', outputs: [tensor], latencyMs });
const call = (live: Answer, shadow: ShadowCall['shadow'], more: Partial<ShadowCall> = {}): ShadowCall => ({
  predictionId: 'p',
  slice: null,
  bodyBytes: 100,
  live,
  shadow,
  ...more,
});

describe('two answers', () => {
  const classes: ComparisonSpec = { kind: 'classification', output: 'y', threshold: null };
  const number: ComparisonSpec = { kind: 'regression', output: 'y', absolute: 0.01, relative: 0.05 };

  it.each<[string, ComparisonSpec, Tensor, Tensor, boolean]>([
    ['scores with the same largest', classes, floats([0.2, 0.8]), floats([0.4, 0.6]), false],
    ['scores with another largest', classes, floats([0.2, 0.8]), floats([0.6, 0.4]), true],
    ['labels', classes, texts('yes'), texts('no'), true],
    [
      'a score on the other side of the threshold',
      { ...classes, threshold: 0.5 },
      floats([0.49], [1]),
      floats([0.51], [1]),
      true,
    ],
    ['a score on the same side', { ...classes, threshold: 0.5 }, floats([0.9], [1]), floats([0.51], [1]), false],
    ['numbers near one another', number, floats([100], [1]), floats([104], [1]), false],
    ['numbers apart', number, floats([100], [1]), floats([106], [1]), true],
    ['small numbers, by the absolute limit', number, floats([0.001], [1]), floats([0.009], [1]), false],
    ['rankings with another first', { kind: 'ranking', output: 'y', k: 3 }, floats([3, 2, 1]), floats([2, 3, 1]), true],
    [
      'rankings with the same first',
      { kind: 'ranking', output: 'y', k: 3 },
      floats([3, 2, 1]),
      floats([3, 1, 2]),
      false,
    ],
    ['texts', { kind: 'text', output: 'y' }, texts('a b'), texts('a c'), true],
    ['equal bits', { kind: 'exact' }, floats([1, 2]), floats([1, 2]), false],
    ['other bits', { kind: 'exact' }, floats([1, 2]), floats([1, 2.0000002]), true],
    [
      'the first of several rows',
      classes,
      floats([0.2, 0.8, 0.9, 0.1], [2, 2]),
      floats([0.3, 0.7, 0.1, 0.9], [2, 2]),
      false,
    ],
  ])('%s', (_title, spec, live, shadow, isFlip) => {
    expect(compareAnswers(spec, [live], [shadow])).toMatchObject({ isFlip });
  });

  it('of half precision are compared as the numbers they are', () => {
    const half = (value: number): Tensor => ({
      name: 'y',
      datatype: 'FP16',
      shape: [1],
      data: Uint16Array.of(float16BitsOf(value)),
    });
    expect(compareAnswers(number, [half(2)], [half(2.05)])).toMatchObject({
      isFlip: false,
      numbers: [2, expect.closeTo(2.05, 2)],
    });
  });

  it('without what is compared cannot be compared', () => {
    expect(compareAnswers(classes, [floats([1], [1], 'z')], [floats([1])])).toBeNull();
    expect(compareAnswers(number, [floats([], [0])], [floats([], [0])])).toBeNull();
  });

  it('that are no numbers count as flips of the highest cost, and not in moments', () => {
    const got = compareAnswers(number, [floats([1], [1])], [floats([Number.NaN], [1])]);
    expect(got).toMatchObject({ isFlip: true, numbers: null, cost: Number.MAX_VALUE });
  });

  it.each<[string, Tensor[], Tensor[], boolean]>([
    ['the same form', [floats([1, 2])], [floats([3, 4])], false],
    ['an output more', [floats([1])], [floats([1]), floats([1], [1], 'z')], true],
    ['another name', [floats([1])], [floats([1], [1, 1], 'z')], true],
    ['another size', [floats([1, 2])], [floats([1, 2, 3])], true],
    ['another datatype', [floats([1], [1])], [texts('1')], true],
    ['NaN where live has a number', [floats([1])], [floats([Number.NaN])], true],
    ['infinity where live has one too', [floats([Number.POSITIVE_INFINITY])], [floats([Number.NaN])], false],
  ])('have another form or not: %s', (_title, live, shadow, expected) => {
    expect(hasOtherForm(live, shadow)).toBe(expected);
  });
});

describe('the counts of a shadow', () => {
  it('are those of kappa and of the flips', () => {
    const counts = createShadowCounts({ kind: 'classification', output: 'y', threshold: null });
    const add = (times: number, live: readonly number[], shadow: readonly number[]): void => {
      for (let at = 0; at < times; at++) counts.add(call(answered(floats(live)), answered(floats(shadow))));
    };
    const [no, yes] = [
      [0.9, 0.1],
      [0.2, 0.8],
    ];
    add(40, no, no);
    add(5, no, yes);
    add(10, yes, no);
    add(45, yes, yes);
    const read = counts.read();
    expect(read).toMatchObject({ pairs: 100, flips: 15, intended: 100, schemaMismatches: 0 });
    expect(cohenKappa(tableOf(read.flipMatrix).table)).toBeCloseTo(0.7, 12);
    expect(read.worst).toHaveLength(15);
  });

  it('are those of bias and concordance', () => {
    const counts = createShadowCounts({ kind: 'regression', output: 'y', absolute: 0, relative: 0.05 });
    const live = [1, 2, 3, 4];
    const shadow = [1.1, 2.1, 2.9, 4.3];
    live.forEach((value, at) => {
      const tensor = (one: number): Tensor => ({ name: 'y', datatype: 'FP64', shape: [1], data: Float64Array.of(one) });
      counts.add(call(answered(tensor(value)), answered(tensor(shadow[at]!))));
    });
    const read = counts.read();
    expect(read.difference.mean).toBeCloseTo(0.1, 12);
    expect(read.absoluteDifference.mean).toBeCloseTo(0.15, 12);
    expect(concordanceOfMoments(read.live, read.shadow, read.comoment)).toBeCloseTo(concordance(live, shadow)!, 12);
    expect(concordanceOfMoments(read.live, read.shadow, read.comoment)).toBeCloseTo(0.9885932, 7);
  });

  it('tell what became of every copy, by status, code and size', () => {
    const counts = createShadowCounts({ kind: 'exact' });
    const fine = answered(floats([1]));
    const failed = (code: string): Answer => ({ kind: 'failed', code, latencyMs: 1 });
    counts.add(call(fine, fine));
    counts.add(call(fine, failed('run_failed')));
    counts.add(call(failed('run_failed'), failed('run_failed')));
    counts.add(call(failed('run_failed'), failed('run_timeout')));
    counts.add(call(failed('run_failed'), fine));
    counts.add(call(fine, { kind: 'timeout' }));
    counts.add(call(fine, { kind: 'dropped' }));
    counts.add(call(fine, { kind: 'oversize' }, { bodyBytes: 9 * 1024 * 1024 }));
    counts.add(call(fine, { kind: 'not-sampled' }));
    expect(counts.read()).toMatchObject({
      statuses: { ok: 2, error: 3, timeout: 1, dropped: 1, oversize: 1, 'not-sampled': 1 },
      intended: 8,
      pairs: 1,
      newErrors: { run_failed: 1, run_timeout: 1 },
      bySize: { '1': { intended: 7, compared: 6 }, '16384': { intended: 1, compared: 0 } },
    });
  });

  it('are bounded whatever comes', () => {
    const counts = createShadowCounts({ kind: 'classification', output: 'y', threshold: null });
    for (let at = 0; at < 3000; at++)
      counts.add(
        call(answered(texts(`a${at}`)), answered(texts(`b${at}${'x'.repeat(500)}`)), {
          slice: `t${at}`,
          bodyBytes: at * 5000,
        }),
      );
    const read = counts.read();
    expect(Object.keys(read.flipMatrix).length).toBeLessThanOrEqual(401);
    expect(Object.keys(read.bySlice).length).toBeLessThanOrEqual(21);
    expect(read.worst).toHaveLength(50);
    expect(read.pairs).toBe(3000);
    expect(JSON.stringify(read).length).toBeLessThan(80_000);
  });

  it('keep the most costly pairs', () => {
    const counts = createShadowCounts({ kind: 'regression', output: 'y', absolute: 0, relative: 0 });
    for (let at = 0; at < 200; at++)
      counts.add(call(answered(floats([0], [1])), answered(floats([at], [1])), { predictionId: `p${at}` }));
    const { worst } = counts.read();
    expect(worst[0]).toMatchObject({ predictionId: 'p199', cost: 199, live: '0', shadow: '199' });
    expect(worst.at(-1)).toMatchObject({ predictionId: 'p150' });
  });
});
