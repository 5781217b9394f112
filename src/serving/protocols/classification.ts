import type { Signature } from '../../registry/signature.ts';
import { numbersOfHalf } from '../tensors/half.ts';
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
  const write = datatype === 'FP32' ? shortestSingle : String;
  const data: string[] = [];
  for (let row = 0; row < rows; row++) {
    const from = row * width;
    const order = Array.from({ length: width }, (_, index) => index);
    order.sort((a, b) => compare(values[from + b]!, values[from + a]!) || a - b);
    for (let place = 0; place < classes; place++) {
      const index = order[place]!;
      const label = labels === null ? '' : `:${labels[index]}`;
      data.push(`${write(values[from + index] as number)}:${index}${label}`);
    }
  }
  return { name: output.name, datatype: 'BYTES', shape: hasRows ? [rows, classes] : [classes], data };
}

function compare(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0;
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : -1;
  return Number.isNaN(b) || a > b ? 1 : -1;
}

/** The shortest decimal that rounds to the same FP32; people read these. */
function shortestSingle(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return `${short}`;
  }
  return `${Number.isFinite(value) ? Number(value.toPrecision(9)) : value}`;
}
