/** Rollouts of the whole product under load: what was asked for is served, nobody gets an error, and the ledger knows what was live. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer | null = null;
afterEach(() => server?.dispose());

const QUICK = `
stages:
  - kind: canary
    weights: [20%, 50%]
    minDwell: 1s
    minExposures: 20
    gates:
      - { kind: rate-ratio, passMargin: 4, passBelow: 20% }
      - { kind: ceiling, consecutiveErrors: 20, errorRate: 50% }
  - { kind: promote, soak: 2s, keepWarm: 1h }
stageBudget: 5m
deadline: 10m
`;

const becomes = (asserts: () => Promise<void>, ms: number): Promise<boolean> =>
  eventually(
    'what is expected',
    async () => {
      await asserts();
      return true;
    },
    ms,
  );

type View = { phase: string; text: string; weight: { asked: number }; isPromoted: boolean; to: { version: number } };

async function openEndpoint(): Promise<{
  api: <T>(method: string, path: string, body?: unknown) => Promise<{ status: number; body: T }>;
  running: RunningServer;
}> {
  const running = await startServer();
  server = running;
  const { client, url, adminKey } = running;
  for (const file of ['add.onnx', 'add-two.onnx'])
    await client.models.push({
      model: 'add',
      files: [{ path: 'model.onnx', blob: new Blob([readFileSync(join(MODELS, file))]) }],
    });
  await client.endpoints.create({ name: 'add', model: 'add', target: { version: 1 } });
  await untilReady(running, 'add');
  const api = async <T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${adminKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as T };
  };
  return { api, running };
}

/** Calls of many units; gives what came back, by version. */
function load(running: RunningServer): { stop(): Promise<void>; faults: string[]; versions: Map<string, number> } {
  const faults: string[] = [];
  const versions = new Map<string, number>();
  const going = startOpenLoop({
    url: running.inferenceUrl,
    perSecond: 150,
    connections: 8,
    arrival: (number) => ({
      path: '/v2/models/add/infer',
      body: `{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[${number % 1000},0,0]}]}`,
    }),
    onAnswer: (answer, number) => {
      const version = String(answer.headers['x-slipway-version']);
      versions.set(version, (versions.get(version) ?? 0) + 1);
      if (answer.status !== 200) {
        faults.push(`${answer.status} ${answer.text}`);
        return;
      }
      const { outputs } = JSON.parse(answer.text) as { outputs: { data: number[] }[] };
      if (outputs[0]!.data[0] !== (number % 1000) + Number(version)) faults.push(`version ${version} answered wrongly`);
    },
  });
  return { stop: async () => void (await going.stop()), faults, versions };
}

test('a healthy version goes through its stages and is promoted; going back is one call, and the ledger knows', async () => {
  const { api, running } = await openEndpoint();
  const calls = load(running);
  const planned = await api<{ rollout: null; estimates: unknown[] }>('POST', '/endpoints/add/rollouts?dryRun=1', {
    to: '2',
    plan: QUICK,
  });
  expect(planned.status).toBe(200);
  expect(planned.body).toMatchObject({
    rollout: null,
    estimates: [{ stage: '20%' }, { stage: '50%' }, { stage: 'promote' }],
  });
  const started = await api<{ rollout: View }>('POST', '/endpoints/add/rollouts', { to: '2', plan: QUICK });
  expect(started.status).toBe(201);
  const again = await api<{ code: string }>('POST', '/endpoints/add/rollouts', { to: '2', plan: QUICK });
  expect(again).toMatchObject({ status: 409, body: { code: 'in_use' } });
  const seen = new Set<string>();
  const during = new Date().toISOString();
  await becomes(async () => {
    const { body } = await api<{ rollout: View }>('GET', '/endpoints/add/rollout');
    seen.add(`${body.rollout.phase} ${body.rollout.weight.asked}`);
    expect(body.rollout.phase, JSON.stringify(body.rollout)).toBe('completed');
  }, 90_000);
  expect([...seen]).toEqual(expect.arrayContaining(['baking 0.2', 'baking 0.5', 'soaking 1', 'completed 1']));
  const { body } = await api<{ rollout: View; records: { to: string; by: string; reason: string }[] }>(
    'GET',
    '/endpoints/add/rollout',
  );
  expect(body.records.map((one) => one.to)).toEqual([
    'warming',
    'ramping',
    'baking',
    'ramping',
    'baking',
    'promoting',
    'soaking',
    'completed',
  ]);
  const from = performance.now();
  const back = await api<{ version: number }>('POST', '/endpoints/add/rollback', { reason: 'just trying' });
  expect(back).toMatchObject({ status: 200, body: { version: 1 } });
  await becomes(async () => {
    const { body: endpoint } = await api<{ status: { servingVersion: number } }>('GET', '/endpoints/add');
    expect(endpoint.status.servingVersion).toBe(1);
  }, 5000);
  expect(performance.now() - from).toBeLessThan(2000);
  await calls.stop();
  expect(calls.faults).toEqual([]);
  expect(calls.versions.get('2')).toBeGreaterThan(100);
  const history = await api<{ items: { live: { target: { version: number; digest: string } }; reason: string }[] }>(
    'GET',
    '/endpoints/add/history',
  );
  expect(history.body.items[0]).toMatchObject({ reason: 'just trying', live: { target: { version: 1 } } });
  const then = await api<typeof history.body>(
    'GET',
    `/endpoints/add/history?at=${encodeURIComponent(new Date().toISOString())}`,
  );
  expect(then.body.items[0]!.live.target.digest).toMatch(/^sha256:/);
  expect(Date.parse(during)).toBeGreaterThan(0);
}, 150_000);

test('abort gives everything back at once, without an error to anybody', async () => {
  const { api, running } = await openEndpoint();
  const calls = load(running);
  await api('POST', '/endpoints/add/rollouts', { to: '2', plan: QUICK.replace('minDwell: 1s', 'minDwell: 1m') });
  await becomes(async () => {
    const { body } = await api<{ rollout: View }>('GET', '/endpoints/add/rollout');
    expect(body.rollout.phase, JSON.stringify(body.rollout)).toBe('baking');
  }, 60_000);
  await becomes(async () => expect(calls.versions.get('2') ?? 0).toBeGreaterThan(20), 20_000);
  const refused = await api<{ code: string }>('PATCH', '/endpoints/add', { target: { version: 2 } });
  expect(refused).toMatchObject({ status: 409, body: { code: 'in_use' } });
  const aborted = await api<View>('POST', '/endpoints/add/rollout/abort', { reason: 'enough' });
  expect(aborted.status).toBe(200);
  await becomes(async () => {
    const { body } = await api<{ rollout: View }>('GET', '/endpoints/add/rollout');
    expect(body.rollout.phase).toBe('rolled-back');
  }, 10_000);
  const before = calls.versions.get('2') ?? 0;
  await new Promise((done) => setTimeout(done, 500));
  expect(calls.versions.get('2')).toBe(before);
  await calls.stop();
  expect(calls.faults).toEqual([]);
  const late = await api<{ code: string; detail: string }>('POST', '/endpoints/add/rollout/resume', {});
  expect(late).toMatchObject({ status: 409, body: { code: 'rollout_refused' } });
}, 120_000);

test('control killed with SIGKILL on the way: the rollout goes on where it was, and nobody notices', async () => {
  const { api, running } = await openEndpoint();
  const calls = load(running);
  await api('POST', '/endpoints/add/rollouts', { to: '2', plan: QUICK.replace('minDwell: 1s', 'minDwell: 3s') });
  for (const phase of ['baking', 'ramping|baking|promoting|soaking|completed']) {
    await becomes(async () => {
      const { body } = await api<{ rollout: View }>('GET', '/endpoints/add/rollout');
      expect(body.rollout.phase).toMatch(new RegExp(phase));
    }, 60_000);
    const [control] = running.pids('control');
    process.kill(control!, 'SIGKILL');
    await becomes(async () => {
      expect(running.pids('control').filter((pid) => pid !== control)).toHaveLength(1);
      expect((await api('GET', '/endpoints/add/rollout')).status).toBe(200);
    }, 30_000);
  }
  await becomes(async () => {
    const { body } = await api<{ rollout: View }>('GET', '/endpoints/add/rollout');
    expect(body.rollout.phase, JSON.stringify(body.rollout)).toBe('completed');
  }, 90_000);
  await calls.stop();
  expect(calls.faults).toEqual([]);
  const { body } = await api<{ records: { revision: number; to: string }[] }>('GET', '/endpoints/add/rollout');
  const revisions = body.records.map((one) => one.revision);
  expect(revisions).toEqual(revisions.map((_, at) => at + 2));
  expect(body.records.at(-1)!.to).toBe('completed');
}, 200_000);
