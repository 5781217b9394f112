/**
 * DDSketch (Masson, Rim, Lee 2019, VLDB 12): quantiles of numbers with a bounded relative error on the value. A number x lies in bucket
 * ⌈log_γ x⌉ with γ = (1 + α)/(1 - α), and a bucket stands for 2γ^i/(γ + 1), which is off by at most the share α. Negative numbers have
 * buckets of their own, by their size; zero is counted apart.
 *
 * Merging adds counts, so it is exact, in any order and tree. That needs bounds that are the same everywhere: sizes outside of
 * [10^-12, 10^15] are counted in the outermost bucket, where the error is not bounded.
 */
export const DD_ALPHA = 0.01;
const GAMMA = (1 + DD_ALPHA) / (1 - DD_ALPHA);
const LOG_GAMMA = Math.log(GAMMA);
export const DD_MIN_INDEX = Math.ceil(Math.log(1e-12) / LOG_GAMMA);
export const DD_MAX_INDEX = Math.ceil(Math.log(1e15) / LOG_GAMMA);

/** Counts of neighbouring buckets: that of bucket `first + k` at place k. */
export type DdBuckets = { first: number; counts: Float64Array; total: number };
export type DdSketch = { zeros: number; readonly positive: DdBuckets; readonly negative: DdBuckets };

export function createDdSketch(): DdSketch {
  const none = (): DdBuckets => ({ first: 0, counts: new Float64Array(0), total: 0 });
  return { zeros: 0, positive: none(), negative: none() };
}

/** Bucket of a number above 0. */
export function ddIndexOf(x: number): number {
  const index = Math.ceil(Math.log(x) / LOG_GAMMA);
  return index < DD_MIN_INDEX ? DD_MIN_INDEX : index > DD_MAX_INDEX ? DD_MAX_INDEX : index;
}

/** The number that a bucket stands for. */
export function ddValueOf(index: number): number {
  return (2 * Math.exp(index * LOG_GAMMA)) / (GAMMA + 1);
}

/** The largest number of a bucket. */
export function ddUpperEdgeOf(index: number): number {
  return Math.exp(index * LOG_GAMMA);
}

/** Adds a finite number. */
export function addToDdSketch(sketch: DdSketch, x: number, count = 1): void {
  if (x > 0) addToBucket(sketch.positive, ddIndexOf(x), count);
  else if (x < 0) addToBucket(sketch.negative, ddIndexOf(-x), count);
  else sketch.zeros += count;
}

/** Counts are added up; a negative one takes values away that were added before. */
export function addToBucket(buckets: DdBuckets, index: number, count: number): void {
  const at = index - buckets.first;
  if (at < 0 || at >= buckets.counts.length) grow(buckets, index, index);
  buckets.counts[index - buckets.first]! += count;
  buckets.total += count;
}

/** Room is made in steps, so that growing bucket by bucket does not copy each time. */
const STEP = 32;

function grow(buckets: DdBuckets, low: number, high: number): void {
  const { first, counts } = buckets;
  const from = counts.length === 0 ? low - STEP / 2 : Math.min(first, low < first ? low - STEP : first);
  const end = first + counts.length;
  const to = counts.length === 0 ? high + STEP / 2 : Math.max(end, high >= end ? high + 1 + STEP : end);
  const next = new Float64Array(to - from);
  next.set(counts, counts.length === 0 ? 0 : first - from);
  buckets.first = from;
  buckets.counts = next;
}

/** Adds the second to the first. */
export function mergeDdInto(into: DdSketch, from: DdSketch): void {
  into.zeros += from.zeros;
  mergeBuckets(into.positive, from.positive);
  mergeBuckets(into.negative, from.negative);
}

function mergeBuckets(into: DdBuckets, from: DdBuckets): void {
  const { first, counts } = from;
  let low = 0;
  let high = counts.length - 1;
  while (low <= high && counts[low] === 0) low += 1;
  while (high >= low && counts[high] === 0) high -= 1;
  if (low > high) return;
  if (into.counts.length === 0 || first + low < into.first || first + high >= into.first + into.counts.length) {
    grow(into, first + low, first + high);
  }
  for (let at = low; at <= high; at++) into.counts[first + at - into.first]! += counts[at]!;
  into.total += from.total;
}

export function ddCount(sketch: DdSketch): number {
  return sketch.negative.total + sketch.zeros + sketch.positive.total;
}

/**
 * The value at rank q·(n - 1), counted from the smallest, off by at most the share α of it.
 * @param q from 0 to 1
 * @returns null for an empty sketch
 */
export function ddQuantile(sketch: DdSketch, q: number): number | null {
  const n = ddCount(sketch);
  if (n === 0 || !(q >= 0 && q <= 1)) return null;
  const rank = q * (n - 1);
  const { negative, positive, zeros } = sketch;
  if (rank < negative.total) return -ddValueOf(indexAtRank(negative, negative.total - 1 - rank, true));
  if (rank < negative.total + zeros) return 0;
  return ddValueOf(indexAtRank(positive, rank - negative.total - zeros, false));
}

/** @param inclusive whether the rank is counted from the other end, where it rounds the other way */
function indexAtRank({ first, counts }: DdBuckets, rank: number, inclusive: boolean): number {
  let below = 0;
  for (let at = 0; at < counts.length; at++) {
    below += counts[at]!;
    if (inclusive ? below >= rank + 1 : below > rank) return first + at;
  }
  return first + counts.length - 1;
}

/** Share of values at or below x, as the buckets tell it. Null for an empty sketch. */
export function ddShareUpTo(sketch: DdSketch, x: number): number | null {
  const n = ddCount(sketch);
  if (n === 0) return null;
  const { negative, positive, zeros } = sketch;
  let up = 0;
  for (let at = 0; at < negative.counts.length; at++) {
    if (-ddValueOf(negative.first + at) <= x) up += negative.counts[at]!;
  }
  if (x >= 0) up += zeros;
  for (let at = 0; at < positive.counts.length; at++) {
    if (ddValueOf(positive.first + at) <= x) up += positive.counts[at]!;
  }
  return up / n;
}
