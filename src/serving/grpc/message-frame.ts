/** What stands before every gRPC message: a flag, 1 when it is compressed, and its length in four bytes. */

export const PREFIX_BYTES = 5;

/** @param bytes a message behind five bytes of room, which are filled */
export function sealMessage(bytes: Buffer, compressed = false): Buffer {
  bytes[0] = compressed ? 1 : 0;
  bytes.writeUInt32BE(bytes.length - PREFIX_BYTES, 1);
  return bytes;
}

/** A copy of a message behind its prefix. */
export function frameMessage(message: Buffer, compressed = false): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  message.copy(bytes, PREFIX_BYTES);
  return sealMessage(bytes, compressed);
}
