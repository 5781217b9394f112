/**
 * What remembering predictions costs the live path: an endpoint with profiles and a log of 5 % of its rows beside one that keeps nothing, of
 * the same version on the same server, in turns. `bin/node-24 bench/recording.ts [--connections 16] [--rows 1] [--engine onnxruntime]`. Needs
 * Linux with two cores, taskset and wrk.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { writeBodies } from './bodies.ts';
import { deployTab, type Slipway, startSlipway } from './contenders.ts';
import { applyLoad, type LoadResult } from './load.ts';
import { describeMachine } from './machine.ts';
import { spreadOf } from './statistics.ts';

const { values: flags } = parseArgs({
  options: {
    connections: { type: 'string', default: '16' },
    rows: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '3' },
    /** `onnxruntime` has the model in a runner process of its own. */
    engine: { type: 'string', default: 'tabular' },
  },
});
const ROUNDS = Number(flags.rounds);
const SECONDS = Number(flags.seconds);
/** The model has 30 features and one output; a policy holds a second after it was set. */
const POLICIES = {
  nothing: { sample: 0, profile: false },
  profiles: { sample: 0, profile: true },
  'profiles and log': { sample: 0.05, profile: true },
} as const;
type Name = keyof typeof POLICIES;
const names = Object.keys(POLICIES) as Name[];
const endpointOf = (name: Name): string => name.replaceAll(' ', '-');

const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-recording-'));
const bodies = join(folder, 'rows.bodies');
writeBodies(bodies, 'open-inference', Number(flags.rows));
const machine = describeMachine();
const inline: Record<string, string> = flags.engine === 'tabular' ? {} : { SLIPWAY_INLINE: 'off' };
const slipway = await startSlipway({ cores: '0', env: inline });
try {
  await prepare(slipway);
  const origin = new URL(slipway.url('plain')!).origin;
  const load = (name: Name, seconds = SECONDS): Promise<LoadResult> =>
    applyLoad({
      url: `${origin}/v2/models/${endpointOf(name)}/infer`,
      bodies,
      connections: Number(flags.connections),
      seconds,
      cores: '1',
    });
  for (const name of names) await load(name, 1);
  const seen = new Map(names.map((name) => [name, [] as (LoadResult & { cpuUs: number })[]]));
  const memory: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (let at = 0; at < names.length; at++) {
      const name = names[(at + round) % names.length]!;
      const before = cpuMs(slipway);
      const result = await load(name);
      const cpuUs = ((cpuMs(slipway) - before) * 1000) / (result.requestsPerSecond * SECONDS);
      seen.get(name)!.push({ ...result, cpuUs });
    }
    memory.push(slipway.tree.pssBytes());
  }
  console.log(`${machine.processor}, ${machine.cores} cores, Node ${machine.node}; load before: ${machine.loadBefore}`);
  for (const name of names) {
    const own = seen.get(name)!;
    const beside = (value: (one: (typeof own)[number]) => number): string => {
      const { median, min, max } = spreadOf(own.map((one, at) => value(one) / value(seen.get('nothing')![at]!)));
      return `${median} (${min}-${max})`;
    };
    const rate = spreadOf(own.map((one) => one.requestsPerSecond)).median;
    const cpu = spreadOf(own.map((one) => one.cpuUs)).median;
    const failed = own.reduce((sum, one) => sum + one.refused + one.socketErrors, 0);
    console.log(
      `${name}: ${Math.round(rate)} requests/s, ${beside((one) => one.requestsPerSecond)} of nothing kept; p99 ${beside((one) => one.p99Ms)}; CPU ${cpu} us a request; ${failed} failed`,
    );
  }
  const mib = (bytes: number): number => Math.round(bytes / 1024 ** 2);
  console.log(`memory of all processes, round by round: ${memory.map(mib).join(', ')} MiB`);
  console.log(await countsOf(slipway));
} finally {
  await slipway.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function prepare(of: Slipway): Promise<void> {
  await deployTab(of);
  for (const name of names) {
    await of.client.endpoints.create({ name: endpointOf(name), model: 'tab', target: { version: 1 } });
    await of.client.policy.set(endpointOf(name), POLICIES[name]);
  }
  await sleep(2000);
}

/** What was logged and dropped, as the server's metrics tell it some seconds later. */
async function countsOf({ dataFolder }: Slipway): Promise<string> {
  await sleep(6000);
  const { url } = JSON.parse(readFileSync(join(dataFolder, 'run/server.json'), 'utf8')) as { url: string };
  const authorization = `Bearer ${readFileSync(join(dataFolder, 'admin.key'), 'utf8').trim()}`;
  const text = await (await fetch(`${url}/metrics`, { headers: { authorization } })).text();
  return [...text.matchAll(/^slipway_predictions_(?:logged|dropped)\S*.* \d+$/gm)].map(String).join('\n');
}

function cpuMs({ tree }: Slipway): number {
  return [...tree.cpuTimes().values()].reduce((sum, { userMs, systemMs }) => sum + userMs + systemMs, 0);
}
