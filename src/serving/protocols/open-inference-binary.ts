/**
 * The binary tensor extension: a body is a JSON document of as many bytes as the header Inference-Header-Content-Length says, and behind it
 * the elements of those inputs that are not in it, one after the other.
 */
import { type FieldError, SlipwayError } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import { assessShape, type InputTarget, invalidInput, shapeText } from '../tensors/input-check.ts';
import { readRaw, readText } from '../tensors/raw-elements.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { WireCall } from './protocol.ts';

export const JSON_SIZE_HEADER = 'inference-header-content-length';

/** JSON documents up to here are parsed at once, whatever follows them. */
const SMALL_JSON_BYTES = 64 * 1024;

/**
 * Bytes of the JSON document at the start of the body; null when the body is nothing else.
 * @throws SlipwayError `invalid_request`
 */
export function jsonSizeOf({ body, headers }: WireCall): number | null {
  const header = headers[JSON_SIZE_HEADER];
  if (header === undefined) return null;
  const text = typeof header === 'string' ? header : '';
  const size = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (size <= body.byteLength) return size;
  const shown = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 40);
  throw new SlipwayError(
    'invalid_request',
    `inference header size should be in range (0, ${body.byteLength}), got: ${shown}`,
    { hint: 'Inference-Header-Content-Length is the size of the JSON in bytes; 0 for a body without JSON.' },
  );
}

/** Raw numbers are not parsed at all; only strings, and much JSON, take time. */
export function parsesFast(call: WireCall, { signature }: InputTarget): boolean {
  const header = call.headers[JSON_SIZE_HEADER];
  return (
    header !== undefined &&
    !(Number(header) > SMALL_JSON_BYTES) &&
    signature.inputs.every(({ datatype }) => datatype !== 'BYTES')
  );
}

/** What is behind the JSON, taken from the front. */
export class BinaryPart {
  private readonly body: Uint8Array;
  private at: number;

  constructor(body: Uint8Array, start: number) {
    this.body = body;
    this.at = start;
  }

  get left(): number {
    return this.body.byteLength - this.at;
  }

  /** Null when so many are not left; then nothing is left. */
  take(size: number): Uint8Array | null {
    const start = this.at;
    const fits = size <= this.left;
    this.at = fits ? start + size : this.body.byteLength;
    return fits ? this.body.subarray(start, start + size) : null;
  }
}

/**
 * A body without JSON is the elements of the only input. Its free size follows from the number of bytes; where two are free, the first, the
 * rows, is 1. Text is one element, without its length.
 * @throws SlipwayError `invalid_input`
 */
export function readRawRequest(body: Uint8Array, target: InputTarget): Tensor {
  const needed = target.signature.inputs.filter((input) => !input.optional);
  const spec = needed[0] ?? target.signature.inputs[0];
  if (needed.length > 1 || spec === undefined) {
    const names = needed.map((input) => input.name).join(', ');
    throw invalidInput(target, [
      { pointer: '', message: `has no JSON, which needs a model with one input, not ${names}` },
    ]);
  }
  const faults: FieldError[] = [];
  const tensor = spec.datatype === 'BYTES' ? readOneText(spec, body, faults) : readNumbers(spec, body, faults);
  if (tensor === null) throw invalidInput(target, faults);
  return tensor;
}

function readOneText(spec: TensorSpec, body: Uint8Array, faults: FieldError[]): Tensor | null {
  const shape = spec.shape.map((size) => (size === -1 ? 1 : size));
  if (shape.some((size) => size !== 1)) {
    faults.push({ pointer: '', message: `is one text, but ${spec.name} has more elements: ${shapeText(spec)}` });
    return null;
  }
  const text = readText(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  if (text === null || text.includes('\0')) {
    faults.push({ pointer: '', message: text === null ? 'is no UTF-8 text' : 'holds the character NUL' });
    return null;
  }
  return { name: spec.name, datatype: 'BYTES', shape, data: [text] };
}

function readNumbers(spec: TensorSpec, body: Uint8Array, faults: FieldError[]): Tensor | null {
  const { bytes } = datatypeInfo(spec.datatype);
  const free = spec.shape.flatMap((size, axis) => (size === -1 ? [axis] : []));
  const open = free.length === 2 && free[0] === 0 ? free[1] : free[0];
  if (free.length > 2 || (free.length === 2 && free[0] !== 0)) {
    faults.push({ pointer: '', message: `has no shape, and ${spec.name} has several free sizes: ${shapeText(spec)}` });
    return null;
  }
  const shape = spec.shape.map((size) => (size === -1 ? 1 : size));
  const fixed = shape.reduce((product, size) => product * size, bytes);
  if (open !== undefined && fixed > 0 && body.byteLength % fixed === 0) shape[open] = body.byteLength / fixed;
  const fault = assessShape(spec, shape);
  if (fault !== null) {
    faults.push({ pointer: '', message: `is ${body.byteLength} bytes; the shape ${fault}` });
    return null;
  }
  const count = shape.reduce((product, size) => product * size, 1);
  const data = readRaw(spec.datatype, count, body, '', faults);
  return data === null ? null : { name: spec.name, datatype: spec.datatype, shape, data };
}
