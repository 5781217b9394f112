/** Started as the platforms of SageMaker, Vertex AI and Azure ML start a container: the word `serve`, their variables, a folder with a model. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually, MODELS, ROOT, type RunningServer, startServer } from './running-server.ts';

let folder: string;
let server: RunningServer | null = null;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-contained-'));
  for (const [at, file] of [
    ['model', 'half-plus-two'],
    ['azure/half/1', 'half-plus-two'],
    ['models/aaaa1111/model', 'half-plus-two'],
    ['models/bbbb2222/model', 'add'],
    ['models/broken/model', 'disguised'],
    ['elsewhere', 'add'],
  ] as const) {
    mkdirSync(join(folder, at), { recursive: true });
    cpSync(join(MODELS, `${file}.onnx`), join(folder, at, 'model.onnx'));
  }
  mkdirSync(join(folder, 'models/hollow/model'), { recursive: true });
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'models/out'));
});
afterEach(async () => {
  await server?.dispose();
  server = null;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function freePort(): Promise<string> {
  const listener = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => listener.once('listening', done));
  const { port } = listener.address() as { port: number };
  await new Promise((done) => listener.close(done));
  return `${port}`;
}

type Answer = { status: number; body: unknown; headers: Headers };
async function ask(port: string, method: string, path: string, body?: unknown, headers = {}): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { 'content-type': 'application/json', host: 'model.container.example', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
}

/** As an image has it for everybody else; a contract decides otherwise. */
const IMAGE = { SLIPWAY_HOST: '0.0.0.0', SLIPWAY_INFERENCE_AUTH: 'required' };

describe('a container of SageMaker', () => {
  test('answers /ping when its model does, and /invocations, at its port and without a key', async () => {
    const port = await freePort();
    const env = { ...IMAGE, SAGEMAKER_BIND_TO_PORT: port, SLIPWAY_MODEL: join(folder, 'model') };
    const starting = startServer({ contained: true, env });
    // Nobody may be told that it is healthy before: an answer of /invocations is then a 404.
    const early = await eventually('a first answer', () => ask(port, 'GET', '/ping'), 30_000);
    expect([200, 503]).toContain(early.status);
    server = await starting;
    await eventually('healthy', async () => (await ask(port, 'GET', '/ping')).status === 200, 30_000);
    const csv = await ask(port, 'POST', '/invocations', '2\n4\n', { 'content-type': 'text/csv', accept: 'text/csv' });
    expect([csv.status, csv.body]).toEqual([200, '3\n4\n']);
    expect(await ask(port, 'POST', '/invocations', { instances: [1] })).toMatchObject({
      status: 200,
      body: { predictions: [2.5] },
    });
    expect((await ask(port, 'GET', '/endpoints')).status).toBe(404);
    await eventually('announced', () => server!.output().includes(`sagemaker at port ${port}`), 30_000);
    expect(await server.stop()).toBe(0);
  }, 60_000);

  test('makes no further version of the same files when it is started again', async () => {
    const env = async () => ({ SAGEMAKER_BIND_TO_PORT: await freePort(), SLIPWAY_MODEL: join(folder, 'model') });
    const first = await startServer({ contained: true, env: await env() });
    await eventually('announced', () => /is ready/.test(first.output()), 30_000);
    await first.stop();
    server = await startServer({ contained: true, env: await env(), dataDir: first.dataDir });
    await eventually('announced again', () => /is ready/.test(server!.output()), 30_000);
    const { items } = await server.client.versions.list('model').page();
    expect(items.map(({ version }) => version)).toEqual([1]);
  }, 60_000);

  test('loads, lists, invokes and unloads many models, each from its folder, and nothing from elsewhere', async () => {
    const port = await freePort();
    const models = join(folder, 'models');
    const env = { ...IMAGE, SAGEMAKER_BIND_TO_PORT: port, SAGEMAKER_MULTI_MODEL: 'true', SLIPWAY_MODEL: models };
    server = await startServer({ contained: true, env });
    await eventually('healthy', async () => (await ask(port, 'GET', '/ping')).status === 200, 30_000);
    expect((await ask(port, 'GET', '/models')).body).toEqual({ models: [] });

    const url = (name: string): string => join(models, name, 'model');
    const load = (name: string, from: string) => ask(port, 'POST', '/models', { model_name: name, url: from });
    expect((await load('sm_mme_model_1', url('aaaa1111'))).status).toBe(200);
    expect(await load('sm_mme_model_1', url('aaaa1111'))).toMatchObject({
      status: 409,
      body: { code: 409, type: 'ConflictStatusException', message: 'Model sm_mme_model_1 is already loaded' },
    });
    expect((await load('sm_mme_model_2', url('bbbb2222'))).status).toBe(200);
    expect((await ask(port, 'GET', '/models')).body).toEqual({
      models: [
        { modelName: 'sm_mme_model_1', modelUrl: url('aaaa1111') },
        { modelName: 'sm_mme_model_2', modelUrl: url('bbbb2222') },
      ],
    });
    const show = await ask(port, 'GET', '/models/sm_mme_model_1');
    expect(show.body).toEqual({ modelName: 'sm_mme_model_1', modelUrl: url('aaaa1111') });
    const target = { 'X-Amzn-SageMaker-Target-Model': 'sm_mme_model_1' };
    const invoked = await ask(port, 'POST', '/models/sm_mme_model_1/invoke', { instances: [2] }, target);
    expect(invoked).toMatchObject({ status: 200, body: { predictions: [3] } });

    for (const [name, from, status] of [
      ['broken', url('broken'), 400],
      ['hollow', url('hollow'), 400],
      ['gone', url('gone'), 400],
      ['out', join(models, 'out'), 400],
      ['root', models, 400],
      ['up', join(folder, 'elsewhere'), 400],
      ['etc', '/etc', 400],
      ['No Name', url('aaaa1111'), 400],
    ] as const) {
      const refused = await load(name, from);
      expect([name, refused.status]).toEqual([name, status]);
      expect(refused.body).toMatchObject({ code: status, message: expect.stringMatching(/./) });
    }
    expect((await ask(port, 'POST', '/models', { model_name: 'x' })).status).toBe(400);
    expect((await ask(port, 'POST', '/models', '{')).status).toBe(400);
    expect((await ask(port, 'GET', '/models?next_page_token=x')).status).toBe(400);

    expect((await ask(port, 'DELETE', '/models/sm_mme_model_1')).status).toBe(200);
    expect((await ask(port, 'DELETE', '/models/sm_non_loaded_model')).status).toBe(404);
    await eventually('unloaded', async () => (await ask(port, 'GET', '/models/sm_mme_model_1')).status === 404);
    expect((await ask(port, 'POST', '/models/sm_mme_model_1/invoke', { instances: [2] })).status).toBe(404);
    expect((await load('sm_mme_model_1', url('aaaa1111'))).status).toBe(200);
    // What it may do without a key, nobody may at the other listener.
    const shared = await fetch(`${server.inferenceUrl}/p/default/models`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model_name: 'y', url: url('aaaa1111') }),
    });
    expect(shared.status).toBeGreaterThanOrEqual(400);
  }, 90_000);
});

describe('a container of Vertex AI', () => {
  test('answers at the paths that the platform chose', async () => {
    const port = await freePort();
    const env = {
      ...IMAGE,
      AIP_MODE: 'PREDICTION',
      AIP_HTTP_PORT: port,
      AIP_HEALTH_ROUTE: '/healthy',
      AIP_PREDICT_ROUTE: '/predictions/of/mine',
      AIP_STORAGE_URI: `file://${join(folder, 'model')}`,
    };
    server = await startServer({ contained: true, env });
    await eventually('healthy', async () => (await ask(port, 'GET', '/healthy')).status === 200, 30_000);
    const body = { instances: [2, 4], parameters: null };
    expect(await ask(port, 'POST', '/predictions/of/mine', body)).toMatchObject({
      status: 200,
      body: { predictions: [3, 4] },
    });
    const many = { instances: Array.from({ length: 100_000 }, (_, at) => at) };
    const large = await ask(port, 'POST', '/predictions/of/mine', many);
    expect([large.status, (large.body as { predictions: number[] }).predictions.length]).toEqual([200, 100_000]);
    expect((await ask(port, 'POST', '/v1/endpoints/7/deployedModels/8:predict', body)).status).toBe(200);
    expect((await ask(port, 'POST', '/predictions/of/mine', { instances: ['x'] })).status).toBe(400);
  }, 60_000);

  test.each([
    ['gs://bucket/model', /nothing here copies from there/],
    ['', /AIP_STORAGE_URI is empty/],
    ['/no/such/folder', /no file or folder/],
  ])(
    'does not start without a model: %s',
    async (uri, words) => {
      const { code, output } = await startRefused({ AIP_HTTP_PORT: await freePort(), AIP_STORAGE_URI: uri });
      expect(code).not.toBe(0);
      expect(output).toMatch(words);
    },
    60_000,
  );

  test.each([
    [{ AIP_HTTP_PORT: 'x', AIP_STORAGE_URI: '/m' }, /AIP_HTTP_PORT/],
    [{ AIP_MODE: 'PREDICTION', AIP_PREDICT_ROUTE: 'predict', AIP_STORAGE_URI: '/m' }, /AIP_PREDICT_ROUTE/],
    [{ SLIPWAY_CONTRACT: 'heroku' }, /SLIPWAY_CONTRACT/],
    [{ SLIPWAY_CONTRACT: 'azure-ml' }, /AZUREML_MODEL_DIR/],
  ])('says which variable is wrong: %j', async (env, words) => {
    const { code, output } = await startRefused(env);
    expect([code, words.test(output)]).toEqual([2, true]);
  });
});

describe('a container of Azure ML', () => {
  test('answers /score with the model of the folder within the folder', async () => {
    const port = await freePort();
    const env = { ...IMAGE, AZUREML_MODEL_DIR: join(folder, 'azure'), SLIPWAY_CONTRACT: `azure-ml:${port}` };
    server = await startServer({ contained: true, env });
    await eventually('healthy', async () => (await ask(port, 'GET', '/')).status === 200, 30_000);
    const scored = await ask(port, 'POST', '/score', { data: [2, 4] }, { 'x-request-id': 'abc' });
    expect([scored.status, scored.headers.get('x-ms-request-id')]).toEqual([200, 'abc']);
    expect(scored.headers.get('x-ms-run-function-failed')).toBe('False');
    expect((await ask(port, 'GET', '/swagger.json')).status).toBe(200);
  }, 60_000);
});

test('a model may come with the start of any server', async () => {
  server = await startServer({ env: { SLIPWAY_MODEL: join(folder, 'model'), SLIPWAY_CONTRACT: 'off' } });
  await eventually('announced', () => /is ready/.test(server!.output()), 30_000);
  const response = await fetch(`${server.inferenceUrl}/invocations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"instances": [2]}',
  });
  expect(await response.json()).toEqual({ predictions: [3] });
}, 60_000);

async function startRefused(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const dataDir = mkdtempSync(join(folder, 'data-'));
  writeFileSync(join(dataDir, '.keep'), '');
  const child = spawn(join(ROOT, 'bin/slipway'), ['serve'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_DATA: dataDir, ...env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  const code = await new Promise<number | null>((done) => child.once('close', done));
  return { code, output };
}
