/** Seldon Core's callers against the whole product: feedback of version 1 is kept, and version 2's header says which model answers. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { connect } from '../fixtures/grpc-client.ts';
import { MODELS, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({ env: { SLIPWAY_DEFAULT_ENDPOINT: 'half' } });
  for (const [model, file] of [
    ['half', 'half-plus-two.onnx'],
    ['add', 'add.onnx'],
  ] as const) {
    const files = [await fileSource(join(MODELS, file), 'model.onnx')];
    expect((await server.client.deploy({ model, files })).outcome).toBe('served');
  }
}, 60_000);
afterAll(() => server?.dispose());

type Answer = { status: number; body: Record<string, unknown> };
async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(server.inferenceUrl + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const withKey = (): Record<string, string> => ({ authorization: `Bearer ${server.adminKey}` });
const DEPLOYMENT = '/seldon/default/half/api/v1.0';

test('feedback is kept by the puid of the answer: the truth of each row, and the reward of all', async () => {
  const request = { data: { ndarray: [2, 4] } };
  const response = (await post(`${DEPLOYMENT}/predictions`, request)).body as { meta: { puid: string } };
  const { puid } = response.meta;
  const told = { request, response, reward: 0.5, truth: { data: { ndarray: [[3], [5]] } } };
  expect(await post(`${DEPLOYMENT}/feedback`, told, withKey())).toMatchObject({
    status: 200,
    body: { meta: { puid } },
  });
  // A repetition changes nothing.
  expect((await post(`${DEPLOYMENT}/feedback`, told, withKey())).status).toBe(200);
  const kept = await server.client.feedback.list({ endpoint: 'half' }).all();
  const rows = kept
    .filter(({ predictionId }) => predictionId === puid)
    .map(({ row, kind, value }) => [row, kind, value]);
  expect(rows).toEqual([
    [0, 'truth', 3],
    [1, 'truth', 5],
    [null, 'score', 0.5],
  ]);
  const atRoot = { response: { meta: { puid } }, truth: { data: { tensor: { shape: [2, 1], values: [3, 6] } } } };
  expect((await post('/api/v1.0/feedback', atRoot, withKey())).status).toBe(200);
});

const PUID = '01890000-0000-7000-8000-000000000000';
const about = { response: { meta: { puid: PUID } } };
test.each([
  ['without a puid', { reward: 1 }, 'puid'],
  ['of an id of the caller’s own', { response: { meta: { puid: 'mine' } }, reward: 1 }, 'X-Prediction-Id'],
  ['that says nothing', about, 'a reward or a truth'],
  ['with a key that is not known', { ...about, reward: 1, weight: 2 }, '/weight'],
  ['with a reward that is no number', { ...about, reward: 'good' }, '/reward'],
  ['with two truths', { ...about, truth: { strData: 'a', jsonData: 'b' } }, '/truth'],
  ['with a truth in binData', { ...about, truth: { binData: 'AA==' } }, '/truth/binData'],
  ['with a ragged tensor', { ...about, truth: { data: { tensor: { shape: [2], values: [1, 2, 3] } } } }, 'tensor'],
  ['that is a list', [], 'object'],
])('feedback %s is refused', async (_title, body, words) => {
  const { status, body: said } = await post(`${DEPLOYMENT}/feedback`, body, withKey());
  expect([status, (said['status'] as { reason: string }).reason]).toEqual([400, 'MICROSERVICE_BAD_DATA']);
  expect((said['status'] as { info: string }).info).toContain(words);
});

test('feedback needs a key that may predict, and an endpoint that exists', async () => {
  const body = { ...about, reward: 1 };
  expect((await post(`${DEPLOYMENT}/feedback`, body)).status).toBe(401);
  expect((await post(`${DEPLOYMENT}/feedback`, body, { authorization: 'Bearer slipway_live_x' })).status).toBe(401);
  expect((await post('/seldon/default/none/api/v1.0/feedback', body, withKey())).status).toBe(404);
  const { key } = await server.client.keys.create({ name: 'other', scopes: ['predict:add'] });
  const other = await post(`${DEPLOYMENT}/feedback`, body, { authorization: `Bearer ${key}` });
  expect(other.status).toBe(403);
});

const TENSOR = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [2] }] };
test.each(['half', 'half.pipeline', 'half@1', 'half.experiment'])(
  'the header Seldon-Model: %s names the model, whatever the path says',
  async (name) => {
    const { status, body } = await post('/v2/models/add/infer', TENSOR, { 'seldon-model': name });
    expect([status, body['model_name']]).toEqual([200, 'half']);
    const ready = await fetch(`${server.inferenceUrl}/v2/models/other/ready`, { headers: { 'seldon-model': name } });
    expect(ready.status).toBe(200);

    const client = connect(server.grpcAddress);
    const metadata = { 'seldon-model': name };
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1], contents: { fp32_contents: [2] } }];
    const call = client.call(
      'inference.GRPCInferenceService/ModelInfer',
      { model_name: 'other', inputs },
      { metadata },
    );
    expect((await call).value).toMatchObject({ model_name: 'half' });
    client.close();
  },
);

test('a header that names nothing that is served is a 404, and without it the path counts', async () => {
  expect((await post('/v2/models/half/infer', TENSOR, { 'seldon-model': 'gone' })).status).toBe(404);
  expect((await post('/v2/models/half/infer', TENSOR)).body['model_name']).toBe('half');
});

test('the models are listed at one path for clients of KServe and of OpenAI', async () => {
  const read = async (path: string) => (await fetch(server.inferenceUrl + path)).json();
  expect(await read('/v1/models')).toMatchObject({
    models: ['add', 'half'],
    object: 'list',
    data: [{ id: 'add', object: 'model' }, { id: 'half' }],
  });
  expect(await read('/v1/models/half')).toMatchObject({
    id: 'half',
    object: 'model',
    name: 'half',
    ready: true,
    model_version_status: [{ version: '1', state: 'AVAILABLE' }],
  });
});
