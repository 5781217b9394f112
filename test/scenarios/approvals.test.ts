/** Consent and its overruling, as people type them: who started a rollout or made the version cannot approve it, and promoting is recorded. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClient } from '../../sdk/src/client.ts';
import { eventually, MODELS, ROOT, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer;
const folder = mkdtempSync(join(tmpdir(), 'slipway-approvals-'));
const keys = new Map<string, string>();
const SCOPES: Readonly<Record<string, string[]>> = {
  ann: ['deploy', 'promote'],
  bob: ['promote'],
  carol: ['deploy', 'promote'],
  dave: ['deploy'],
};

beforeAll(async () => {
  server = await startServer();
  for (const [name, scopes] of Object.entries(SCOPES))
    keys.set(name, (await server.client.keys.create({ name, scopes })).key);
  const versions = [
    ['add.onnx', server.client],
    ['add-two.onnx', createClient({ url: server.url, apiKey: keys.get('carol')! })],
  ] as const;
  for (const [file, client] of versions) {
    const blob = new Blob([readFileSync(join(MODELS, file))]);
    await client.models.push({ model: 'm', files: [{ path: 'model.onnx', blob }] });
  }
  await server.client.endpoints.create({ name: 'm', model: 'm', target: { version: 1 } });
  await untilReady(server, 'm');
}, 60_000);
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** `slipway rollouts …` with somebody's key. */
function types(who: string, ...words: string[]): { code: number | null; said: string } {
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    SLIPWAY_URL: server.url,
    SLIPWAY_API_KEY: keys.get(who)!,
  };
  const run = spawnSync(join(ROOT, 'bin/slipway'), ['rollouts', ...words], { env, encoding: 'utf8', timeout: 60_000 });
  return { code: run.status, said: run.stdout + run.stderr };
}

const phaseIs = (phase: string): Promise<boolean> =>
  eventually(`it is ${phase}`, async () => (await server.client.rollouts.show('m')).rollout.phase === phase, 60_000);

test('approval: not by who started it or made the version, nor by who may not promote', async () => {
  const plan = join(folder, 'approve.yaml');
  writeFileSync(plan, 'stages:\n  - kind: approve\n  - { kind: promote, soak: 0s, keepWarm: 1h }\n');
  expect(types('ann', 'start', 'm', '--to', '2', '--plan', plan).code).toBe(0);
  await phaseIs('awaiting-approval');
  const shown = types('bob', 'show', 'm');
  expect(shown.said).toContain('slipway rollouts approve m');
  for (const [who, why] of [
    ['ann', 'Whoever started the rollout may not approve it'],
    ['carol', 'Whoever made the version may not approve it'],
    ['dave', 'promote'],
  ] as const) {
    const { code, said } = types(who, 'approve', 'm');
    expect(code, said).not.toBe(0);
    expect(said).toContain(why);
  }
  expect(types('bob', 'approve', 'm', '--dry-run').code).toBe(0);
  await phaseIs('awaiting-approval');
  expect((await server.client.rollouts.show('m')).rollout.approvals).toEqual([]);
  const approved = types('bob', 'approve', 'm', '--reason', 'looked at it');
  expect(approved.code, approved.said).toBe(0);
  await phaseIs('completed');
  const { records } = await server.client.rollouts.show('m');
  expect(records.find((one) => one.to === 'promoting')).toMatchObject({ by: 'key:bob', reason: 'Approved' });
  const late = types('bob', 'approve', 'm');
  expect(late.code).not.toBe(0);
  expect(late.said).toContain('The rollout has ended: it is completed');
}, 120_000);

test('promote overrules what is still open, by name and with a reason, and only who may', async () => {
  const plan = join(folder, 'slow.yaml');
  writeFileSync(
    plan,
    'stages:\n  - { kind: canary, weight: 10%, minDwell: 1h, gates: [{ kind: rate-ratio, passBelow: 5% }] }\n  - { kind: promote, soak: 0s, keepWarm: 1h }\n',
  );
  expect(types('ann', 'start', 'm', '--to', '1', '--plan', plan).code).toBe(0);
  await phaseIs('baking');
  const refused = types('dave', 'promote', 'm');
  expect(refused.code).not.toBe(0);
  expect(refused.said).toContain('promote');
  expect(types('bob', 'promote', 'm', '--dry-run').code).toBe(0);
  await phaseIs('baking');
  const done = types('bob', 'promote', 'm', '--reason', 'the other one is on fire');
  expect(done.code, done.said).toBe(0);
  await phaseIs('completed');
  await untilReady(server, 'm', 1);
  const { records } = await server.client.rollouts.show('m');
  expect(records.find((one) => one.to === 'promoting')).toMatchObject({
    by: 'key:bob',
    reason: 'the other one is on fire',
  });
  const audit = await server.client.audit.list().all();
  expect(audit.find((one) => one.action === 'rollout.promote')).toMatchObject({
    actor: 'key:bob',
    reason: 'the other one is on fire',
  });
}, 120_000);
