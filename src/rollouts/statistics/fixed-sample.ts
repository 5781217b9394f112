/**
 * Tests for one look at a sample whose size was fixed before. For reports and for planning: none of them decides a gate, because gates are looked
 * at every second, and a z test that is looked at often calls one healthy canary in three a failure.
 */
import {
  binomialCdf,
  lnChoose,
  normalQuantile,
  normalTail,
  studentTwoSided,
  studentTwoSidedQuantile,
} from '../../base/statistics/special-functions.ts';
import type { Sample } from './confidence-sequence.ts';

export type Interval = readonly [low: number, high: number];

/** Difference of proportions (second minus first), pooled z, with the Wald interval. */
export function twoProportionZ(
  x1: number,
  n1: number,
  x2: number,
  n2: number,
  alpha = 0.05,
): { readonly z: number; readonly p: number; readonly pOneSided: number; readonly interval: Interval } {
  const p1 = x1 / n1;
  const p2 = x2 / n2;
  const pooled = (x1 + x2) / (n1 + n2);
  const spread = Math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2));
  // Nothing or everything failed on both sides: there is no difference to see.
  const z = spread === 0 ? 0 : (p2 - p1) / spread;
  const half = normalQuantile(1 - alpha / 2) * Math.sqrt((p1 * (1 - p1)) / n1 + (p2 * (1 - p2)) / n2);
  return { z, p: 2 * normalTail(Math.abs(z)), pOneSided: normalTail(z), interval: [p2 - p1 - half, p2 - p1 + half] };
}

/** z of "the second proportion is at most `margin` above the first". */
export function nonInferiorityZ(x1: number, n1: number, x2: number, n2: number, margin: number): number {
  const p1 = x1 / n1;
  const p2 = x2 / n2;
  return (p2 - p1 - margin) / Math.sqrt((p1 * (1 - p1)) / n1 + (p2 * (1 - p2)) / n2);
}

/** Wilson's score interval of one proportion. */
export function wilson(x: number, n: number, alpha = 0.05): Interval {
  const z = normalQuantile(1 - alpha / 2);
  const share = x / n;
  const scale = 1 + (z * z) / n;
  const centre = (share + (z * z) / (2 * n)) / scale;
  const half = (z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n))) / scale;
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/** Newcombe's interval (1998, method 10) of a difference of proportions, from two Wilson intervals. */
export function newcombe(x1: number, n1: number, x2: number, n2: number, alpha = 0.05): Interval {
  const [low1, high1] = wilson(x1, n1, alpha);
  const [low2, high2] = wilson(x2, n2, alpha);
  const p1 = x1 / n1;
  const p2 = x2 / n2;
  return [p2 - p1 - Math.hypot(p2 - low2, high1 - p1), p2 - p1 + Math.hypot(high2 - p2, p1 - low1)];
}

/** Fisher's exact test of x1 of n1 against x2 of n2, two-sided: all tables that are no likelier than this one. Where an expected cell is below 5. */
export function fisherExact(x1: number, n1: number, x2: number, n2: number): number {
  const hits = x1 + x2;
  const all = lnChoose(n1 + n2, hits);
  const chance = (k: number): number => Math.exp(lnChoose(n1, k) + lnChoose(n2, hits - k) - all);
  const here = chance(x1);
  let p = 0;
  for (let k = Math.max(0, hits - n2); k <= Math.min(n1, hits); k++) {
    const other = chance(k);
    // tables that are equally likely may differ in the last digits
    if (other <= here * (1 + 1e-7)) p += other;
  }
  return Math.min(1, p);
}

/** The largest rate that fits no event in n at this confidence: 1 - alpha^(1/n), about 3 / n. */
export function upperLimitOfNone(n: number, alpha = 0.05): number {
  return -Math.expm1(Math.log(alpha) / n);
}

/** Welch's t test, second minus first. */
export function welch(
  first: Sample,
  second: Sample,
  alpha = 0.05,
): {
  readonly difference: number;
  readonly standardError: number;
  readonly t: number;
  readonly degrees: number;
  readonly p: number;
  readonly interval: Interval;
} {
  const a = first.variance / first.n;
  const b = second.variance / second.n;
  const difference = second.mean - first.mean;
  const standardError = Math.sqrt(a + b);
  const degrees = (a + b) ** 2 / (a ** 2 / (first.n - 1) + b ** 2 / (second.n - 1));
  const t = difference / standardError;
  const half = studentTwoSidedQuantile(alpha, degrees) * standardError;
  return {
    difference,
    standardError,
    t,
    degrees,
    p: studentTwoSided(t, degrees),
    interval: [difference - half, difference + half],
  };
}

/** Calls that each of two arms needs, to tell two proportions apart with this power in one look. */
export function samplesPerArm(p1: number, p2: number, alpha = 0.05, power = 0.8): number {
  const za = normalQuantile(1 - alpha / 2);
  const zb = normalQuantile(power);
  const middle = (p1 + p2) / 2;
  const spread = za * Math.sqrt(2 * middle * (1 - middle)) + zb * Math.sqrt(p1 * (1 - p1) + p2 * (1 - p2));
  return Math.ceil(spread ** 2 / (p2 - p1) ** 2);
}

/** Exact McNemar test on pairs of which only one model was right, two-sided. */
export function mcNemarExact(onlyFirst: number, onlySecond: number): number {
  const n = onlyFirst + onlySecond;
  if (n === 0) return 1;
  return Math.min(1, 2 * binomialCdf(Math.min(onlyFirst, onlySecond), n, 0.5));
}

/** Statsig's sequential probability ratio test, for comparison: it needs an effect to look for, and does not see the direction. */
export function lnLikelihoodRatioSprt(z: number, effect: number): number {
  return effect * Math.abs(z) - effect ** 2 / 2;
}
