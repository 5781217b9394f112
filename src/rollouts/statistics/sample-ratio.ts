/** Sample-ratio mismatch: whether arms got the share of units that they should have. A mismatch says that something loses or adds some. */
import { chiSquaredTail, lnGamma } from '../../base/statistics/special-functions.ts';

/**
 * Pearson's chi-squared over arms with weight above 0; valid for one look. Arms of weight 0 that got anybody are a mismatch for certain.
 * @returns null where there is nothing to compare: fewer than two arms, or no units
 */
export function sampleRatioTest(
  counts: readonly number[],
  weights: readonly number[],
): { readonly chiSquared: number; readonly degrees: number; readonly p: number } | null {
  const arms = pairsOf(counts, weights);
  const total = arms.reduce((sum, arm) => sum + arm.count, 0);
  if (arms.length < 2 || total === 0) return null;
  if (hasForbidden(counts, weights)) return { chiSquared: Number.POSITIVE_INFINITY, degrees: arms.length - 1, p: 0 };
  const chiSquared = arms.reduce((sum, arm) => {
    const expected = arm.share * total;
    return sum + (arm.count - expected) ** 2 / expected;
  }, 0);
  return { chiSquared, degrees: arms.length - 1, p: chiSquaredTail(chiSquared, arms.length - 1) };
}

/** Strength of the Dirichlet prior around the weights. */
const NU = 100;

/**
 * ln E of the sequential test (Lindon & Malek 2022): a Dirichlet-multinomial mixture against the weights. May be looked at after every
 * unit. Per stage and epoch only: weights that change in between would be a mismatch by themselves.
 * @returns 0 where there is nothing to compare; Infinity where an arm of weight 0 got anybody
 */
export function lnESampleRatio(counts: readonly number[], weights: readonly number[], nu: number = NU): number {
  const arms = pairsOf(counts, weights);
  if (hasForbidden(counts, weights)) return Number.POSITIVE_INFINITY;
  const total = arms.reduce((sum, arm) => sum + arm.count, 0);
  if (arms.length < 2 || total === 0) return 0;
  return arms.reduce(
    (sum, { count, share }) => sum + lnGamma(nu * share + count) - lnGamma(nu * share) - count * Math.log(share),
    lnGamma(nu) - lnGamma(nu + total),
  );
}

function pairsOf(counts: readonly number[], weights: readonly number[]): { count: number; share: number }[] {
  if (counts.length !== weights.length) throw new RangeError('as many weights as counts are needed');
  if (weights.some((weight) => !(weight >= 0))) throw new RangeError('weights are not negative');
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return counts.map((count, place) => ({ count, share: weights[place]! / sum })).filter((arm) => arm.share > 0);
}

function hasForbidden(counts: readonly number[], weights: readonly number[]): boolean {
  return counts.some((count, place) => count > 0 && weights[place] === 0);
}
