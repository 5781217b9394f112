/**
 * What a rollout costs the live path: calls that are shared out and counted, and calls of which a fifth goes to a shadow, beside calls of an
 * endpoint without a rollout; in turns, on the same server. `bin/node-24 bench/rollouts.ts`. Needs Linux with two cores, taskset and wrk.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { writeBodies } from './bodies.ts';
import { deployTab, type Slipway, startSlipway } from './contenders.ts';
import { applyLoad, type LoadResult } from './load.ts';
import { describeMachine } from './machine.ts';
import { spreadOf } from './statistics.ts';

const ROUNDS = 7;
const SECONDS = 2;
const CONNECTIONS = 16;
/** The model is the same in both versions, so nothing ends; stages last longer than the benchmark. */
const SPLIT = 'stages: [{ kind: canary, weight: 50%, minDwell: 1h }, { kind: promote }]';
const SHADOW =
  'stages: [{ kind: shadow, sample: 20%, noiseFloor: 0%, minDwell: 1h, gates: [{ kind: shadow, maxLatencyRatio: 1000, minCoverage: 0% }] }]';
/** By header: the arm is named by an operator, so the call is shared out and not counted. */
const PINNED = { 'X-Slipway-Arm': 'canary' };

const CASES = {
  alone: { endpoint: 'alone' },
  'shared out, not counted': { endpoint: 'split', headers: PINNED },
  'shared out and counted': { endpoint: 'split' },
  'a fifth copied to a shadow': { endpoint: 'shadow' },
} as const;
type Name = keyof typeof CASES;

const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-rollouts-'));
const bodies = join(folder, 'rows.bodies');
writeBodies(bodies, 'open-inference', 1);
const machine = describeMachine();
const slipway = await startSlipway({ cores: '0', env: { SLIPWAY_INLINE: 'off' } });
try {
  await prepare(slipway);
  const origin = new URL(slipway.url('plain')!).origin;
  const load = (name: Name): Promise<LoadResult> => {
    const { endpoint, ...more } = CASES[name];
    const url = `${origin}/v2/models/${endpoint}/infer`;
    const headers = 'headers' in more ? more.headers : {};
    return applyLoad({ url, bodies, headers, connections: CONNECTIONS, seconds: SECONDS, cores: '1' });
  };
  const names = Object.keys(CASES) as Name[];
  for (const name of names) await load(name);
  await untilBaking(slipway, 'split', () => load('shared out and counted'));
  await untilBaking(slipway, 'shadow', () => load('a fifth copied to a shadow'));
  const seen = new Map(names.map((name) => [name, [] as LoadResult[]]));
  for (let round = 0; round < ROUNDS; round++)
    for (let at = 0; at < names.length; at++) {
      const name = names[(at + round) % names.length]!;
      seen.get(name)!.push(await load(name));
    }
  console.log(`${machine.processor}, ${machine.cores} cores; load average before: ${machine.loadBefore}`);
  for (const name of names) {
    const own = seen.get(name)!;
    const beside = (of: Name, value: (one: LoadResult) => number): string => {
      const ratios = own.map((one, round) => value(one) / value(seen.get(of)![round]!));
      const { median, min, max } = spreadOf(ratios);
      return `${median} (${min}-${max})`;
    };
    const failed = own.reduce((sum, one) => sum + one.refused + one.socketErrors, 0);
    const rate = beside('alone', (one) => one.requestsPerSecond);
    const slow = beside('alone', (one) => one.p99Ms);
    console.log(`${name}: throughput ${rate}, p99 ${slow} of alone; ${failed} failed`);
  }
} finally {
  await slipway.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function prepare({ client }: Slipway): Promise<void> {
  await deployTab(slipway, 0);
  await deployTab(slipway, 1);
  for (const name of ['alone', 'split', 'shadow'])
    await client.endpoints.create({ name, model: 'tab', target: { version: 1 }, pins: [2] });
  await client.rollouts.start('split', { to: '2', plan: SPLIT });
  await client.rollouts.start('shadow', { to: '2', plan: SHADOW });
}

async function untilBaking({ client }: Slipway, endpoint: string, call: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const { rollout } = await client.rollouts.show(endpoint);
    if (rollout.phase === 'baking') return;
    if (rollout.isEnded || rollout.phase === 'paused') throw new Error(rollout.text);
    await call();
    await setTimeout(500);
  }
}
