import type { IncomingHttpHeaders } from 'node:http';
import type { Found } from './route-table.ts';

/** The head of a request that the lean path takes. One object for all requests of a connection whose heads are the same. */
export type LeanHead = {
  readonly method: 'GET' | 'POST';
  /** Path and query, as sent. */
  readonly url: string;
  /** Names in lower case, each once. Without Content-Length: the rest of the head may be that of the request before. */
  readonly headers: IncomingHttpHeaders;
  /** What the request handler found out about this head, so that it need not again. */
  found: Found | null;
  originChecked: boolean;
};

export type ParsedHead = { readonly head: LeanHead; readonly contentLength: number };

const REQUEST_LINE = /^(GET|POST) (\/[\x21-\x7e]*) HTTP\/1\.1$/;
const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e]*?)[ \t]*$/;
/** Up to 9 digits: larger bodies are not for the lean path anyway. */
const LENGTH = /^\d{1,9}$/;

/** Whatever changes how a request is framed or answered; also what Node joins or drops when it stands twice. */
const NOT_HERE: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'content-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'proxy-connection',
  'http2-settings',
]);

/**
 * Reads a head that is beyond doubt: the most ordinary grammar of HTTP/1.1 (RFC 9112 §2 to 6) and nothing else. So there is nothing in
 * which this parser and another one could differ.
 * @param text the head without its last empty line
 * @returns null for everything else, which node:http is to judge
 */
export function parseLeanHead(text: string): ParsedHead | null {
  const lines = text.split('\r\n');
  const request = REQUEST_LINE.exec(lines[0]!);
  if (request === null) return null;
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let i = 1; i < lines.length; i++) {
    const line = HEADER_LINE.exec(lines[i]!);
    if (line === null) return null;
    const name = line[1]!.toLowerCase();
    if (headers[name] !== undefined || NOT_HERE.has(name)) return null;
    headers[name] = line[2]!;
  }
  const { connection, 'content-length': length } = headers;
  if (headers['host'] === undefined) return null;
  if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return null;
  const method = request[1] as 'GET' | 'POST';
  if (method === 'POST' ? length === undefined || !LENGTH.test(length) : length !== undefined) return null;
  delete headers['content-length'];
  return {
    head: { method, url: request[2]!, headers, found: null, originChecked: false },
    contentLength: length === undefined ? 0 : Number(length),
  };
}

/**
 * Remembers the last head of a connection. Clients send the same head again and again but for the digits of Content-Length: comparing it
 * costs a tenth of reading it.
 */
export class HeadMemory {
  #before = '';
  #after = '';
  #head: LeanHead | null = null;

  read(text: string): ParsedHead | null {
    const known = this.#head;
    const before = this.#before;
    const after = this.#after;
    if (known !== null && text.startsWith(before) && text.endsWith(after)) {
      const from = before.length;
      const to = text.length - after.length;
      if (known.method === 'GET') {
        if (from === text.length) return { head: known, contentLength: 0 };
      } else if (to > from && to - from <= 9) {
        let length = 0;
        let at = from;
        for (; at < to; at++) {
          const digit = text.charCodeAt(at) - 48;
          if (digit < 0 || digit > 9) break;
          length = length * 10 + digit;
        }
        if (at === to) return { head: known, contentLength: length };
      }
    }
    const parsed = parseLeanHead(text);
    if (parsed !== null) this.#remember(text, parsed.head);
    return parsed;
  }

  /** Whether these first bytes of a head are, so far, those of the head before: then the rest is worth waiting for. */
  continues(text: string): boolean {
    if (this.#head === null) return false;
    if (text.length <= this.#before.length) return this.#before.startsWith(text);
    if (!text.startsWith(this.#before)) return false;
    const rest = text.slice(this.#before.length).replace(this.#head.method === 'POST' ? /^\d{1,9}/ : '', '');
    return `${this.#after}\r\n\r`.startsWith(rest);
  }

  #remember(text: string, head: LeanHead): void {
    if (head.method === 'GET') {
      this.#before = text;
      this.#after = '';
      this.#head = head;
      return;
    }
    const place = /\r\ncontent-length:[ \t]*/i.exec(text);
    if (place === null) return;
    const from = place.index + place[0].length;
    const to = /[^0-9]|$/.exec(text.slice(from))!.index + from;
    this.#before = text.slice(0, from);
    this.#after = text.slice(to);
    this.#head = head;
  }
}
