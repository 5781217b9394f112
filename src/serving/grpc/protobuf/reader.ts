/** Reads protobuf from memory. Stricter than it must be: what no encoder writes is a fault, not a field to pass over. */

export class ProtobufFault extends Error {}

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Deeper nesting than any message here has. */
const MAX_DEPTH = 32;

/** A class for the hot path: one reader is used again and again. */
export class ProtobufReader {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  /** The end of the message being read; of the inner one after `open`. */
  end = 0;
  private depth = 0;

  start(bytes: Buffer): void {
    this.bytes = bytes;
    this.at = 0;
    this.end = bytes.length;
    this.depth = 0;
  }

  /** The next field as `number << 3 | wire type`; 0 at the end of the message. */
  tag(): number {
    if (this.at === this.end) return 0;
    const first = this.bytes[this.at]!;
    let tag = first;
    if (first < 0x80) this.at++;
    else {
      const long = this.size();
      if (long > 0xffff_ffff) throw new ProtobufFault('a field has a number that is too large');
      tag = long >>> 0;
    }
    if (tag >>> 3 === 0) throw new ProtobufFault('a field has the number 0');
    return tag;
  }

  /** Passes over a field that is not known. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WIRE.varint:
        this.varint();
        return;
      case WIRE.fixed64:
        this.advance(8);
        return;
      case WIRE.bytes:
        this.advance(this.size());
        return;
      case WIRE.fixed32:
        this.advance(4);
        return;
      default:
        throw new ProtobufFault(`the field ${tag >>> 3} has a wire type that is not used any more`);
    }
  }

  /** Call with a known field's tag whose wire type is not the field's. */
  wrongType(tag: number): never {
    throw new ProtobufFault(`the field ${tag >>> 3} has the wrong wire type ${tag & 7}`);
  }

  low = 0;
  high = 0;

  /** Reads a varint into `low` and `high`, 32 bits each, unsigned. */
  varint(): void {
    const { bytes, end } = this;
    let at = this.at;
    if (at < end && bytes[at]! < 0x80) {
      this.at = at + 1;
      this.low = bytes[at]!;
      this.high = 0;
      return;
    }
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) throw new ProtobufFault('it ends in the middle of a number');
      const byte = bytes[at++]!;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x0f) << 28;
        high = (byte & 0x7f) >>> 4;
      } else high |= (byte & 0x7f) << (shift - 32);
      if (byte >= 0x80) continue;
      if (shift === 63 && byte > 1) throw new ProtobufFault('a number has more than 64 bits');
      this.at = at;
      this.low = low >>> 0;
      this.high = high >>> 0;
      return;
    }
    throw new ProtobufFault('a number is longer than ten bytes');
  }

  /** A varint as a length. */
  size(): number {
    const first = this.bytes[this.at]!;
    if (first < 0x80 && this.at < this.end) {
      this.at++;
      return first;
    }
    this.varint();
    return this.high * 0x1_0000_0000 + this.low;
  }

  bool(): boolean {
    this.varint();
    return this.low !== 0 || this.high !== 0;
  }

  /** An int32, as protobuf cuts it from what was sent. */
  int32(): number {
    this.varint();
    return this.low | 0;
  }

  uint32(): number {
    this.varint();
    return this.low;
  }

  int64(): bigint {
    this.varint();
    return BigInt.asIntN(64, (BigInt(this.high) << 32n) | BigInt(this.low));
  }

  uint64(): bigint {
    this.varint();
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  /** An int64 as a number, where it is exact; else NaN. */
  safeInt64(): number {
    this.varint();
    const value = (this.high | 0) * 0x1_0000_0000 + this.low;
    return Number.isSafeInteger(value) ? value : Number.NaN;
  }

  float(): number {
    const start = this.at;
    this.advance(4);
    return this.bytes.readFloatLE(start);
  }

  double(): number {
    const start = this.at;
    this.advance(8);
    return this.bytes.readDoubleLE(start);
  }

  /** A view on the bytes of a field. */
  view(): Buffer {
    const size = this.size();
    const start = this.at;
    this.advance(size);
    return this.bytes.subarray(start, start + size);
  }

  /** @throws ProtobufFault also when it is no UTF-8 */
  text(): string {
    const size = this.size();
    const start = this.at;
    this.advance(size);
    const { bytes } = this;
    if (size < 64) {
      let at = start;
      while (at < this.at && bytes[at]! < 0x80) at++;
      if (at === this.at) return bytes.toString('latin1', start, at);
    }
    return textOf(bytes.subarray(start, this.at));
  }

  /** Goes into an inner message. @returns what `close` wants */
  open(): number {
    const size = this.size();
    if (size > this.end - this.at) throw tooLong(size, this.end - this.at);
    if (++this.depth > MAX_DEPTH) throw new ProtobufFault('its messages are nested too deeply');
    const outer = this.end;
    this.end = this.at + size;
    return outer;
  }

  close(outer: number): void {
    this.depth--;
    this.end = outer;
  }

  private advance(size: number): void {
    if (size > this.end - this.at) throw tooLong(size, this.end - this.at);
    this.at += size;
  }
}

/** @throws ProtobufFault when the bytes are no UTF-8 */
export function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new ProtobufFault('a text in it is not UTF-8');
  }
}

function tooLong(size: number, left: number): ProtobufFault {
  return new ProtobufFault(`a field says that it has ${size} bytes, and ${left} are left`);
}
