/** Numbers and text as few bytes: what profiles are kept as. */

export type ByteWriter = {
  byte(value: number): void;
  /** A whole number from 0 to 2^53, in groups of seven bits. */
  count(value: number): void;
  /** Any whole number. */
  signed(value: number): void;
  float(value: number): void;
  text(value: string): void;
  bytes(value: Uint8Array): void;
  done(): Uint8Array;
};

export function createByteWriter(): ByteWriter {
  let buffer = Buffer.allocUnsafe(1024);
  let at = 0;
  const room = (bytes: number): void => {
    if (at + bytes <= buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, at + bytes));
    buffer.copy(larger, 0, 0, at);
    buffer = larger;
  };
  const writer: ByteWriter = {
    byte(value) {
      room(1);
      buffer[at++] = value;
    },
    count(value) {
      room(8);
      let rest = value;
      while (rest >= 128) {
        buffer[at++] = (rest % 128) | 128;
        rest = Math.floor(rest / 128);
      }
      buffer[at++] = rest;
    },
    signed(value) {
      writer.count(value < 0 ? -value * 2 - 1 : value * 2);
    },
    float(value) {
      room(8);
      at = buffer.writeDoubleLE(value, at);
    },
    text(value) {
      writer.bytes(Buffer.from(value));
    },
    bytes(value) {
      writer.count(value.length);
      room(value.length);
      buffer.set(value, at);
      at += value.length;
    },
    done: () => buffer.subarray(0, at),
  };
  return writer;
}

export type ByteReader = {
  byte(): number;
  count(): number;
  signed(): number;
  float(): number;
  text(): string;
  bytes(): Uint8Array;
};

/** @throws RangeError where the bytes end too early */
export function createByteReader(source: Uint8Array): ByteReader {
  const buffer = Buffer.from(source.buffer, source.byteOffset, source.length);
  let at = 0;
  const take = (bytes: number): number => {
    const from = at;
    at += bytes;
    if (at > buffer.length) throw new RangeError('the bytes of a profile end too early');
    return from;
  };
  const reader: ByteReader = {
    byte: () => buffer[take(1)]!,
    count() {
      let value = 0;
      let scale = 1;
      for (;;) {
        const byte = buffer[take(1)]!;
        value += (byte & 127) * scale;
        if (byte < 128) return value;
        scale *= 128;
        if (scale > 2 ** 56) throw new RangeError('a count of a profile has too many bytes');
      }
    },
    signed() {
      const value = reader.count();
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    },
    float: () => buffer.readDoubleLE(take(8)),
    text: () => Buffer.from(reader.bytes()).toString(),
    bytes() {
      const length = reader.count();
      const from = take(length);
      return buffer.subarray(from, from + length);
    },
  };
  return reader;
}
