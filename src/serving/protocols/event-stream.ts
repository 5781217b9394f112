/**
 * Messages of `application/vnd.amazon.eventstream`, as SageMaker's response streams are made of: AWS SDK documentation, "Amazon Event Stream". All numbers are big-endian.
 *
 *     total bytes u32 · header bytes u32 · CRC32 of these 8 · headers · payload · CRC32 of all before
 *     header: name length u8 · name · 7 (a string) · length u16 · UTF-8
 */
import { crc32 } from 'node:zlib';

const PRELUDE_BYTES = 12;
const CRC_BYTES = 4;
const STRING = 7;

export const EVENT_STREAM = 'application/vnd.amazon.eventstream';
/** Payloads of one event; the service's own are up to 1 MB. */
const MOST_PAYLOAD_BYTES = 512 * 1024;

/** A body as events of one part each, so that readers need not hold it whole. */
export function payloadParts(body: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < body.byteLength; at += MOST_PAYLOAD_BYTES) {
    parts.push(payloadPart(body.subarray(at, at + MOST_PAYLOAD_BYTES)));
  }
  return parts;
}

function payloadPart(payload: Uint8Array): Uint8Array {
  return eventMessage(
    [
      [':message-type', 'event'],
      [':event-type', 'PayloadPart'],
      [':content-type', 'application/octet-stream'],
    ],
    payload,
  );
}

export function eventMessage(
  headers: readonly (readonly [name: string, value: string])[],
  payload: Uint8Array,
): Uint8Array {
  const head = Buffer.concat(headers.map(([name, value]) => headerBytes(name, value)));
  const total = PRELUDE_BYTES + head.byteLength + payload.byteLength + CRC_BYTES;
  // Memory of its own, which may move to another thread.
  const message = Buffer.from(new ArrayBuffer(total));
  message.writeUInt32BE(total, 0);
  message.writeUInt32BE(head.byteLength, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  message.set(head, PRELUDE_BYTES);
  message.set(payload, PRELUDE_BYTES + head.byteLength);
  message.writeUInt32BE(crc32(message.subarray(0, total - CRC_BYTES)), total - CRC_BYTES);
  return message;
}

function headerBytes(name: string, value: string): Buffer {
  const text = Buffer.from(value);
  const head = Buffer.alloc(1 + name.length + 3);
  head.writeUInt8(name.length, 0);
  head.write(name, 1, 'latin1');
  head.writeUInt8(STRING, 1 + name.length);
  head.writeUInt16BE(text.byteLength, 2 + name.length);
  return Buffer.concat([head, text]);
}
