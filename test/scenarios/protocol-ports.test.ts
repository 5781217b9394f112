/** Ports of one protocol with two gateways, and after they were killed: they stay where they were. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { connect } from '../fixtures/grpc-client.ts';
import { eventually, kill, MODELS, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    env: {
      SLIPWAY_GATEWAYS: process.platform === 'linux' ? '2' : '1',
      SLIPWAY_PROTOCOLS: 'open-inference,plain',
      SLIPWAY_PROTOCOL_PORTS: 'tensorflow-serving=0,tensorflow-serving-grpc=0',
    },
  });
  const files = [await fileSource(join(MODELS, 'half-plus-two.onnx'), 'model.onnx')];
  expect((await server.client.deploy({ model: 'half_plus_two', files })).outcome).toBe('served');
}, 120_000);
afterAll(() => server?.dispose());

async function predict(base: string): Promise<unknown> {
  const response = await fetch(`${base}/v1/models/half_plus_two:predict`, {
    method: 'POST',
    headers: { connection: 'close' },
    body: '{"instances": [2, 3]}',
  });
  return response.status === 200 ? response.json() : response.status;
}

async function predictByGrpc(): Promise<unknown> {
  const client = connect(new URL(server.protocolUrls['tensorflow-serving-grpc']!).host);
  try {
    const x = { dtype: 'DT_FLOAT', tensor_shape: { dim: [{ size: 2 }] }, float_val: [2, 3] };
    const request = { model_spec: { name: 'half_plus_two' }, inputs: { x } };
    const { value } = await client.call('tensorflow.serving.PredictionService/Predict', request);
    return (value['outputs'] as { y: { float_val: number[] } }).y.float_val;
  } finally {
    client.close();
  }
}

test('both gateways answer there, and nobody on the shared port', async () => {
  const own = server.protocolUrls['tensorflow-serving']!;
  await eventually('both are up', () => server.pids('gateway').length >= 1);
  for (let call = 0; call < 30; call++) expect(await predict(own)).toEqual({ predictions: [3, 3.5] });
  for (let call = 0; call < 5; call++) expect(await predictByGrpc()).toEqual([3, 3.5]);
  expect(await predict(server.inferenceUrl)).toBe(404);
});

test('killed gateways are found where they were', async () => {
  const own = server.protocolUrls['tensorflow-serving']!;
  for (const pid of server.pids('gateway')) kill(pid);
  await eventually('an answer over HTTP', async () => JSON.stringify(await predict(own)) === '{"predictions":[3,3.5]}');
  await eventually('an answer over gRPC', async () => JSON.stringify(await predictByGrpc()) === '[3,3.5]');
}, 60_000);
