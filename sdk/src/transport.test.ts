import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { SlipwayApiError } from './api-error.ts';
import { createClient } from './client.ts';

let server: Server;
afterEach(() => new Promise((resolve) => server.close(resolve)));

/** What the client puts on the wire, answered by a real server. */
async function listen(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<string> {
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    answer(request, response, body);
  });
  server.keepAliveTimeout = 1;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
};

async function failureOf(call: Promise<unknown>): Promise<SlipwayApiError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SlipwayApiError);
  return error as SlipwayApiError;
}

test('a problem document becomes an error with code, hint, request id and all field errors', async () => {
  const url = await listen((_request, response) =>
    json(response, 422, {
      type: 'about:blank',
      title: 'x',
      status: 422,
      detail: 'The name is too long',
      instance: '/api/v1/models',
      code: 'invalid_name',
      hint: 'Take a shorter one.',
      request_id: 'r-1',
      retryable: false,
      errors: [{ pointer: '/name', message: 'too long' }],
    }),
  );
  const error = await failureOf(createClient({ url, apiKey: 'k' }).models.create({ name: 'x' }));
  expect(error).toMatchObject({ status: 422, code: 'invalid_name', requestId: 'r-1', hint: 'Take a shorter one.' });
  expect(error.message).toBe('The name is too long');
  expect(error.fields).toEqual([{ pointer: '/name', message: 'too long' }]);
});

test('a read is repeated after 503 as Retry-After asks, and a change without a key is not', async () => {
  let calls = 0;
  const url = await listen((_request, response) => {
    calls++;
    if (calls % 2 === 1)
      json(response, 503, { code: 'not_ready', detail: 'busy', retryable: true }, { 'retry-after': '0.01' });
    else json(response, 200, { items: [], nextCursor: null });
  });
  const client = createClient({ url, apiKey: 'k' });
  expect(await client.models.list().all()).toEqual([]);
  expect(calls).toBe(2);
  expect((await failureOf(client.projects.create('p'))).status).toBe(503);
  expect(calls).toBe(3);
});

test('creating a version carries one idempotency key over all its attempts', async () => {
  const seen: (string | undefined)[] = [];
  const url = await listen((request, response) => {
    seen.push(request.headers['idempotency-key'] as string | undefined);
    if (seen.length < 3) request.socket.destroy();
    else json(response, 201, { version: 1 });
  });
  const version = await createClient({ url, apiKey: 'k' }).versions.create('churn', { files: [] });
  expect(version).toEqual({ version: 1 });
  expect(seen).toHaveLength(3);
  expect(seen[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(new Set(seen).size).toBe(1);
});

test('retries end, and the last failure is the one thrown', async () => {
  let calls = 0;
  const url = await listen((request) => {
    calls++;
    request.socket.destroy();
  });
  const error = await failureOf(createClient({ url, apiKey: 'k', retries: 2 }).status());
  expect(error).toMatchObject({ status: 0, code: 'unreachable' });
  expect(calls).toBe(3);
});

test('a server that answers too late gives timeout, an aborted call gives aborted', async () => {
  const url = await listen(() => undefined);
  const client = createClient({ url, apiKey: 'k', retries: 0 });
  expect((await failureOf(client.status({ timeoutMs: 30 }))).code).toBe('timeout');
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 20);
  expect((await failureOf(client.status({ signal: stop.signal }))).code).toBe('aborted');
  server.closeAllConnections();
});

test('a redirect is not followed, so the key cannot be carried to another host', async () => {
  let calls = 0;
  const url = await listen((_request, response) => {
    calls++;
    response.writeHead(302, { location: `http://localhost:${(server.address() as AddressInfo).port}/elsewhere` }).end();
  });
  const error = await failureOf(createClient({ url, apiKey: 'k', retries: 0 }).status());
  expect(error).toBeInstanceOf(SlipwayApiError);
  expect(calls).toBe(1);
});

test('lists follow their cursor and ask for nothing beyond what is read', async () => {
  const asked: string[] = [];
  const url = await listen((request, response) => {
    const query = new URL(request.url!, 'http://x').searchParams;
    asked.push(query.get('cursor') ?? 'start');
    const at = Number(query.get('cursor') ?? 0);
    json(response, 200, {
      items: [{ name: `m${at}` }, { name: `m${at + 1}` }],
      nextCursor: at < 4 ? String(at + 2) : null,
    });
  });
  const client = createClient({ url, apiKey: 'k' });
  expect((await client.models.list().all()).map((model) => model.name)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5']);
  asked.length = 0;
  for await (const model of client.models.list()) if (model.name === 'm1') break;
  expect(asked).toEqual(['start']);
});

test('64-bit integers travel exactly in both directions', async () => {
  let sent = '';
  const url = await listen((_request, response, body) => {
    sent = body;
    json(response, 200, '{"endpoint":"e","version":1,"predictions":[{"id":"p.0","X":9007199254740993,"y":0.1}]}');
  });
  const client = createClient({ url, apiKey: 'k', inferenceUrl: url });
  const answer = await client.predict('e', { records: [{ X: 9223372036854775807n }] });
  expect(sent).toBe('{"records":[{"X":9223372036854775807}]}');
  expect(answer.predictions[0]).toEqual({ id: 'p.0', X: 9007199254740993n, y: 0.1 });
});

test('names in paths are escaped, projects and pinned versions go where the server looks for them', async () => {
  const paths: string[] = [];
  const url = await listen((request, response) => {
    paths.push(request.url!);
    json(response, 200, { items: [], nextCursor: null });
  });
  const client = createClient({ url: `${url}/`, apiKey: 'k', project: 'fraud', inferenceUrl: url });
  await client.models.show('a/../b?c');
  await client.predict('churn@2', { records: [] });
  await createClient({ url, apiKey: 'k', inferenceUrl: url }).predict('churn', { records: [] });
  expect(paths).toEqual([
    '/api/v1/projects/fraud/models/a%2F..%2Fb%3Fc',
    '/p/fraud/endpoints/churn@2/predict',
    '/endpoints/churn/predict',
  ]);
});

test('log lines come one by one, whole, also when they are cut in transit', async () => {
  const url = await listen(async (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const text = Buffer.from('{"n":1}\n{"text":"grün"}\n{"n":3}\n');
    for (const byte of text) {
      response.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  });
  const lines: string[] = [];
  for await (const line of createClient({ url, apiKey: 'k' }).logs({ follow: true })) lines.push(line);
  expect(lines).toEqual(['{"n":1}', '{"text":"grün"}', '{"n":3}']);
});

test('something that is not Slipway is named as such', async () => {
  const url = await listen((_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
  );
  const error = await failureOf(createClient({ url, apiKey: 'k' }).status());
  expect(error).toMatchObject({ code: 'unexpected_answer', hint: 'Is this the address of a Slipway server?' });
});
