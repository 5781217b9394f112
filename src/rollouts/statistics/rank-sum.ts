/**
 * The rank-sum test (Mann-Whitney), for reports only: it sees neither a shift in the tail nor a margin, and judges by it have passed
 * regressions of seventy-fold.
 */
import { findRoot, normalQuantile, normalTail } from '../../base/statistics/special-functions.ts';

/** Ranks from 1, ties sharing their mean; with the sizes of the groups of ties. */
function ranksOf(values: readonly number[]): { readonly ranks: readonly number[]; readonly ties: readonly number[] } {
  const order = values.map((_, place) => place).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Array<number>(values.length).fill(0);
  const ties: number[] = [];
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let at = from; at < to; at++) ranks[order[at]!] = (from + to + 1) / 2;
    ties.push(to - from);
    from = to;
  }
  return { ranks, ties };
}

/** U of x with the standardised distance from its mean, corrected for continuity and ties; z is 0 when all values are the same. */
function rankSum(x: readonly number[], y: readonly number[]): { readonly u: number; readonly z: number } {
  const { ranks, ties } = ranksOf([...x, ...y]);
  const n1 = x.length;
  const n2 = y.length;
  const all = n1 + n2;
  const u = ranks.slice(0, n1).reduce((sum, rank) => sum + rank, 0) - (n1 * (n1 + 1)) / 2;
  const tied = ties.reduce((sum, size) => sum + size ** 3 - size, 0);
  const spread = Math.sqrt(((n1 * n2) / 12) * (all + 1 - tied / (all * (all - 1))));
  const distance = u - (n1 * n2) / 2;
  if (spread === 0) return { u, z: 0 };
  return { u, z: (distance - Math.sign(distance) / 2) / spread };
}

/** @returns U of x, the two-sided p-value, and the common-language effect size: the chance that a value of x is above one of y */
export function mannWhitney(
  x: readonly number[],
  y: readonly number[],
): { readonly u: number; readonly p: number; readonly effectSize: number } {
  if (x.length === 0 || y.length === 0) throw new RangeError('both samples need a value');
  const { u, z } = rankSum(x, y);
  return { u, p: Math.min(1, 2 * normalTail(Math.abs(z))), effectSize: u / (x.length * y.length) };
}

/**
 * By how much x is shifted against y: the Hodges-Lehmann estimate and its interval, as roots of the standardised rank sum of x - shift.
 * Where the rank sum does not reach a root, the end of the range that shifts can have.
 */
export function rankShift(
  x: readonly number[],
  y: readonly number[],
  confidence = 0.98,
): { readonly estimate: number; readonly low: number; readonly high: number } {
  const from = Math.min(...x) - Math.max(...y);
  const to = Math.max(...x) - Math.min(...y);
  const distance = (shift: number): number =>
    rankSum(
      x.map((value) => value - shift),
      y,
    ).z;
  const root = (z: number): number => {
    if (distance(from) - z <= 0) return from;
    if (distance(to) - z >= 0) return to;
    return findRoot((shift) => distance(shift) - z, from, to, 1e-6);
  };
  const z = normalQuantile((1 + confidence) / 2);
  return { estimate: root(0), low: root(z), high: root(-z) };
}
