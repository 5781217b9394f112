import { connect, type Socket } from 'node:net';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type ManagementOptions,
  type ManagementUnderTest,
  startManagement,
} from '../../../test/fixtures/management.ts';
import { SlipwayError } from '../errors.ts';
import { callerOf, callOf, registerProjectRoutes, setEtag } from './management-server.ts';

let server: ManagementUnderTest;
const start = async (options: ManagementOptions = {}): Promise<ManagementUnderTest> => {
  server = await startManagement(options);
  return server;
};
afterEach(() => server?.close());

const Thing = Type.Object({
  name: Type.String({ minLength: 1 }),
  count: Type.Integer({ minimum: 0 }),
  mode: Type.Optional(Type.Union([Type.Literal('fast'), Type.Literal('safe')])),
  target: Type.Optional(Type.Union([Type.Object({ version: Type.Integer() }), Type.Object({ alias: Type.String() })])),
  note: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});

/** Routes of every shape the server must handle. */
function things(app: FastifyInstance): void {
  registerProjectRoutes(app, (plain) => {
    const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
    scope.get('/things', { config: { permission: 'read' } }, async (request) => ({ in: callOf(request).project.name }));
    scope.post('/things', { config: { permission: 'deploy' }, schema: { body: Thing } }, async (request, reply) => {
      const { dryRun, ifMatch, idempotencyKey, principal } = callOf(request);
      setEtag(reply, 7);
      return { dryRun, ifMatch, idempotencyKey, actor: principal.actor, name: request.body.name };
    });
    scope.get('/things/:thing', { config: { permission: 'read' } }, async () => {
      throw new SlipwayError('model_not_found', 'There is no such thing', { hint: 'Make one.' });
    });
    scope.patch('/bytes', { config: { permission: 'deploy', body: 'stream' }, bodyLimit: 1e9 }, async (request) => {
      let bytes = 0;
      for await (const chunk of request.body as AsyncIterable<Buffer>) bytes += chunk.length;
      return { bytes };
    });
  });
  app.get('/api/v1/broken', { config: { permission: 'read' } }, async () => {
    throw new Error(`secret detail at ${process.cwd()}/x.ts pid ${process.pid}`);
  });
  app.get('/api/v1/busy', { config: { permission: 'read' } }, async () => {
    throw new SlipwayError('queue_full', 'Too many wait', { retryAfterS: 3 });
  });
  app.get(
    '/api/v1/whoami',
    { config: { permission: 'read', boundKeys: true } },
    async (request) => callerOf(request).principal,
  );
}

const thing = { name: 'x', count: 1 };

describe('who may', () => {
  test('a route that declares no permission stops the start', async () => {
    await expect(start({ routes: (app) => void app.get('/api/v1/open', async () => 1) })).rejects.toThrow(
      'declares no permission',
    );
    await expect(
      start({ routes: (app) => registerProjectRoutes(app, (scope) => void scope.get('/open', async () => 1)) }),
    ).rejects.toThrow('declares no permission');
    await start();
  });

  test('without a key 401 key_missing, with a wrong one 401 key_invalid, by either header', async () => {
    await start({ routes: things });
    const missing = await server.call('GET', '/api/v1/things', { key: null });
    expect(missing).toMatchObject({ status: 401, json: { code: 'key_missing', status: 401 } });
    expect(missing.headers['www-authenticate']).toContain('Bearer');
    const good = server.adminKey;
    const bad = good.slice(0, -9) + (good.at(-10) === 'A' ? 'B' : 'A') + good.slice(-8);
    for (const key of ['x', bad, `${good}x`, 'a'.repeat(5000)]) {
      const answer = await server.call('GET', '/api/v1/things', { key });
      expect(answer.status, key.slice(0, 80)).toBe(401);
      expect(answer.text).not.toContain(key.slice(-60).padEnd(9, '-'));
    }
    const other = await server.call('GET', '/api/v1/things', { key: null, headers: { 'x-api-key': server.adminKey } });
    expect(other.status).toBe(200);
    const basic = await server.call('GET', '/api/v1/things', { key: null, headers: { authorization: 'Basic YTpi' } });
    expect(basic.json.code).toBe('key_missing');
  });

  test('a key without the scope gets 403 not_permitted, before the body is looked at', async () => {
    await start({ routes: things });
    const reader = await server.makeKey('reader', ['read']);
    expect((await server.call('GET', '/api/v1/things', { key: reader })).status).toBe(200);
    const refused = await server.call('POST', '/api/v1/things', { key: reader, body: '{broken' });
    expect(refused).toMatchObject({ status: 403, json: { code: 'not_permitted' } });
    expect((await server.call('GET', '/api/v1/keys', { key: reader })).status).toBe(403);
  });

  test('a project that is not there and one that the key does not see answer with the same bytes', async () => {
    await start({ routes: things });
    for (const name of ['mine', 'theirs']) await server.call('POST', '/api/v1/projects', { body: { name } });
    const mine = await server.makeKey('mine', ['read', 'deploy', 'promote', 'predict'], 'mine');
    expect((await server.call('GET', '/api/v1/projects/mine/things', { key: mine })).json).toEqual({ in: 'mine' });
    const headers = { 'x-request-id': 'same' };
    const of = async (project: string, path: string) =>
      (await server.call('GET', `/api/v1/projects/${project}${path}`, { key: mine, headers })).text.replaceAll(
        project,
        'P',
      );
    for (const path of ['/things', '/things/x']) expect(await of('theirs', path)).toBe(await of('absent', path));
    expect((await server.call('GET', '/api/v1/things', { key: mine })).json).toMatchObject({
      code: 'project_not_found',
      hint: expect.stringMatching(/belongs to the project mine: .*--project mine/),
    });
    expect((await server.call('GET', '/api/v1/busy', { key: mine })).json.code).toBe('not_permitted');
    expect((await server.call('GET', '/api/v1/whoami', { key: mine })).json.project).toBe('mine');
    expect((await server.call('GET', '/api/v1/me', { key: mine })).json).toMatchObject({
      actor: 'key:mine',
      project: 'mine',
    });
  });
});

describe('a web page', () => {
  const methods = [
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'PROPFIND',
    'QUERY',
    'MKCOL',
    'SEARCH',
  ];

  test('cannot use a foreign Host or Origin with any method on any path, key or not', async () => {
    await start({ routes: things });
    const url = await server.app.listen({ port: 0, host: '127.0.0.1' });
    const port = Number(new URL(url).port);
    const foreign = [
      ['host: evil.example', ''],
      [`host: evil.example:${port}`, ''],
      ['host: 127.0.0.1.evil.example', ''],
      ['host: localhost', 'origin: http://evil.example\r\n'],
      ['host: localhost', 'origin: null\r\n'],
      ['host: localhost', 'origin: http://localhost:1\r\n'],
      ['host: localhost', 'sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n'],
    ];
    for (const method of methods) {
      for (const path of ['/api/v1/things', '/nowhere', '/healthz', '/api/docs']) {
        for (const [host, more] of foreign) {
          const answer = await raw(
            port,
            `${method} ${path} HTTP/1.1\r\n${host}\r\n${more}authorization: Bearer ${server.adminKey}\r\nconnection: close\r\n\r\n`,
          );
          expect(answer.split('\r\n')[0], `${method} ${path} ${host} ${more}`).toContain(' 403 ');
        }
      }
    }
    const twice = await raw(
      port,
      'GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n',
    );
    expect(twice).toMatch(/^HTTP\/1.1 (400|403) /);
    expect(await raw(port, 'GET /healthz HTTP/1.0\r\n\r\n')).toContain(' 403 ');
    const same = await raw(
      port,
      `GET /healthz HTTP/1.1\r\nhost: localhost:${port}\r\norigin: http://localhost:${port}\r\nconnection: close\r\n\r\n`,
    );
    expect(same).toContain(' 200 ');
  });

  test('of a host in the settings may', async () => {
    await start({ routes: things, settings: { allowedHosts: ['console.example.com'] } });
    const headers = { host: 'console.example.com', origin: 'https://console.example.com' };
    expect((await server.call('GET', '/api/v1/things', { headers })).status).toBe(200);
    expect(
      (await server.call('GET', '/api/v1/things', { headers: { origin: 'https://console.example.com' } })).status,
    ).toBe(200);
    expect((await server.call('GET', '/api/v1/things', { headers: { host: 'other.example.com' } })).status).toBe(403);
  });

  test('gets headers that keep it from framing, sniffing and caching an answer', async () => {
    await start({ routes: things });
    for (const url of ['/api/v1/things', '/nowhere', '/api/openapi.json']) {
      const { headers } = await server.call('GET', url);
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    }
  });
});

describe('what is sent', () => {
  test('is refused with all faults at once, each with its pointer, and no value is echoed', async () => {
    await start({ routes: things });
    const body = { nmae: 'hunter2', count: -1, mode: 'quick', target: { version: 'one' }, note: 5 };
    const { status, json, text, headers } = await server.call('POST', '/api/v1/things', { body });
    expect(status).toBe(400);
    expect(headers['content-type']).toContain('application/problem+json');
    expect(json).toMatchObject({
      type: 'urn:slipway:error:invalid_request',
      title: 'The request is not valid',
      status: 400,
      instance: '/api/v1/things',
      code: 'invalid_request',
      retryable: false,
      request_id: headers['x-request-id'],
    });
    const errors = Object.fromEntries(
      json.errors.map((e: { pointer: string; message: string }) => [e.pointer, e.message]),
    );
    expect(errors).toEqual({
      '/name': 'is missing',
      '/nmae': 'is not known here; did you mean name?',
      '/count': 'must be >= 0',
      '/mode': 'must be "fast" or "safe"',
      '/target/version': 'must be integer',
      '/note': 'must be string or null',
    });
    expect(json.pointer).toBe(json.errors[0].pointer);
    expect(text).not.toContain('hunter2');
  });

  test('under a name that is none gets the rule in words, with its place', async () => {
    await start({});
    const inBody = await server.call('POST', '/api/v1/projects', { body: { name: 'Bad Name' } });
    expect(inBody.json.detail).toMatch(/^The body is not valid: \/name is no name: it starts with a lower-case letter/);
    const inPath = await server.call('DELETE', '/api/v1/projects/Bad');
    expect(inPath.json.detail).toMatch(/^The path is not valid: \/path\/project is no name: .* dash and underscore$/);
    expect(inPath.text).not.toContain('^[a-z');
  });

  test('has at most 50 faults listed', async () => {
    await start({ routes: things });
    const body = { ...thing, ...Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`zz${i}`, i])) };
    expect((await server.call('POST', '/api/v1/things', { body })).json.errors).toHaveLength(50);
  });

  test('may not name a query parameter that is not known, but every change takes dryRun', async () => {
    await start({ routes: things });
    expect((await server.call('GET', '/api/v1/things?limt=3')).json.errors).toEqual([
      { pointer: '/query/limt', message: 'is not known here' },
    ]);
    expect((await server.call('GET', '/api/v1/keys?limt=3')).json.errors[0].message).toContain('did you mean limit?');
    expect((await server.call('GET', '/api/v1/keys?limit=0')).json.errors[0].pointer).toBe('/query/limit');
    expect((await server.call('GET', '/api/v1/things?dryRun=1')).status).toBe(400);
    expect((await server.call('POST', '/api/v1/things?dryRun=1', { body: thing })).json.dryRun).toBe(true);
    expect((await server.call('POST', '/api/v1/things?dryRun=0', { body: thing })).json.dryRun).toBe(false);
    expect((await server.call('POST', '/api/v1/things?dryRun=maybe', { body: thing })).status).toBe(400);
  });

  test('is strict JSON: doubled keys, depth, bad UTF-8 and prototypes are refused with 400 invalid_json', async () => {
    await start({ routes: things });
    const bodies = [
      '{"name":"a","name":"b","count":1}',
      '['.repeat(500),
      '{"__proto__":{}}',
      '',
      '{"name":"\\ud800","count":1}',
    ];
    for (const body of bodies) {
      expect((await server.call('POST', '/api/v1/things', { body })).json, body.slice(0, 40)).toMatchObject({
        code: 'invalid_json',
        status: 400,
      });
    }
    expect((await server.call('POST', '/api/v1/things')).json.code).toBe('invalid_request');
    const big = await server.call('POST', '/api/v1/things', { body: '{"name":"x","count":12345678901234567890}' });
    expect(big.json.errors).toEqual([{ pointer: '/count', message: 'must be integer' }]);
  });

  test.each([
    ['text/plain', 'x'],
    ['application/x-www-form-urlencoded', 'a=b'],
    ['application/octet-stream', 'x'],
    ['application/json; charset=utf-16', '{}'],
    ['nonsense', '{}'],
  ])('as %s is refused with 415', async (type, body) => {
    await start({ routes: things });
    const answer = await server.call('POST', '/api/v1/things', { body, headers: { 'content-type': type } });
    expect(answer.json).toMatchObject({ status: 415, code: 'unsupported_media' });
  });

  test('compressed is refused with 415; bytes go only to routes that take bytes', async () => {
    await start({ routes: things });
    const zipped = await server.call('POST', '/api/v1/things', {
      body: thing,
      headers: { 'content-encoding': 'gzip' },
    });
    expect(zipped.status).toBe(415);
    const headers = { 'content-type': 'application/octet-stream' };
    expect((await server.call('PATCH', '/api/v1/bytes', { body: 'abc', headers })).json).toEqual({ bytes: 3 });
    expect((await server.call('PATCH', '/api/v1/bytes', { body: {} })).status).toBe(415);
  });

  test('beyond the limit is refused with 413', async () => {
    await start({ routes: things, settings: { maxBodyBytes: 1000 } });
    const body = { ...thing, name: 'x'.repeat(2000) };
    expect((await server.call('POST', '/api/v1/things', { body })).json).toMatchObject({
      status: 413,
      code: 'too_large',
    });
  });

  test('may carry If-Match and Idempotency-Key; malformed ones are refused', async () => {
    await start({ routes: things });
    const ok = await server.call('POST', '/api/v1/things', {
      body: thing,
      headers: { 'if-match': '"3"', 'idempotency-key': 'abc' },
    });
    expect(ok.json).toEqual({ dryRun: false, ifMatch: 3, idempotencyKey: 'abc', actor: 'key:admin', name: 'x' });
    expect(ok.headers['etag']).toBe('"7"');
    expect(
      (await server.call('POST', '/api/v1/things', { body: thing, headers: { 'if-match': 'three' } })).status,
    ).toBe(400);
    expect(
      (await server.call('POST', '/api/v1/things', { body: thing, headers: { 'idempotency-key': 'ö'.repeat(3) } }))
        .status,
    ).toBe(400);
  });
});

describe('an answer', () => {
  test('to an unknown path is 404 and to a known one with another method 405 with Allow', async () => {
    await start({ routes: things });
    expect((await server.call('GET', '/nowhere')).json).toMatchObject({ status: 404, code: 'route_not_found' });
    const wrong = await server.call('PUT', '/api/v1/things');
    expect(wrong.json).toMatchObject({ status: 405, code: 'method_not_allowed' });
    expect(String(wrong.headers['allow']).split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
    expect((await server.call('DELETE', '/api/v1/projects/p/things')).status).toBe(405);
    for (const path of [
      '/api/v1/things/%ff',
      '/api/v1/%',
      '/api/v1/projects/..%2f..%2fetc/things',
      '/api/v1/things/%00',
    ]) {
      expect([400, 404], path).toContain((await server.call('GET', path)).status);
    }
  });

  test('with an unexpected error says nothing about the inside; the log has it under the request id', async () => {
    await start({ routes: things });
    const { status, text, json } = await server.call('GET', '/api/v1/broken');
    expect(status).toBe(500);
    expect(json).toMatchObject({ code: 'internal', detail: 'An unexpected error happened' });
    expect(text).not.toMatch(/secret detail|x\.ts|node_modules|at .*:\d+:\d+/);
    expect(text).not.toContain(process.cwd());
    expect(text).not.toContain(String(process.pid));
    const line = server.logged.find((entry) => entry.includes('secret detail'));
    expect(line).toContain(json.request_id);
  });

  test('that asks for a pause says so, and whether a retry makes sense', async () => {
    await start({ routes: things });
    const busy = await server.call('GET', '/api/v1/busy');
    expect(busy).toMatchObject({ status: 429, json: { retryable: true } });
    expect(busy.headers['retry-after']).toBe('3');
  });

  test('takes over a sane request id and makes one otherwise', async () => {
    await start({ routes: things });
    const of = async (id: string) =>
      (await server.call('GET', '/nowhere', { headers: { 'x-request-id': id } })).json.request_id;
    expect(await of('abc-1.2:3')).toBe('abc-1.2:3');
    for (const id of ['a b', 'x'.repeat(200), '<script>', 'é'])
      expect(await of(id)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  test('and the log never hold a key', async () => {
    await start({ routes: things });
    await server.call('GET', '/api/v1/things', { headers: { 'x-request-id': 'r1' } });
    const made = await server.makeKey('planted', ['read']);
    await server.call('GET', `/api/v1/things/${made}`);
    const log = server.logged.join('');
    for (const key of [server.adminKey, made]) expect(log).not.toContain(key.split('_')[3]);
    expect(log).toContain('"requestId":"r1"');
  });
});

describe('a slow or broken client', () => {
  test('that never ends its headers is cut off', async () => {
    await start({ routes: things, limits: { headersMs: 300 } });
    const port = Number(new URL(await server.app.listen({ port: 0, host: '127.0.0.1' })).port);
    const answer = await raw(port, 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n');
    expect(answer).toContain(' 408 ');
    expect(answer).toContain('application/problem+json');
  });

  test('that stops in the middle of a body is cut off, as JSON and as bytes', async () => {
    await start({ routes: things, limits: { idleMs: 200 } });
    const port = Number(new URL(await server.app.listen({ port: 0, host: '127.0.0.1' })).port);
    for (const [line, type] of [
      ['POST /api/v1/things', 'application/json'],
      ['PATCH /api/v1/bytes', 'application/octet-stream'],
    ]) {
      const started = performance.now();
      await raw(
        port,
        `${line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${server.adminKey}\r\ncontent-type: ${type}\r\ncontent-length: 1000\r\n\r\n{"a"`,
      );
      expect(performance.now() - started).toBeLessThan(5000);
    }
    expect((await server.call('GET', '/healthz')).status).toBe(200);
  });

  test('that trickles a JSON body is cut off by the total limit, while bytes may take their time', async () => {
    await start({ routes: things, limits: { idleMs: 400, jsonTotalMs: 800 } });
    const port = Number(new URL(await server.app.listen({ port: 0, host: '127.0.0.1' })).port);
    const trickle = (line: string, type: string, bytes: number) =>
      raw(
        port,
        `${line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${server.adminKey}\r\ncontent-type: ${type}\r\ncontent-length: ${bytes}\r\nconnection: close\r\n\r\n`,
        async (socket) => {
          for (let i = 0; i < bytes && socket.writable; i++) {
            socket.write(' ');
            await new Promise((resolve) => setTimeout(resolve, 100));
          }
        },
      );
    const [json, stream] = await Promise.all([
      trickle('POST /api/v1/things', 'application/json', 1000),
      trickle('PATCH /api/v1/bytes', 'application/octet-stream', 15),
    ]);
    expect(json).toBe('');
    expect(stream).toContain('{"bytes":15}');
  });

  test('beyond the limit of connections is closed at once, and the others are served', async () => {
    await start({ routes: things, settings: { maxConnections: 2 } });
    const port = Number(new URL(await server.app.listen({ port: 0, host: '127.0.0.1' })).port);
    const held = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    await Promise.all(held.map((socket) => new Promise((resolve) => socket.on('connect', resolve))));
    const request = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n';
    expect(await raw(port, request)).toBe('');
    for (const socket of held) socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await raw(port, request)).toContain(' 200 ');
  });

  test('that reads a stream without end does not keep a stopping server', async () => {
    await start({
      routes: (app) =>
        app.get('/api/v1/endless', { config: { permission: 'read' } }, async (_request, reply) =>
          reply.send(
            (async function* () {
              for (;;) {
                yield 'line\n';
                await new Promise((resolve) => setTimeout(resolve, 20));
              }
            })() as never,
          ),
        ),
    });
    const port = Number(new URL(await server.app.listen({ port: 0, host: '127.0.0.1' })).port);
    const reading = raw(
      port,
      `GET /api/v1/endless HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${server.adminKey}\r\n\r\n`,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    const started = performance.now();
    await server.app.close();
    expect(performance.now() - started).toBeLessThan(5000);
    expect((await reading).length).toBeGreaterThan(0);
  });

  test('that sends no HTTP gets a 400 problem and is closed', async () => {
    await start();
    const port = Number(new URL(await server.app.listen({ port: 0, host: '127.0.0.1' })).port);
    expect(await raw(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*application\/problem\+json/);
    const large = `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`;
    expect(await raw(port, large)).toContain(' 431 ');
  });
});

/** Sends bytes and gives all that comes back until the server closes. */
function raw(port: number, text: string, more?: (socket: Socket) => Promise<void>): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(text);
      void more?.(socket);
    });
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}
