/** The main job, through the SDK, on the whole product: from a model file to a served prediction, and on to the next version. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { eventually, MODELS, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.dispose());

const model = async (file: string) => [await fileSource(join(MODELS, file), 'model.onnx')];

test('a model file becomes a validated, warm endpoint that answers', async () => {
  const deployed = await server.client.deploy({ model: 'adder', files: await model('add.onnx') });
  expect(deployed.outcome).toBe('served');
  expect(deployed.version).toMatchObject({
    version: 1,
    status: 'ready',
    engine: 'tabular',
    signature: {
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }],
      outputs: [{ name: 'Y', datatype: 'FP32' }],
    },
  });
  const validation = deployed.version!.validation!;
  expect(validation.outcome).toBe('passed');
  expect(validation.loadMs).toBeGreaterThan(0);
  expect(deployed.version!.measuredMemoryBytes).toBeGreaterThan(1_000_000);
  const answer = await server.client.predict('adder', {
    inputs: {
      X: [
        [1, 2, 3],
        [4, 5, 6],
      ],
    },
  });
  expect(answer).toMatchObject({ endpoint: 'adder', version: 1, predictions: [{ Y: [2, 3, 4] }, { Y: [5, 6, 7] }] });
});

test('every answer carries its prediction id, version and request id', async () => {
  const response = await fetch(`${server.inferenceUrl}/endpoints/adder/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'mine-1' },
    body: JSON.stringify({
      inputs: {
        X: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      },
    }),
  });
  expect(response.status).toBe(200);
  const id = response.headers.get('x-prediction-id');
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(response.headers.get('x-slipway-version')).toBe('1');
  expect(response.headers.get('x-request-id')).toBe('mine-1');
  const body = (await response.json()) as { predictions: { id: string }[] };
  expect(body.predictions.map((one) => one.id)).toEqual([`${id}.0`, `${id}.1`]);
});

test('the example request that an endpoint shows is answered', async () => {
  const shown = (await (await fetch(`${server.inferenceUrl}/endpoints/adder`)).json()) as {
    example: { request: unknown; curl: string };
  };
  const response = await fetch(`${server.inferenceUrl}/endpoints/adder/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(shown.example.request),
  });
  expect(response.status).toBe(200);
  const typed = spawnSync('sh', ['-c', shown.example.curl], { encoding: 'utf8' });
  expect(JSON.parse(typed.stdout)).toMatchObject({ endpoint: 'adder', version: 1 });
});

test('the Open Inference Protocol answers the same', async () => {
  const response = await fetch(`${server.inferenceUrl}/v2/models/adder/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: 'r1', inputs: [{ name: 'X', shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] }] }),
  });
  expect(await response.json()).toEqual({
    model_name: 'adder',
    model_version: '1',
    id: 'r1',
    outputs: [{ name: 'Y', shape: [1, 3], datatype: 'FP32', data: [2, 3, 4] }],
  });
});

test('the same command again makes version 2, and no caller sees the change', async () => {
  let failed = 0;
  let calls = 0;
  const versions = new Set<number>();
  let going = true;
  const caller = (async () => {
    while (going) {
      calls++;
      await server.client.predict('adder', { inputs: { X: [[1, 2, 3]] } }).then(
        (answer) => versions.add(answer.version),
        () => failed++,
      );
    }
  })();
  const deployed = await server.client.deploy({ model: 'adder', files: await model('add.onnx') });
  going = false;
  await caller;
  expect(deployed.outcome).toBe('served');
  expect(deployed.version?.version).toBe(2);
  expect(deployed.previousVersion).toBe(1);
  expect(deployed.diff).toEqual({ breaking: false, changes: [] });
  expect(failed).toBe(0);
  expect(calls).toBeGreaterThan(10);
  expect((await server.client.predict('adder', { inputs: { X: [[1, 2, 3]] } })).version).toBe(2);
});

test('an incompatible version stops with the reason, leaves nothing behind, and goes through when told to', async () => {
  await expect(server.client.deploy({ model: 'adder', files: await model('int64.onnx') })).rejects.toMatchObject({
    status: 409,
    code: 'signature_breaking',
  });
  expect((await server.client.models.show('adder')).latestVersion).toBe(2);
  expect((await server.client.predict('adder', { inputs: { X: [[1, 2, 3]] } })).version).toBe(2);
  const deployed = await server.client.deploy({
    model: 'adder',
    files: await model('int64.onnx'),
    allowBreaking: true,
  });
  expect(deployed.outcome).toBe('served');
  expect(deployed.diff?.breaking).toBe(true);
  await server.client.endpoints.update('adder', { target: { version: 2 }, allowBreaking: true, reason: 'go back' });
  await untilReady(server, 'adder', 2);
});

test('mixed numbers and categories are predicted from records', async () => {
  const deployed = await server.client.deploy({ model: 'churn', files: await model('mixed.onnx') });
  expect(deployed.outcome).toBe('served');
  const answer = await server.client.predict('churn', {
    records: [
      { age: 41, plan: 'pro' },
      { age: 20, plan: 'free' },
    ],
  });
  expect(answer.predictions).toHaveLength(2);
  for (const prediction of answer.predictions) expect(Number.isFinite([prediction['score']].flat()[0])).toBe(true);
});

test('an alias that is followed moves the endpoint, and its history says who, when, from, to and why', async () => {
  const { client } = server;
  await client.aliases.set('adder', 'champion', 1, { reason: 'first' });
  await client.endpoints.create({ name: 'followed', model: 'adder', target: { alias: 'champion' } });
  await untilReady(server, 'followed', 1);
  await client.aliases.set('adder', 'champion', 2, { reason: 'better on the golden set' });
  await untilReady(server, 'followed', 2);
  const history = [];
  for await (const change of client.aliases.history('adder', 'champion')) history.push(change);
  expect(history.map(({ from, to, reason }) => ({ from, to, reason }))).toEqual([
    { from: 1, to: 2, reason: 'better on the golden set' },
    { from: null, to: 1, reason: 'first' },
  ]);
  expect(history[0]?.actor).toBe('key:admin');
  // Moving it to a version that would break callers of the endpoint needs a word of consent.
  await expect(client.aliases.set('adder', 'champion', 3)).rejects.toMatchObject({ code: 'signature_breaking' });
});

test('a pinned version stays reachable by name@version, another is refused', async () => {
  const { client } = server;
  await client.endpoints.update('adder', { pins: [1] });
  await eventually(
    'version 1 answers',
    async () => (await client.predict('adder@1', { inputs: { X: [[1, 2, 3]] } })).version === 1,
  );
  const response = await fetch(`${server.inferenceUrl}/v2/models/adder/versions/1/infer`, {
    method: 'POST',
    body: JSON.stringify({ inputs: [{ name: 'X', shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] }] }),
  });
  expect(response.headers.get('x-slipway-version')).toBe('1');
  await expect(client.predict('adder@77', { inputs: { X: [[1, 2, 3]] } })).rejects.toMatchObject({ status: 404 });
});

test('what serves cannot be deleted; what does not, can', async () => {
  const { client } = server;
  await expect(client.versions.remove('adder', 2)).rejects.toMatchObject({ status: 409, code: 'in_use' });
  await client.endpoints.update('adder', { pins: [] });
  await client.versions.remove('adder', 3);
  await expect(client.versions.show('adder', 3)).rejects.toMatchObject({ status: 404, code: 'version_not_found' });
  await client.endpoints.remove('followed');
  await eventually('the endpoint is gone', async () => {
    const response = await fetch(`${server.inferenceUrl}/endpoints/followed`);
    return response.status === 404;
  });
});

test('why and status say what is observed', async () => {
  const why = await server.client.why('adder');
  expect(why).toMatchObject({ ready: true, fix: null });
  expect(why.reason).toContain('adder@2');
  const status = await server.client.status();
  expect(status.counts.endpointsReady).toBe(status.counts.endpoints);
  expect((await server.client.doctor()).filter((check) => check.outcome === 'fail')).toEqual([]);
  expect(await server.client.audit.verify()).toMatchObject({ intact: true });
});

test('metrics are in the Prometheus text format and count what was predicted', async () => {
  const metrics = await eventually('metrics of the gateway', async () => {
    const response = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${server.adminKey}` } });
    const text = await response.text();
    return /adder/.test(text) ? text : null;
  });
  for (const line of metrics.trim().split('\n')) {
    expect(line).toMatch(/^(# (HELP|TYPE) \S+ .+|[a-z_:]+(\{[^}]*\})? [-+0-9.eE]+|[a-z_:]+(\{[^}]*\})? \+?Inf)$/);
  }
});

test('a restart finds everything as it was', async () => {
  const before = await server.client.models.show('adder');
  const { dataDir } = server;
  expect(await server.stop()).toBe(0);
  expect(server.pids('runner').length + server.pids('gateway').length + server.pids('control').length).toBe(0);
  server = await startServer({ dataDir });
  expect(await server.client.models.show('adder')).toEqual(before);
  await untilReady(server, 'adder', 2);
  expect((await server.client.predict('adder', { inputs: { X: [[1, 2, 3]] } })).predictions[0]).toMatchObject({
    Y: [2, 3, 4],
  });
});
