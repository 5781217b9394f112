import { isRowWise, type Signature, type TensorSpec } from '../../registry/signature.ts';
import { elementValues } from './json-elements.ts';
import type { Tensor } from './tensor.ts';

/**
 * Outputs as predictions: one a row when inputs and outputs are row-wise, otherwise a single one that holds whole outputs.
 * Rows of [N] and [N,1] are bare values; rows with labels are objects by class.
 * @param outputs in the signature's order, or some of them
 */
export function tensorsToPredictions(
  signature: Signature,
  outputs: readonly Tensor[],
  rows: number,
): Record<string, unknown>[] {
  if (!answersByRow(signature, outputs, rows))
    return [Object.fromEntries(outputs.map((output) => [output.name, nestedValues(output)]))];
  const predictions: Record<string, unknown>[] = Array.from({ length: rows }, () => ({}));
  for (let o = 0; o < outputs.length; o++) {
    const output = outputs[o]!;
    const values = elementValues(output);
    const width = values.length / rows;
    const isScalar = output.shape.length === 1 || (output.shape.length === 2 && width === 1);
    const labels = specOf(signature, output).labels;
    for (let row = 0; row < rows; row++) {
      const at = row * width;
      predictions[row]![output.name] =
        labels !== undefined && labels.length === width
          ? byLabel(labels, values, at)
          : isScalar
            ? values[at]
            : nest(values, output.shape, 1, at);
    }
  }
  return predictions;
}

/** Whether there is one prediction a row. */
export function answersByRow(signature: Signature, outputs: readonly Tensor[], rows: number): boolean {
  return (
    isRowWise(signature.inputs) &&
    isRowWise(outputs.map((output) => specOf(signature, output))) &&
    outputs.every((output) => output.shape[0] === rows)
  );
}

function specOf(signature: Signature, output: Tensor): TensorSpec {
  return signature.outputs.find((spec) => spec.name === output.name)!;
}

/** A tensor as nested arrays; a scalar as its bare value. */
export function nestedValues(tensor: Tensor): unknown {
  const values = elementValues(tensor);
  return tensor.shape.length === 0 ? values[0] : nest(values, tensor.shape, 0, 0);
}

function byLabel(labels: readonly string[], values: readonly unknown[], at: number): Record<string, unknown> {
  // A class may be called __proto__: an object made from entries has it as an ordinary key.
  return Object.fromEntries(labels.map((label, i) => [label, values[at + i]]));
}

function nest(values: readonly unknown[], shape: readonly number[], axis: number, at: number): unknown[] {
  if (axis === shape.length - 1) return values.slice(at, at + shape[axis]!);
  let width = 1;
  for (let i = axis + 1; i < shape.length; i++) width *= shape[i]!;
  return Array.from({ length: shape[axis]! }, (_, i) => nest(values, shape, axis + 1, at + i * width));
}
