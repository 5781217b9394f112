/** Loading and unloading over the Open Inference Protocol, on the whole product. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { eventually, MODELS, ROOT, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
let deployKey: string;
beforeAll(async () => {
  server = await startServer({ env: { SLIPWAY_INLINE: 'off' } }); // its processes are counted
  for (const name of ['add', 'fp32']) {
    const files = [await fileSource(join(MODELS, `${name}.onnx`), 'model.onnx')];
    expect((await server.client.deploy({ model: name, files })).outcome).toBe('served');
  }
  deployKey = (await server.client.keys.create({ name: 'loader', scopes: ['deploy'] })).key;
}, 120_000);
afterAll(() => server?.dispose());

type Said = { status: number; body: unknown; text: string };

async function post(path: string, body?: unknown, key: string | null = deployKey): Promise<Said> {
  const response = await fetch(`${server.inferenceUrl}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : JSON.parse(text), text };
}
const ADD = { inputs: [{ name: 'X', shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] }] };
const FP32 = { inputs: [{ name: 'X', shape: [1, 1], datatype: 'FP32', data: [1] }] };
const infer = (model: string, body: unknown) => post(`/v2/models/${model}/infer`, body, null);
const index = async (body?: unknown) => (await post('/v2/repository/index', body, null)).body;

describe('the repository', () => {
  test('lists what is served, and only what is ready where that is asked', async () => {
    const all = [
      { name: 'add', version: '1', state: 'READY', reason: '' },
      { name: 'fp32', version: '1', state: 'READY', reason: '' },
    ];
    expect(await index()).toEqual(all);
    expect(await index({})).toEqual(all);
    expect(await index({ ready: true })).toEqual(all);
  });

  test('unload frees the model and answers 503 with the way back; load answers when infer works again', async () => {
    const runners = server.pids('runner').length;
    expect(await post('/v2/repository/models/add/unload', { parameters: { unload_dependents: false } })).toMatchObject({
      status: 200,
      body: { name: 'add', unload: true },
    });
    const refused = await infer('add', ADD);
    expect([refused.status, refused.text]).toEqual([503, expect.stringContaining('slipway endpoints load add')]);
    expect((await infer('fp32', FP32)).status).toBe(200);
    await eventually('the runner ended', async () => server.pids('runner').length === runners - 1);
    await eventually('the index', async () => {
      const found = (await index()) as { name: string; state: string; reason: string }[];
      return found[0]?.state === 'UNAVAILABLE' && found[0].reason === 'unloaded';
    });
    expect(await index({ ready: true })).toMatchObject([{ name: 'fp32' }]);
    expect((await fetch(`${server.inferenceUrl}/v2/models/add/ready`)).status).toBe(503);
    expect((await fetch(`${server.inferenceUrl}/v2/health/ready`)).status).toBe(200);
    expect(await server.client.why('add')).toMatchObject({ ready: false, fix: 'slipway endpoints load add' });

    expect(await post('/v2/repository/models/add/load')).toMatchObject({ status: 200, body: { load: true } });
    expect((await infer('add', ADD)).status).toBe(200);
    const items = await server.client.audit.list().all();
    const loads = items.filter((one) => one.action === 'endpoint.update');
    expect(loads[0]).toMatchObject({
      resource: 'endpoint/add',
      detail: { from: { loaded: false }, to: { loaded: true } },
    });
    expect(loads[0]!.actor).toMatch(/^key:/);
    expect(loads[0]!.actor).toBe(loads[1]!.actor);
  });

  test('needs a key with the scope deploy, also where predictions need none', async () => {
    const { key: predictKey } = await server.client.keys.create({ name: 'predictor', scopes: ['predict'] });
    const { key: other } = await server.client.keys.create({ name: 'other', scopes: ['deploy:fp32'] });
    const none = await post('/v2/repository/models/add/unload', undefined, null);
    expect([none.status, none.text]).toEqual([401, expect.stringContaining('scope deploy')]);
    expect((await post('/v2/repository/models/add/unload', {}, 'slipway_live_x_y_00000000')).status).toBe(401);
    expect((await post('/v2/repository/models/add/unload', {}, predictKey)).status).toBe(403);
    expect((await post('/v2/repository/models/add/unload', {}, other)).status).toBe(403);
    expect((await infer('add', ADD)).status).toBe(200);
  });

  test.each([
    ['add/load', { parameters: { config: '{}' } }, 400, 'slipway deploy'],
    ['add/load', { parameters: { 'file:1/model.onnx': 'AAAA' } }, 400, 'slipway deploy'],
    ['add/load', { parameters: { config_name: 'x' } }, 400, '/parameters/config_name'],
    ['add/load', { parameter: {} }, 400, '/parameter is not known'],
    ['add/load', [], 400, 'must be an object'],
    ['add@1/load', {}, 400, 'Versions are not loaded one by one'],
    ['nothing/load', {}, 404, 'nothing'],
    ['add/unload', { parameters: { unload_dependents: 'yes' } }, 400, 'unload_dependents'],
  ])('%s with %j is refused', async (path, body, status, word) => {
    const said = await post(`/v2/repository/models/${path}`, body);
    expect([said.status, said.text]).toEqual([status, expect.stringContaining(word)]);
  });

  test('the command line unloads and loads too', async () => {
    const slipway = (...words: string[]) =>
      spawnSync(join(ROOT, 'bin/slipway'), ['endpoints', ...words, '--json'], {
        env: { PATH: process.env['PATH'], SLIPWAY_URL: server.url, SLIPWAY_API_KEY: server.adminKey },
        encoding: 'utf8',
      });
    expect(slipway('unload', 'fp32', '--reason', 'holidays')).toMatchObject({ status: 0 });
    expect((await infer('fp32', FP32)).status).toBe(503);
    expect(slipway('load', 'fp32')).toMatchObject({ status: 0 });
    expect((await infer('fp32', FP32)).status).toBe(200);
  });

  test('with control gone a change is refused at once and predictions go on', async () => {
    const [control] = server.pids('control');
    process.kill(control!, 'SIGKILL');
    await eventually('the gateway notices', async () => {
      const said = await post('/v2/repository/models/add/load');
      return said.status === 503 && /control is not running/.test(said.text);
    });
    expect((await infer('add', ADD)).status).toBe(200);
    await eventually('control is back', async () => (await post('/v2/repository/models/add/load')).status === 200);
  });
});
