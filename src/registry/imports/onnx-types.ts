/** What Slipway reads of an ONNX model, and the numbers by which onnx.proto knows it. */
import type { Datatype } from '../signature.ts';

/** The type of a graph's input or output. */
export type OnnxType =
  | { readonly kind: 'tensor'; readonly elemType: number; readonly dims: readonly OnnxDim[] | null }
  | { readonly kind: 'sequence' | 'map' | 'optional' | 'sparse' | 'opaque' | 'unknown' };

/** A number is a fixed size, a string the symbolic name of a free one, null a free one without a name. */
export type OnnxDim = number | string | null;

export type OnnxValue = { readonly name: string; readonly type: OnnxType };

/** A ZipMap node of ai.onnx.ml whose sequence of maps is an output of the model and nothing else. */
export type ZipMap = { readonly input: string; readonly output: string; readonly labels: readonly string[] };

/** A file beside the model that holds tensors. */
export type ExternalFile = {
  readonly location: string;
  /** How far into the file the tensors reach, as far as they say. */
  readonly endBytes: number;
  /** The tensor that reaches farthest. */
  readonly tensor: string;
};

export type OnnxModel = {
  readonly irVersion: number;
  readonly producer: string;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Inputs that have a default in the graph, and so may be left out. */
  readonly defaulted: ReadonlySet<string>;
  readonly zipMaps: readonly ZipMap[];
  readonly external: readonly ExternalFile[];
  readonly nodeCount: number;
  /** Nodes by `domain/op`, the default domain as `ai.onnx`; those in sub-graphs and functions count. */
  readonly ops: ReadonlyMap<string, number>;
  /** Bytes of the tensors inside the file. */
  readonly initializerBytes: number;
};

/** TensorProto.DataType to the protocol's name; null is a type no engine takes across its border. */
const DATATYPE_BY_ELEM: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
  16: 'BF16',
};

const OTHER_ELEMS: Readonly<Record<number, string>> = {
  14: 'COMPLEX64',
  15: 'COMPLEX128',
  17: 'FLOAT8E4M3FN',
  18: 'FLOAT8E4M3FNUZ',
  19: 'FLOAT8E5M2',
  20: 'FLOAT8E5M2FNUZ',
  21: 'UINT4',
  22: 'INT4',
  23: 'FLOAT4E2M1',
};

export function datatypeOfElem(elemType: number): Datatype | null {
  return DATATYPE_BY_ELEM[elemType] ?? null;
}

export function elemName(elemType: number): string {
  return DATATYPE_BY_ELEM[elemType] ?? OTHER_ELEMS[elemType] ?? `of unknown type ${elemType}`;
}

/** Field numbers of onnx.proto, by message. */
export const MODEL = {
  irVersion: 1,
  producerName: 2,
  producerVersion: 3,
  graph: 7,
  opsetImport: 8,
  metadata: 14,
  functions: 25,
};
export const OPSET = { domain: 1, version: 2 };
export const ENTRY = { key: 1, value: 2 };
export const GRAPH = { node: 1, initializer: 5, input: 11, output: 12, sparseInitializer: 15 };
export const FUNCTION = { node: 7 };
export const NODE = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 };
export const ATTRIBUTE = {
  name: 1,
  f: 2,
  i: 3,
  s: 4,
  tensor: 5,
  graph: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
  sparseTensor: 22,
  sparseTensors: 23,
};
export const TENSOR = {
  dims: 1,
  dataType: 2,
  floatData: 4,
  int32Data: 5,
  stringData: 6,
  int64Data: 7,
  name: 8,
  rawData: 9,
  doubleData: 10,
  uint64Data: 11,
  externalData: 13,
  dataLocation: 14,
};
export const SPARSE_TENSOR = { values: 1, indices: 2 };
export const VALUE_INFO = { name: 1, type: 2 };
export const TYPE = { tensor: 1, sequence: 4, map: 5, opaque: 7, sparse: 8, optional: 9 };
export const TENSOR_TYPE = { elemType: 1, shape: 2 };
export const SHAPE = { dim: 1 };
export const DIM = { value: 1, param: 2 };

export const ML_DOMAIN = 'ai.onnx.ml';
