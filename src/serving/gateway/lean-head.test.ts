import { describe, expect, it } from 'vitest';
import { HeadMemory, parseLeanHead } from './lean-head.ts';

const POST = ['POST /v2/models/a/infer HTTP/1.1', 'Host: x', 'Content-Length: 12'];
const head = (...lines: string[]): string => lines.join('\r\n');

describe('heads that are beyond doubt', () => {
  it('are read: method, path with query, names in lower case, values without space around them', () => {
    const parsed = parseLeanHead(head(...POST, 'X-Request-Id: \t a b \t', 'Accept:', 'Connection: Keep-Alive'));
    expect(parsed).toMatchObject({ contentLength: 12, head: { method: 'POST', url: '/v2/models/a/infer' } });
    expect({ ...parsed!.head.headers }).toEqual({
      host: 'x',
      'x-request-id': 'a b',
      accept: '',
      connection: 'Keep-Alive',
    });
    expect(parseLeanHead(head('GET /v2?a=b HTTP/1.1', 'Host: x'))).toMatchObject({ head: { url: '/v2?a=b' } });
  });

  const refused: [why: string, text: string][] = [
    ['another method', head('PUT /a HTTP/1.1', 'Host: x', 'Content-Length: 0')],
    ['a method in lower case', head('post /a HTTP/1.1', 'Host: x', 'Content-Length: 0')],
    ['HEAD', head('HEAD /a HTTP/1.1', 'Host: x')],
    ['HTTP/1.0', head('GET /a HTTP/1.0', 'Host: x')],
    ['an absolute target', head('GET http://x/a HTTP/1.1', 'Host: x')],
    ['two spaces', head('GET  /a HTTP/1.1', 'Host: x')],
    ['a space in the target', head('GET /a b HTTP/1.1', 'Host: x')],
    ['a byte above ASCII in the target', head('GET /\xe4 HTTP/1.1', 'Host: x')],
    ['no Host', head('GET /a HTTP/1.1')],
    ['two Hosts', head('GET /a HTTP/1.1', 'Host: x', 'host: y')],
    ['any header twice', head(...POST, 'Accept: a', 'accept: b')],
    ['no length of a POST', head('POST /a HTTP/1.1', 'Host: x')],
    ['a length of a GET', head('GET /a HTTP/1.1', 'Host: x', 'Content-Length: 0')],
    ['two lengths', head(...POST, 'Content-Length: 12')],
    ['two lengths in one', head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 12, 12')],
    ['a signed length', head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: +12')],
    ['a negative length', head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: -1')],
    ['a length in hexadecimal', head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 0x10')],
    ['no digits', head('POST /a HTTP/1.1', 'Host: x', 'Content-Length:')],
    ['a length of ten digits', head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 1000000000')],
    ['Transfer-Encoding', head(...POST, 'Transfer-Encoding: chunked')],
    ['Content-Encoding', head(...POST, 'Content-Encoding: gzip')],
    ['Expect', head(...POST, 'Expect: 100-continue')],
    ['Upgrade', head(...POST, 'Upgrade: h2c')],
    ['Connection: close', head(...POST, 'Connection: close')],
    ['Connection with more', head(...POST, 'Connection: keep-alive, Upgrade')],
    ['a space before the colon', head(...POST, 'Accept : a')],
    ['a folded line', head(...POST, 'Accept: a', ' b')],
    ['a line without a colon', head(...POST, 'Accept')],
    ['a name with a strange character', head(...POST, 'Acc(ept: a')],
    ['a bare line feed', head(...POST, 'Accept: a\nTransfer-Encoding: chunked')],
    ['a bare carriage return', head(...POST, 'Accept: a\rb')],
    ['NUL', head(...POST, 'Accept: a\0b')],
    ['a byte above ASCII', head(...POST, 'Accept: \xff')],
    ['an empty line at the start', `\r\n${head(...POST)}`],
  ];
  it.each(refused)('%s is left to node:http', (_why, text) => {
    expect(parseLeanHead(text)).toBeNull();
    expect(new HeadMemory().read(text)).toBeNull();
  });
});

describe('the memory of a connection', () => {
  it('gives the same head again while only the digits of the length differ', () => {
    const memory = new HeadMemory();
    const text = (length: string): string => head('POST /a HTTP/1.1', 'Host: x', `content-length:  ${length}`, 'B: c');
    const first = memory.read(text('7'))!;
    const second = memory.read(text('123'))!;
    expect(second.head).toBe(first.head);
    expect([first.contentLength, second.contentLength]).toEqual([7, 123]);
    for (const odd of ['', '1x', '-1', '1 ', '1, 1', '1000000000']) {
      const alone = parseLeanHead(text(odd));
      expect([odd, memory.read(text(odd))?.contentLength]).toEqual([odd, alone?.contentLength]);
    }
    expect(memory.read(text('9'))!.contentLength).toBe(9);
  });

  it('is not misled by another head that begins and ends alike', () => {
    const memory = new HeadMemory();
    memory.read(head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 7', 'B: c'));
    expect(memory.read(head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 7', 'B: c', 'B: c'))).toBeNull();
    expect(
      memory.read(head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 7', 'Transfer-Encoding: chunked', 'B: c')),
    ).toBeNull();
    const get = head('GET /a HTTP/1.1', 'Host: x');
    expect(memory.read(get)).toMatchObject({ contentLength: 0, head: { method: 'GET' } });
    expect(memory.read(get)!.head).toBe(memory.read(get)!.head);
    expect(memory.read(`${get}\r\nA: b`)!.head.headers['a']).toBe('b');
  });

  it('waits for the rest of a head only while it goes on like the one before', () => {
    const memory = new HeadMemory();
    const text = head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 7', 'B: c');
    expect(memory.continues('P')).toBe(false);
    memory.read(text);
    const other = `${head('POST /a HTTP/1.1', 'Host: x', 'Content-Length: 12345', 'B: c')}\r\n\r`;
    for (let length = 1; length <= other.length; length++) expect(memory.continues(other.slice(0, length))).toBe(true);
    for (const odd of [
      'p',
      'GET',
      'POST /b',
      'POST /a HTTP/1.1\n',
      other.replace('1', 'x'),
      `${text}\n`,
      `${text}\r\nC`,
    ]) {
      expect([odd, memory.continues(odd)]).toEqual([odd, false]);
    }
  });

  it('agrees with a reader that remembers nothing, whatever comes in whatever order', () => {
    const seed = Date.now() % 1_000_000;
    let state = seed;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
      return state % below;
    };
    const lines = [
      'Host: x',
      'Content-Length: 5',
      'content-length: 50',
      'A: b',
      'Content-Length: 5x',
      'X-Content-Length: 3',
    ];
    const memory = new HeadMemory();
    for (let i = 0; i < 5000; i++) {
      const request = ['POST /a HTTP/1.1', 'GET /a HTTP/1.1'][random(2)]!;
      const text = head(request, ...Array.from({ length: 1 + random(4) }, () => lines[random(lines.length)]!));
      const [told, alone] = [memory.read(text), parseLeanHead(text)];
      expect({ seed, text, length: told?.contentLength }).toEqual({ seed, text, length: alone?.contentLength });
      if (told !== null) expect({ ...told.head.headers }).toEqual({ ...alone!.head.headers });
    }
  });
});
