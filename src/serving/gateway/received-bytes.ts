/** Numbers shrink to a third or a tenth; what grows a hundredfold is meant to. Below a MiB nobody is harmed. */
const MAX_RATIO = 100;
const HARMLESS_BYTES = 1024 * 1024;

/** Bytes that a compressed body or message may grow to. */
export function mostDecompressed(packedBytes: number, maxBytes: number): number {
  return Math.min(maxBytes, Math.max(HARMLESS_BYTES, packedBytes * MAX_RATIO));
}

/** Which bound of the two decompressed bytes broke: for messages, behind "larger than". */
export function decompressedBound(packedBytes: number, maxBytes: number): string {
  const most = mostDecompressed(packedBytes, maxBytes);
  if (most === maxBytes) return `${sizeText(maxBytes)} after decompression`;
  return `${MAX_RATIO} times its ${packedBytes} bytes after decompression`;
}

/** A limit, for messages. */
export function sizeText(bytes: number): string {
  return bytes % (1024 * 1024) === 0 ? `${bytes / 1024 / 1024} MiB` : `${bytes} bytes`;
}
