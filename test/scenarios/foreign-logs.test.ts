/** Logs of other systems, by the command line and by the route for events, against a running server. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, ROOT, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
let folder: string;
beforeAll(async () => {
  server = await startServer();
  folder = mkdtempSync(join(tmpdir(), 'slipway-foreign-'));
  writeFileSync(join(folder, 'privacy.yaml'), 'sample: 1\nfields: {input.email: drop}\n');
}, 60_000);
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function type(...words: string[]): { code: number | null; said: string } {
  const run = spawnSync(join(ROOT, 'bin/slipway'), words, {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_DATA: server.dataDir },
    timeout: 60_000,
  });
  return { code: run.status, said: `${run.stdout}${run.stderr}` };
}

/** As data capture writes it: CSV in, CSV out. */
const capture = (id: string, age: number, score: number) =>
  JSON.stringify({
    captureData: {
      endpointInput: {
        observedContentType: 'text/csv',
        mode: 'INPUT',
        data: `${age},pro,a@example.org\n`,
        encoding: 'CSV',
      },
      endpointOutput: {
        observedContentType: 'text/csv; charset=utf-8',
        mode: 'OUTPUT',
        data: `${score}`,
        encoding: 'CSV',
      },
    },
    eventMetadata: { eventId: id, inferenceTime: '2026-02-14T17:25:49Z' },
    eventVersion: '0',
  });

test('a file is taken after its policy, by lines, once, and told line by line where it is wrong', async () => {
  const lines = Array.from({ length: 4500 }, (_, at) => capture(`e-${at}`, 20 + (at % 60), (at % 100) / 100));
  writeFileSync(join(folder, 'capture.jsonl'), `${lines.join('\n')}\n`);
  const words = [
    'predictions',
    'import',
    'churn',
    'capture.jsonl',
    '--format',
    'sagemaker',
    '--inputs',
    'age,plan,email',
    '--outputs',
    'score',
  ];
  const early = type(...words);
  expect(early.code).toBe(3);
  expect(early.said).toContain('slipway policy set --elsewhere');
  expect(type('policy', 'set', 'churn', '--file', 'privacy.yaml', '--elsewhere').code).toBe(0);
  expect(type(...words, '--dry-run').said).toContain('Would take 4,500 predictions');
  expect(await server.client.predictions.list('churn').all()).toEqual([]);
  expect(type(...words)).toMatchObject({ code: 0, said: expect.stringContaining('Took 4,500 predictions') });
  expect(type(...words).said).toContain('Took 0 predictions, 4,500 known already');
  const [row] = (
    await server.client.predictions.list('churn', { where: 'input.age = 79 and output.score > 0.9', limit: 1 }).page()
  ).items;
  expect(row).toMatchObject({ inputs: { age: 79, plan: 'pro' }, at: '2026-02-14T17:25:49.000Z' });
  expect(JSON.stringify(row)).not.toContain('example.org');
  const listed = type('predictions', 'list', 'churn', '--where', 'input.age = 20', '--limit', '3');
  expect(listed.said.trim().split('\n').length).toBeGreaterThanOrEqual(4);

  lines[4321] = '{"captureData": cut';
  lines[2] = '{}';
  writeFileSync(join(folder, 'capture.jsonl'), lines.map((line) => line.replace('"e-', '"f-')).join('\n'));
  const wrong = type(...words);
  expect(wrong.code).not.toBe(0);
  expect(wrong.said).toContain('line 3 has no captureData');
  expect(wrong.said).not.toContain('example.org');
}, 120_000);

test('a table that says where its ids, times and outputs are; columns that are missing are told', () => {
  writeFileSync(join(folder, 'table.csv'), 'uuid,time,age,note,score\nt1,2026-02-01T00:00:00Z,41,"two\nlines",0.25\n');
  const words = [
    'predictions',
    'import',
    'churn',
    'table.csv',
    '--format',
    'csv',
    '--id',
    'uuid',
    '--outputs',
    'score',
  ];
  const wrong = type(...words, '--at', 'when');
  expect(wrong.code).not.toBe(0);
  expect(wrong.said).toContain('has no column when; its columns are uuid, time, age, note, score');
  expect(type(...words, '--at', 'time').said).toContain('Took 1 prediction');
  expect(type('predictions', 'show', 't1').said).toContain('output.score  0.25');
});

test('events come by HTTP in binary, structured and batch mode, with a key that may predict, and no other', async () => {
  const made = await server.client.keys.create({ name: 'logger', scopes: ['predict'] });
  const reader = await server.client.keys.create({ name: 'reader', scopes: ['read'] });
  const url = `${server.url}/api/v1/endpoints/churn/cloud-events`;
  const post = (headers: Record<string, string>, body: unknown, key = made.key) =>
    fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  const about = (side: string, id: string) => ({
    specversion: '1.0',
    type: `org.kubeflow.serving.inference.${side}`,
    source: 'http://localhost:9081/',
    id,
    time: '2026-03-01T00:00:00.250Z',
    inferenceservicename: 'iris',
  });
  const binary = (side: string, id: string) =>
    Object.fromEntries(Object.entries(about(side, id)).map(([name, value]) => [`Ce-${name}`, value]));
  expect((await post(binary('request', 'k1'), { instances: [[6.8, 2.8]] })).status).toBe(200);
  expect(await (await post(binary('response', 'k1'), { predictions: [1] })).json()).toMatchObject({ accepted: 1 });
  const structured = { 'content-type': 'application/cloudevents+json' };
  await post(structured, {
    ...about('request', 'k2'),
    data: { inputs: [{ name: 'age', shape: [1, 1], datatype: 'FP32', data: [33] }] },
  });
  const batch = { 'content-type': 'application/cloudevents-batch+json' };
  const both = [
    { ...about('response', 'k2'), data: { outputs: [{ name: 'score', shape: [1], datatype: 'FP32', data: [0.5] }] } },
  ];
  expect(await (await post(batch, both)).json()).toMatchObject({ accepted: 1 });
  const rows = await eventually('they are written', async () => {
    const found = await server.client.predictions.list('churn', { since: '2026-03-01T00:00:00Z', limit: 10 }).all();
    return found.length === 2 ? found : null;
  });
  expect(rows.map((row) => [row.id, row.model, row.inputs, row.outputs])).toEqual([
    ['k2', 'iris', { age: 33 }, { score: 0.5 }],
    ['k1', 'iris', { 0: 6.8, 1: 2.8 }, { 0: 1 }],
  ]);
  expect((await post(binary('request', 'k3'), {}, reader.key)).status).toBe(403);
  expect((await post(binary('request', 'k3'), {}, 'nobody')).status).toBe(401);
  expect((await post(binary('outlier', 'k3'), {})).status).toBe(400);
  expect((await post(structured, 'text')).status).toBe(400);
});
