import { isRowWise, type Signature, type TensorSpec } from './signature.ts';
import type { GoldenCase, PlainBody } from './validation.ts';

/** A free dimension becomes 1; a fixed one of this many values or more is not written out by hand. */
const MAX_SAMPLE_VALUES = 200_000;

/** A gray picture of one pixel (PNG), for inputs that take pictures. */
const SAMPLE_PICTURE = {
  b64: 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==',
};

/**
 * A request in the plain form that the model should answer: the first row of the golden set, or neutral values in the right shapes.
 * Optional inputs are left out.
 */
export function sampleRequestFor(signature: Signature, golden: readonly GoldenCase[] = []): PlainBody {
  const fromGolden = golden[0] === undefined ? null : firstOf(golden[0].inputs);
  if (fromGolden) return fromGolden;
  const inputs = signature.inputs.filter((input) => input.optional !== true);
  // Optional inputs count too: the plain form decides by the whole signature what a record is.
  if (inputs.length > 0 && isRowWise(signature.inputs)) {
    return { records: [Object.assign({}, ...inputs.map(recordPart))] };
  }
  return { inputs: Object.fromEntries(inputs.map((input) => [input.name, whole(input)])) };
}

function whole(input: TensorSpec): unknown {
  return input.decoder?.kind === 'image' ? SAMPLE_PICTURE : neutral(input, input.shape);
}

/** Only the first record, so that the sample stays short. Integers beyond 2^53 do not survive JSON: neutral values then. */
function firstOf(body: PlainBody): PlainBody | null {
  const first = 'records' in body ? (body.records[0] ? { records: [body.records[0]] } : null) : body;
  return first && !holdsBigInt(first) ? first : null;
}

function holdsBigInt(value: unknown): boolean {
  if (typeof value === 'bigint') return true;
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsBigInt);
}

function recordPart(input: TensorSpec): Record<string, unknown> {
  if (input.decoder?.kind === 'image') return { [input.name]: SAMPLE_PICTURE };
  const inRow = input.shape.slice(1);
  if (input.features && inRow.length === 1) {
    return Object.fromEntries(input.features.map((feature) => [feature, neutral(input, [])]));
  }
  // A column of its own: [rows] and [rows, 1] take a plain value.
  if (inRow.length === 0 || (inRow.length === 1 && inRow[0] === 1)) return { [input.name]: neutral(input, []) };
  return { [input.name]: neutral(input, inRow) };
}

function neutral(input: TensorSpec, shape: readonly number[]): unknown {
  const count = shape.reduce((product, size) => product * Math.abs(size), 1);
  const [first, ...rest] = count > MAX_SAMPLE_VALUES ? shape.map(() => 1) : shape;
  if (first === undefined) return input.datatype === 'BOOL' ? false : input.datatype === 'BYTES' ? 'a' : 0;
  return Array.from({ length: Math.abs(first) }, () => neutral(input, rest));
}
