/** multipart/form-data (RFC 7578) of a body that is there as a whole. Parts are views on it. */
import { SlipwayError } from '../../base/errors.ts';
import type { MediaType } from './media-type.ts';

export type FormPart = { readonly name: string; readonly content: Uint8Array };

const MAX_PARTS = 1000;
const MAX_HEAD_BYTES = 4096;
const CRLF = '\r\n';

/** @throws SlipwayError `invalid_request` */
export function readMultipart(body: Uint8Array, { parameters }: MediaType): FormPart[] {
  const bytes = Buffer.from(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength);
  const boundary = parameters.get('boundary') ?? '';
  if (!/^[\x21-\x7e ]{0,69}[\x21-\x7e]$/.test(boundary)) throw broken('its Content-Type has no usable boundary');
  const line = `--${boundary}`;
  const parts: FormPart[] = [];
  let at = bytes.indexOf(line);
  if (at !== 0 && bytes.toString('latin1', Math.max(0, at - 2), Math.max(0, at)) !== CRLF)
    throw broken('it does not begin with its boundary');
  for (;;) {
    at += line.length;
    if (bytes.toString('latin1', at, at + 2) === '--') return parts;
    if (bytes.toString('latin1', at, at + 2) !== CRLF)
      throw broken(`the boundary before part ${parts.length + 1} is not whole`);
    if (parts.length >= MAX_PARTS) throw broken(`it has more than ${MAX_PARTS} parts`);
    const headStart = at + 2;
    const headEnd = bytes.subarray(headStart, headStart + MAX_HEAD_BYTES).indexOf('\r\n\r\n');
    if (headEnd === -1) throw broken(`part ${parts.length + 1} has no header of at most ${MAX_HEAD_BYTES} bytes`);
    const start = headStart + headEnd + 4;
    // The line end of an empty part is that of its header.
    const end = bytes.indexOf(CRLF + line, start - 2);
    if (end === -1) throw broken(`part ${parts.length + 1} does not end with the boundary`);
    const name = nameOf(bytes.toString('utf8', headStart, headStart + headEnd));
    if (name === null) throw broken(`part ${parts.length + 1} has no name`);
    parts.push({ name, content: bytes.subarray(start, Math.max(start, end)) });
    at = end + 2;
  }
}

function nameOf(head: string): string | null {
  const line = head.split(CRLF).find((one) => /^content-disposition\s*:/i.test(one));
  const found = line === undefined ? null : /;\s*name\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))/i.exec(line);
  if (found === null) return null;
  return found[1]?.replace(/\\(.)/g, '$1') ?? found[2] ?? null;
}

function broken(reason: string): SlipwayError {
  return new SlipwayError('invalid_request', `The body is no multipart/form-data: ${reason}`, {
    hint: 'With curl: -F image=@one.jpg -F image=@two.jpg.',
  });
}
