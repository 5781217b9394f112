/** ten times what a version can do, on the whole product. Short, so that it runs with the others; `bench/overload.ts` measures. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { httpRequest, openLoop, percentile } from '../fixtures/open-loop.ts';
import { MODELS, pause, ROOT, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
  const files = [await fileSource(join(MODELS, 'slow.onnx'), 'model.onnx')];
  expect((await server.client.deploy({ model: 'slow', files, tags: { take: 'first' } })).outcome).toBe('served');
  await server.client.deploy({ model: 'slow', files, limits: { maxBatchRows: 8 }, tags: { take: 'second' } });
  await untilReady(server, 'slow');
}, 60_000);
afterAll(() => server?.dispose());

const body = (rounds: number): string => JSON.stringify({ records: [{ X: 1, rounds }] });
const ask = async (rounds: number): Promise<{ ms: number; version: string | null }> => {
  const startedMs = performance.now();
  const response = await fetch(`${server.inferenceUrl}/endpoints/slow/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: body(rounds),
  });
  await response.arrayBuffer();
  return { ms: performance.now() - startedMs, version: response.headers.get('x-slipway-version') };
};

test('R-20: at ten times its capacity what is refused is refused at once, and health, management and rollback answer', async () => {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push((await ask(20_000)).ms);
  const rounds = Math.max(1000, Math.round((20_000 * 25) / percentile(times, 0.5))); // a run of some 25 ms
  expect((await ask(1)).version).toBe('2');

  const seconds = 6;
  const load = openLoop({
    url: server.inferenceUrl,
    request: httpRequest(server.inferenceUrl, '/endpoints/slow/predict', body(rounds)),
    perSecond: 400,
    seconds,
    warmUpSeconds: 2,
    maxConnections: 2000,
  });
  await pause(1500);
  const timed = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const startedMs = performance.now();
    const response = await fetch(path, { headers });
    await response.arrayBuffer();
    expect(response.status).toBe(200);
    return performance.now() - startedMs;
  };
  const admin = { authorization: `Bearer ${server.adminKey}` };
  const health: number[] = [];
  const management: number[] = [];
  for (let i = 0; i < 10; i++) {
    health.push(await timed(`${server.inferenceUrl}/v2/health/live`));
    health.push(await timed(`${server.inferenceUrl}/v2/health/ready`));
    management.push(await timed(`${server.url}/api/v1/endpoints`, admin));
    management.push(await timed(`${server.url}/metrics`, admin));
    await pause(50);
  }
  const rollbackMs = performance.now();
  await server.client.endpoints.update('slow', { target: { version: 1 } });
  while ((await ask(1)).version !== '1') expect(performance.now() - rollbackMs).toBeLessThan(6000);
  // Two seconds on a machine that is not busy with other tests: the version's process has to be started.

  const { byStatus, broken, sent, lost } = await load;
  expect([...byStatus.keys()].sort()).toEqual([200, 503]);
  expect(broken).toBe(0);
  const [good, refused] = [byStatus.get(200)!, byStatus.get(503)!];
  expect(good.length + refused.length + lost).toBe(sent);
  expect(good.length).toBeGreaterThan(10);
  // 10 ms on a machine of its own; those that waited when the limit came into force are told then.
  expect(percentile(refused, 0.25)).toBeLessThan(200);
  expect(percentile(health, 0.5)).toBeLessThan(300);
  expect(percentile(management, 0.5)).toBeLessThan(1000);
  // A queue of 1024 such calls would take 25 s.
  expect(percentile(good, 0.99)).toBeLessThan(5000);

  // Steady again when it is over.
  const calmMs = performance.now();
  while ((await ask(1)).version === null) expect(performance.now() - calmMs).toBeLessThan(10_000);
}, 40_000);

test('the page of metrics names all that are sent, and no others', async () => {
  const documented = new Set(
    [...readFileSync(join(ROOT, 'docs/reference/metrics.md'), 'utf8').matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(
      ([, name, type]) => `${name} ${type}`,
    ),
  );
  const sent = async (): Promise<Set<string>> => {
    const response = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${server.adminKey}` } });
    return new Set(
      [...(await response.text()).matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => `${name} ${type}`),
    );
  };
  const untilMs = performance.now() + 10_000;
  while ((await sent()).size < documented.size && performance.now() < untilMs) await pause(200);
  expect([...(await sent())].sort()).toEqual([...documented].sort());
}, 20_000);
