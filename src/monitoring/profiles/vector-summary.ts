/**
 * Embeddings and other wide tensors as one thing: the mean vector, and the covariance as seen through a fixed random projection to a few
 * dimensions (signs of ±1/√d, as Achlioptas 2003), as plain sums, which add up in any order and tree.
 */
import { randomNumbers } from '../../base/random-numbers.ts';

export const PROJECTED = 8;
/** Means of more dimensions than this are kept of the first ones only. */
export const MAX_MEAN_DIMENSIONS = 1024;
const SEED = 0x5117;

export type VectorSummary = {
  readonly dimensions: number;
  n: number;
  /** Of each dimension, the first `MAX_MEAN_DIMENSIONS`. */
  readonly sums: Float64Array;
  /** Of each projected dimension. */
  readonly projected: Float64Array;
  /** Of products of projected dimensions i ≤ j, row by row. */
  readonly products: Float64Array;
};

export function createVectorSummary(dimensions: number): VectorSummary {
  return {
    dimensions,
    n: 0,
    sums: new Float64Array(Math.min(dimensions, MAX_MEAN_DIMENSIONS)),
    projected: new Float64Array(PROJECTED),
    products: new Float64Array((PROJECTED * (PROJECTED + 1)) / 2),
  };
}

const projections = new Map<number, Int8Array>();

/** Signs by dimension and projected dimension; the same for the same number of dimensions, everywhere. */
function signsOf(dimensions: number): Int8Array {
  const known = projections.get(dimensions);
  if (known !== undefined) return known;
  const random = randomNumbers(SEED + dimensions);
  const signs = Int8Array.from({ length: dimensions * PROJECTED }, () => (random() < 0.5 ? -1 : 1));
  if (projections.size >= 16) projections.clear();
  projections.set(dimensions, signs);
  return signs;
}

const point = new Float64Array(PROJECTED);

/** Adds one vector of finite numbers. */
export function addToVectorSummary(summary: VectorSummary, vector: ArrayLike<number>): void {
  const { dimensions, sums, projected, products } = summary;
  const signs = signsOf(dimensions);
  point.fill(0);
  for (let d = 0; d < dimensions; d++) {
    const x = vector[d]!;
    if (d < sums.length) sums[d]! += x;
    for (let p = 0; p < PROJECTED; p++) point[p]! += signs[d * PROJECTED + p]! * x;
  }
  const scale = 1 / Math.sqrt(dimensions);
  let at = 0;
  for (let i = 0; i < PROJECTED; i++) {
    const a = point[i]! * scale;
    projected[i]! += a;
    for (let j = i; j < PROJECTED; j++) products[at++]! += a * point[j]! * scale;
  }
  summary.n += 1;
}

/** Null where the two are of different sizes: then the larger count stays alone. */
export function mergeVectorSummaries(a: VectorSummary | null, b: VectorSummary | null): VectorSummary | null {
  if (a === null || b === null) return a ?? b;
  if (a.dimensions !== b.dimensions) return a.dimensions > b.dimensions ? a : b;
  const add = (x: Float64Array, y: Float64Array): Float64Array => x.map((value, at) => value + y[at]!);
  return {
    dimensions: a.dimensions,
    n: a.n + b.n,
    sums: add(a.sums, b.sums),
    projected: add(a.projected, b.projected),
    products: add(a.products, b.products),
  };
}

export function meanVector({ n, sums }: VectorSummary): Float64Array {
  return n === 0 ? sums : sums.map((sum) => sum / n);
}

/** Covariance of the projected vectors, `PROJECTED` rows of as many; null below two vectors. */
export function projectedCovariance({ n, projected, products }: VectorSummary): number[][] | null {
  if (n < 2) return null;
  const rows = Array.from({ length: PROJECTED }, () => new Array<number>(PROJECTED).fill(0));
  let at = 0;
  for (let i = 0; i < PROJECTED; i++) {
    for (let j = i; j < PROJECTED; j++) {
      const value = (products[at++]! - (projected[i]! * projected[j]!) / n) / (n - 1);
      rows[i]![j] = value;
      rows[j]![i] = value;
    }
  }
  return rows;
}
