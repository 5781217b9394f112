/** TensorFlow's names for data types: as enum (tensorflow/core/framework/types.proto), and as its messages print them. */
import type { Datatype } from '../../registry/signature.ts';

type TensorflowType = { readonly dtype: string; readonly number: number; readonly text: string };

const TYPES: Readonly<Record<Datatype, TensorflowType>> = {
  FP32: { dtype: 'DT_FLOAT', number: 1, text: 'float' },
  FP64: { dtype: 'DT_DOUBLE', number: 2, text: 'double' },
  INT32: { dtype: 'DT_INT32', number: 3, text: 'int32' },
  UINT8: { dtype: 'DT_UINT8', number: 4, text: 'uint8' },
  INT16: { dtype: 'DT_INT16', number: 5, text: 'int16' },
  INT8: { dtype: 'DT_INT8', number: 6, text: 'int8' },
  BYTES: { dtype: 'DT_STRING', number: 7, text: 'string' },
  INT64: { dtype: 'DT_INT64', number: 9, text: 'int64' },
  BOOL: { dtype: 'DT_BOOL', number: 10, text: 'bool' },
  BF16: { dtype: 'DT_BFLOAT16', number: 14, text: 'bfloat16' },
  UINT16: { dtype: 'DT_UINT16', number: 17, text: 'uint16' },
  FP16: { dtype: 'DT_HALF', number: 19, text: 'half' },
  UINT32: { dtype: 'DT_UINT32', number: 22, text: 'uint32' },
  UINT64: { dtype: 'DT_UINT64', number: 23, text: 'uint64' },
};

export function tensorflowTypeOf(datatype: Datatype): TensorflowType {
  return TYPES[datatype];
}

/** The one signature that a version has, by the name under which TensorFlow looks when a request names none. */
export const SIGNATURE_NAME = 'serving_default';
export const METHODS = {
  predict: 'tensorflow/serving/predict',
  classify: 'tensorflow/serving/classify',
  regress: 'tensorflow/serving/regress',
} as const;
