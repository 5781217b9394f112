import { describe, expect, it } from 'vitest';
import {
  absoluteDifferenceQuantile,
  agreementShare,
  bias,
  cohenKappa,
  concordance,
  concordanceOfMoments,
  differingShare,
  jensenShannonDistance,
  meanAbsoluteDifference,
  populationStabilityIndex,
  tableOf,
} from './agreement.ts';
import { groupExposure, isTopChanged, kendallTau, overlapAtK, rankBiasedOverlap } from './ranking-agreement.ts';
import { cosine, rougeL, tokenF1, wordsOf } from './text-agreement.ts';

describe('classes', () => {
  it('agreement and kappa', () => {
    const table = [
      [40, 5],
      [10, 45],
    ];
    expect(agreementShare(table)).toBeCloseTo(0.85, 12);
    expect(cohenKappa(table)).toBeCloseTo(0.7, 12);
    // scikit-learn's cohen_kappa_score
    const three = [
      [20, 3, 1],
      [4, 30, 6],
      [0, 2, 34],
    ];
    expect(cohenKappa(three)).toBeCloseTo(0.7556505803298716, 12);
  });

  it('kappa cannot be said of one class or of nothing', () => {
    expect(cohenKappa([[9]])).toBeNull();
    expect(cohenKappa([])).toBeNull();
    expect(
      agreementShare([
        [0, 0],
        [0, 0],
      ]),
    ).toBeNull();
    expect(() => cohenKappa([[1, 2]])).toThrow(RangeError);
  });

  it('tables from counts by pairs of classes', () => {
    expect(tableOf({ 'a>a': 4, 'a>b': 1, 'c>a': 2 })).toEqual({
      classes: ['a', 'b', 'c'],
      table: [
        [4, 1, 0],
        [0, 0, 0],
        [2, 0, 0],
      ],
    });
  });

  it('distances of distributions', () => {
    const reference = [16, 18, 16, 14, 12, 12];
    const current = [16, 16, 16, 16, 16, 8];
    expect(jensenShannonDistance(reference, current)).toBeCloseTo(0.0680481962, 10);
    expect(jensenShannonDistance(reference, current, 2)).toBeCloseTo(0.0817342133, 10);
    expect(populationStabilityIndex(reference, current)).toBeCloseTo(0.0372183816, 10);
    expect(populationStabilityIndex([0.5, 0.5, 0], [0.4, 0.4, 0.2], 1e-4)).toBeCloseTo(1.564, 4);
    expect(populationStabilityIndex([0.5, 0.5, 0], [0.4, 0.4, 0.2], 0.01)).toBeCloseTo(0.6138, 4);
    expect(jensenShannonDistance([0, 0], [1, 2])).toBeNull();
    expect(populationStabilityIndex([1, 2], [0, 0])).toBeNull();
    expect(jensenShannonDistance([1, 0], [0, 1], 2)).toBeCloseTo(1, 12);
  });
});

describe('numbers', () => {
  const live = [1, 2, 3, 4];
  const shadow = [1.1, 2.1, 2.9, 4.3];

  it('bias, absolute difference and concordance', () => {
    expect(bias(live, shadow)).toBeCloseTo(0.1, 12);
    expect(meanAbsoluteDifference(live, shadow)).toBeCloseTo(0.15, 12);
    expect(concordance(live, shadow)).toBeCloseTo(0.9885932, 7);
    expect(absoluteDifferenceQuantile(live, shadow, 0.95)).toBeCloseTo(0.3, 12);
    expect(absoluteDifferenceQuantile(live, shadow, 0)).toBeCloseTo(0.1, 12);
  });

  it('concordance from running moments is the same', () => {
    const first = { n: 4, mean: 2.5, m2: 5 };
    const second = { n: 4, mean: 2.6, m2: 5.48 };
    expect(concordanceOfMoments(first, second, 5.2)).toBeCloseTo(0.9885932, 7);
  });

  it('concordance of constants: the same cannot be said, another is none', () => {
    expect(concordance([2, 2], [2, 2])).toBeNull();
    expect(concordance([2, 2], [3, 3])).toBe(0);
    expect(concordance([], [])).toBeNull();
    expect(() => concordance([1], [1, 2])).toThrow(RangeError);
  });

  it('differences that count are above both the absolute and the relative limit', () => {
    const limits = { absolute: 0.05, relative: 0.05 };
    expect(differingShare([0, 1, 100], [0.01, 1.2, 101], limits)).toBeCloseTo(1 / 3, 12);
    expect(differingShare([], [], limits)).toBeNull();
  });
});

describe('rankings', () => {
  const first = ['a', 'b', 'c', 'd', 'e'];
  const second = ['b', 'a', 'c', 'd', 'f'];

  it('rank-biased overlap', () => {
    expect(rankBiasedOverlap(first, second, 0.9)).toBeCloseTo(0.76878, 5);
    expect(rankBiasedOverlap(first, first, 0.9)).toBeCloseTo(1, 12);
    expect(rankBiasedOverlap(first, ['x', 'y', 'z', 'u', 'v'], 0.9)).toBe(0);
    expect(rankBiasedOverlap([], first)).toBe(0);
    expect(rankBiasedOverlap([], [])).toBeNull();
  });

  it('of lists of different lengths, the same either way', () => {
    // by hand from equation 32 with X = 1, 2, 2 and s = 2, l = 3
    const byHand =
      ((1 - 0.9) / 0.9) * (0.9 + 0.81 + (2 / 3) * 0.729 + ((2 * 1) / (2 * 3)) * 0.729) + ((2 - 2) / 3 + 2 / 2) * 0.729;
    expect(rankBiasedOverlap(['a', 'b'], ['a', 'b', 'c'], 0.9)).toBeCloseTo(byHand, 12);
    expect(rankBiasedOverlap(['a', 'b', 'c'], ['a', 'b'], 0.9)).toBeCloseTo(byHand, 12);
  });

  it("Kendall's tau on what both have", () => {
    expect(kendallTau([1, 2, 3, 4], [2, 1, 3, 4])).toBeCloseTo(0.6666667, 7);
    // scipy's kendalltau of the same permutation
    expect(kendallTau([1, 2, 3, 4, 5, 6], [2, 3, 1, 6, 5, 4])).toBeCloseTo(0.3333333333333333, 12);
    expect(kendallTau(['a', 'x', 'b'], ['b', 'y', 'a'])).toBe(-1);
    expect(kendallTau(['a', 'x'], ['a', 'y'])).toBeNull();
    const long = Array.from({ length: 20_000 }, (_, at) => at);
    expect(kendallTau(long, [...long].reverse())).toBe(-1);
  });

  it('overlap, first place and exposure of groups', () => {
    expect(overlapAtK(first, second, 4)).toBe(1);
    expect(overlapAtK(first, second, 5)).toBe(0.8);
    expect(overlapAtK(first, second, 1)).toBe(0);
    expect(overlapAtK(first, second, 50)).toBe(0.8);
    expect(overlapAtK([], [], 5)).toBeNull();
    expect(isTopChanged(first, second)).toBe(true);
    expect(isTopChanged(first, first)).toBe(false);
    expect(isTopChanged([], first)).toBeNull();
    const exposure = groupExposure(first, (item) => (item < 'c' ? 'new' : 'old'));
    expect(exposure['new']! + exposure['old']!).toBeCloseTo(1, 12);
    expect(exposure['new']).toBeCloseTo(
      (1 + 1 / Math.log2(3)) / (1 + 1 / Math.log2(3) + 0.5 + 1 / Math.log2(5) + 1 / Math.log2(6)),
      12,
    );
  });
});

describe('texts', () => {
  it('words of any script, without marks', () => {
    expect(wordsOf("Größe: 3 – it's 你好!")).toEqual(['größe', '3', 'it', 's', '你好']);
  });

  it('words in common', () => {
    expect(tokenF1('the cat sat', 'The cat sat!')).toBe(1);
    expect(tokenF1('the cat sat', 'the the dog')).toBeCloseTo(2 / 6, 12);
    expect(tokenF1('', '...')).toBe(1);
    expect(tokenF1('', 'a')).toBe(0);
  });

  it('the longest common subsequence', () => {
    expect(rougeL('police killed the gunman', 'police kill the gunman')).toBeCloseTo(0.75, 12);
    expect(rougeL('police killed the gunman', 'the gunman killed police')).toBeCloseTo(0.5, 12);
    expect(rougeL('', '')).toBe(1);
    expect(rougeL('', 'a')).toBe(0);
    expect(rougeL('a b', 'c d')).toBe(0);
  });

  it('angles of embeddings', () => {
    expect(cosine([1, 0], [0, 2])).toBe(0);
    expect(cosine([1, 2], [2, 4])).toBeCloseTo(1, 12);
    expect(cosine([0, 0], [1, 1])).toBeNull();
    expect(() => cosine([1], [1, 2])).toThrow(RangeError);
  });
});
