/** How far two rankings agree: lists of items, best first, without repetition. */

/** Share of the first k of one that are among the first k of the other. */
export function overlapAtK(first: readonly unknown[], second: readonly unknown[], k: number): number | null {
  const depth = Math.min(k, Math.max(first.length, second.length));
  if (depth === 0) return null;
  const seen = new Set(first.slice(0, depth));
  return second.slice(0, depth).filter((item) => seen.has(item)).length / depth;
}

/**
 * Rank-biased overlap, extrapolated (Webber, Moffat & Zobel 2010, equation 32): agreement at each depth weighted by p^depth, as if it went on
 * as at the end. Lists may differ in length.
 */
export function rankBiasedOverlap(first: readonly unknown[], second: readonly unknown[], p = 0.9): number | null {
  const [short, long] = first.length <= second.length ? [first, second] : [second, first];
  const s = short.length;
  const l = long.length;
  if (l === 0) return null;
  if (s === 0) return 0;
  const inShort = new Set<unknown>();
  const inLong = new Set<unknown>();
  let common = 0;
  let commonAtShort = 0;
  let sum = 0;
  for (let depth = 1; depth <= l; depth++) {
    const item = long[depth - 1];
    inLong.add(item);
    if (depth <= s) {
      const other = short[depth - 1];
      inShort.add(other);
      if (other === item) common++;
      else common += (inShort.has(item) ? 1 : 0) + (inLong.has(other) ? 1 : 0);
      if (depth === s) commonAtShort = common;
    } else if (inShort.has(item)) common++;
    sum += (common / depth) * p ** depth;
    if (depth > s) sum += ((commonAtShort * (depth - s)) / (s * depth)) * p ** depth;
  }
  return ((1 - p) / p) * sum + ((common - commonAtShort) / l + commonAtShort / s) * p ** l;
}

/** Kendall's tau over the items that both have; null with fewer than two. */
export function kendallTau(first: readonly unknown[], second: readonly unknown[]): number | null {
  const places = new Map(second.map((item, at) => [item, at]));
  const shared = first.flatMap((item) => places.get(item) ?? []);
  const n = shared.length;
  if (n < 2) return null;
  // Pairs in order minus pairs out of order; inversions are counted by merging, so that lists may be long.
  const pairs = (n * (n - 1)) / 2;
  return (pairs - 2 * inversionsOf(shared)) / pairs;
}

function inversionsOf(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const sorted = [...values];
  const spare = new Array<number>(values.length);
  let inversions = 0;
  for (let width = 1; width < sorted.length; width *= 2) {
    for (let from = 0; from < sorted.length; from += 2 * width) {
      const middle = Math.min(from + width, sorted.length);
      const to = Math.min(from + 2 * width, sorted.length);
      let left = from;
      let right = middle;
      for (let at = from; at < to; at++) {
        if (left < middle && (right >= to || sorted[left]! <= sorted[right]!)) spare[at] = sorted[left++]!;
        else {
          inversions += middle - left;
          spare[at] = sorted[right++]!;
        }
      }
      for (let at = from; at < to; at++) sorted[at] = spare[at]!;
    }
  }
  return inversions;
}

/** Whether the first place differs; null where one is empty. */
export function isTopChanged(first: readonly unknown[], second: readonly unknown[]): boolean | null {
  return first.length === 0 || second.length === 0 ? null : first[0] !== second[0];
}

/** Shares of exposure by group: places weighted by 1 / log2(1 + place), so that what is seen more counts more. */
export function groupExposure<T>(ranking: readonly T[], groupOf: (item: T) => string): Record<string, number> {
  const exposure = new Map<string, number>();
  let total = 0;
  ranking.forEach((item, at) => {
    const weight = 1 / Math.log2(at + 2);
    total += weight;
    exposure.set(groupOf(item), (exposure.get(groupOf(item)) ?? 0) + weight);
  });
  return Object.fromEntries([...exposure].map(([group, weight]) => [group, weight / total]));
}
