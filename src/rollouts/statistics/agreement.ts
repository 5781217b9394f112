/** How far two models agree on the same calls. `null`: cannot be said from these values. */
import type { Moments } from '../../serving/endpoints/arm-evidence.ts';

/** Share of pairs on the diagonal of a square table of counts. */
export function agreementShare(table: readonly (readonly number[])[]): number | null {
  const { total, same } = diagonalOf(table);
  return total === 0 ? null : same / total;
}

/** Cohen's kappa: agreement beyond chance. null where both always give the same one class, because chance explains it all. */
export function cohenKappa(table: readonly (readonly number[])[]): number | null {
  const { total, same } = diagonalOf(table);
  if (total === 0) return null;
  const chance = table.reduce((sum, row, at) => {
    const rows = row.reduce((s, count) => s + count, 0);
    const columns = table.reduce((s, other) => s + other[at]!, 0);
    return sum + (rows / total) * (columns / total);
  }, 0);
  return chance === 1 ? null : (same / total - chance) / (1 - chance);
}

function diagonalOf(table: readonly (readonly number[])[]): { total: number; same: number } {
  if (table.some((row) => row.length !== table.length)) throw new RangeError('the table is not square');
  return {
    total: table.flat().reduce((sum, count) => sum + count, 0),
    same: table.reduce((sum, row, at) => sum + row[at]!, 0),
  };
}

/** A table from counts by `first>second`; classes in the order in which they are met. */
export function tableOf(counts: Readonly<Record<string, number>>): { classes: string[]; table: number[][] } {
  const pairs = Object.entries(counts).map(([key, count]) => {
    const at = key.indexOf('>');
    return { first: key.slice(0, at), second: key.slice(at + 1), count };
  });
  const classes = [...new Set(pairs.flatMap(({ first, second }) => [first, second]))];
  const table = classes.map(() => classes.map(() => 0));
  for (const { first, second, count } of pairs) table[classes.indexOf(first)]![classes.indexOf(second)]! += count;
  return { classes, table };
}

/** Mean of second minus first. */
export function bias(first: readonly number[], second: readonly number[]): number | null {
  return meanOver(first, second, (a, b) => b - a);
}

/** Mean absolute difference. */
export function meanAbsoluteDifference(first: readonly number[], second: readonly number[]): number | null {
  return meanOver(first, second, (a, b) => Math.abs(b - a));
}

/** The absolute difference that a share p of the pairs does not exceed (nearest rank). */
export function absoluteDifferenceQuantile(
  first: readonly number[],
  second: readonly number[],
  p: number,
): number | null {
  assertPaired(first, second);
  if (first.length === 0) return null;
  const sorted = first.map((value, at) => Math.abs(second[at]! - value)).sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * p) - 1)]!;
}

/** Share of pairs that differ by more than `absolute` and by more than `relative` times the first. */
export function differingShare(
  first: readonly number[],
  second: readonly number[],
  { absolute, relative }: { readonly absolute: number; readonly relative: number },
): number | null {
  return meanOver(first, second, (a, b) => {
    const difference = Math.abs(b - a);
    return difference > absolute && difference > relative * Math.abs(a) ? 1 : 0;
  });
}

/** Lin's concordance (1989): 2 cov / (var1 + var2 + (mean1 - mean2)^2), with moments divided by n. null where both are the same constant. */
export function concordance(first: readonly number[], second: readonly number[]): number | null {
  assertPaired(first, second);
  const n = first.length;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / n;
  const m1 = mean(first);
  const m2 = mean(second);
  const squares = (values: readonly number[], m: number) => values.reduce((sum, value) => sum + (value - m) ** 2, 0);
  return concordanceOfMoments(
    { n, mean: m1, m2: squares(first, m1) },
    { n, mean: m2, m2: squares(second, m2) },
    first.reduce((sum, value, at) => sum + (value - m1) * (second[at]! - m2), 0),
  );
}

/** The same from running moments and the co-moment, which is all that a shadow keeps. */
export function concordanceOfMoments(first: Moments, second: Moments, comoment: number): number | null {
  if (first.n === 0) return null;
  const below = first.m2 + second.m2 + first.n * (first.mean - second.mean) ** 2;
  return below === 0 ? null : (2 * comoment) / below;
}

function meanOver(
  first: readonly number[],
  second: readonly number[],
  of: (a: number, b: number) => number,
): number | null {
  assertPaired(first, second);
  if (first.length === 0) return null;
  return first.reduce((sum, value, at) => sum + of(value, second[at]!), 0) / first.length;
}

function assertPaired(first: readonly unknown[], second: readonly unknown[]): void {
  if (first.length !== second.length) throw new RangeError('pairs are needed: as many values of both');
}

/** Jensen-Shannon distance of two distributions: the root of the divergence, by the natural logarithm (at most sqrt(ln 2)) or another base. */
export function jensenShannonDistance(p: readonly number[], q: readonly number[], base = Math.E): number | null {
  const [a, b] = [sharesOf(p), sharesOf(q)];
  if (a === null || b === null) return null;
  const divergence = (of: readonly number[]) =>
    of.reduce((sum, share, at) => (share === 0 ? sum : sum + share * Math.log((2 * share) / (a[at]! + b[at]!))), 0);
  return Math.sqrt(Math.max(0, (divergence(a) + divergence(b)) / 2 / Math.log(base)));
}

/**
 * Population stability index: sum of (p - q) ln(p / q). Empty bins have no logarithm: shares below `floor` count as `floor`.
 * The floor is part of the metric: other floors give other values.
 */
export function populationStabilityIndex(p: readonly number[], q: readonly number[], floor = 1e-4): number | null {
  const [a, b] = [sharesOf(p), sharesOf(q)];
  if (a === null || b === null) return null;
  return a.reduce((sum, share, at) => {
    const [x, y] = [Math.max(share, floor), Math.max(b[at]!, floor)];
    return sum + (x - y) * Math.log(x / y);
  }, 0);
}

function sharesOf(counts: readonly number[]): number[] | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return total > 0 ? counts.map((count) => count / total) : null;
}
