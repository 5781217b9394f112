/** What the listener does with HTTP itself: paths, verbs, headers, framing, sizes (R-24, R-36, R-37). */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { add, end, type GatewayProcess, json, serve } from '../../../test/fixtures/gateway.ts';

let gateway: GatewayProcess;
let port: number;

beforeAll(async () => {
  gateway = await serve({
    versions: [add(), add({ version: 2, file: 'add-two.onnx' })],
    endpoints: [{ name: 'add', version: 1, pins: [2] }],
  });
  port = Number(new URL(gateway.url).port);
}, 60_000);
afterAll(() => end(gateway));

const GOOD = '{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}';
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Sends bytes on a connection of its own and gives all that comes back until it is closed, or nothing came for a while, in which the gateway
 * answered something else: on a busy machine silence alone says nothing.
 */
function raw(...parts: (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let seen = '';
    const untilMs = performance.now() + 10_000;
    const onSilence = async (): Promise<void> => {
      const before = seen.length;
      await (await post('/v2/models/add/infer', GOOD)).text();
      const isOver = performance.now() > untilMs || (before > 0 && seen.length === before);
      if (isOver) socket.destroy();
      else socket.setTimeout(400);
    };
    socket.setTimeout(400, onSilence);
    socket.on('data', (chunk) => (seen += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => resolve(seen));
    for (const part of parts) socket.write(part);
  });
}

const post = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(gateway.url + path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
const answers = (text: string): string[] => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1]!);
const request = (head: string, body = ''): string =>
  `POST /v2/models/add/infer HTTP/1.1\r\nHost: localhost\r\n${head}\r\n\r\n${body}`;

describe('paths and verbs', () => {
  it.each([
    ['/v2/models/add/infer', 'add', '1'],
    ['/v2/models/add/versions/1/infer', 'add', '1'],
    ['/v2/models/add/versions/2/infer', 'add', '2'],
    ['/v2/models/add@2/infer', 'add', '2'],
    ['/v2/models/add%402/infer', 'add', '2'],
    ['/v2/models/%61dd/infer?x=1', 'add', '1'],
    ['/p/default/v2/models/add/infer', 'add', '1'],
  ])('%s is answered by version %s', async (path, name, version) => {
    const response = await post(path, GOOD);
    expect(response.headers.get('x-slipway-version')).toBe(version);
    expect(await response.json()).toMatchObject({
      model_name: name,
      model_version: version,
      outputs: [{ data: [2, 3, 4].map((n) => n + Number(version) - 1) }],
    });
  });

  it('POST /endpoints/{name@version}/predict pins', async () => {
    const body = '{"records":[{"X":[1,2,3]}]}';
    expect(await (await post('/endpoints/add/predict', body)).json()).toMatchObject({ endpoint: 'add', version: 1 });
    expect(await (await post('/endpoints/add@2/predict', body)).json()).toMatchObject({ endpoint: 'add', version: 2 });
  });

  it('a version that is not loaded comes with the command that loads it beside the others', async () => {
    const refused = await post('/endpoints/add@3/predict', '{"records":[{"X":[1,2,3]}]}');
    expect(await refused.json()).toMatchObject({
      code: 'version_not_found',
      hint: expect.stringContaining('slipway endpoints update add --pin 2 --pin 3'),
    });
  });

  it.each([
    ['/v2/models/nope/infer', /no endpoint nope/],
    ['/v2/models/add/versions/3/infer', /no version 3 loaded/],
    ['/v2/models/add@3/infer', /no version 3 loaded/],
    ['/v2/models/add/versions/abc/infer', /no endpoint add version abc/],
    ['/v2/models/add@1/versions/2/infer', /no endpoint/],
    ['/v2/models/add/versions/1.0/infer', /no endpoint/],
    ['/v2/models/add/nope', /nothing at/],
    ['/v2/models//infer', /nothing at/],
    ['/v2/models/%zz/infer', /nothing at/],
    ['/v2/models/..%2f..%2fetc/infer', /no endpoint/],
    ['/v2/models/add/infer/', /nothing at/],
    ['/V2/models/add/infer', /nothing at/],
    [`/v2/models/${'a'.repeat(3000)}/infer`, /nothing at/],
  ])('%s is not found, in the form of its protocol', async (path, message) => {
    const response = await post(path, GOOD);
    expect(response.status).toBe(404);
    const text = await response.text();
    expect(text).toMatch(message);
    expect(text.length).toBeLessThan(1000);
  });

  it('an unknown path below /v2 is answered as that protocol does, any other with a problem document', async () => {
    const v2 = await post('/v2/nope', GOOD);
    expect(await v2.json()).toEqual({ error: expect.stringContaining('nothing at /v2/nope') });
    const other = await post('/nope', GOOD);
    expect(other.headers.get('content-type')).toBe('application/problem+json');
    expect(await other.json()).toMatchObject({ code: 'route_not_found', status: 404 });
  });

  it.each([
    ['GET', '/v2/models/add/infer', 'POST'],
    ['POST', '/v2/models/add', 'GET, HEAD'],
    ['DELETE', '/endpoints/add', 'GET, HEAD'],
    ['PUT', '/endpoints/add/predict', 'POST'],
    ['OPTIONS', '/v2/health/ready', 'GET, HEAD'],
    ['PATCH', '/v2', 'GET, HEAD'],
  ])('%s %s is 405 with Allow: %s', async (method, path, allow) => {
    const response = await fetch(gateway.url + path, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
  });

  it.each([
    '/v2',
    '/v2/health/live',
    '/v2/health/ready',
    '/v2/models/add',
    '/v2/models/add/ready',
    '/endpoints',
    '/endpoints/add',
  ])('HEAD %s has the headers of GET and no body', async (path) => {
    const get = await fetch(gateway.url + path);
    const head = await fetch(gateway.url + path, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(head.headers.get('content-length')).toBe(get.headers.get('content-length'));
    await get.text();
  });

  it('the example of GET /endpoints/{name} can be sent as it is', async () => {
    const described = (await (await fetch(`${gateway.url}/endpoints/add`)).json()) as {
      example: { request: unknown };
      url: string;
    };
    const response = await fetch(described.url, json(described.example.request));
    expect([response.status, await response.json()]).toEqual([
      200,
      expect.objectContaining({ predictions: [expect.objectContaining({ Y: [2, 3, 4] })] }),
    ]);
  });
});

describe('ids', () => {
  it('every prediction has an id of its own and the request id that the caller sent', async () => {
    const response = await post('/v2/models/add/infer', GOOD, { 'x-request-id': 'order-7/step:2' });
    expect(response.headers.get('x-prediction-id')).toMatch(UUID_V7);
    expect(response.headers.get('x-request-id')).toBe('order-7/step:2');
    await response.text();
  });

  it.each([
    ['GET', '/endpoints/add'],
    ['GET', '/endpoints'],
    ['GET', '/'],
    ['GET', '/nope'],
    ['POST', '/endpoints/nope/predict'],
    ['PUT', '/endpoints/add/predict'],
  ])('%s %s predicts nothing: a request id, and no prediction id', async (method, path) => {
    const response = await fetch(gateway.url + path, { method });
    await response.text();
    expect(response.headers.get('x-request-id')).toMatch(UUID_V7);
    expect(response.headers.has('x-prediction-id')).toBe(false);
  });

  it('the bare address lists what is here', async () => {
    const response = await fetch(gateway.url);
    expect([response.status, await response.json()]).toEqual([
      200,
      expect.objectContaining({ endpoints: `${gateway.url}/endpoints` }),
    ]);
    expect((await fetch(`${gateway.url}//`)).status).toBe(404);
  });

  it.each([['with spaces'], ['x'.repeat(129)], ['tab\there'], ['ünï']])(
    'a request id that is not sane is replaced: %j',
    async (id) => {
      const text = await raw(
        request(`X-Request-Id: ${Buffer.from(id).toString('latin1')}\r\nContent-Length: ${GOOD.length}`, GOOD),
      );
      expect(/X-Request-Id: (.*)\r/.exec(text)?.[1]).toMatch(UUID_V7);
    },
  );

  it('errors carry them too, also as request_id in the document', async () => {
    const response = await post('/endpoints/add/predict', '{', { 'x-request-id': 'r-1' });
    expect(await response.json()).toMatchObject({ request_id: 'r-1', instance: '/endpoints/add/predict' });
    expect(response.headers.get('x-request-id')).toBe('r-1');
    expect(response.headers.get('x-slipway-version')).toBe('1');
  });
});

describe('Host and Origin', () => {
  it.each([
    ['Host: localhost', '200'],
    ['Host: 127.0.0.1:9999', '200'],
    ['Host: [::1]', '200'],
    ['Host: rebound.example', '403'],
    ['Host: localhost.evil.example', '403'],
    ['Host: localhost\r\nOrigin: http://localhost:3000', '200'],
    ['Host: localhost\r\nOrigin: https://evil.example', '403'],
    ['Host: localhost\r\nOrigin: null', '403'],
    ['Host:', '403'],
  ])('%j gives %s', async (headers, status) => {
    const text = await raw(
      `POST /v2/models/add/infer HTTP/1.1\r\n${headers}\r\nContent-Length: ${GOOD.length}\r\n\r\n${GOOD}`,
    );
    expect(answers(text)).toEqual([status]);
    expect(text).not.toMatch(/access-control/i);
  });

  it('a request of HTTP/1.0 needs a Host like any other', async () => {
    const text = await raw('GET /v2/health/live HTTP/1.0\r\n\r\n');
    expect(answers(text)).toEqual(['403']);
    expect(text).toContain('The Host (none) is not allowed');
  });

  it('reads are checked too', async () => {
    expect(answers(await raw('GET /endpoints HTTP/1.1\r\nHost: rebound.example\r\n\r\n'))).toEqual(['403']);
    expect(answers(await raw('GET /v2/health/live HTTP/1.1\r\nHost: rebound.example\r\n\r\n'))).toEqual(['403']);
  });
});

describe('framing: broken requests are refused and the connection is closed', () => {
  const chunked = `48\r\n${GOOD.slice(0, 72)}\r\n0\r\n\r\n`;
  it.each([
    [
      'Content-Length and Transfer-Encoding',
      request(`Content-Length: ${GOOD.length}\r\nTransfer-Encoding: chunked`, chunked),
    ],
    ['the same the other way round', request(`Transfer-Encoding: chunked\r\nContent-Length: 4`, chunked)],
    ['two Content-Lengths that differ', request('Content-Length: 5\r\nContent-Length: 6', '123456')],
    ['two equal Content-Lengths', request('Content-Length: 5\r\nContent-Length: 5', '12345')],
    ['a list of Content-Lengths', request('Content-Length: 5, 5', '12345')],
    ['a negative Content-Length', request('Content-Length: -5', '12345')],
    ['a Content-Length with a plus', request('Content-Length: +5', '12345')],
    ['a Content-Length of 10^30', request(`Content-Length: 1${'0'.repeat(30)}`, '12345')],
    ['a hexadecimal Content-Length', request('Content-Length: 0x5', '12345')],
    ['an unknown transfer encoding', request('Transfer-Encoding: gzip', '12345')],
    ['chunked that is not last', request('Transfer-Encoding: chunked, gzip', '12345')],
    ['Transfer-Encoding twice', request('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', chunked)],
    ['a chunk size that is no number', request('Transfer-Encoding: chunked', 'zz\r\n12345\r\n')],
    ['a chunk size beyond 64 bits', request('Transfer-Encoding: chunked', 'fffffffffffffffff\r\n12345\r\n')],
    ['a chunk longer than it says', request('Transfer-Encoding: chunked', '2\r\n12345\r\n0\r\n\r\n')],
    ['a line folded', request('X-Folded: a\r\n b\r\nContent-Length: x')],
    ['a space before the colon', request('Content-Length : 5', '12345')],
    ['a bare line feed in a header', 'POST /v2 HTTP/1.1\nHost: localhost\n\n'],
    ['a control character in a header', request('X-A: a\u0001b\r\nContent-Length: 0')],
    ['no Host', 'GET /v2 HTTP/1.1\r\n\r\n'],
    ['a verb that does not exist', 'BREW /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['TLS on a plain port', Buffer.from('16030100a5010000a1', 'hex')],
    ['noise', Buffer.from(createHash('sha512').update('x').digest())],
  ])('%s', async (_title, bytes) => {
    const text = await raw(bytes, 'GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(answers(text)).toEqual(['400']);
    expect(text).toMatch(/connection: close/i);
  });

  it('a version that does not exist is 505', async () => {
    expect(answers(await raw('GET /v2 HTTP/9.9\r\nHost: localhost\r\n\r\n'))).toEqual(['505']);
  });

  it('a header beyond 16 KiB is 431', async () => {
    expect(answers(await raw(request(`X-Big: ${'a'.repeat(17_000)}`)))).toEqual(['431']);
  });

  it('requests sent at once on one connection get their answers in order', async () => {
    const one = (path: string, body: string): string =>
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const many = Array.from({ length: 50 }, (_, i) =>
      one('/v2/models/add/infer', GOOD.replace('[1,2,3]', `[${i},0,0]`).replace('"inputs"', `"id":"${i}","inputs"`)),
    );
    many[20] = one('/v2/models/add/infer', '{');
    many[30] = 'GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const text = await raw(many.join(''));
    expect(answers(text)).toHaveLength(50);
    const ids = [...text.matchAll(/"id":"(\d+)"/g)].map((match) => Number(match[1]));
    expect(ids).toEqual(Array.from({ length: 50 }, (_, i) => i).filter((i) => i !== 20 && i !== 30));
    expect(answers(text).indexOf('400')).toBe(20);
  });

  it('a broken request behind a good one never answers in its place', async () => {
    const text = await raw(`${request(`Content-Length: ${GOOD.length}`, GOOD)}BROKEN\r\n\r\n`);
    expect(answers(text)).toEqual(['200', '400']);
    const early = await raw(`${request('Content-Length: 5, 5')}`, 'x');
    expect(answers(early)).toEqual(['400']);
  });
});

describe('sizes', () => {
  const padded = (bytes: number): string => `{"records":[{"X":[1,2,3]}]${' '.repeat(bytes - 27)}}`;

  it('a body of 64 MiB and a byte is 413, announced or not; the connection is told before it is closed', async () => {
    const announced = await raw(
      `POST /endpoints/add/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${64 * 1024 * 1024 + 1}\r\n\r\n{`,
    );
    expect(answers(announced)).toEqual(['413']);
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 65; i++) controller.enqueue(new Uint8Array(1024 * 1024).fill(32));
        controller.close();
      },
    });
    const response = await fetch(`${gateway.url}/endpoints/add/predict`, {
      method: 'POST',
      body: stream,
      duplex: 'half',
    } as RequestInit);
    expect([response.status, await response.json()]).toEqual([
      413,
      expect.objectContaining({ code: 'too_large', detail: expect.stringContaining('64 MiB') }),
    ]);
  });

  it('a body of exactly 64 MiB is read', async () => {
    const response = await post('/endpoints/add/predict', padded(64 * 1024 * 1024));
    expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ version: 1 })]);
  });

  it('a client that asks first is told before it sends', async () => {
    const huge = await raw(
      `POST /v2/models/add/infer HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${1024 ** 4}\r\n\r\n`,
    );
    expect(answers(huge)).toEqual(['413']);
    const good = await raw(request(`Expect: 100-continue\r\nContent-Length: ${GOOD.length}`, GOOD));
    expect(answers(good)).toEqual(['100', '200']);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ])('%s bodies are read', async (encoding, compress) => {
    const response = await post('/v2/models/add/infer', new Uint8Array(compress(GOOD)), {
      'content-encoding': encoding,
    });
    expect(await response.json()).toMatchObject({ outputs: [{ data: [2, 3, 4] }] });
  });

  it.each([
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['gzip, gzip', gzipSync],
    ['compress', gzipSync],
  ])('%s is refused with 415', async (encoding, compress) => {
    const response = await post('/v2/models/add/infer', new Uint8Array(compress(GOOD)), {
      'content-encoding': encoding,
    });
    expect([response.status, await response.text()]).toEqual([415, expect.stringContaining('gzip or deflate')]);
  });

  it.each([
    ['gzip', 'not gzip at all', 400],
    ['gzip', gzipSync(GOOD).subarray(0, 30), 400],
    ['deflate', gzipSync(GOOD), 400],
    ['gzip', '', 400],
  ])('%s that is broken is a 400: %j', async (encoding, body, status) => {
    const response = await post('/v2/models/add/infer', new Uint8Array(Buffer.from(body)), {
      'content-encoding': encoding,
    });
    expect([response.status, await response.text()]).toEqual([status, expect.stringContaining('error')]);
  });

  // Once a lookup in an object literal found Object.prototype's members, and the gateway ended.
  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('the encoding %s is 415', async (encoding) => {
    const response = await post('/endpoints/add/predict', new Uint8Array(Buffer.from('{}')), {
      'content-encoding': encoding,
    });
    expect(response.status).toBe(415);
    expect(gateway.child.exitCode).toBeNull();
  });

  it('many bodies that would grow large at once are refused in part, not held in memory', async () => {
    const residentMib = (): number =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.child.pid}/status`, 'utf8'))![1]) / 1024;
    const before = residentMib();
    const body = new Uint8Array(gzipSync(Buffer.alloc(60 * 1024 * 1024, 0x20)));
    const padding = new Uint8Array([...body, ...new Uint8Array(640 * 1024)]);
    const all = await Promise.all(
      Array.from({ length: 16 }, () => post('/endpoints/add/predict', padding, { 'content-encoding': 'gzip' })),
    );
    expect(all.every((response) => [400, 413, 503, 504].includes(response.status))).toBe(true);
    expect(residentMib() - before).toBeLessThan(1200);
  }, 120_000);

  it.each([
    ['gzip', 10, gzipSync],
    ['deflate', 10, deflateSync],
    ['gzip', 256, gzipSync],
    ['deflate', 256, deflateSync],
  ])(
    'a %s bomb of %d MiB is stopped at its limit',
    async (encoding, mib, compress) => {
      const residentMib = (): number =>
        Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.child.pid}/status`, 'utf8'))![1]) / 1024;
      const bomb = new Uint8Array(compress(Buffer.alloc(mib * 1024 * 1024, 0x20)));
      const before = residentMib();
      const all = await Promise.all(
        Array.from({ length: 10 }, () => post('/v2/models/add/infer', bomb, { 'content-encoding': encoding })),
      );
      expect(all.map((response) => response.status)).toEqual(all.map(() => 413));
      expect(residentMib() - before).toBeLessThan(10 * 40);
    },
    60_000,
  );

  it('a body in very many tiny chunks is refused, one in ordinary chunks is not', async () => {
    const chunks = (count: number, text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`.repeat(count);
    const head = 'POST /endpoints/add/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n';
    const tiny = await raw(head, chunks(65_537, ' '), '0\r\n\r\n');
    expect(answers(tiny)).toEqual(['400']);
    expect(tiny).toContain('larger chunks');
    const body = padded(40_000);
    const parts = body.match(/.{1,1000}/g)!.map((part) => chunks(1, part));
    expect(answers(await raw(head, ...parts, '0\r\n\r\n'))).toEqual(['200']);
  });

  it('chunk extensions without end are refused', async () => {
    const text = await raw(request('Transfer-Encoding: chunked', `5;${'x'.repeat(20_000)}\r\n`));
    expect(['400', '413']).toContain(answers(text)[0]);
  });
});
