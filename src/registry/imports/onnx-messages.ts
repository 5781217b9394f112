/** The small messages of onnx.proto, and the plain fields all of them are made of. */
import { ENTRY, OPSET } from './onnx-types.ts';
import { type Field, int64, type ProtobufCursor } from './protobuf-cursor.ts';

const MAX_METADATA = 256;
const MAX_METADATA_BYTES = 256 * 1024;
const MAX_METADATA_TOTAL = 4 * 1024 * 1024;

export function byteCount(cursor: ProtobufCursor, value: string | undefined): number | null {
  if (value === undefined || value === '') return null;
  const count = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(count)) throw cursor.fault('an external tensor has an offset or length that is no number');
  return count;
}

export function readOpset(cursor: ProtobufCursor, field: Field): { domain: string; version: number } {
  let domain = '';
  let version = 0;
  cursor.enter(message(cursor, field));
  for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
    if (part.number === OPSET.domain) domain = text(cursor, part);
    else if (part.number === OPSET.version) version = integer(cursor, part);
    cursor.skip(part);
  }
  return { domain, version };
}

/** Keeps an entry of the metadata. What is too large, or one too many, is left out: nothing depends on all of it. */
export function readMetadata(cursor: ProtobufCursor, field: Field, into: Map<string, string>): void {
  if (field.end - field.start > MAX_METADATA_BYTES || into.size >= MAX_METADATA) return;
  const total = [...into].reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  if (total + field.end - field.start > MAX_METADATA_TOTAL) return;
  into.set(...readEntry(cursor, message(cursor, field)));
}

export function readEntry(cursor: ProtobufCursor, field: Field): [string, string] {
  let key = '';
  let value = '';
  cursor.enter(field);
  for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
    if (part.number === ENTRY.key) key = text(cursor, part);
    else if (part.number === ENTRY.value) value = text(cursor, part, MAX_METADATA_BYTES);
    cursor.skip(part);
  }
  return [key, value];
}

/** The field, when it is a message or text; protobuf would merge or ignore others, and no exporter writes them. */
export function message(cursor: ProtobufCursor, field: Field): Field {
  if (field.wire !== 2) throw cursor.fault(`field ${field.number} has the wrong type`);
  return field;
}

export function text(cursor: ProtobufCursor, field: Field, maxBytes?: number): string {
  return cursor.text(message(cursor, field), maxBytes);
}

export function integer(cursor: ProtobufCursor, field: Field): number {
  if (field.wire !== 0) throw cursor.fault(`field ${field.number} has the wrong type`);
  return Number(int64(field.low, field.high));
}
