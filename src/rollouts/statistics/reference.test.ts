import { describe, expect, it } from 'vitest';
import { normalQuantile, normalTail } from '../../base/statistics/special-functions.ts';
import { expectedExcess, posterior, probabilityBest, probabilityGreater } from './bayes.ts';
import {
  asymptoticHalfWidth,
  asymptoticHalfWidthOneSided,
  asymptoticRho,
  meanDifference,
  mixtureTest,
  ratioVariance,
  relativeLift,
  sampleOfSums,
} from './confidence-sequence.ts';
import { cuped, sampleOf } from './cuped.ts';
import {
  fisherExact,
  lnLikelihoodRatioSprt,
  mcNemarExact,
  newcombe,
  nonInferiorityZ,
  samplesPerArm,
  twoProportionZ,
  upperLimitOfNone,
  welch,
} from './fixed-sample.ts';
import { groupSequentialBounds, obrienFleming, pocock, type Spending } from './group-sequential.ts';
import { epsilonGreedy, inversePropensity, withFloor, withLeastProbability } from './propensity.ts';
import { lnEQuantile, quantileOfCounts, quantileRanks } from './quantile-sequence.ts';
import { mannWhitney, rankShift } from './rank-sum.ts';
import { lnE, lnERate, lnMeanE, pOfLnE, rateBounds, rateRatioEstimate } from './rate-ratio.ts';
import { lnESampleRatio, sampleRatioTest } from './sample-ratio.ts';

/** Figures of the reference on rollouts (§3), computed there with scipy; case C1 is 100 of 10,000 against 135 of 10,000. */
const to = (got: number, expected: number, tolerance = 1e-5): void => {
  expect(Math.abs(got - expected), `${got} for ${expected}`).toBeLessThanOrEqual(tolerance);
};
const C1 = [100, 10_000, 135, 10_000] as const;
const proportion = (x: number, n: number) => ({ n, mean: x / n, variance: (x / n) * (1 - x / n) });

describe('tests of one look', () => {
  it('two proportions: z, both p-values, Wald and Newcombe intervals', () => {
    const got = twoProportionZ(...C1);
    to(got.z, 2.296681, 1e-6);
    to(got.p, 0.021637, 1e-7);
    to(got.pOneSided, 0.0108185, 1e-7);
    to(got.interval[0], 0.00051353, 1e-8);
    to(got.interval[1], 0.00648647, 1e-8);
    to(newcombe(...C1)[0], 0.00050909, 1e-8);
    to(newcombe(...C1)[1], 0.00652768, 1e-8);
  });

  it('two proportions without an event, or with nothing else, do not differ', () => {
    expect(twoProportionZ(0, 50, 0, 70)).toMatchObject({ z: 0, p: 1 });
    expect(twoProportionZ(50, 50, 70, 70)).toMatchObject({ z: 0, p: 1 });
  });

  it('non-inferiority is the distance to the margin', () => {
    to(nonInferiorityZ(...C1, 0), 0.0035 / Math.sqrt(0.0099 / 1e4 + (0.0135 * 0.9865) / 1e4));
    to(nonInferiorityZ(...C1, 0.0035), 0);
    expect(nonInferiorityZ(...C1, 0.01)).toBeLessThan(-4);
  });

  it("Fisher's exact test", () => {
    to(fisherExact(2, 200, 8, 200), 0.1049699, 1e-7);
    to(fisherExact(3, 10, 9, 10), 0.019766611097880443, 1e-9);
    to(fisherExact(0, 50, 5, 50), 0.05628449442882433, 1e-9);
    expect(fisherExact(0, 50, 0, 50)).toBe(1);
  });

  it('no failure in 300', () => to(upperLimitOfNone(300), 0.0099361, 1e-7));

  it("Welch's t on GrowthBook's moments", () => {
    const got = welch(sampleOfSums(1396.87, 52_377.9767, 3407), sampleOfSums(2422.7, 134_698.29, 3461));
    to(got.difference, 0.29);
    to(got.standardError, 0.124784, 1e-6);
    to(got.degrees, 5841.742, 1e-3);
    to(got.p, 0.0201584, 1e-7);
    to(got.interval[0], 0.0453779, 1e-7);
    to(got.interval[1], 0.5346221, 1e-7);
  });

  it('sizes per arm', () => {
    expect(samplesPerArm(0.001, 0.002)).toBe(23_511);
    expect(samplesPerArm(0.01, 0.0135)).toBe(14_879);
    expect(samplesPerArm(0.01, 0.02)).toBe(2319);
    expect(samplesPerArm(0.9, 0.88)).toBe(3841);
  });

  it("McNemar's exact test", () => {
    to(mcNemarExact(14, 30), 0.0226288, 1e-7);
    expect(mcNemarExact(0, 0)).toBe(1);
    expect(mcNemarExact(7, 7)).toBe(1);
  });

  it("Statsig's sequential ratio goes on where C1 stands", () => {
    const effect = 0.035176 / Math.sqrt(1 / 10_000 + 1 / 10_000);
    to(effect, 2.4873, 1e-4);
    const ratio = Math.exp(lnLikelihoodRatioSprt(twoProportionZ(...C1).z, effect));
    to(ratio, 13.7, 0.05);
    expect(ratio).toBeLessThan(0.8 / 0.05);
  });
});

describe('rank sums', () => {
  const x = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
  const y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];

  it('U and p of the textbook sample', () => {
    const got = mannWhitney(x, y);
    expect(got.u).toBe(58);
    to(got.p, 0.1329195, 1e-7);
    to(got.effectSize, 58 / 81);
  });

  it('ties are corrected for', () => {
    const got = mannWhitney([1, 2, 3, 4, 4, 4], [2, 4, 4, 5, 7]);
    expect(got.u).toBe(7.5);
    to(got.p, 0.17902550203046141, 1e-9);
  });

  it('samples of one value only do not differ', () => {
    expect(mannWhitney([1, 1], [1, 1, 1])).toMatchObject({ p: 1, effectSize: 0.5 });
  });

  /** Kayenta's rule: High when the interval's low end is above a quarter of the shift itself. */
  const kayenta = (canary: readonly number[], control: readonly number[], allowedIncrease: number): 'High' | 'Pass' => {
    const { low, estimate } = rankShift(canary, control);
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const ratio = mean(control) === 0 || mean(canary) === 0 ? Number.NaN : mean(canary) / mean(control);
    return low > 0.25 * Math.abs(estimate) && (Number.isNaN(ratio) || ratio >= allowedIncrease) ? 'High' : 'Pass';
  };
  const seven = [100, 100, 100, 100, 100, 100, 100, 1, 1, 1];
  const eight = [100, 100, 100, 100, 100, 100, 100, 100, 1, 1];
  const ones = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1];

  it('the shift passes a seventy-fold regression by the rule that others judge by, which is why no gate is judged so', () => {
    const got = rankShift(seven, ones);
    to(got.low, 0, 1e-3);
    to(got.high, 99, 1e-3);
    to(got.estimate, 99, 1e-3);
    to(0.25 * got.estimate, 24.75, 1e-3);
    expect(kayenta(seven, ones, 1.05)).toBe('Pass');
    expect(kayenta(eight, ones, 1.05)).toBe('High');
    expect(kayenta([0, 1, 2, 1, 0, 0], [0, 0, 0, 0, 0, 0], 1)).toBe('Pass');
    // the e-process on "above 10", a level that no control reaches, sees seven of seven
    expect(lnE([[0.5, 7, 7]])).toBeGreaterThan(Math.log(20) - 1);
    expect(lnE([[0.05, 7, 7]])).toBeGreaterThan(Math.log(20));
  });
});

describe('always-valid tests of means', () => {
  const variance = (0.01 * 0.99 + 0.0135 * 0.9865) / 10_000;

  it('the normal mixture on C1 goes on where z says p = .02', () => {
    const got = mixtureTest({ estimate: 0.0035, variance, tau: 0.005, alpha: 0.05 });
    to(got.lambda, 3.258318, 2e-6);
    to(got.p, 0.3069067, 1e-7);
    to(got.halfWidth, 0.0046323, 1e-7);
  });

  it("is Johari's formula for two arms of one variance", () => {
    const [n, sigma2, tau, delta] = [400, 2.5, 0.3, 0.4];
    const johari =
      Math.sqrt((2 * sigma2) / (2 * sigma2 + n * tau ** 2)) *
      Math.exp((n ** 2 * tau ** 2 * delta ** 2) / (4 * sigma2 * (2 * sigma2 + n * tau ** 2)));
    to(mixtureTest({ estimate: delta, variance: (2 * sigma2) / n, tau, alpha: 0.05 }).lambda, johari, 1e-9);
  });

  it('rho and the half widths of the asymptotic sequence', () => {
    to(asymptoticRho(0.05, 5000), 0.0398401, 1e-7);
    const { standardError } = meanDifference(proportion(100, 10_000), proportion(135, 10_000));
    to(asymptoticHalfWidth(standardError, 20_000, asymptoticRho(0.05, 20_000), 0.05), 0.0046249, 1e-7);
    to(asymptoticHalfWidthOneSided(standardError, 20_000, asymptoticRho(0.1, 20_000), 0.05), 0.0042346, 1e-7);
  });

  it("GrowthBook's relative lift", () => {
    const lift = relativeLift(sampleOfSums(1396.87, 52_377.9767, 3000), sampleOfSums(2422.7, 134_698.29, 3461));
    const half = asymptoticHalfWidth(lift.standardError, 6461, asymptoticRho(0.05, 1000), 0.05);
    to(lift.estimate, 0.5033611, 1e-7);
    to(lift.estimate - half, -0.5584405, 1e-7);
    to(lift.estimate + half, 1.5651627, 1e-7);
  });

  it('the variance of a ratio is that of the mean where each unit has one call', () => {
    const top = { n: 100, mean: 0.2, variance: 0.16 };
    const bottom = { n: 100, mean: 1, variance: 0 };
    to(ratioVariance({ n: 100, top, bottom, covariance: 0 }), 0.0016, 1e-12);
    // top = 2 bottom always: their ratio does not vary at all
    const calls = { n: 50, mean: 3, variance: 4 };
    const twice = { n: 50, mean: 6, variance: 16 };
    to(ratioVariance({ n: 50, top: twice, bottom: calls, covariance: 8 }), 0, 1e-12);
  });
});

describe('the rate-ratio e-process', () => {
  it.each([
    ['C1', [[0.5, 135, 235]], 1, 1, 1.219852],
    ['three errors, all of the canary', [[0.05, 3, 3]], 1, 1, 3.621764],
    ['against a ratio of 1.25', [[0.1, 30, 120]], 1.25, 1, 6.108209],
    ['for a pass at 1.5', [[0.05, 18, 400]], 1.5, -1, 1.785701],
    ['pairs, 30 of 44', [[0.5, 30, 44]], 1, 1, 2.213607],
    ['nothing', [], 1, 1, 0],
    ['a stage without events', [[0.5, 0, 0]], 1, 1, 0],
    [
      'Simpson, stratified, worse',
      [
        [0.01, 30, 3000],
        [0.5, 500, 1000],
      ],
      1,
      1,
      -2.820068,
    ],
    [
      'Simpson, stratified, better',
      [
        [0.01, 30, 3000],
        [0.5, 500, 1000],
      ],
      1,
      -1,
      -2.81677,
    ],
  ] as const)('%s', (_title, strata, r0, side, expected) => {
    to(lnE(strata, r0, side), expected, 1e-6);
  });

  it('pooled over the stages of a ramp it would be sure of what is not there', () => {
    to(lnE([[0.255, 530, 4000]], 1, -1), 178.56, 0.005);
  });

  it('decides on three errors, and not yet on 9.15', () => {
    expect(Math.exp(lnE([[0.05, 3, 3]]))).toBeGreaterThan(20);
    to(Math.exp(lnE([[0.5, 30, 44]])), 9.15, 0.005);
  });

  it('learns nothing where one of the arms was not exposed', () => {
    expect(lnE([[0, 0, 12]])).toBeCloseTo(0, 12);
    expect(lnE([[1, 12, 12]])).toBeCloseTo(0, 12);
    to(
      lnE([
        [1, 12, 12],
        [0.05, 3, 3],
      ]),
      3.621764,
      1e-6,
    );
  });

  it.each([
    [[[0.5, 5, 4]]],
    [[[0.5, -1, 4]]],
    [[[1.5, 1, 4]]],
    [[[Number.NaN, 1, 4]]],
    [[[0.5, Number.NaN, 4]]],
  ] as const)('refuses counts that cannot be: %j', (strata) => {
    expect(() => lnE(strata)).toThrow(RangeError);
  });

  it('refuses a ratio that is not above 0', () => {
    expect(() => lnE([[0.5, 1, 2]], 0)).toThrow(RangeError);
    expect(() => lnE([[0.5, 1, 2]], Number.NaN)).toThrow(RangeError);
  });

  it('stays finite for counts of a year', () => {
    expect(lnE([[0.5, 6e8, 1e9]])).toBeGreaterThan(1e6);
    expect(Number.isFinite(lnE([[1e-9, 0, 1e9]], 1, -1))).toBe(true);
  });

  it('is an e-value: its mean under the null is at most 1, exactly 1 at the boundary', () => {
    const mean = (ratio: number): number => {
      const [w, k] = [0.2, 12];
      const theta = (w * ratio) / (w * ratio + 1 - w);
      let sum = 0;
      let chance = (1 - theta) ** k;
      for (let x = 0; x <= k; x++) {
        sum += chance * Math.exp(lnE([[w, x, k]], 1.5));
        chance *= ((k - x) / (x + 1)) * (theta / (1 - theta));
      }
      return sum;
    };
    to(mean(1.5), 1, 1e-9);
    expect(mean(1.2)).toBeLessThan(1);
    expect(mean(0.3)).toBeLessThan(1);
    expect(mean(2)).toBeGreaterThan(1);
  });

  it('shows a rate below a limit from clean calls alone', () => {
    const clean = [100, 400, 500, 600, 700].map((n) => lnERate(0, n, 0.01, -1) >= Math.log(20));
    expect(clean).toEqual([false, false, true, true, true]);
    expect(lnERate(10, 700, 0.01, -1)).toBeLessThan(0);
    expect(lnERate(0, 0, 0.01, -1)).toBeCloseTo(0, 12);
    // at the limit itself its mean is 1, above the limit less: no rate at or above it is passed more often than alpha
    for (const [rate, most] of [
      [0.01, 1],
      [0.02, 0.9],
    ] as const) {
      let mean = 0;
      let chance = (1 - rate) ** 50;
      for (let x = 0; x <= 50; x++) {
        mean += chance * Math.exp(lnERate(x, 50, 0.01, -1));
        chance *= ((50 - x) / (x + 1)) * (rate / (1 - rate));
      }
      expect(mean).toBeLessThanOrEqual(most + 1e-9);
    }
  });

  it.each([
    // by bisection in Python, on the kernel as the reference writes it
    [0, 1000, 0.05, 0, 0.004906818],
    [3, 10_000, 0.05, 0.0000210331, 0.00104369],
    [200, 10_000, 0.01, 0.0153319, 0.0255086],
    [10, 10, 0.01, 0.461924, 1],
    [0, 10, 0.05, 0, 0.409052],
  ])('bounds of a rate: %d of %d at alpha %d', (events, exposures, alpha, low, high) => {
    const got = rateBounds(events, exposures, alpha);
    expect(Math.abs(got.low - low)).toBeLessThanOrEqual(low * 2e-4);
    expect(Math.abs(got.high - high)).toBeLessThanOrEqual(high * 2e-4);
    const sure = -Math.log(alpha);
    if (got.low > 0) expect(lnERate(events, exposures, got.low, 1)).toBeGreaterThanOrEqual(sure);
    if (got.high < 1) expect(lnERate(events, exposures, got.high, -1)).toBeGreaterThanOrEqual(sure);
  });

  it('bounds of nothing are everything', () => expect(rateBounds(0, 0, 0.05)).toEqual({ low: 0, high: 1 }));

  it('means of e-values, and their p-values', () => {
    to(lnMeanE([Math.log(30), Math.log(10)]), Math.log(20), 1e-12);
    expect(lnMeanE([])).toBe(0);
    expect(pOfLnE(-2)).toBe(1);
    to(pOfLnE(Math.log(20)), 0.05, 1e-12);
  });

  it('estimates the ratio over all stages', () => {
    to(rateRatioEstimate([[0.5, 135, 235]])!, 1.35, 1e-9);
    to(
      rateRatioEstimate([
        [0.01, 30, 3000],
        [0.5, 500, 1000],
      ])!,
      1,
      2e-3,
    );
    expect(rateRatioEstimate([])).toBeNull();
    expect(rateRatioEstimate([[0.05, 0, 9]])).toBe(0);
    expect(rateRatioEstimate([[0.05, 3, 3]])).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('quantile sequences', () => {
  it.each([
    [1000, 0.5, 450, 551],
    [10_000, 0.99, 9862, 9934],
    [100_000, 0.99, 98_875, 99_120],
  ])('ranks for n = %d, p = %d', (n, p, low, high) => {
    expect(quantileRanks(n, p, 0.05)).toEqual([low, high]);
  });

  it('are those of a search through every rank', () => {
    for (const [n, p] of [
      [1, 0.5],
      [7, 0.99],
      [60, 0.95],
      [333, 0.1],
    ] as const) {
      const possible = Array.from({ length: n + 1 }, (_, k) => k).filter((k) => lnEQuantile(k, n, p) < Math.log(20));
      expect(quantileRanks(n, p, 0.05)).toEqual([possible[0]!, possible.at(-1)! + 1]);
    }
  });

  it('of nothing have no bounds', () => {
    expect(quantileRanks(0, 0.5, 0.05)).toEqual([0, 1]);
    expect(quantileOfCounts([1, 2], [0, 0, 0], 0.5, 0.05)).toBeNull();
  });

  it('of counts enclose the quantile by edges of buckets', () => {
    const edges = [1, 2, 4, 8];
    expect(quantileOfCounts(edges, [100, 800, 100, 0, 0], 0.5, 0.05)).toEqual({ estimate: 2, low: 1, high: 2 });
    // few values: no upper bound for p99
    expect(quantileOfCounts(edges, [5, 5, 0, 0, 0], 0.99, 0.05)).toMatchObject({ high: Number.POSITIVE_INFINITY });
    expect(quantileOfCounts(edges, [0, 0, 0, 0, 9], 0.5, 0.05)).toMatchObject({ estimate: Number.POSITIVE_INFINITY });
  });
});

describe('group sequential bounds', () => {
  const all = (got: readonly number[], expected: readonly number[]): void => {
    expect(got).toHaveLength(expected.length);
    got.forEach((bound, at) => {
      to(bound, expected[at]!, 1e-4);
    });
  };
  const quarters = [0.25, 0.5, 0.75, 1];

  it("O'Brien-Fleming at four equal looks, and at .2, .5 and 1", () => {
    all(groupSequentialBounds(quarters, 0.05, obrienFleming), [4.332634, 2.963132, 2.359044, 2.01409]);
    all(groupSequentialBounds([0.2, 0.5, 1], 0.05, obrienFleming), [4.876885, 2.962629, 1.968596]);
  });

  it('Pocock at four equal looks', () => {
    all(groupSequentialBounds(quarters, 0.05, pocock), [2.368328, 2.367524, 2.358168, 2.350029]);
  });

  it('the trap: two-sided alpha spent through z(alpha / 2)', () => {
    const trap: Spending = (t, alpha) => 2 * normalTail(normalQuantile(1 - alpha / 2) / Math.sqrt(t));
    all(groupSequentialBounds(quarters, 0.05, trap), [3.919928, 2.773953, 2.298242, 2.042638]);
  });

  it('refuses looks that go back', () => {
    expect(() => groupSequentialBounds([0.5, 0.5], 0.05, pocock)).toThrow(RangeError);
  });
});

describe('posteriors', () => {
  const stable = posterior(100, 10_000);
  const canary = posterior(135, 10_000);

  it('of C1', () => {
    to(probabilityGreater(stable, canary), 0.9891406, 1e-7);
    to(expectedExcess(stable, canary), 0.00350499, 1e-8);
    to(expectedExcess(canary, stable), 5.6907e-6, 1e-9);
    to(probabilityGreater(stable, canary, 1.25), 0.718, 1e-3);
  });

  it('of three arms under Thompson sampling', () => {
    const best = probabilityBest([
      [121, 881],
      [146, 856],
      [131, 871],
    ]);
    to(best[0]!, 0.0331167, 1e-7);
    to(best[1]!, 0.8104816, 1e-7);
    to(best[2]!, 0.1564017, 1e-7);
  });
});

describe('propensities', () => {
  const all = (got: readonly number[], expected: readonly number[]): void => {
    got.forEach((value, at) => {
      to(value, expected[at]!, 1e-9);
    });
    to(
      got.reduce((sum, value) => sum + value, 0),
      1,
      1e-9,
    );
  };

  it('with floors', () => {
    all(withFloor([0.0331167, 0.8104816, 0.1564017], 0.01), [0.042123199, 0.796167152, 0.161709649]);
    all(withLeastProbability([0.9, 0.1, 0], 0.3), [0.8, 0.1, 0.1]);
    all(withLeastProbability([0.0331167, 0.8104816, 0.1564017], 0.03), [0.0331167, 0.8104816, 0.1564017]);
    all(withLeastProbability([1, 0, 0, 0], 0.4), [0.7, 0.1, 0.1, 0.1]);
    all(epsilonGreedy(4, 2, 0.1), [0.025, 0.025, 0.925, 0.025]);
    expect(() => withFloor([0.5, 0.5], 0.6)).toThrow(RangeError);
  });

  it('another policy from logs', () => {
    const got = inversePropensity([1, 0, 0, 1, 1], [0.8, 0.2, 0.8, 0.5, 0.5], [0.5, 0.5, 0.5, 0.9, 0.1]);
    to(got.ips, 0.525, 1e-12);
    to(got.snips, 0.4565217, 1e-7);
    to(got.effectiveSize, 3.206449, 1e-6);
    expect(got.isTrustworthy).toBe(false);
  });

  it('refuse logs without a propensity', () => {
    expect(() => inversePropensity([1], [0], [0.5])).toThrow(RangeError);
    expect(() => inversePropensity([], [], [])).toThrow(RangeError);
    expect(() => inversePropensity([1, 2], [0.5], [0.5, 0.5])).toThrow(RangeError);
  });
});

describe('sample ratios', () => {
  it('chi-squared of one look', () => {
    const pair = sampleRatioTest([821_588, 815_482], [1, 1])!;
    to(pair.chiSquared, 22.774369, 1e-6);
    to(pair.p, 1.82179e-6, 1e-11);
    const second = sampleRatioTest([5200, 4800], [0.5, 0.5])!;
    to(second.chiSquared, 16, 1e-9);
    to(second.p, 6.3342e-5, 1e-9);
    const three = sampleRatioTest([10_321, 10_111, 9998], [1, 1, 1])!;
    to(three.chiSquared, 5.297338, 1e-6);
    to(three.p, 0.0707453, 1e-7);
    expect(three.degrees).toBe(2);
  });

  it('the sequential test', () => {
    to(lnESampleRatio([5200, 4800], [1, 1]), 5.613613, 1e-6);
    to(pOfLnE(lnESampleRatio([5200, 4800], [1, 1])), 0.0036479, 1e-7);
    to(lnESampleRatio([821_588, 815_482], [1, 1]), 6.532368, 1e-6);
    expect(lnESampleRatio([0, 0], [1, 1])).toBe(0);
  });

  it('arms of weight 0 take no part, and are a mismatch when somebody is in them', () => {
    to(lnESampleRatio([5200, 4800, 0], [1, 1, 0]), 5.613613, 1e-6);
    expect(sampleRatioTest([5200, 4800, 0], [1, 1, 0])!.degrees).toBe(1);
    expect(lnESampleRatio([5000, 5000, 1], [1, 1, 0])).toBe(Number.POSITIVE_INFINITY);
    expect(sampleRatioTest([5000, 5000, 1], [1, 1, 0])!.p).toBe(0);
  });

  it('cannot be told from one arm or from nothing', () => {
    expect(sampleRatioTest([10], [1])).toBeNull();
    expect(sampleRatioTest([0, 0], [1, 1])).toBeNull();
    expect(lnESampleRatio([10], [1])).toBe(0);
    expect(() => lnESampleRatio([1, 2], [1])).toThrow(RangeError);
    expect(() => lnESampleRatio([1, 2], [1, -1])).toThrow(RangeError);
  });
});

describe('variance reduction by a covariate', () => {
  const control = { outcomes: [4, 6, 3, 10, 7, 5], covariates: [3, 5, 2, 8, 6, 4] };
  const treated = { outcomes: [6, 8, 5, 10, 7, 4], covariates: [4, 6, 3, 7, 5, 2] };

  it('narrows the difference', () => {
    const raw = meanDifference(sampleOf(control.outcomes), sampleOf(treated.outcomes));
    to(raw.estimate, 0.8333333, 1e-7);
    to(raw.standardError, 1.3437096, 1e-7);
    const got = cuped(control, treated);
    to(got.theta, 1.1303462, 1e-7);
    const adjusted = meanDifference(got.control, got.treated);
    to(adjusted.estimate, 1.0217244, 1e-7);
    to(adjusted.standardError, 0.1673046, 1e-7);
  });

  it('changes nothing where the covariate is constant', () => {
    const flat = (outcomes: readonly number[]) => ({ outcomes, covariates: outcomes.map(() => 1) });
    expect(cuped(flat([1, 2]), flat([3, 5])).theta).toBe(0);
  });
});
