/**
 * requests about whose end two parsers could differ. However they come (alone, right behind a good request in one piece, on a connection
 * that was good so far, a byte at a time), there is one answer, 400, and the connection is closed; what is smuggled behind is never answered.
 */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { add, end, type GatewayProcess, serve } from '../../../test/fixtures/gateway.ts';

let gateway: GatewayProcess;
let port: number;
beforeAll(async () => {
  gateway = await serve({ versions: [add()] });
  port = Number(new URL(gateway.url).port);
}, 60_000);
afterAll(() => end(gateway));

const BODY = '{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}';
const request = (head: string, body: string): string =>
  `POST /v2/models/add/infer HTTP/1.1\r\nHost: localhost\r\n${head}\r\n\r\n${body}`;
const GOOD = request(`Content-Length: ${BODY.length}`, BODY);
const SMUGGLED = 'GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
const LENGTH = `Content-Length: ${BODY.length}`;
const CHUNKED = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

const ATTACKS: readonly (readonly [string, string])[] = [
  ['CL.TE', request(`Content-Length: ${CHUNKED.length}\r\nTransfer-Encoding: chunked`, CHUNKED)],
  ['CL.TE, the length that of the body', request(`${LENGTH}\r\nTransfer-Encoding: chunked`, CHUNKED)],
  ['TE.CL', request(`Transfer-Encoding: chunked\r\nContent-Length: 4`, CHUNKED)],
  ['TE.CL with a space before the colon', request(`Transfer-Encoding : chunked\r\n${LENGTH}`, BODY)],
  ['TE.CL with a word that only begins like chunked', request(`Transfer-Encoding: chunkedx\r\n${LENGTH}`, BODY)],
  ['TE.CL with xchunked', request(`Transfer-Encoding: xchunked\r\n${LENGTH}`, BODY)],
  ['TE.TE', request('Transfer-Encoding: chunked\r\nTransfer-Encoding: cow', CHUNKED)],
  ['TE: identity', request(`Transfer-Encoding: identity\r\n${LENGTH}`, BODY)],
  ['TE folded', request(`Transfer-Encoding:\r\n chunked\r\n${LENGTH}`, BODY)],
  ['CL.CL, equal', request(`${LENGTH}\r\n${LENGTH}`, BODY)],
  ['CL.CL, different', request(`${LENGTH}\r\nContent-Length: 0`, BODY)],
  ['CL.CL, in another case', request(`${LENGTH}\r\ncontent-length: 0`, BODY)],
  ['CL as a list', request(`Content-Length: ${BODY.length}, ${BODY.length}`, BODY)],
  ['CL with a plus', request(`Content-Length: +${BODY.length}`, BODY)],
  ['CL with a minus', request(`Content-Length: -${BODY.length}`, BODY)],
  ['CL in hexadecimal', request(`Content-Length: 0x${BODY.length.toString(16)}`, BODY)],
  ['CL with an exponent', request('Content-Length: 7e1', BODY)],
  ['CL with words behind it', request(`${LENGTH} bytes`, BODY)],
  ['CL with a space before the colon', request(`Content-Length : ${BODY.length}`, BODY)],
  ['CL beyond 64 bits', request(`Content-Length: 1${'0'.repeat(30)}`, BODY)],
  ['CL empty', request('Content-Length: ', BODY)],
  ['a line feed alone ends a header', request(`X-A: b\n${LENGTH}`, BODY)],
  [
    'a line feed alone ends the request line',
    `POST /v2/models/add/infer HTTP/1.1\nHost: localhost\r\n${LENGTH}\r\n\r\n${BODY}`,
  ],
  ['a carriage return alone ends a header', request(`X-A: b\r${LENGTH}`, BODY)],
  ['a header goes on in the next line', request(`X-A: b\r\n c\r\n${LENGTH}`, BODY)],
  ['the first header is folded', `POST /v2/models/add/infer HTTP/1.1\r\n Host: localhost\r\n${LENGTH}\r\n\r\n${BODY}`],
  ['a NUL in a header', request(`X-A: b\0c\r\n${LENGTH}`, BODY)],
  ['a header without a name', request(`: b\r\n${LENGTH}`, BODY)],
  ['a header without a colon', request(`X-A\r\n${LENGTH}`, BODY)],
  ['two Hosts', request(`Host: localhost\r\n${LENGTH}`, BODY)],
  ['a space in the path', GOOD.replace('/infer', '/in fer')],
  ['a chunk longer than it says', request('Transfer-Encoding: chunked', `2\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk size with a plus', request('Transfer-Encoding: chunked', `+${CHUNKED}`)],
  ['a chunk size with 0x', request('Transfer-Encoding: chunked', `0x${CHUNKED}`)],
  ['a chunk size that a line feed alone ends', request('Transfer-Encoding: chunked', CHUNKED.replace('\r\n', '\n'))],
];

/** All that comes back until the connection is closed; null when it still was not after `withinMs`. */
async function talk(send: (socket: Socket) => Promise<void>, withinMs = 8_000): Promise<string | null> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let seen = '';
  socket.on('data', (chunk) => (seen += chunk.toString('latin1')));
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(seen)));
  await send(socket);
  const timer = setTimeout(() => socket.destroy(), withinMs);
  const startedMs = performance.now();
  const text = await closed;
  clearTimeout(timer);
  return performance.now() - startedMs >= withinMs ? null : text;
}

const statuses = (text: string | null): string[] | null =>
  text === null ? null : [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1]!);
const answered = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('data', () => resolve()));

describe.each(ATTACKS)('%s', (_title, attack) => {
  it('alone, in one piece with what is smuggled', async () => {
    expect(statuses(await talk(async (socket) => void socket.write(attack + SMUGGLED)))).toEqual(['400']);
  });

  it('right behind a good request, in one piece', async () => {
    expect(statuses(await talk(async (socket) => void socket.write(GOOD + attack + SMUGGLED)))).toEqual(['200', '400']);
  });

  it('on a connection that was good so far', async () => {
    const text = await talk(async (socket) => {
      socket.write(GOOD);
      await answered(socket);
      socket.write(attack + SMUGGLED);
    });
    expect(statuses(text)).toEqual(['200', '400']);
  });

  it('a byte at a time', async () => {
    let heard = false;
    const text = await talk(async (socket) => {
      socket.once('data', () => {
        heard = true;
      });
      for (const byte of Buffer.from(attack + SMUGGLED, 'latin1')) {
        if (heard || !socket.writable) return;
        socket.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
    });
    // Bytes that are on their way when the connection is closed may reset it before its answer was read.
    expect(statuses(text)!.length > 0 ? statuses(text) : ['400']).toEqual(['400']);
  });
});

it('good requests in every form of delivery are answered, each once', async () => {
  const many = GOOD + request('Transfer-Encoding: chunked', CHUNKED) + GOOD;
  const lastOne = SMUGGLED.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
  for (const size of [1, 2, 3, 7, 64, 1000]) {
    const text = await talk(async (socket) => {
      const bytes = Buffer.from(many + lastOne);
      for (let at = 0; at < bytes.length; at += size) {
        socket.write(bytes.subarray(at, at + size));
        await new Promise(setImmediate);
      }
    });
    expect(statuses(text), `in pieces of ${size}`).toEqual(['200', '200', '200', '200']);
  }
});

describe('requests that are unusual, but clear', () => {
  const ask = async (line: string, headers = ''): Promise<string> => {
    const text = `${line}\r\nHost: localhost\r\nConnection: close\r\n${headers}${LENGTH}\r\n\r\n${BODY}`;
    const said = await talk(async (socket) => void socket.write(text));
    return /^HTTP\/1\.1 (\d+)/.exec(said ?? '')?.[1] ?? `${said}`;
  };
  it.each([
    ['a target in absolute form', 'POST http://localhost/v2/models/add/infer HTTP/1.1', '', '200'],
    [
      'one whose host is not ours, whatever Host says',
      'POST http://evil.example/v2/models/add/infer HTTP/1.1',
      '',
      '403',
    ],
    ['one with a user', 'POST http://a@localhost/v2/models/add/infer HTTP/1.1', '', '404'],
    ['HTTP/2.0 in the request line', 'POST /v2/models/add/infer HTTP/2.0', '', '505'],
    ['HTTP/1.2', 'POST /v2/models/add/infer HTTP/1.2', '', '505'],
    [
      'two Authorization',
      'POST /v2/models/add/infer HTTP/1.1',
      'Authorization: Bearer a\r\nAuthorization: Bearer b\r\n',
      '400',
    ],
    ['two X-API-Key', 'POST /v2/models/add/infer HTTP/1.1', 'X-API-Key: a\r\nX-API-Key: b\r\n', '400'],
    ['both', 'POST /v2/models/add/infer HTTP/1.1', 'Authorization: Bearer a\r\nX-API-Key: b\r\n', '400'],
    ['UTF-16', 'POST /v2/models/add/infer HTTP/1.1', 'Content-Type: application/json; charset=utf-16\r\n', '415'],
    ['UTF-8', 'POST /v2/models/add/infer HTTP/1.1', 'Content-Type: application/json; charset="UTF-8"\r\n', '200'],
    [
      'UTF-16 in the plain form',
      'POST /endpoints/add/predict HTTP/1.1',
      'Content-Type: text/json;charset=UTF-16LE\r\n',
      '415',
    ],
  ])('%s', async (_title, line, headers, status) => {
    expect(await ask(line, headers)).toBe(status);
  });
});

it.each([
  ['no HTTP', 'Hello\r\n\r\n', '400 Bad Request', 'The request is not valid HTTP/1.1'],
  ['a header beyond the limit', `GET / HTTP/1.1\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`, '431 Request', '16 KiB'],
  ['another version', 'GET / HTTP/1.2\r\nHost: localhost\r\n\r\n', '505 HTTP', 'Only HTTP/1.1'],
])('%s is answered by a sentence that says so', async (_title, sent, status, words) => {
  const said = await talk(async (socket) => void socket.write(sent));
  expect(said).toContain(`HTTP/1.1 ${status}`);
  expect(said).toContain(words);
  const [head, body] = said!.split('\r\n\r\n');
  expect(head).toContain(`Content-Length: ${body!.length}`);
});
