/**
 * Slipway beside other model servers: `npm run bench:peers -- --help`. Needs the kit of rivals (PEERS_DIR, BENCH_DIR), Linux with two
 * cores, taskset and wrk. README.md says what the figures mean.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.ts';
import { PEER_CASES, type PeerCase, RIVAL_GROUPS } from './peers/cases.ts';
import { peerChart } from './peers/chart.ts';
import { findGhz } from './peers/grpc-load.ts';
import { isMeasured, type Kit, openKit, rivalVersions, startRival } from './peers/kit.ts';
import { peerReport } from './peers/report.ts';
import { createPeerResults, type PeerResults } from './peers/results.ts';
import { type RoundsPlan, runRounds, takes } from './peers/rounds.ts';
import type { Served } from './peers/served.ts';
import { SLIPWAY_FORMS, startForm } from './peers/slipway-forms.ts';

const HELP = `npm run bench:peers -- [options]

  --rivals <list>       rivals by the kit's names; all of them unless given
  --cases <regex>       cases by their title, such as "one JSON row"
  --models <list>       tab,mlp,minilm
  --seconds <n>         length of one load                         (4)
  --rounds <n>          loads of each server in each case          (5)
  --server-core <n>     core of the servers, all their processes   (0)
  --load-core <n>       core of the load generator                 (1)
  --out <path>          where the figures go, without extension    (bench/results/peers, or peers.local for a part)

  PEERS_DIR             the kit of rivals                          (../shared/peers)
  BENCH_DIR             what the kit's setup.sh installed          (~/peers-scratch)
`;

const { values: options } = parseArgs({
  options: {
    rivals: { type: 'string' },
    cases: { type: 'string' },
    models: { type: 'string', default: 'tab,mlp,minilm' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    'server-core': { type: 'string', default: '0' },
    'load-core': { type: 'string', default: '1' },
    out: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (options.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  if (availableParallelism() < 2) throw new Error('two cores are needed: one for the server, one for the load');
  const kit = openKit();
  const machine = describeMachine();
  if (machine.loadBefore > 0.5) console.error(`The load average is ${machine.loadBefore}: something else is running.`);
  const results = createPeerResults({
    at: new Date().toISOString(),
    machine,
    versions: { ...versionsHere(kit), ...rivalVersions(kit) },
    settings: { seconds: Number(options.seconds), rounds: Number(options.rounds) },
  });
  const isPart = options.rivals !== undefined || options.cases !== undefined || options.models !== 'tab,mlp,minilm';
  const out = options.out ?? fileURLToPath(new URL(`results/peers${isPart ? '.local' : ''}`, import.meta.url));
  mkdirSync(dirname(out), { recursive: true });
  const save = (): PeerResults => {
    const shown = results.summary();
    writeFileSync(`${out}.json`, `${JSON.stringify(shown, null, 1)}\n`);
    writeFileSync(`${out}.md`, peerReport(shown));
    writeFileSync(`${out}.svg`, peerChart(shown));
    return shown;
  };
  for (const cores of ['one', 'two'] as const) {
    for (const model of options.models.split(',')) {
      const cases = wantedCases(model, cores);
      if (cases.length === 0) continue;
      for (const group of wantedGroups(kit, model, cases)) {
        await measureGroup(kit, group, model, cases, results);
        save();
      }
    }
  }
  console.log(peerReport(save()));
  console.error(`Figures in ${out}.json, table in ${out}.md, chart in ${out}.svg`);
}

function wantedCases(model: string, cores: PeerCase['cores']): PeerCase[] {
  const pattern = new RegExp(options.cases ?? '');
  return PEER_CASES.filter((one) => one.model === model && one.cores === cores && pattern.test(one.title));
}

/** Groups of rivals that have something to do. With two cores only Triton is compared: nothing else comes near. */
function wantedGroups(kit: Kit, model: string, cases: readonly PeerCase[]): string[][] {
  const wanted = options.rivals?.split(',') ?? null;
  for (const name of wanted ?? []) if (!kit.rivals.has(name)) throw new Error(`the kit has no rival ${name}`);
  const groups = [
    ...RIVAL_GROUPS,
    ...(wanted ?? []).filter((name) => !RIVAL_GROUPS.flat().includes(name)).map((n) => [n]),
  ];
  return groups
    .map((group) => group.filter((name) => wanted?.includes(name) ?? true))
    .map((group) => (cases[0]!.cores === 'two' ? group.filter((name) => name.startsWith('triton-ort')) : group))
    .map((group) =>
      group.filter((name) => {
        const row = kit.rivals.get(name);
        return row !== undefined && cases.some((one) => isMeasured(row, model, one.kitCase));
      }),
    )
    .filter((group) => group.length > 0);
}

async function measureGroup(
  kit: Kit,
  group: readonly string[],
  model: string,
  cases: readonly PeerCase[],
  results: ReturnType<typeof createPeerResults>,
): Promise<void> {
  const { server, load } = coresOf(cases[0]!.cores);
  const up: Served[] = [];
  try {
    for (const name of group) {
      try {
        up.push(await startRival(kit, name, model, server));
      } catch (error) {
        results.failed(name, model, (error as Error).message);
        console.error(`${name} with ${model}: ${(error as Error).message}`);
      }
    }
    if (up.length === 0) return;
    for (const form of SLIPWAY_FORMS) {
      if (form.models.includes(model)) up.push(await startForm(kit, form, model, server));
    }
    const plan: RoundsPlan = {
      rounds: Number(options.rounds),
      seconds: Number(options.seconds),
      warmUpSeconds: 2,
      loadCores: load,
    };
    for (const one of cases) {
      const takers = up.filter((served) => {
        const row = kit.rivals.get(served.name);
        return takes(served, one) && (row === undefined || isMeasured(row, model, one.kitCase));
      });
      if (!takers.some((served) => served.kind !== 'slipway')) continue;
      console.error(`${one.title}: ${takers.map((served) => served.name).join(', ')} …`);
      const runs = await runRounds(kit, takers, one, plan);
      results.add(one, runs);
      for (const [served, all] of runs) {
        const rates = all.map((run) => Math.round(run.requestsPerSecond)).join(' ');
        const failed = all.reduce((sum, run) => sum + run.refused + run.socketErrors, 0);
        console.error(`  ${served.name}: ${rates} requests/s${failed > 0 ? `, ${failed} failed` : ''}`);
      }
    }
    for (const served of up) results.costs(served, model);
  } finally {
    for (const served of up) await served.stop();
  }
}

/** Where the machine has a third core, the load of the two-core cases goes there; else it shares with the server. */
function coresOf(cores: PeerCase['cores']): { server: string; load: string } {
  const [first, second] = [options['server-core'], options['load-core']];
  if (cores === 'one') return { server: first, load: second };
  const both = `${first},${second}`;
  const third = Array.from({ length: availableParallelism() }, (_, core) => String(core)).find(
    (core) => core !== first && core !== second,
  );
  return { server: both, load: third ?? both };
}

function versionsHere(kit: Kit): Record<string, string> {
  const said = (command: string, args: readonly string[]): string => {
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    return `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n')[0] ?? 'unknown';
  };
  const changed = said('git', ['status', '--porcelain', '--untracked-files=no']) !== '';
  return {
    slipway: `${said('git', ['rev-parse', '--short', 'HEAD'])}${changed ? ' with changes' : ''}`,
    wrk: said('wrk', ['-v']).split(' ')[1] ?? 'unknown',
    ghz: said(findGhz(kit), ['--version']),
  };
}
