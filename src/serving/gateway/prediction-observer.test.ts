/** Observers see every prediction, on every way it can take, after its answer. */
import { rmSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { add, json, makeDataDir, makeState } from '../../../test/fixtures/gateway.ts';
import { connect, floats, OIP, type TestClient } from '../../../test/fixtures/grpc-client.ts';
import { silent } from '../../../test/fixtures/runner-specs.ts';
import { systemClock as clock } from '../../base/clock.ts';
import { readSettings } from '../../base/settings.ts';
import { createGrpcServer, type GrpcServer } from '../grpc/grpc-server.ts';
import { openInference } from '../protocols/open-inference.ts';
import { plain } from '../protocols/plain.ts';
import { createAdmission } from './admission.ts';
import { createEndpointFinder } from './find-endpoint.ts';
import { createGatewayServer, type GatewayServer } from './gateway-server.ts';
import { createInferenceAccess } from './inference-access.ts';
import { createGatewayMetrics } from './metrics.ts';
import { joinObservers, type ObservedPrediction } from './prediction-observer.ts';
import { createServingState, type ServingState } from './serving-state.ts';

const dataDir = makeDataDir();
let state: ServingState;
let server: GatewayServer;
let grpc: GrpcServer;
let client: TestClient;
let url: string;
let seen: ObservedPrediction[] = [];
/** A second observer; tests make it fail. */
let second: (prediction: ObservedPrediction) => void = () => {};

beforeAll(async () => {
  const { settings } = readSettings({ SLIPWAY_HTTP_PORT: '0', SLIPWAY_GRPC_PORT: '0' });
  state = createServingState({
    dataDir,
    scratchDir: join(dataDir, 'run/runners'),
    retryAfterS: 1,
    inline: true,
    log: silent,
    clock,
    onObservable: () => {},
  });
  state.apply(
    makeState(dataDir, {
      versions: [add(), add({ version: 2, file: 'add-two.onnx' }), add({ model: 'inline', engine: 'tabular' })],
      endpoints: [{ name: 'add', pins: [2] }, { name: 'inline' }],
    }),
  );
  const serving = {
    finder: createEndpointFinder({ state, retryAfterS: 1 }),
    settings,
    state,
    access: createInferenceAccess({ keyNeeded: false, clock }),
    admission: createAdmission(settings),
    metrics: createGatewayMetrics(),
    log: silent,
    askControl: () => Promise.reject(new Error('no control here')),
    observe: joinObservers([(prediction) => seen.push(prediction), (prediction) => second(prediction)], silent),
  };
  server = createGatewayServer({
    ...serving,
    listeners: [{ port: 0, portSetting: 'SLIPWAY_HTTP_PORT', protocols: [openInference, plain], fallback: plain }],
  });
  grpc = createGrpcServer(serving);
  [url = ''] = await server.listen();
  client = connect(await grpc.listen());
  await vi.waitFor(
    () => expect(state.observe().versions.map((one) => one.state)).toEqual(['ready', 'ready', 'ready']),
    {
      timeout: 20_000,
    },
  );
}, 30_000);
beforeEach(() => {
  seen = [];
  second = () => {};
});
afterAll(async () => {
  client?.close();
  await Promise.all([server?.stop(0), grpc?.stop(0)]);
  await state?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

const next = async (): Promise<ObservedPrediction> => {
  await vi.waitFor(() => expect(seen.length).toBeGreaterThan(0));
  return seen[0]!;
};
const numbersOf = (tensors: ObservedPrediction['inputs']): number[] => [...(tensors![0]!.data as Float32Array)];
const outputsOf = ({ outcome }: ObservedPrediction): number[] =>
  numbersOf(outcome.kind === 'answered' ? outcome.outputs : null);
const body = { records: [{ X: [1, 2, 3] }, { X: [4, 5, 6] }] };

test('on the lean path: who asked, what answered, and the tensors of both', async () => {
  const beforeMs = Date.now();
  const response = await fetch(`${url}/endpoints/add/predict`, json(body, { 'x-request-id': 'r-1' }));
  expect(response.status).toBe(200);
  const prediction = await next();
  expect(prediction).toMatchObject({
    predictionId: response.headers.get('x-prediction-id'),
    requestId: 'r-1',
    project: 'default',
    endpoint: 'add',
    model: 'add',
    version: 1,
    protocol: 'plain',
    rows: 2,
    assignment: { arm: null, reason: 'whole', propensity: 1, unit: null, planVersion: null, epoch: 0 },
    shadowOf: null,
  });
  expect(prediction.versionDigest).toMatch(/^sha256:/);
  expect(prediction.signature.inputs[0]!.name).toBe('X');
  expect(numbersOf(prediction.inputs)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(outputsOf(prediction)).toEqual([2, 3, 4, 5, 6, 7]);
  expect(prediction.atMs).toBeGreaterThanOrEqual(beforeMs);
  expect(prediction.latencyMs).toBeGreaterThan(0);
  expect(prediction.runMs).toBeGreaterThan(0);
});

test('through node:http, inline and over gRPC', async () => {
  await new Promise<void>((resolve) => {
    // A body in chunks is not for the lean path.
    const asked = request(`${url}/endpoints/add/predict`, {
      method: 'POST',
      headers: { 'transfer-encoding': 'chunked' },
    });
    asked.on('response', (response) => response.resume().on('end', resolve));
    asked.end(JSON.stringify(body));
  });
  expect(outputsOf(await next())).toEqual([2, 3, 4, 5, 6, 7]);
  seen = [];
  await fetch(`${url}/endpoints/inline/predict`, json(body));
  expect(await next()).toMatchObject({ endpoint: 'inline', queueMs: 0 });
  expect(outputsOf(seen[0]!)).toEqual([2, 3, 4, 5, 6, 7]);
  for (const name of ['add', 'inline']) {
    seen = [];
    const input = { name: 'X', datatype: 'FP32', shape: [1, 3] };
    const asked = { model_name: name, inputs: [input], raw_input_contents: [floats(7, 8, 9)] };
    const reply = await client.call(`${OIP}/ModelInfer`, asked);
    expect(await next()).toMatchObject({ endpoint: name, protocol: 'grpc', rows: 1 });
    expect(seen[0]!.predictionId).toBe(reply.headers.get('x-prediction-id')[0]);
    expect(outputsOf(seen[0]!)).toEqual([8, 9, 10]);
  }
  expect(seen).toHaveLength(1);
});

test('a pinned version says so', async () => {
  await fetch(`${url}/endpoints/add@2/predict`, json(body));
  expect(await next()).toMatchObject({ version: 2, assignment: { reason: 'pin' } });
});

test('a body that does not fit is a failure of the version that was asked', async () => {
  await fetch(`${url}/endpoints/add/predict`, json({ records: [{ X: 'no' }] }));
  expect(await next()).toMatchObject({
    version: 1,
    inputs: null,
    rows: 0,
    outcome: { kind: 'failed', code: 'invalid_input' },
  });
  seen = [];
  await client.call(`${OIP}/ModelInfer`, { model_name: 'add', inputs: [] }).catch(() => {});
  expect(await next()).toMatchObject({ version: 1, outcome: { kind: 'failed', code: 'invalid_input' } });
});

test('nothing is told of what is no prediction', async () => {
  await fetch(`${url}/endpoints/none/predict`, json(body));
  await fetch(`${url}/endpoints`);
  await fetch(`${url}/endpoints/add/predict`, json(body));
  await next();
  expect(seen).toHaveLength(1);
});

test('an observer that fails keeps no answer back, and no other observer', async () => {
  second = () => {
    throw new Error('of a test');
  };
  for (let i = 0; i < 3; i++) {
    expect((await fetch(`${url}/endpoints/add/predict`, json(body))).status).toBe(200);
  }
  await vi.waitFor(() => expect(seen).toHaveLength(3));
});

test('without observers there is nothing to call', () => {
  expect(joinObservers([], silent)).toBeNull();
});
