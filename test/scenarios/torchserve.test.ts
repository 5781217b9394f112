/** TorchServe's management API, on the whole product: the registry's versions become models with a worker, are scaled, moved and unregistered. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
let inference: string;
let management: string;

beforeAll(async () => {
  server = await startServer({ env: { SLIPWAY_PROTOCOL_PORTS: 'torchserve=0,torchserve-management=0' } });
  inference = server.protocolUrls['torchserve']!;
  management = server.protocolUrls['torchserve-management']!;
  for (const file of ['add', 'add-two']) {
    const files = [await fileSource(join(MODELS, `${file}.onnx`), 'model.onnx')];
    await server.client.models.push({ model: 'adder', files });
  }
}, 120_000);
afterAll(() => server?.dispose());

async function ask(
  method: string,
  path: string,
  key: string | null = server.adminKey,
  body?: unknown,
): Promise<[number, unknown]> {
  const response = await fetch(`${path.startsWith('/predictions') ? inference : management}${path}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return [response.status, await response.json()];
}
const predict = (path: string) => ask('POST', path, null, [1, 2, 3]);

describe('a model of the registry', () => {
  test('is registered without workers, then scaled to one', async () => {
    expect(await ask('POST', '/models?url=adder@1&model_name=noop')).toEqual([
      200,
      {
        status:
          'Model "noop" Version: 1.0 registered with 0 initial workers. Use scale workers API to add workers for the model.',
      },
    ]);
    expect((await predict('/predictions/noop'))[0]).toBe(503);
    expect(await ask('GET', '/models/noop')).toMatchObject([
      200,
      [{ modelName: 'noop', modelVersion: '1.0', workers: [], minWorkers: 0 }],
    ]);
    expect(await ask('PUT', '/models/noop?min_worker=1&synchronous=true')).toEqual([
      200,
      { status: 'Workers scaled to 1 for model: noop' },
    ]);
    expect(await predict('/predictions/noop')).toEqual([200, [2, 3, 4]]);
    expect(await ask('GET', '/models/noop')).toMatchObject([
      200,
      [{ modelUrl: 'adder@1', workers: [{ status: 'READY' }] }],
    ]);
    expect(await ask('GET', '/models')).toEqual([200, { models: [{ modelName: 'noop', modelUrl: 'adder@1' }] }]);
  });

  test('is registered once', async () => {
    expect(await ask('POST', '/models?url=adder@1&model_name=noop')).toMatchObject([
      409,
      { code: 409, type: 'ConflictStatusException', message: 'Model version 1 is already registered for model noop' },
    ]);
  });

  test('moves to another version, which callers may name', async () => {
    expect(await ask('PUT', '/models/noop/2.0/set-default')).toEqual([
      200,
      { status: 'Default version successfully updated for model "noop" to "2.0"' },
    ]);
    await expect.poll(() => predict('/predictions/noop'), { timeout: 20_000 }).toEqual([200, [3, 4, 5]]);
    expect(await predict('/predictions/noop/2.0')).toEqual([200, [3, 4, 5]]);
    expect(await ask('PUT', '/models/noop/3.3.3/set-default')).toMatchObject([
      404,
      { type: 'ModelVersionNotFoundException' },
    ]);
  });

  test('is asked for only with a key that may deploy', async () => {
    const { key } = await server.client.keys.create({ name: 'caller', scopes: ['predict'] });
    for (const [method, path] of [
      ['POST', '/models?url=adder@1&model_name=other'],
      ['PUT', '/models/noop?min_worker=0'],
      ['DELETE', '/models/noop'],
    ] as const) {
      expect(await ask(method, path, null)).toMatchObject([401, { type: 'InvalidKeyException' }]);
      expect((await ask(method, path, key))[0]).toBe(403);
    }
  });

  test.each([
    ['POST', '/models', 400, 'Parameter url is required.'],
    [
      'POST',
      '/models?url=https://example.com/noop.mar',
      400,
      'Failed to download archive from: https://example.com/noop.mar',
    ],
    ['POST', '/models?url=nothing@1', 404, 'nothing'],
    ['POST', '/models?url=adder@9&model_name=x', 404, 'adder@9'],
    ['POST', '/models?url=adder@1&handler=h.py', 400, 'Parameter handler cannot be set by a call here'],
    ['POST', '/models?url=adder@1&initial_workers=3', 400, 'a version has one worker here'],
    ['POST', '/models?uri=adder@1', 400, 'Parameter uri is not known here.'],
    ['PUT', '/models/noop?min_worker=2&max_worker=1', 400, 'max_worker cannot be less than min_worker.'],
    ['PUT', '/models/fake?min_worker=1', 404, 'Model not found: fake'],
    ['PUT', '/models/noop/1.3.1?min_worker=1', 404, 'Model version: 1.3.1 does not exist for model: noop'],
    ['DELETE', '/models/fake', 404, 'Model not found: fake'],
    ['DELETE', '/models/noop/1.3.1', 404, 'Model version: 1.3.1 does not exist for model: noop'],
    ['GET', '/models/InvalidModel', 404, 'Model not found: InvalidModel'],
    ['PATCH', '/models', 405, 'Requested method is not allowed, please refer to API document.'],
    ['GET', '/token', 501, 'API keys'],
  ])('%s %s is refused', async (method, path, status, text) => {
    const [code, body] = await ask(method, path);
    expect([code, (body as { code: number }).code]).toEqual([status, status]);
    expect((body as { message: string }).message).toContain(text);
  });

  test('keeps its default version, and is unregistered as a whole', async () => {
    await server.client.endpoints.update('noop', { pins: [1] });
    await expect
      .poll(async () => ((await ask('GET', '/models/noop/all'))[1] as unknown[]).length, { timeout: 20_000 })
      .toBe(2);
    expect(await ask('DELETE', '/models/noop/2.0')).toMatchObject([
      403,
      { message: 'Cannot remove default version for model noop' },
    ]);
    expect(await ask('DELETE', '/models/noop/1.0')).toEqual([200, { status: 'Model "noop" unregistered' }]);
    await expect
      .poll(async () => ((await ask('GET', '/models/noop/all'))[1] as unknown[]).length, { timeout: 20_000 })
      .toBe(1);
    expect(await ask('DELETE', '/models/noop')).toEqual([200, { status: 'Model "noop" unregistered' }]);
    await expect.poll(async () => (await ask('GET', '/models/noop'))[0], { timeout: 20_000 }).toBe(404);
    expect((await predict('/predictions/noop'))[0]).toBe(404);
  });
});
