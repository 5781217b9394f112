/** Whose the memory of an answer is, and how much there is of it. */
import type { NumericData, Tensor } from '../tensors/tensor.ts';

/** Memory below this is copied: that is as fast, and Node's own pool and small constants cannot be given away. */
const WORTH_MOVING_BYTES = 64 * 1024;
/** What a text takes beside its characters. */
const TEXT_BYTES = 24;

/** Whether the memory is worth handing over, and nobody else's. */
export function canMove({ byteLength, buffer }: NumericData): boolean {
  return byteLength >= WORTH_MOVING_BYTES && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer;
}

/** The tensor in memory that can be handed over: a copy where it is a view on a part of some memory, at which others may look too. */
export function withOwnMemory(tensor: Tensor): Tensor {
  if (Array.isArray(tensor.data)) return tensor;
  const numbers = tensor.data as NumericData;
  return canMove(numbers) ? tensor : { ...tensor, data: numbers.slice() };
}

/** What tensors take, about. */
export function bytesOf(tensors: readonly Tensor[]): number {
  let bytes = 0;
  for (const { data } of tensors) {
    if (!Array.isArray(data)) bytes += (data as NumericData).byteLength;
    else for (const text of data as readonly string[]) bytes += TEXT_BYTES + text.length;
  }
  return bytes;
}
