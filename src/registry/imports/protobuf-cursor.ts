/**
 * Walks the fields of a protobuf message without holding it in memory: payloads that nobody asks for are stepped over, so a 2 GB
 * model costs one window of 16 KiB. Why not a protobuf library: docs/decisions/0004-own-onnx-reader.md.
 */

/** Where bytes come from: a file descriptor or an array. */
export type ByteSource = {
  readonly sizeBytes: number;
  /** Fills `target` from `position`; gives the number of bytes read, 0 at the end. */
  readonly readAt: (target: Uint8Array, position: number) => number;
};

export type Field = {
  readonly number: number;
  readonly wire: 0 | 1 | 2 | 5;
  /** Low and high 32 bits of a varint. */
  readonly low: number;
  readonly high: number;
  /** Where the payload starts and ends; absolute. */
  readonly start: number;
  readonly end: number;
};

/** What is wrong with the bytes, and where. Callers turn it into an error that names the file. */
export class ProtobufFault extends Error {
  readonly position: number;
  constructor(position: number, message: string) {
    super(message);
    this.name = 'ProtobufFault';
    this.position = position;
  }
}

const WINDOW_BYTES = 16 * 1024;
const utf8 = new TextDecoder('utf-8', { fatal: true });

export type ProtobufCursor = ReturnType<typeof createProtobufCursor>;

/** @param maxWalkedBytes bytes that may be looked at (stepping over payloads is free); bounds the time a hostile file takes */
export function createProtobufCursor(source: ByteSource, maxWalkedBytes = 512 * 1024 * 1024) {
  const window = new Uint8Array(WINDOW_BYTES);
  let windowStart = 0;
  let windowEnd = 0;
  let position = 0;
  let walked = 0;

  function fault(message: string): ProtobufFault {
    return new ProtobufFault(position, message);
  }

  function byte(end: number): number {
    if (position >= end) throw fault('it ends in the middle of a value');
    if (position < windowStart || position >= windowEnd) {
      windowStart = position;
      windowEnd = position + source.readAt(window, position);
      if (windowEnd === windowStart) throw fault('it ends in the middle of a value');
    }
    if (++walked > maxWalkedBytes) throw fault('it has more structure than any real model');
    return window[position++ - windowStart]!;
  }

  let low = 0;
  let high = 0;
  function varint(end: number): void {
    low = 0;
    high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const b = byte(end);
      const bits = b & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (b < 0x80) {
        low >>>= 0;
        high >>>= 0;
        return;
      }
    }
    throw fault('a number in it is longer than ten bytes');
  }

  /** The next field that starts before `end`, or null. Its payload is skipped unless it is read before the next call. */
  function next(end: number): Field | null {
    if (position === end) return null;
    if (position > end) throw fault('a value reaches beyond the message it is in');
    varint(end);
    const wire = low & 7;
    const number = low >>> 3;
    if (number === 0 || high !== 0) throw fault('a field has no number');
    if (wire === 0) {
      varint(end);
      return { number, wire, low, high, start: position, end: position };
    }
    let length = wire === 1 ? 8 : 4;
    if (wire === 2) {
      varint(end);
      length = high * 0x1_0000_0000 + low;
    } else if (wire !== 1 && wire !== 5) throw fault('a field has a type that protobuf does not have');
    const start = position;
    if (length > end - start) {
      throw fault(`a value says that it has ${length} bytes, and ${end - start} are left`);
    }
    return { number, wire, low: 0, high: 0, start, end: start + length };
  }

  function bytes(field: Field, maxBytes: number): Uint8Array {
    const length = field.end - field.start;
    if (length > maxBytes) throw fault(`a name or text in it has ${length} bytes, more than ${maxBytes}`);
    walked += length;
    if (walked > maxWalkedBytes) throw fault('it has more structure than any real model');
    const result = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const read = source.readAt(result.subarray(at), field.start + at);
      if (read === 0) throw fault('it ends in the middle of a value');
      at += read;
    }
    return result;
  }

  return {
    next,
    /** Moves to the end of a field, read or not. */
    skip: (field: Field): void => {
      position = field.end;
    },
    /** Moves into a sub-message. */
    enter: (field: { readonly start: number }): void => {
      position = field.start;
    },
    position: (): number => position,
    walkedBytes: (): number => walked,
    fault,
    bytes,
    text(field: Field, maxBytes = 64 * 1024): string {
      try {
        return utf8.decode(bytes(field, maxBytes));
      } catch (error) {
        if (error instanceof ProtobufFault) throw error;
        throw fault('a name or text in it is not UTF-8');
      }
    },
    /** The varints of a packed field, or the one of a plain field. */
    *int64s(field: Field): Generator<bigint> {
      if (field.wire === 0) {
        yield int64(field.low, field.high);
        return;
      }
      position = field.start;
      while (position < field.end) {
        varint(field.end);
        yield int64(low, high);
      }
    },
  };
}

/** The fields of a message, without what is in them. */
export function fieldsIn(cursor: ProtobufCursor, span: { readonly start: number; readonly end: number }): Field[] {
  const fields: Field[] = [];
  cursor.enter(span);
  for (let field = cursor.next(span.end); field !== null; field = cursor.next(span.end)) {
    fields.push(field);
    cursor.skip(field);
  }
  return fields;
}

/** A varint field as a signed 64-bit integer. */
export function int64(low: number, high: number): bigint {
  return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
}

export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.length,
    readAt: (target, position) => {
      const part = bytes.subarray(position, position + target.length);
      target.set(part);
      return part.length;
    },
  };
}
