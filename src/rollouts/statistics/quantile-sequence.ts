/** Confidence sequences for quantiles: which order statistics surely enclose one, at every time at once. */
import { lnBeta } from '../../base/statistics/special-functions.ts';

/** Strength of the mixture's prior. */
const NU = 20;

/**
 * ln of the e-value against "the p-quantile has k of n observations at or below": the count is binomial(n, p), tested by a beta mixture
 * with mean p. Inverting it gives the interval. Same idea as Howard & Ramdas 2022, with another mixture.
 */
export function lnEQuantile(k: number, n: number, p: number, nu: number = NU): number {
  const a = nu * p;
  const b = nu * (1 - p);
  return lnBeta(a + k, b + n - k) - lnBeta(a, b) - k * Math.log(p) - (n - k) * Math.log1p(-p);
}

/**
 * Ranks of the order statistics that enclose the p-quantile of n observations.
 * @returns `[low, high]`: X(low) to X(high), counted from 1; 0 and n + 1 stand for no bound on that side
 */
export function quantileRanks(
  n: number,
  p: number,
  alpha: number,
  nu: number = NU,
): readonly [low: number, high: number] {
  if (n === 0) return [0, 1];
  const bound = -Math.log(alpha);
  const isPossible = (k: number): boolean => lnEQuantile(k, n, p, nu) < bound;
  // ln E is convex in k and least near np, so the possible ranks are one run that has np in it.
  const centre = Math.min(n, Math.max(0, Math.round(n * p)));
  const low = firstWhere(isPossible, 0, centre);
  const high = n - firstWhere((k) => isPossible(n - k), 0, n - centre);
  return [low, high + 1];
}

/** The least k for which it holds, where it holds at `to` and from some k on. */
function firstWhere(holds: (k: number) => boolean, from: number, to: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The interval of a quantile from counts between edges: as wide as the buckets are.
 * @param counts one more than edges: the last counts values above the last edge
 * @returns estimate and bounds as upper and lower edges of their buckets; null without observations. Infinity: above the last edge
 */
export function quantileOfCounts(
  edges: readonly number[],
  counts: readonly number[],
  p: number,
  alpha: number,
): { readonly estimate: number; readonly low: number; readonly high: number } | null {
  const n = counts.reduce((sum, count) => sum + count, 0);
  if (n === 0) return null;
  const [low, high] = quantileRanks(n, p, alpha);
  const upper = (rank: number): number => {
    let seen = 0;
    for (let place = 0; place < counts.length; place++) {
      seen += counts[place]!;
      if (seen >= rank) return edges[place] ?? Number.POSITIVE_INFINITY;
    }
    return Number.POSITIVE_INFINITY;
  };
  const lower = (rank: number): number => {
    let seen = 0;
    for (let place = 0; place < counts.length; place++) {
      seen += counts[place]!;
      if (seen >= rank) return place === 0 ? 0 : edges[place - 1]!;
    }
    return edges.at(-1) ?? 0;
  };
  return {
    estimate: upper(Math.max(1, Math.ceil(n * p))),
    low: low <= 0 ? 0 : lower(low),
    high: high > n ? Number.POSITIVE_INFINITY : upper(high),
  };
}
