/**
 * Writes HPACK header blocks for answers. They never use the dynamic table, so a block means the same on every connection and the usual
 * ones are made once.
 */

/** `:status` values of the static table, as the byte that stands for them. */
const STATUS_BYTES: Readonly<Record<number, number>> = { 200: 0x88, 400: 0x8c, 404: 0x8d, 500: 0x8e };
const STATUS_NAME = 0x08;

export type Headers = readonly (readonly [name: string, value: string])[];

/**
 * @param status null for trailers
 * @param headers lower-case names, and values of visible ASCII
 */
export function headerBlock(status: number | null, headers: Headers): Buffer {
  const parts: Buffer[] = [];
  if (status !== null) {
    const byte = STATUS_BYTES[status];
    if (byte !== undefined) parts.push(Buffer.from([byte]));
    else parts.push(Buffer.from([STATUS_NAME]), text(`${status}`));
  }
  for (const [name, value] of headers) parts.push(Buffer.from([0]), text(name), text(value));
  return Buffer.concat(parts);
}

/** One header whose value changes from answer to answer: `start` holds everything up to the length of the value. */
export function headerStart(name: string): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(7, bytes.length), bytes]);
}

function integer(prefixBits: number, value: number): Buffer {
  const most = (1 << prefixBits) - 1;
  if (value < most) return Buffer.from([value]);
  const bytes = [most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
