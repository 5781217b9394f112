import type { FieldError } from '../../base/errors.ts';
import type { Datatype, TensorSpec } from '../../registry/signature.ts';
import { elementValues, readElements } from '../tensors/json-elements.ts';
import { elementCount } from '../tensors/shape.ts';
import type { Tensor } from '../tensors/tensor.ts';

export type Tolerance = { readonly absolute: number; readonly relative: number };

/**
 * What a golden case that names no tolerance allows, by datatype; all other types must be equal. Room for another machine, another
 * version of the runtime and a sum in another order; not for another model.
 */
export function defaultTolerance(datatype: Datatype): Tolerance {
  switch (datatype) {
    case 'FP32':
    case 'FP64':
      return { absolute: 1e-5, relative: 1e-4 };
    case 'FP16':
    case 'BF16':
      return { absolute: 1e-3, relative: 1e-2 };
    default:
      return { absolute: 0, relative: 0 };
  }
}

/**
 * Whether two tensors are the same within a tolerance: |actual - expected| <= absolute + relative * |expected|. NaN equals NaN, an
 * infinity only itself. Gives the first difference as a sentence, or null.
 */
export function differenceOf(expected: Tensor, actual: Tensor, { absolute, relative }: Tolerance): string | null {
  if (expected.shape.join() !== actual.shape.join()) {
    return `${actual.name} has the shape [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]`;
  }
  const wanted = elementValues(expected);
  const got = elementValues(actual);
  for (let i = 0; i < wanted.length; i++) {
    const a = wanted[i];
    const b = got[i];
    if (Object.is(a, b) || a === b) continue;
    if (isFiniteNumber(a) && isFiniteNumber(b) && Math.abs(b - a) <= absolute + relative * Math.abs(a)) continue;
    return `${actual.name}[${placeOf(i, actual.shape)}] is ${shown(b)}, expected ${shown(a)}`;
  }
  return null;
}

/**
 * Compares one output with what a golden case says of it: nested arrays in the output's shape, or, for an output with class labels, an
 * object by label for each row. Gives the first difference as a sentence, or null.
 */
export function goldenDifference(
  spec: TensorSpec,
  expected: unknown,
  actual: Tensor,
  given: { readonly absolute?: number; readonly relative?: number } | undefined,
): string | null {
  const faults: FieldError[] = [];
  const count = elementCount(actual.shape)!;
  const value = byPosition(spec, expected);
  if (count === 0) return Array.isArray(value) && value.flat(32).length === 0 ? null : `${spec.name} is empty`;
  const data = readElements(spec.datatype, actual.shape, count, value, '', faults);
  if (data === null) {
    const { pointer, message } = faults[0]!;
    const where = pointer === '' ? '' : ` at ${pointer}`;
    return `${spec.name} has the shape [${actual.shape.join(', ')}]; what is expected${where} ${message}`;
  }
  return differenceOf({ ...actual, data }, actual, { ...defaultTolerance(spec.datatype), ...given });
}

function byPosition({ labels }: TensorSpec, expected: unknown): unknown {
  if (labels === undefined || !Array.isArray(expected)) return expected;
  return expected.map((row: unknown) =>
    typeof row === 'object' && row !== null && !Array.isArray(row)
      ? labels.map((label) => (row as Record<string, unknown>)[label])
      : row,
  );
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** `3,1` of a flat position. */
function placeOf(at: number, shape: readonly number[]): string {
  const place: number[] = [];
  let rest = at;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    place.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return place.join(',');
}

function shown(value: unknown): string {
  return typeof value === 'string'
    ? JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
    : String(value);
}
