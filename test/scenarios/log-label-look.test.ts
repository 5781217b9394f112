/** Log, label, look: from a policy to a filtered list with what became of the predictions, on the whole product. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { eventually, MODELS, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
  await server.client.deploy({ model: 'adder', files: [await fileSource(join(MODELS, 'add.onnx'), 'model.onnx')] });
}, 60_000);
afterAll(() => server?.dispose());

async function api(method: string, path: string, body?: unknown) {
  const answer = await fetch(`${server.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${server.adminKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.ok, text).toBe(true);
  return JSON.parse(text);
}

const ask = () => server.client.predict('adder', { inputs: { X: [[1, 2, 3]] } });

test('without a policy nothing is logged', async () => {
  for (let i = 0; i < 5; i++) await ask();
  expect((await api('GET', '/endpoints/adder/predictions')).items).toEqual([]);
});

test('with a policy predictions are logged, labelled and found', async () => {
  await api('PUT', '/endpoints/adder/policy', { sample: 1 });
  let id = '';
  await eventually('a prediction is logged', async () => {
    id = String(((await ask()).predictions[0] as { id: string }).id).replace(/\.0$/, '');
    const { items } = await api('GET', '/endpoints/adder/predictions?limit=200');
    return items.length > 0 ? true : null;
  });
  await eventually('the last one is there', async () => {
    const { items } = await api('GET', '/endpoints/adder/predictions?limit=200');
    return items.some((item: { id: string }) => item.id === id) ? true : null;
  });
  const receipt = await server.client.feedback.send([{ predictionId: id, truth: 1 }], { endpoint: 'adder' });
  expect(receipt).toMatchObject({ accepted: 1, matched: 1 });
  const shown = await api('GET', `/endpoints/adder/predictions/${id}`);
  expect(shown.rows[0]).toMatchObject({ id, status: 'answered', model: 'adder' });
  expect(shown.feedback).toMatchObject([{ kind: 'truth', value: 1 }]);
}, 60_000);
