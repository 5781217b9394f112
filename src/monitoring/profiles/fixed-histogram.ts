/**
 * Counts between fixed edges, made from the reference once, so that the scores of two windows can be compared. With k + 1 edges there are k
 * bins [edge, next edge), the last one closed, and one on each side for what lies outside.
 */
export type HistogramEdges = {
  /** Grows with every new reference of a version: the newer edges win when two meet. */
  readonly revision: number;
  /** Ascending, at least one. */
  readonly at: Float64Array;
};

export type FixedHistogram = { readonly edges: HistogramEdges; readonly counts: Float64Array };

export function createFixedHistogram(edges: HistogramEdges): FixedHistogram {
  return { edges, counts: new Float64Array(edges.at.length + 1) };
}

/** Place of a finite number in `counts`: 0 below the first edge, `edges.length` above the last. */
export function binOf(at: Float64Array, x: number): number {
  const last = at.length - 1;
  if (x === at[last]!) return last === 0 ? 1 : last;
  let low = 0;
  let high = at.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (at[middle]! <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function addToHistogram(histogram: FixedHistogram, x: number): void {
  histogram.counts[binOf(histogram.edges.at, x)]! += 1;
}

/** Counts add up where the edges are the same; of two references the newer one's counts are kept, whoever comes first. */
export function mergeHistograms(a: FixedHistogram | null, b: FixedHistogram | null): FixedHistogram | null {
  if (a === null || b === null) return a ?? b;
  if (a.edges.revision !== b.edges.revision) return a.edges.revision > b.edges.revision ? a : b;
  return { edges: a.edges, counts: a.counts.map((count, at) => count + b.counts[at]!) };
}
