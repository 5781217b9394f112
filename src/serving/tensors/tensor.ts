import type { Datatype } from '../../registry/signature.ts';

/**
 * Numeric data as the typed array of its type. BOOL and UINT8 are bytes; FP16 and BF16 are the raw 16 bits; INT64 and UINT64
 * are BigInt arrays, so that they stay exact.
 */
export type NumericData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** A tensor, row-major. BYTES tensors hold strings. */
export type Tensor = {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: NumericData | readonly string[];
};
