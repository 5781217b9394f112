/** The gRPC listener without a model: its limits of time, shortened (R-22: clients that say little, send slowly, read nothing or are gone), and what it counts. */
import { connect as connectHttp2 } from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { makeDataDir } from '../../../test/fixtures/gateway.ts';
import { connect, OIP } from '../../../test/fixtures/grpc-client.ts';
import { dial, frame, PREFACE, type RawClient, SETTINGS } from '../../../test/fixtures/http2-frames.ts';
import { silent } from '../../../test/fixtures/runner-specs.ts';
import { systemClock as clock } from '../../base/clock.ts';
import { readSettings } from '../../base/settings.ts';
import { createAdmission } from '../gateway/admission.ts';
import { createEndpointFinder } from '../gateway/find-endpoint.ts';
import { createInferenceAccess } from '../gateway/inference-access.ts';
import { createGatewayMetrics, type GatewayMetrics } from '../gateway/metrics.ts';
import { createServingState } from '../gateway/serving-state.ts';
import { createGrpcServer, GRPC_LIMITS, type GrpcServer } from './grpc-server.ts';
import { headerBlock } from './http2/header-writer.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A listener without models: probes and reflection are enough here. */
async function start(
  limits: Partial<typeof GRPC_LIMITS>,
  env: Record<string, string> = {},
): Promise<{ server: GrpcServer; port: number; metrics: GatewayMetrics }> {
  const metrics = createGatewayMetrics();
  const { settings } = readSettings({ SLIPWAY_GRPC_PORT: '0', ...env });
  const dataDir = makeDataDir();
  const state = createServingState({
    dataDir,
    scratchDir: dataDir,
    retryAfterS: 1,
    inline: true,
    log: silent,
    clock,
    onObservable: () => {},
  });
  state.apply({ schema: 1, generation: 1, endpoints: [], versions: [], keys: [] });
  const server = createGrpcServer({
    settings,
    state,
    finder: createEndpointFinder({ state, retryAfterS: 1 }),
    access: createInferenceAccess({ keyNeeded: false, clock }),
    admission: createAdmission(settings),
    metrics,
    log: silent,
    askControl: () => Promise.reject(new Error('no control here')),
    observe: null,
    limits: { ...GRPC_LIMITS, checkMs: 20, ...limits },
  });
  const port = Number((await server.listen()).split(':')[1]);
  stops.push(() => server.stop(0));
  return { server, port, metrics };
}

const CALL = headerBlock(null, [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/inference.GRPCInferenceService/ServerLive'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
]);
const EMPTY_MESSAGE = '0000000000';

async function untilClosed({ socket }: RawClient): Promise<number> {
  const startedMs = performance.now();
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return performance.now() - startedMs;
}

test('a client that says nothing, or half a greeting, is closed', async () => {
  const { port } = await start({ headersMs: 100 });
  for (const greeting of [[], [PREFACE.subarray(0, 10)], [PREFACE]]) {
    expect(await untilClosed(await dial(port, greeting))).toBeLessThan(2000);
  }
});

test('a client that begins a header block and does not end it is closed', async () => {
  const { port } = await start({ headersMs: 100 });
  const client = await dial(port);
  client.send(frame(1, 0, 1, CALL.subarray(0, 5)));
  expect(await untilClosed(client)).toBeLessThan(2000);
});

test('a message that comes too slowly gets an error, and the connection goes on', async () => {
  const { port } = await start({ idleMs: 100 });
  const client = await dial(port);
  client.send(frame(1, 4, 1, CALL), frame(0, 0, 1, '00'));
  const error = await client.next(1, (one) => one.id === 1);
  expect(error.payload.toString('latin1')).toMatch(/grpc-status\u00014.*did not arrive in time/s);
  client.send(frame(1, 4, 3, CALL), frame(0, 1, 3, EMPTY_MESSAGE));
  const answer = await client.next(0, (one) => one.id === 3);
  expect(answer.payload.toString('hex')).toBe('00000000020801');
  client.socket.destroy();
});

test('a message that never stops coming ends at the limit for all of it', async () => {
  const { port } = await start({ requestMs: 300 });
  const client = await dial(port);
  client.send(frame(1, 4, 1, CALL), frame(0, 0, 1, '0000010000'));
  const drip = setInterval(() => client.send(frame(0, 0, 1, '00')), 20);
  const error = await client.next(1, (one) => one.id === 1);
  clearInterval(drip);
  expect(error.payload.toString('latin1')).toMatch(/grpc-status\u00014/);
  client.socket.destroy();
});

test('a client that is silent is asked whether it is there; one that answers stays, one that does not is closed', async () => {
  const { port, server } = await start({ pingMs: 100, pongMs: 200 });
  const node = connectHttp2(`http://127.0.0.1:${port}`); // answers pings by itself
  node.on('error', () => {});
  const deaf = await dial(port);
  await deaf.next(6);
  expect(await untilClosed(deaf)).toBeLessThan(2000);
  await expect.poll(() => server.connections()).toBe(1);
  expect(node.closed).toBe(false);
  node.destroy();
});

test('a client that opens no windows loses its call; one that reads nothing at all its connection', async () => {
  const { port } = await start({ idleMs: 100 });
  const reflect = headerBlock(null, [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'],
    ['content-type', 'application/grpc'],
  ]);
  const client = await dial(port, [PREFACE, frame(4, 0, 0, '0004 00000001')]);
  // list_services: ""
  client.send(frame(1, 4, 1, reflect), frame(0, 1, 1, '0000000002 3a00'));
  expect((await client.next(3)).payload.readUInt32BE(0)).toBe(8);
  client.socket.destroy();
  const deaf = await dial(port, [PREFACE, SETTINGS]);
  deaf.socket.pause();
  const pings = Buffer.concat(new Array<Buffer>(2000).fill(frame(6, 0, 0, Buffer.alloc(8))));
  for (let i = 0; i < 600 && !deaf.socket.destroyed; i++) {
    deaf.send(pings);
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  deaf.socket.resume();
  expect(await untilClosed(deaf)).toBeLessThan(5000);
});

test('connections beyond the setting are closed at once', async () => {
  const { port, server } = await start({}, { SLIPWAY_MAX_CONNECTIONS: '2' });
  const kept = [await dial(port), await dial(port)];
  for (const one of kept) await one.next(4);
  const third = await dial(port);
  expect(await untilClosed(third)).toBeLessThan(2000);
  expect(server.connections()).toBe(2);
  for (const one of kept) one.socket.destroy();
});

test('errors are counted by their code, and by the status that REST gives them', async () => {
  const { port, metrics } = await start({});
  const client = connect(`127.0.0.1:${port}`);
  stops.push(async () => client.close());
  await expect(client.call(`${OIP}/TraceSetting`, Buffer.alloc(0))).rejects.toThrow('Tracing is not set');
  await expect(client.call(`${OIP}/ModelMetadata`, { name: 'none' })).rejects.toThrow('no endpoint none');
  const stream = client.stream(`${OIP}/ModelStreamInfer`);
  const said = new Promise((resolve) => stream.once('data', resolve));
  const ended = new Promise((resolve) => stream.once('end', resolve));
  stream.write({ model_name: 'none' });
  expect(await said).toMatchObject({ error_message: expect.stringContaining('no endpoint none') });
  stream.end();
  await ended;
  const text = metrics.text([]);
  expect(text).toContain('slipway_errors_total{code="not_offered"} 1\n');
  expect(text).toContain('slipway_errors_total{code="endpoint_not_found"} 2\n');
  expect(text).toContain('slipway_requests_refused_total{status="501"} 1\n');
  expect(text).toContain('slipway_requests_refused_total{status="404"} 2\n');
});
