import { createRequire } from 'node:module';
import { HTTP_LIMITS } from '../../src/serving/gateway/http-limits.ts';
import { HeadMemory, type ParsedHead, parseLeanHead } from '../../src/serving/gateway/lean-head.ts';
import type { FuzzTarget } from './target.ts';

/** Node's own parser of HTTP/1.1, as node:http uses it; it has no public name, and no types. */
type NodeParser = {
  initialize(type: number, resource: object, maxHeaderBytes: number, lenient: number): void;
  execute(bytes: Buffer): number | Error;
  close(): void;
  [callback: number]: unknown;
};
type HeadersComplete = (
  major: number,
  minor: number,
  headers: string[] | undefined,
  method: number,
  url: string,
) => number;
const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as {
  HTTPParser: {
    new (): NodeParser;
    REQUEST: number;
    kOnHeaders: number;
    kOnHeadersComplete: number;
    kOnBody: number;
    kOnMessageComplete: number;
  };
  methods: readonly string[];
};

/**
 * Heads of the lean path, several in one input with an empty line between. What it takes, Node's parser takes too and reads alike: otherwise the
 * two would disagree about where a request ends. And what the memory of the last head says is what parsing anew says.
 */
export const leanHead: FuzzTarget = {
  name: 'lean-head',
  dictionary: [
    'GET / HTTP/1.1\r\n',
    'POST /v2/models/m/infer HTTP/1.1\r\n',
    'Host: a\r\n',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Connection: close',
    'Connection: keep-alive',
    'Expect: 100-continue',
    'Upgrade: h2c',
    '\r\n',
    '\r\n ',
    '\t',
    ': ',
    'content-length:',
    '\r\n\r\n',
  ],
  run(input) {
    const memory = new HeadMemory();
    const outcomes: string[] = [];
    for (const text of input.toString('latin1').split('\r\n\r\n')) {
      if (text.length > HTTP_LIMITS.headerBytes) continue; // the gateway does not come so far
      const parsed = parseLeanHead(text);
      const remembered = memory.read(text);
      if (shown(parsed) !== shown(remembered))
        throw new Error(`anew ${shown(parsed)}, remembered ${shown(remembered)}`);
      if (parsed !== null) compare(text, parsed);
      outcomes.push(
        parsed === null ? 'no' : `${parsed.head.method}${Math.min(Object.keys(parsed.head.headers).length, 3)}`,
      );
    }
    return outcomes.slice(0, 3).join(',');
  },
};

function shown(parsed: ParsedHead | null): string {
  if (parsed === null) return 'nothing';
  const { method, url, headers } = parsed.head;
  return JSON.stringify([method, url, Object.entries(headers).sort(), parsed.contentLength]);
}

function compare(text: string, { head, contentLength }: ParsedHead): void {
  if (contentLength > 65_536) return; // no need to send so much for it
  const seen: { method: string; url: string; headers: string[] }[] = [];
  let bodyBytes = 0;
  let complete = 0;
  const parser = new HTTPParser();
  // Node counts a little differently; where exactly 431 begins is not what is compared here.
  parser.initialize(HTTPParser.REQUEST, {}, 2 * HTTP_LIMITS.headerBytes, 0);
  const early: string[] = [];
  let url = '';
  parser[HTTPParser.kOnHeaders] = (headers: string[], part: string) => {
    early.push(...headers);
    url += part;
  };
  parser[HTTPParser.kOnHeadersComplete] = ((_major, _minor, headers, method, part) => {
    seen.push({ method: methods[method]!, url: url + (part ?? ''), headers: [...early, ...(headers ?? [])] });
    return 0;
  }) satisfies HeadersComplete;
  parser[HTTPParser.kOnBody] = (chunk: Buffer) => {
    bodyBytes += chunk.length;
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    complete++;
  };
  const result = parser.execute(
    Buffer.concat([Buffer.from(`${text}\r\n\r\n`, 'latin1'), Buffer.alloc(contentLength, 97)]),
  );
  parser.close();
  if (typeof result !== 'number') throw new Error(`Node refuses what is taken here: ${result.message}`);
  const [theirs] = seen;
  if (theirs === undefined || seen.length > 1 || complete !== 1 || bodyBytes !== contentLength) {
    throw new Error(`Node sees ${seen.length} requests, ${complete} whole, with ${bodyBytes} bytes`);
  }
  const headers: Record<string, string> = {};
  for (let i = 0; i < theirs.headers.length; i += 2) headers[theirs.headers[i]!.toLowerCase()] = theirs.headers[i + 1]!;
  delete headers['content-length'];
  const ours = JSON.stringify([head.method, head.url, Object.entries(head.headers).sort()]);
  const other = JSON.stringify([theirs.method, theirs.url, Object.entries(headers).sort()]);
  if (ours !== other) throw new Error(`read as ${ours}, by Node as ${other}`);
}
