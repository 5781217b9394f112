/**
 * The number of elements of a tensor of this shape: 1 for a scalar's empty shape, 0 when a dimension is 0. Null when a dimension
 * is negative or no whole number, or when the product passes 2^53 - 1: callers name shapes such as [16, 2^60 + 2], whose
 * product wraps around to a small number in 64 bits.
 */
export function elementCount(shape: readonly number[]): number | null {
  let count = 1;
  let empty = false;
  for (let i = 0; i < shape.length; i++) {
    const dimension = shape[i]!;
    if (!Number.isSafeInteger(dimension) || dimension < 0) return null;
    if (dimension === 0) empty = true;
    else count *= dimension; // past 2^53 it only grows, so one check at the end is enough
  }
  if (empty) return 0;
  return count > Number.MAX_SAFE_INTEGER ? null : count;
}
