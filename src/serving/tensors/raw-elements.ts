/**
 * Elements of tensors as raw bytes, both ways: little-endian, row-major; each BYTES element is preceded by its length in four bytes. This is
 * the form of Triton's binary tensor extension and of the raw contents of gRPC.
 */
import { isUtf8 } from 'node:buffer';
import type { FieldError } from '../../base/errors.ts';
import type { Datatype } from '../../registry/signature.ts';
import { datatypeInfo } from './datatype.ts';
import type { NumericData, Tensor } from './tensor.ts';

/**
 * Numbers are a view on `bytes` where these lie at a multiple of their size, else a copy; so `bytes` must stay as they are.
 * @param count the product of the shape
 * @param faults takes what is wrong, at `pointer`
 * @returns null when there was a fault
 */
export function readRaw(
  datatype: Datatype,
  count: number,
  bytes: Uint8Array,
  pointer: string,
  faults: FieldError[],
): NumericData | string[] | null {
  const { array, bytes: size } = datatypeInfo(datatype);
  if (array === null) return readRawStrings(count, bytes, pointer, faults);
  if (bytes.byteLength !== count * size) {
    const message = `is ${bytes.byteLength} bytes, but ${count} elements of ${datatype} take ${count * size}`;
    faults.push({ pointer, message });
    return null;
  }
  if (datatype === 'BOOL') {
    const wrong = bytes.findIndex((bit) => bit > 1);
    if (wrong !== -1) {
      faults.push({ pointer, message: `holds the byte ${bytes[wrong]} at ${wrong}; a BOOL is 0 or 1` });
      return null;
    }
  }
  if (bytes.byteOffset % size === 0) return new array(bytes.buffer, bytes.byteOffset, count);
  const copy = new array(count);
  new Uint8Array(copy.buffer).set(bytes);
  return copy;
}

function readRawStrings(count: number, bytes: Uint8Array, pointer: string, faults: FieldError[]): string[] | null {
  const refuse = (message: string): null => {
    faults.push({ pointer, message });
    return null;
  };
  // A length each at least: a shape that promises more gets no memory.
  if (count * 4 > bytes.byteLength) return refuse(`is ${bytes.byteLength} bytes, too few for ${count} elements`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings = new Array<string>(count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (buffer.length - at < 4) return refuse(`ends before the length of element ${i}`);
    const end = at + 4 + buffer.readUInt32LE(at);
    if (end > buffer.length) return refuse(`ends within element ${i}`);
    const text = readText(buffer.subarray(at + 4, end));
    if (text === null) return refuse(`holds bytes that are no UTF-8 text in element ${i}`);
    if (text.includes('\0')) return refuse(`holds the character NUL in element ${i}, at which the model would cut it`);
    strings[i] = text;
    at = end;
  }
  return at === buffer.length ? strings : refuse(`has ${buffer.length - at} bytes after its ${count} elements`);
}

/** Null when it is no UTF-8. Only what was mended, or holds that very character, is looked at twice. */
export function readText(bytes: Buffer): string | null {
  const text = bytes.toString();
  return text.includes('\ufffd') && !isUtf8(bytes) ? null : text;
}

/** The elements of a tensor as bytes; of numbers a view on their memory. */
export function rawOf({ data }: Pick<Tensor, 'data'>): Uint8Array {
  if (!Array.isArray(data)) {
    const { buffer, byteOffset, byteLength } = data as NumericData;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  const bytes = Buffer.allocUnsafe(rawSize({ data }));
  writeRawStrings(data as readonly string[], bytes, 0);
  return bytes;
}

/** How many bytes they take. */
export function rawSize({ data }: Pick<Tensor, 'data'>): number {
  if (!Array.isArray(data)) return (data as NumericData).byteLength;
  let size = 0;
  for (const text of data as readonly string[]) size += 4 + Buffer.byteLength(text);
  return size;
}

/** Copying up to here, a loop is faster than a call. */
const SHORT_BYTES = 64;

/**
 * Writes them into memory that has room for them.
 * @returns where they end
 */
export function writeRaw({ data }: Pick<Tensor, 'data'>, target: Buffer, at: number): number {
  if (Array.isArray(data)) return writeRawStrings(data as readonly string[], target, at);
  const { buffer, byteOffset, byteLength } = data as NumericData;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  if (byteLength > SHORT_BYTES) target.set(bytes, at);
  else for (let i = 0; i < byteLength; i++) target[at + i] = bytes[i]!;
  return at + byteLength;
}

function writeRawStrings(strings: readonly string[], target: Buffer, start: number): number {
  let at = start;
  for (const text of strings) {
    const length = target.write(text, at + 4);
    target.writeUInt32LE(length, at);
    at += 4 + length;
  }
  return at;
}
