import { datatypeInfo } from './datatype.ts';
import { elementCount } from './shape.ts';
import type { NumericData, Tensor } from './tensor.ts';

/**
 * Whether two tensors can lie in one: same name and type, same dimensions after the first, and at least one dimension.
 * @param padded a dimension that may differ
 */
export function canJoinRows(a: Tensor, b: Tensor, padded = -1): boolean {
  const rank = a.shape.length;
  if (rank === 0 || b.shape.length !== rank || a.name !== b.name || a.datatype !== b.datatype) return false;
  for (let i = 1; i < rank; i++) if (a.shape[i] !== b.shape[i] && i !== padded) return false;
  return true;
}

/**
 * Joins tensors along the first axis. All must pass `canJoinRows` with the first.
 * @param into elements to use when it is large enough, so that joining needs no new memory; its type must be the datatype's
 */
export function joinRows(parts: readonly Tensor[], into?: NumericData): Tensor {
  const first = parts[0]!;
  let rows = 0;
  let elements = 0;
  for (const part of parts) {
    rows += part.shape[0]!;
    elements += part.data.length;
  }
  const shape = first.shape.slice();
  shape[0] = rows;
  const { array } = datatypeInfo(first.datatype);
  if (array === null) {
    return { name: first.name, datatype: first.datatype, shape, data: parts.flatMap((part) => part.data as string[]) };
  }
  const target = into !== undefined && into.length >= elements ? into : new array(elements);
  let at = 0;
  for (const part of parts) {
    setElements(target, part.data as NumericData, at);
    at += part.data.length;
  }
  const data = target.length === elements ? target : target.subarray(0, elements);
  return { name: first.name, datatype: first.datatype, shape, data };
}

/** Rows `from` up to, but without, `to` of a tensor that has a first axis. Numbers are a view on the tensor's own memory. */
export function sliceRows(tensor: Tensor, from: number, to: number): Tensor {
  const shape = tensor.shape.slice();
  shape[0] = to - from;
  const width = rowWidth(tensor);
  const data = Array.isArray(tensor.data)
    ? (tensor.data as string[]).slice(from * width, to * width)
    : (tensor.data as NumericData).subarray(from * width, to * width);
  return { name: tensor.name, datatype: tensor.datatype, shape, data };
}

/** Elements of one row. */
export function rowWidth(tensor: Tensor): number {
  return elementCount(tensor.shape.slice(1))!;
}

/** `TypedArray.set` for two arrays of one type; the type system cannot say that they agree. */
function setElements(target: NumericData, source: NumericData, at: number): void {
  (target as Float32Array).set(source as Float32Array, at);
}
