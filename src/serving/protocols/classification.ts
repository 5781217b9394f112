import type { Signature } from '../../registry/signature.ts';
import { numbersOfHalf } from '../tensors/half.ts';
import { singleText } from '../tensors/single-text.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';

/**
 * The classification extension: of each row its largest values, best first, as text `value:index`, with `:label` where the signature names
 * the classes. Of equal values the lower index comes first; NaN is less than any number.
 * @param output numeric
 * @param most classes to name; as many as there are where it is more
 * @returns BYTES of [rows, classes]; of [classes] where the output has no rows
 */
export function classesOf(output: Tensor, most: number, signature: Signature): Tensor {
  const spec = signature.outputs.find(({ name }) => name === output.name);
  const { datatype, shape } = output;
  const hasRows = shape.length > 1 || spec?.shape[0] === -1;
  const rows = hasRows ? shape[0]! : 1;
  const values =
    datatype === 'FP16' || datatype === 'BF16'
      ? numbersOfHalf(datatype, output.data as Uint16Array)
      : (output.data as NumericData);
  const width = rows === 0 ? 0 : values.length / rows;
  const classes = Math.min(most, width);
  const labels = spec?.labels?.length === width ? spec.labels : null;
  const data = new Array<string>(rows * classes);
  const best = new Uint32Array(classes);
  for (let row = 0; row < rows; row++) {
    rank(values, row * width, width, best);
    for (let place = 0; place < classes; place++) {
      const index = best[place]!;
      const value = values[row * width + index] as number;
      const text = datatype === 'FP32' ? singleText(value) : `${value}`;
      data[row * classes + place] = labels === null ? `${text}:${index}` : `${text}:${index}:${labels[index]}`;
    }
  }
  return { name: output.name, datatype: 'BYTES', shape: hasRows ? [rows, classes] : [classes], data };
}

type Values = NumericData | readonly number[];

/**
 * Fills `best` with the places of the largest values of a row, best first. It is a heap with the worst on top while the row is gone through: time grows with the
 * width and the logarithm of how many are wanted.
 */
function rank(values: Values, from: number, width: number, best: Uint32Array): void {
  const wanted = best.length;
  if (wanted === 0) return;
  for (let i = 0; i < wanted; i++) best[i] = i;
  for (let top = (wanted >> 1) - 1; top >= 0; top--) sink(values, from, best, top, wanted);
  for (let i = wanted; i < width; i++) {
    if (!isBehind(values, from, best[0]!, i)) continue;
    best[0] = i;
    sink(values, from, best, 0, wanted);
  }
  for (let end = wanted - 1; end > 0; end--) {
    const worst = best[0]!;
    best[0] = best[end]!;
    best[end] = worst;
    sink(values, from, best, 0, end);
  }
}

/** Moves what is at `top` down to where nothing below it is behind it. */
function sink(values: Values, from: number, heap: Uint32Array, top: number, size: number): void {
  const moved = heap[top]!;
  let at = top;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= size) break;
    if (below + 1 < size && isBehind(values, from, heap[below + 1]!, heap[below]!)) below++;
    if (!isBehind(values, from, heap[below]!, moved)) break;
    heap[at] = heap[below]!;
    at = below;
  }
  heap[at] = moved;
}

function isBehind(values: Values, from: number, a: number, b: number): boolean {
  const left = values[from + a]!;
  const right = values[from + b]!;
  if (left < right) return true;
  if (left > right) return false;
  if (left === right) return a > b;
  const isNone = Number.isNaN(left);
  return isNone === Number.isNaN(right) ? a > b : isNone;
}
