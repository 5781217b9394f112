/** Count, mean and squared deviations of numbers, which merge. */
export type Moments = { n: number; mean: number; m2: number; min: number; max: number };

export function createMoments(): Moments {
  return { n: 0, mean: 0, m2: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
}

/** Adds one finite number (Welford 1962). */
export function addToMoments(moments: Moments, x: number): void {
  moments.n += 1;
  const delta = x - moments.mean;
  moments.mean += delta / moments.n;
  moments.m2 += delta * (x - moments.mean);
  if (x < moments.min) moments.min = x;
  if (x > moments.max) moments.max = x;
}

/**
 * The moments of both samples together: M2 = M2a + M2b + δ²·na·nb/n (Chan, Golub, LeVeque 1979). Equal to those of one pass to rounding, in
 * any order and tree.
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.n === 0) return { ...b };
  if (b.n === 0) return { ...a };
  const n = a.n + b.n;
  const delta = b.mean - a.mean;
  return {
    n,
    mean: a.mean + (delta * b.n) / n,
    m2: a.m2 + b.m2 + (delta * delta * a.n * b.n) / n,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
  };
}

/** Of the sample, with n - 1; null below two values. */
export function varianceOf({ n, m2 }: Moments): number | null {
  return n < 2 ? null : m2 / (n - 1);
}
