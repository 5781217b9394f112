/** Beta-binomial posteriors: for display and for choices by cost. Not safe against repeated looks, so no gate is judged by them. */
import { betaCdf, integrate, lnBeta } from '../../base/statistics/special-functions.ts';

export type BetaPosterior = readonly [a: number, b: number];

/** With the flat prior Beta(1, 1). */
export function posterior(events: number, exposures: number): BetaPosterior {
  return [1 + events, 1 + exposures - events];
}

function betaDensity(x: number, [a, b]: BetaPosterior): number {
  if (x <= 0 || x >= 1) return 0;
  return Math.exp((a - 1) * Math.log(x) + (b - 1) * Math.log1p(-x) - lnBeta(a, b));
}

/** Where nearly all of a posterior lies: twelve standard deviations around its mean. */
function supportOf([a, b]: BetaPosterior): [number, number] {
  const mean = a / (a + b);
  const spread = Math.sqrt((mean * (1 - mean)) / (a + b + 1));
  return [Math.max(0, mean - 12 * spread), Math.min(1, mean + 12 * spread)];
}

function meanOf([a, b]: BetaPosterior): number {
  return a / (a + b);
}

/** P(second > ratio x first). */
export function probabilityGreater(first: BetaPosterior, second: BetaPosterior, ratio = 1): number {
  return integrate((p) => betaDensity(p, second) * betaCdf(p / ratio, ...first), ...supportOf(second));
}

/** E[(second - first)+] = m2 P(second' > first) - m1 P(second > first'), where ' adds one event. */
export function expectedExcess(first: BetaPosterior, second: BetaPosterior): number {
  const oneMore = ([a, b]: BetaPosterior): BetaPosterior => [a + 1, b];
  return (
    meanOf(second) * probabilityGreater(first, oneMore(second)) -
    meanOf(first) * probabilityGreater(oneMore(first), second)
  );
}

/** For each arm the probability that its rate is the highest: what Thompson sampling plays. */
export function probabilityBest(arms: readonly BetaPosterior[]): number[] {
  return arms.map((arm, place) =>
    integrate(
      (p) =>
        arms.reduce(
          (product, other, at) => (at === place ? product : product * betaCdf(p, ...other)),
          betaDensity(p, arm),
        ),
      ...supportOf(arm),
    ),
  );
}
