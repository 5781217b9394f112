/** Lan-DeMets bounds for looks whose share of the final information is known: for experiments with a planned end. */
import {
  findRoot,
  normalCdf,
  normalDensity,
  normalQuantile,
  normalTail,
} from '../../base/statistics/special-functions.ts';

/** How much of alpha may be spent by a share t of the information. */
export type Spending = (t: number, alpha: number) => number;

/**
 * In the manner of O'Brien and Fleming, each side by itself: 4 (1 - Phi(z(alpha / 4) / sqrt t)). Spending the two-sided alpha
 * through z(alpha / 2) instead is a known trap: its first bound is 3.92 where 4.33 is right.
 */
export const obrienFleming: Spending = (t, alpha) => 4 * normalTail(normalQuantile(1 - alpha / 4) / Math.sqrt(t));

/** In the manner of Pocock: alpha ln(1 + (e - 1) t). */
export const pocock: Spending = (t, alpha) => alpha * Math.log(1 + (Math.E - 1) * t);

const PANELS = 1000;

/**
 * Two-sided bounds on |Z| for looks at shares `times` of the information, the last usually 1. The density of those that have not crossed
 * is carried from look to look on the scale of S ~ N(0, t), by Simpson's rule.
 */
export function groupSequentialBounds(times: readonly number[], alpha: number, spend: Spending): number[] {
  const bounds: number[] = [];
  let grid: { readonly at: number; readonly mass: number }[] = [{ at: 0, mass: 1 }];
  let previous = 0;
  let spent = 0;
  for (const time of times) {
    if (!(time > previous)) throw new RangeError('looks follow one another');
    const spread = Math.sqrt(time - previous);
    const target = spend(time, alpha);
    const crossed = (bound: number): number => {
      const edge = bound * Math.sqrt(time);
      return grid.reduce(
        (sum, { at, mass }) => sum + mass * (normalTail((edge - at) / spread) + normalCdf((-edge - at) / spread)),
        0,
      );
    };
    const bound = findRoot((z) => crossed(z) - (target - spent), 0.2, 12, 1e-9);
    bounds.push(bound);
    const edge = bound * Math.sqrt(time);
    const width = (2 * edge) / PANELS;
    const before = grid;
    grid = Array.from({ length: PANELS + 1 }, (_, place) => {
      const at = -edge + place * width;
      const density = before.reduce((sum, one) => sum + (one.mass * normalDensity((at - one.at) / spread)) / spread, 0);
      const weight = place === 0 || place === PANELS ? 1 : place % 2 === 1 ? 4 : 2;
      return { at, mass: (density * weight * width) / 3 };
    });
    previous = time;
    spent = target;
  }
  return bounds;
}
