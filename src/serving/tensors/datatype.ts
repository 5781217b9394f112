import { DATATYPES, type Datatype } from '../../registry/signature.ts';
import type { NumericData } from './tensor.ts';

type ArrayType = {
  new (length: number): NumericData;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumericData;
};

export type DatatypeInfo = {
  readonly datatype: Datatype;
  /** Its number in frames: the place in DATATYPES. New types go to the end of that list. */
  readonly code: number;
  /** Bytes of one element; 0 for BYTES, whose elements have no fixed size. */
  readonly bytes: number;
  /** The array its elements live in; null for BYTES, whose elements are strings. */
  readonly array: ArrayType | null;
};

const ARRAYS: Record<Datatype, (ArrayType & { BYTES_PER_ELEMENT: number }) | null> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
  BYTES: null,
};

/** By code. */
export const DATATYPE_INFOS: readonly DatatypeInfo[] = DATATYPES.map((datatype, code) => {
  const array = ARRAYS[datatype];
  return { datatype, code, bytes: array === null ? 0 : array.BYTES_PER_ELEMENT, array };
});

const BY_NAME = new Map<Datatype, DatatypeInfo>(DATATYPE_INFOS.map((info) => [info.datatype, info]));

export function datatypeInfo(datatype: Datatype): DatatypeInfo {
  return BY_NAME.get(datatype)!;
}
