/** Values of a row of tensors, column by column. */
import type { SignatureColumn } from '../../registry/signature-columns.ts';
import { bfloat16Of, float16Of } from '../../serving/tensors/half.ts';
import type { Tensor } from '../../serving/tensors/tensor.ts';

/** The value of a column in one row: numbers beyond 2^53 lose their last digits. */
export type CellValue = number | string | boolean | Float64Array;

/** @param row of the request; 0 where the whole request is one prediction */
export function readCell(column: SignatureColumn, tensor: Tensor, row: number, rowWise: boolean): CellValue {
  const { data, datatype } = tensor;
  const perRow = rowWise ? data.length / (tensor.shape[0] ?? 1) : data.length;
  const from = row * perRow;
  if (column.kind === 'vector') {
    return Float64Array.from({ length: perRow }, (_, at) => numberAt(data, datatype, from + at));
  }
  const at = from + column.at;
  if (datatype === 'BYTES') return (data as readonly string[])[at] ?? '';
  const value = numberAt(data, datatype, at);
  return column.kind === 'boolean' ? value !== 0 : value;
}

export function numberAt(data: Tensor['data'], datatype: Tensor['datatype'], at: number): number {
  const value = data[at];
  if (datatype === 'FP16') return float16Of(value as number);
  if (datatype === 'BF16') return bfloat16Of(value as number);
  return typeof value === 'bigint' ? Number(value) : (value as number);
}
