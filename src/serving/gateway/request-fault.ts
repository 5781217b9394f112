import { type IncomingMessage, STATUS_CODES } from 'node:http';

/** Headers of which Node keeps the first; whoever stands before us may have gone by another (RFC 9112 §3.2 for Host). */
const ONCE: readonly string[] = ['host', 'authorization', 'x-api-key'];

/** `GET http://host/path`, as clients of a proxy write it. */
const ABSOLUTE = /^https?:\/\/([^/?#@]+)(\/[^#]*|\?[^#]*)?$/i;

/** What stands in the answer to a request of which nothing more can be read. */
const LAST_WORDS: Readonly<Record<number, string>> = {
  400: 'The request is not valid HTTP/1.1, or its body ends before its Content-Length',
  408: 'The request did not come in time',
  413: 'The chunk extensions are too long',
  431: 'The headers are larger than 16 KiB together',
  505: 'Only HTTP/1.1 is spoken here',
};

/**
 * What is wrong with a request that node:http let pass. A target in absolute form is made the usual one here: its host takes the place of the
 * header Host (RFC 9112 §3.2.2), so both are judged alike.
 * @returns null when nothing is
 */
export function requestFault(request: IncomingMessage): { status: number; message: string } | null {
  // A request line may say HTTP/2.0, which is another protocol (RFC 9110 §15.6.6).
  if (request.httpVersionMajor !== 1) return { status: 505, message: LAST_WORDS[505]! };
  const seen = new Set<string>();
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!.toLowerCase();
    if (!ONCE.includes(name)) continue;
    if (seen.has(name)) return { status: 400, message: `The header ${request.rawHeaders[i]} is given twice` };
    seen.add(name);
  }
  const absolute = ABSOLUTE.exec(request.url ?? '');
  if (absolute !== null) {
    const [, host, path = '/'] = absolute;
    request.headers.host = host!;
    request.url = path.startsWith('/') ? path : `/${path}`;
  }
  return null;
}

/** A sentence of plain text: there is no request to answer in its protocol's form. */
export function lastWords(status: number): string {
  return `${LAST_WORDS[status] ?? STATUS_CODES[status] ?? ''}\n`;
}

/** The last answer on a connection, as it goes over the wire. */
export function lastAnswer(status: number): string {
  const text = lastWords(status);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
}
