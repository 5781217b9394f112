/**
 * A signature says what a model takes and gives. Types here are shared by the registry, the data plane and the SDK's
 * wire form; this file holds no I/O.
 */

/** Data types by their Open Inference Protocol names. */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
] as const;

export type Datatype = (typeof DATATYPES)[number];

export type TensorSpec = {
  readonly name: string;
  readonly datatype: Datatype;
  /** Sizes of the dimensions; -1 is free. An empty shape is a scalar. */
  readonly shape: readonly number[];
  /** Symbolic names of the free dimensions, null where there is none. Absent when no dimension has one. */
  readonly symbols?: readonly (string | null)[];
  /** An input that may be left out (it has a default in the graph). */
  readonly optional?: boolean;
  /** Inputs of shape [-1, F]: the F column names, in order. */
  readonly features?: readonly string[];
  /** Outputs of shape [-1, C]: the C class names, in order. The plain form then answers an object by class. */
  readonly labels?: readonly string[];
};

export type Signature = {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
};
