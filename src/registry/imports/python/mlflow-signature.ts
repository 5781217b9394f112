/** MLflow's model signatures: columns, or tensors, as JSON inside MLmodel. */
import { SlipwayError } from '../../../base/errors.ts';
import type { Datatype, TensorSpec } from '../../signature.ts';
import type { KnownSignature } from './given-signature.ts';

const COLUMN_TYPES: Readonly<Record<string, Datatype>> = {
  boolean: 'BOOL',
  integer: 'INT32',
  long: 'INT64',
  float: 'FP32',
  double: 'FP64',
  string: 'BYTES',
};
const NUMPY_TYPES: Readonly<Record<string, Datatype>> = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  object: 'BYTES',
  str: 'BYTES',
};

/** @throws SlipwayError `model_invalid`, `model_unsupported` */
export function readMlflowSignature(
  { inputs, outputs }: { readonly inputs?: unknown; readonly outputs?: unknown },
  path: string,
): KnownSignature {
  const sides = {
    inputs: readSide(inputs, 'inputs', path),
    outputs: outputs == null ? [] : readSide(outputs, 'outputs', path),
  };
  const isMatrix = sides.inputs.length === 1 && sides.inputs[0]!.isTensor;
  const isTensors = !isMatrix && sides.inputs.some((one) => one.isTensor);
  return {
    inputs: sides.inputs.map((one) => one.spec),
    outputs: sides.outputs.map((one) => one.spec),
    how: isMatrix ? 'matrix' : isTensors ? 'tensors' : 'frame',
  };
}

function readSide(text: unknown, side: 'inputs' | 'outputs', path: string): { spec: TensorSpec; isTensor: boolean }[] {
  let list: unknown;
  try {
    list = JSON.parse(String(text));
  } catch {
    list = null;
  }
  if (!Array.isArray(list) || list.length === 0) {
    throw new SlipwayError('model_invalid', `The ${side} of the signature in ${path} cannot be read`);
  }
  const unnamed = side === 'inputs' ? 'input' : 'prediction';
  return list.map((raw: unknown, at) => {
    const one = (raw ?? {}) as {
      type?: unknown;
      name?: unknown;
      required?: unknown;
      'tensor-spec'?: { dtype?: unknown; shape?: unknown };
    };
    const name =
      typeof one.name === 'string' && one.name !== '' ? one.name : list.length === 1 ? unnamed : `${unnamed}_${at}`;
    if (one.type === 'tensor') {
      const datatype = lookUp(NUMPY_TYPES, String(one['tensor-spec']?.dtype));
      const shape = one['tensor-spec']?.shape;
      const isShape = Array.isArray(shape) && shape.every((size) => Number.isInteger(size) && (size as number) >= -1);
      if (datatype !== null && isShape) return { spec: { name, datatype, shape: shape as number[] }, isTensor: true };
    }
    const datatype = typeof one.type === 'string' ? lookUp(COLUMN_TYPES, one.type) : null;
    if (datatype !== null) {
      const optional = side === 'inputs' && one.required === false ? { optional: true } : {};
      return { spec: { name, datatype, shape: [-1], ...optional }, isTensor: false };
    }
    throw new SlipwayError(
      'model_unsupported',
      `The ${side.slice(0, -1)} ${name} in ${path} is of the type ${String(one.type)}, which has no tensor here`,
      {
        hint: 'Columns of numbers, texts and truth values, and tensors of them, are taken. Log the model with such a signature.',
      },
    );
  });
}

function lookUp(table: Readonly<Record<string, Datatype>>, word: string): Datatype | null {
  const plain = word.replace(/^[<>|=]/, '').replace(/^[US]\d*$/, 'str');
  return Object.hasOwn(table, plain) ? table[plain]! : null;
}
