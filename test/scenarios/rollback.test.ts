/** Going back is one command, also in overload and without a database: callers are on the old version within two seconds, and nothing of it is lost. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { httpRequest, openLoop, percentile } from '../fixtures/open-loop.ts';
import { eventually, MODELS, pause, ROOT, type RunningServer, startServer, untilReady } from './running-server.ts';
import { takeDatabase } from './take-database.ts';

let server: RunningServer | null = null;
let giveBack: (() => void) | null = null;
afterEach(async () => {
  giveBack?.();
  await server?.dispose();
});

const CANARY = `
stages:
  - { kind: canary, weight: 50%, minDwell: 1h, gates: [{ kind: rate-ratio, passMargin: 4, passBelow: 50% }] }
  - { kind: promote, soak: 1s, keepWarm: 1h }
deadline: 1d
`;
const SWITCH = `
stages:
  - { kind: approve, separateDuties: false }
  - { kind: promote, soak: 1s, keepWarm: 1h }
`;

type RolledBack = { version: number; isEntered: boolean };

/** The command as people type it. */
function rollback(
  of: RunningServer,
  ...more: string[]
): Promise<{ code: number; said: RolledBack & { hint?: string }; ms: number }> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_DATA: of.dataDir };
    execFile(join(ROOT, 'bin/slipway'), ['rollback', 'm', '--json', ...more], { env }, (error, stdout, stderr) => {
      const said = JSON.parse(stdout || stderr) as { data?: RolledBack };
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, said: (said.data ?? said) as RolledBack, ms: performance.now() - startedMs });
    });
  });
}

async function versionOf(of: RunningServer): Promise<string | null> {
  const answer = await fetch(`${of.inferenceUrl}/endpoints/m/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ records: [{ X: 1, rounds: 1 }] }),
  });
  await answer.arrayBuffer();
  return answer.headers.get('x-slipway-version');
}

/** Calls are given to two versions alike, so one alone shows within a few. */
async function onlyVersion(of: RunningServer, version: string): Promise<void> {
  await eventually(`only version ${version}`, async () => {
    for (let i = 0; i < 12; i++) if ((await versionOf(of)) !== version) return false;
    return true;
  });
}

async function start(
  plan: string,
  phase: string,
  env: Record<string, string> = {},
  dataDir?: string,
): Promise<RunningServer> {
  const running = await startServer({ env, ...(dataDir === undefined ? {} : { dataDir }) });
  server = running;
  const { client } = running;
  for (let i = 1; i <= 2; i++) {
    const blob = new Blob([readFileSync(join(MODELS, 'slow.onnx'))]);
    await client.models.push({ model: 'm', files: [{ path: 'model.onnx', blob }], tags: { take: String(i) } });
  }
  await client.endpoints.create({ name: 'm', model: 'm', target: { version: 1 } });
  await untilReady(running, 'm');
  await client.rollouts.start('m', { to: '2', plan });
  const measuring = setInterval(() => void versionOf(running).catch(() => undefined), 10);
  try {
    await eventually(
      `the rollout is ${phase}`,
      async () => {
        const { rollout } = await client.rollouts.show('m');
        if (rollout.phase === 'awaiting-approval') await client.rollouts.command('m', 'approve');
        return rollout.phase === phase;
      },
      60_000,
    );
  } finally {
    clearInterval(measuring);
  }
  return running;
}

async function isInHistory(of: RunningServer, reason: string): Promise<void> {
  const change = await eventually(
    'history has it',
    async () => {
      return (await of.client.history('m').all()).find((one) => one.reason === reason);
    },
    30_000,
  );
  expect(change).toMatchObject({ actor: 'key:admin', live: { target: { version: 1 } } });
  const audit = await of.client.audit.list().all();
  expect(audit.filter((one) => one.action === 'endpoint.rollback' && one.reason === reason)).toHaveLength(1);
}

test('in overload: ten times what comes can be answered, and the command moves all of it', async () => {
  const running = await start(SWITCH, 'completed');
  await onlyVersion(running, '2');
  const times: number[] = [];
  const ask = async (rounds: number): Promise<number> => {
    const startedMs = performance.now();
    const body = JSON.stringify({ records: [{ X: 1, rounds }] });
    await (
      await fetch(`${running.inferenceUrl}/endpoints/m/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
    ).arrayBuffer();
    return performance.now() - startedMs;
  };
  for (let i = 0; i < 5; i++) times.push(await ask(20_000));
  const rounds = Math.max(1000, Math.round((20_000 * 25) / percentile(times, 0.5))); // a run of some 25 ms
  const load = openLoop({
    url: running.inferenceUrl,
    request: httpRequest(running.inferenceUrl, '/endpoints/m/predict', JSON.stringify({ records: [{ X: 1, rounds }] })),
    perSecond: 400,
    seconds: 12,
    warmUpSeconds: 1,
    maxConnections: 2000,
  });
  await pause(2000);
  const startedMs = performance.now();
  const done = await rollback(running);
  expect(done).toMatchObject({ code: 0, said: { version: 1, isEntered: true } });
  await eventually('version 1 answers', async () => (await versionOf(running)) === '1');
  console.log(
    `in overload: command ${done.ms.toFixed(0)} ms, end to end ${(performance.now() - startedMs).toFixed(0)} ms`,
  );
  const { byStatus, broken } = await load;
  expect([...byStatus.keys()].sort()).toEqual([200, 503]);
  expect(broken).toBe(0);
}, 120_000);

test('with the database taken by another process: gateways follow at once, and history has it when the database is back', async () => {
  const running = await start(SWITCH, 'completed');
  giveBack = await takeDatabase(running);
  const other = await fetch(`${running.url}/api/v1/endpoints`, {
    headers: { authorization: `Bearer ${running.adminKey}` },
  });
  expect(other.status).toBe(503);
  expect(await other.json()).toMatchObject({ code: 'database_down' });
  const stranger = await fetch(`${running.url}/api/v1/endpoints/m/rollback`, {
    method: 'POST',
    headers: { authorization: 'Bearer slw_nobody', 'content-type': 'application/json' },
    body: '{}',
  });
  expect(stranger.status).toBe(401);
  const unloaded = await rollback(running, '--to', '7');
  expect(unloaded.code).not.toBe(0);

  const startedMs = performance.now();
  const done = await rollback(running, '--reason', 'without a database');
  expect(done).toMatchObject({ code: 0, said: { version: 1, isEntered: false } });
  await onlyVersion(running, '1');
  console.log(
    `database taken: command ${done.ms.toFixed(0)} ms, end to end ${(performance.now() - startedMs).toFixed(0)} ms`,
  );
  // Asked again it stays: not forward to the version that was left.
  expect(await rollback(running)).toMatchObject({ code: 0, said: { version: 1 } });

  // Nothing of it is lost if all is killed meanwhile; gateways come back with it.
  await running.killTree();
  giveBack();
  const again = await startServer({ dataDir: running.dataDir });
  server = again;
  await onlyVersion(again, '1');
  await isInHistory(again, 'without a database');
  await untilReady(again, 'm', 1);
}, 180_000);

test('a rollout under way when the database goes: it is aborted on both sides of the gap', async () => {
  const running = await start(CANARY, 'baking');
  giveBack = await takeDatabase(running);
  expect(await rollback(running, '--reason', 'half way')).toMatchObject({
    code: 0,
    said: { version: 1, isEntered: false },
  });
  await onlyVersion(running, '1');
  giveBack();
  await eventually(
    'the rollout was rolled back',
    async () => (await running.client.rollouts.show('m')).rollout.phase === 'rolled-back',
    30_000,
  );
  for (let i = 0; i < 20; i++) expect(await versionOf(running)).toBe('1');
  await isInHistory(running, 'half way');
}, 180_000);

const full = mkdtempSync(join(tmpdir(), 'slipway-full-'));
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', full]).status === 0;

describe.skipIf(!isMounted)(
  `a full disk${isMounted ? '' : ' (skipped: mounting a small file system is not allowed here)'}`,
  () => {
    test('does not keep the command out', async () => {
      try {
        const running = await start(CANARY, 'baking', {}, full);
        for (let size = 1 << 20; size >= 4096; size /= 2)
          for (let n = 0; ; n++) {
            try {
              writeFileSync(join(full, `filler-${size}-${n}`), Buffer.alloc(size));
            } catch {
              break;
            }
          }
        expect(await rollback(running, '--reason', 'no room')).toMatchObject({
          code: 0,
          said: { version: 1, isEntered: false },
        });
        await onlyVersion(running, '1');
        spawnSync('sh', ['-c', `rm -f ${full}/filler-*`]);
        await eventually(
          'the rollout was rolled back',
          async () => (await running.client.rollouts.show('m')).rollout.phase === 'rolled-back',
          30_000,
        );
        await isInHistory(running, 'no room');
      } finally {
        await server?.stop();
        spawnSync('umount', ['-l', full]);
        rmSync(full, { recursive: true, force: true });
      }
    }, 180_000);
  },
);
