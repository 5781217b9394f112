/**
 * The edges between which a version's values are counted from now on, of what its reference is known to hold: the smallest value, about the
 * quantiles, and the largest. Edges lie where buckets of the sketch meet, so that the reference's own counts are exact without its values.
 */
import type { ColumnProfile } from './column-profile.ts';
import { DD_MIN_INDEX, type DdSketch, ddUpperEdgeOf } from './dd-sketch.ts';
import type { FixedHistogram } from './fixed-histogram.ts';

const BINS = 20;
/** Values that a bucket's limit hits stay in the bucket, whatever the last digit of a logarithm says. */
const ABOVE = 1 + 1e-12;

/** @returns null where there are no finite numbers, lengths of texts or of vectors */
export function referenceHistogram({ moments, sketch }: ColumnProfile, revision: number): FixedHistogram | null {
  const { n, min, max } = moments;
  if (n === 0) return null;
  const at = [min];
  const counts = [0]; // below the smallest there is nothing
  let inBin = 0;
  let seen = 0;
  for (const { end, count } of bucketsOf(sketch)) {
    inBin += count;
    seen += count;
    if (seen < (at.length * n) / BINS || end <= at.at(-1)! || end >= max) continue;
    at.push(end);
    counts.push(inBin);
    inBin = 0;
  }
  if (max > min) {
    at.push(max);
    counts.push(inBin, 0);
  } else counts.push(inBin);
  return { edges: { revision, at: Float64Array.from(at) }, counts: Float64Array.from(counts) };
}

/** Buckets from the smallest values to the largest, each with the number below which its values lie. */
function* bucketsOf({ negative, zeros, positive }: DdSketch): Generator<{ end: number; count: number }> {
  for (let k = negative.counts.length - 1; k >= 0; k--) {
    const count = negative.counts[k]!;
    const index = negative.first + k;
    // The bucket nearest to zero has all that is smaller too.
    if (count !== 0) yield { end: index === DD_MIN_INDEX ? 0 : -ddUpperEdgeOf(index - 1) * ABOVE, count };
  }
  if (zeros !== 0) yield { end: Number.MIN_VALUE, count: zeros };
  for (let k = 0; k < positive.counts.length; k++) {
    const count = positive.counts[k]!;
    if (count !== 0) yield { end: ddUpperEdgeOf(positive.first + k) * ABOVE, count };
  }
}
