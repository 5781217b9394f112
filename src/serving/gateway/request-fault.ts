import type { IncomingMessage } from 'node:http';

/** Headers of which Node keeps the first; whoever stands before us may have gone by another (RFC 9112 §3.2 for Host). */
const ONCE: readonly string[] = ['host', 'authorization', 'x-api-key'];

/** `GET http://host/path`, as clients of a proxy write it. */
const ABSOLUTE = /^https?:\/\/([^/?#@]+)(\/[^#]*|\?[^#]*)?$/i;

/**
 * What is wrong with a request that node:http let pass. A target in absolute form is made the usual one here: its host takes the place of the
 * header Host (RFC 9112 §3.2.2), so both are judged alike.
 * @returns null when nothing is
 */
export function requestFault(request: IncomingMessage): { status: number; message: string } | null {
  // A request line may say HTTP/2.0, which is another protocol (RFC 9110 §15.6.6).
  if (request.httpVersionMajor !== 1) return { status: 505, message: 'Only HTTP/1.1 is spoken here' };
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
