/** Repeated numbers of protobuf, straight into typed arrays: a forest has millions, and a bigint for each would take seconds. */
import { type Field, ProtobufFault } from '../../../registry/imports/protobuf-cursor.ts';

/** Numbers that grow as they are read; twice the room whenever it is full. */
export class NumberList {
  values = new Float64Array(16);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      const wider = new Float64Array(this.length * 2);
      wider.set(this.values);
      this.values = wider;
    }
    this.values[this.length++] = value;
  }

  done(): Float64Array {
    return this.values.subarray(0, this.length);
  }
}

/** Signed 64-bit varints, packed or single; beyond 2^53 they are rounded. */
export function readInts(bytes: Uint8Array, field: Field, into: NumberList): void {
  if (field.wire === 0) {
    into.push(signed(field.low, field.high));
    return;
  }
  if (field.wire !== 2) throw new ProtobufFault(field.start, 'a list of whole numbers has the wrong type');
  for (let at = field.start; at < field.end; ) at = readInt(bytes, at, field.end, into);
}

/** One varint; gives where it ends. */
export function readInt(bytes: Uint8Array, start: number, end: number, into: NumberList): number {
  let at = start;
  let low = 0;
  let high = 0;
  let shift = 0;
  for (;;) {
    if (at >= end || shift > 63) throw new ProtobufFault(at, 'a list of whole numbers ends in the middle of one');
    const byte = bytes[at++]!;
    const bits = byte & 0x7f;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high = bits >>> 4;
    } else high |= bits << (shift - 32);
    if (byte < 0x80) break;
    shift += 7;
  }
  into.push(signed(low >>> 0, high >>> 0));
  return at;
}

export function readFloats(bytes: Uint8Array, field: Field, into: NumberList): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (field.wire !== 5 && (field.wire !== 2 || (field.end - field.start) % 4 !== 0))
    throw new ProtobufFault(field.start, 'a list of floats has the wrong type');
  for (let at = field.start; at < field.end; at += 4) into.push(view.getFloat32(at, true));
}

export function readDoubles(bytes: Uint8Array, field: Field, into: NumberList): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (field.wire !== 1 && (field.wire !== 2 || (field.end - field.start) % 8 !== 0))
    throw new ProtobufFault(field.start, 'a list of doubles has the wrong type');
  for (let at = field.start; at < field.end; at += 8) into.push(view.getFloat64(at, true));
}

function signed(low: number, high: number): number {
  return (high | 0) * 0x1_0000_0000 + low;
}

export type TextReader = (field: { readonly start: number; readonly end: number }) => string;

/** Short texts that come over and over, such as the modes of a forest's nodes: each is decoded once. */
export function createTextReader(bytes: Uint8Array): TextReader {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const recent: { readonly start: number; readonly length: number; readonly text: string }[] = [];
  const same = (start: number, other: number, length: number): boolean => {
    for (let i = 0; i < length; i++) if (bytes[start + i] !== bytes[other + i]) return false;
    return true;
  };
  return (field) => {
    const length = field.end - field.start;
    for (let i = 0; i < recent.length; i++) {
      const known = recent[i]!;
      if (known.length === length && same(field.start, known.start, length)) return known.text;
    }
    let text: string;
    try {
      text = decoder.decode(bytes.subarray(field.start, field.end));
    } catch {
      throw new ProtobufFault(field.start, 'a name or text in it is not UTF-8');
    }
    recent.unshift({ start: field.start, length, text });
    if (recent.length > 8) recent.pop();
    return text;
  };
}
