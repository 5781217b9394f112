/** Timeouts of the listener, with limits short enough to wait for, in this process. */
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { add, makeDataDir, makeState, type StateChoice } from '../../../test/fixtures/gateway.ts';
import { silent } from '../../../test/fixtures/runner-specs.ts';
import { systemClock as clock } from '../../base/clock.ts';
import { readSettings } from '../../base/settings.ts';
import { openInference } from '../protocols/open-inference.ts';
import { plain } from '../protocols/plain.ts';
import { type Protocol, written } from '../protocols/protocol.ts';
import { createAdmission } from './admission.ts';
import { createEndpointFinder } from './find-endpoint.ts';
import { createGatewayServer, type GatewayServer } from './gateway-server.ts';
import { HTTP_LIMITS } from './http-limits.ts';
import { createInferenceAccess } from './inference-access.ts';
import { createGatewayMetrics } from './metrics.ts';
import { createServingState, type ServingState } from './serving-state.ts';

let server: GatewayServer | null = null;
let state: ServingState | null = null;
let dataDir = '';
afterEach(async () => {
  await server?.stop(0);
  await state?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A protocol whose routes name their endpoints elsewhere than in the path, and answer in ways of their own. */
const odd: Protocol = {
  ...plain,
  name: 'odd',
  routes: [
    {
      kind: 'infer',
      path: '/invocations',
      methods: ['POST', 'PUT'],
      namedInBody: true,
      nameEndpoint({ headers, query }, body) {
        if (typeof headers['x-model'] === 'string') return { name: headers['x-model'] };
        const label = new URLSearchParams(query).get('label');
        if (label !== null) return { name: 'add', label };
        return body !== null && Buffer.from(body).includes('add') ? { name: 'add', version: '1' } : null;
      },
      parse: ({ params, query, method }) => ({
        id: `${method} ${query} ${Object.keys(params!).length}`,
        inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 3], data: Float32Array.of(1, 2, 3) }],
        rows: 1,
        outputs: null,
      }),
      write: ({ id }, [output], { endpoint }) => ({
        contentType: 'text/x-odd',
        body: `${endpoint} ${id} ${[...(output!.data as Float32Array)]}`,
        status: 203,
        headers: ['X-Odd', 'yes'],
      }),
      writeUs: () => 1,
    },
    { kind: 'action', path: '/things/{thing}', methods: ['DELETE'], act: ({ params }) => ({ gone: params!['thing'] }) },
    {
      kind: 'read',
      path: '/ping',
      methods: ['GET', 'OPTIONS'],
      public: true,
      read: (_server, _endpoint, { query }) =>
        written({ contentType: 'text/plain', body: `pong ${query}`, status: 202 }),
    },
  ],
  writeError: ({ message }, { status, method, route }) => ({
    contentType: 'text/plain',
    body: `${status} ${method} ${route?.path} ${message}`,
    status: 418,
    headers: ['X-Odd', 'no'],
  }),
};

/** A protocol with an answer too large for the buffers between two processes. */
const large: Protocol = {
  ...plain,
  name: 'large',
  routes: [{ kind: 'read', path: '/large', read: () => 'x'.repeat(64 * 1024 * 1024) }],
};

async function start(
  limits: Partial<typeof HTTP_LIMITS>,
  env: Record<string, string> = {},
  serving: StateChoice | null = null,
): Promise<number> {
  const { settings } = readSettings({ SLIPWAY_HTTP_PORT: '0', ...env });
  dataDir = makeDataDir();
  const scratchDir = join(dataDir, 'run/runners');
  state = createServingState({
    dataDir,
    scratchDir,
    retryAfterS: 1,
    inline: true,
    log: silent,
    clock,
    onObservable: () => {},
  });
  const nothing = { schema: 1, generation: 1, endpoints: [], versions: [], keys: [] } as const;
  state.apply(serving === null ? nothing : makeState(dataDir, serving));
  server = createGatewayServer({
    finder: createEndpointFinder({ state, retryAfterS: 1 }),
    settings,
    state,
    access: createInferenceAccess({ keyNeeded: false, clock }),
    admission: createAdmission(settings),
    metrics: createGatewayMetrics(),
    listeners: [
      {
        port: 0,
        portSetting: 'SLIPWAY_HTTP_PORT',
        protocols: [openInference, large, odd, plain],
        fallback: plain,
      },
    ],
    log: silent,
    askControl: () => Promise.reject(new Error('no control here')),
    observe: null,
    limits: { ...HTTP_LIMITS, checkMs: 20, ...limits },
  });
  return Number(new URL((await server.listen())[0]!).port);
}

/** What comes back, and after how long the connection was closed; `drip` is sent every 20 ms. */
function talk(port: number, first: string, drip = ''): Promise<{ text: string; ms: number }> {
  return new Promise((resolve) => {
    const startedMs = performance.now();
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.write(first);
    const timer = setInterval(() => drip !== '' && socket.write(drip), 20);
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      resolve({ text, ms: performance.now() - startedMs });
    });
  });
}

const head = (extra: string): string => `POST /endpoints/x/predict HTTP/1.1\r\nHost: localhost\r\n${extra}\r\n\r\n`;
const live = 'GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';

describe('limits of time', () => {
  it('a header that does not come is 408', async () => {
    const port = await start({ headersMs: 200 });
    const { text, ms } = await talk(port, 'GET /v2 HTTP/1.1\r\nX-A: ', 'a');
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
    expect(ms).toBeLessThan(2000);
  });

  it('a connection that says nothing is closed', async () => {
    const port = await start({ headersMs: 200 });
    expect((await talk(port, '')).ms).toBeLessThan(2000);
  });

  it('an idle connection is closed after its answer', async () => {
    const port = await start({ keepAliveMs: 100, idleMs: 200, headersMs: 150 });
    const { text, ms } = await talk(port, live);
    expect(text).toContain('"live":true');
    expect(ms).toBeLessThan(3000);
  });

  it.each([
    ['that stops half-way', { idleMs: 200 }, ''],
    ['that comes a byte now and then', { requestMs: 400, headersMs: 300 }, ' '],
  ])('a body %s is 408, and nothing else is answered', async (_title, limits, drip) => {
    const port = await start(limits, {}, { versions: [add()] });
    while (!state!.assess().ready) await new Promise((resolve) => setTimeout(resolve, 10));
    const { text, ms } = await talk(port, head('Content-Length: 1000').replace('/x/', '/add/'), drip);
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])).toEqual(['408']);
    expect(ms).toBeLessThan(3000);
  });

  it('a client that does not read its answer is closed', async () => {
    const port = await start({ idleMs: 300 });
    const socket = connect(port, '127.0.0.1').pause();
    socket.on('error', () => {});
    socket.write('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n');
    while (server!.connections() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const startedMs = performance.now();
    while (server!.connections() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(performance.now() - startedMs).toBeGreaterThan(250);
    socket.destroy();
  });

  it('one that reads slowly but reads is not', async () => {
    const port = await start({ idleMs: 1000 });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n');
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      socket.pause();
      setTimeout(() => socket.resume(), 3);
    });
    while (bytes < 64 * 1024 * 1024) {
      if (socket.destroyed) throw new Error(`closed after ${bytes} bytes`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    socket.destroy();
  });
});

describe('limits of number', () => {
  it('connections beyond the limit are closed at once', async () => {
    const port = await start({}, { SLIPWAY_MAX_CONNECTIONS: '3' });
    const held = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'));
    await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    while (server!.connections() < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await talk(port, live)).text).toBe('');
    held[0]!.destroy();
    while (server!.connections() > 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await talk(port, live.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))).text).toContain('"live":true');
    for (const socket of held) socket.destroy();
  });

  it('the rest of a body that nobody wants is read within bounds, and the connection goes on', async () => {
    const port = await start({ keepAliveMs: 100, headersMs: 150, idleMs: 300 });
    const { text } = await talk(port, `${head('Content-Length: 100000')}${'x'.repeat(100_000)}${live}`);
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])).toEqual(['404', '200']);
  });
});

describe('routes may', () => {
  const served: StateChoice = { versions: [add()], endpoints: [{ name: 'add', version: 1, labels: { stable: 1 } }] };
  const ask = async (port: number, path: string, init: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return [response.status, response.headers.get('x-odd'), await response.text()];
  };
  const untilReady = (port: number) =>
    vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/v2/health/ready`)).status).toBe(200), {
      timeout: 20_000,
    });

  it('name their endpoint in a header, a label, the body or not at all', async () => {
    const port = await start({}, { SLIPWAY_DEFAULT_ENDPOINT: 'add' }, served);
    await untilReady(port);
    const answer = (text: string) => [203, 'yes', text];
    const post = (path: string, body: string, headers = {}) => ask(port, path, { method: 'POST', body, headers });
    expect(await post('/invocations?a=1', 'x', { 'x-model': 'add' })).toEqual(answer('add POST a=1 0 2,3,4'));
    expect(await post('/invocations', 'to add')).toEqual(answer('add POST  0 2,3,4'));
    expect(await post('/invocations', 'x')).toEqual(answer('add POST  0 2,3,4'));
    expect(await ask(port, '/invocations', { method: 'PUT', body: 'x' })).toEqual(answer('add PUT  0 2,3,4'));
    expect(await post('/invocations?label=stable', 'x')).toEqual(answer('add POST label=stable 0 2,3,4'));
    const unknown = await post('/invocations?label=canary', 'x');
    expect(unknown).toEqual([418, 'no', '404 POST /invocations The endpoint add has no version labelled canary']);
  });

  it('refuse a request that names none where none is set', async () => {
    const port = await start({}, {}, served);
    await untilReady(port);
    const refused = await ask(port, '/invocations', { method: 'POST', body: 'x' });
    expect(refused).toEqual([
      418,
      'no',
      expect.stringContaining('404 POST /invocations The request names no endpoint'),
    ]);
  });

  it('answer other methods, with statuses and types of their own', async () => {
    const port = await start({});
    expect(await ask(port, '/things/a%20b', { method: 'DELETE' })).toEqual([200, null, '{"gone":"a b"}']);
    expect(await ask(port, '/ping?x', { method: 'OPTIONS' })).toEqual([202, null, 'pong x']);
    const wrong = await fetch(`http://127.0.0.1:${port}/ping`, { method: 'POST' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([418, 'GET, HEAD, OPTIONS']);
  });
});
