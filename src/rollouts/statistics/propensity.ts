/** Probabilities of choices, and what can be said of another policy from choices whose probability was logged. */

/** Every choice at least `floor`, the order kept: f + (1 - k f) q. */
export function withFloor(probabilities: readonly number[], floor: number): number[] {
  const rest = 1 - probabilities.length * floor;
  if (rest < 0) throw new RangeError(`${probabilities.length} choices cannot all have ${floor}`);
  return probabilities.map((q) => floor + rest * q);
}

/** Every choice at least epsilon / k, by the nearest such point of the simplex (Euclidean projection), as Vowpal Wabbit does. */
export function withLeastProbability(probabilities: readonly number[], epsilon: number): number[] {
  const k = probabilities.length;
  const least = epsilon / k;
  const sorted = [...probabilities].sort((a, b) => b - a);
  let sum = 0;
  let shift = 0;
  for (let count = 1; count <= k; count++) {
    const value = sorted[count - 1]!;
    sum += value;
    // if the `count` largest stay free and the others lie at the least value, all free ones are lowered by this much
    const lowered = (sum + (k - count) * least - 1) / count;
    if (count === 1 || value - lowered > least) shift = lowered;
  }
  return probabilities.map((p) => Math.max(p - shift, least));
}

/** One choice with 1 - epsilon, and epsilon spread over all. */
export function epsilonGreedy(k: number, best: number, epsilon: number): number[] {
  return Array.from({ length: k }, (_, at) => epsilon / k + (at === best ? 1 - epsilon : 0));
}

/** Less than this many independent choices say nothing of another policy. */
export const LEAST_EFFECTIVE_SIZE = 100;

/**
 * What another policy would have earned, by weighting each logged choice with its probability there over its logged one.
 * @returns ips (unbiased), snips (self-normalised) and the effective sample size; `isTrustworthy` is false where the logs do not reach
 * @throws RangeError where a logged probability is not above 0: such logs cannot be weighted, now or later
 */
export function inversePropensity(
  rewards: readonly number[],
  logged: readonly number[],
  evaluated: readonly number[],
): { readonly ips: number; readonly snips: number; readonly effectiveSize: number; readonly isTrustworthy: boolean } {
  if (rewards.length !== logged.length || rewards.length !== evaluated.length || rewards.length === 0)
    throw new RangeError('each reward needs its two probabilities');
  if (logged.some((p) => !(p > 0 && p <= 1))) throw new RangeError('a logged probability is not in (0, 1]');
  const weights = evaluated.map((p, at) => p / logged[at]!);
  const sum = weights.reduce((total, w) => total + w, 0);
  const squares = weights.reduce((total, w) => total + w * w, 0);
  const earned = weights.reduce((total, w, at) => total + w * rewards[at]!, 0);
  const effectiveSize = squares === 0 ? 0 : (sum * sum) / squares;
  return {
    ips: earned / rewards.length,
    snips: sum === 0 ? Number.NaN : earned / sum,
    effectiveSize,
    isTrustworthy: effectiveSize >= LEAST_EFFECTIVE_SIZE,
  };
}
