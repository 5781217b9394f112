/**
 * The serving benchmark: `npm run bench -- --help`. Needs Linux with two cores, taskset and wrk. README.md says what is measured and how.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type AddedLatency, measureAddedLatency } from './added-latency.ts';
import { type Contender, deployTab, type Slipway, startBaseline, startSlipway } from './contenders.ts';
import { type LargeTensors, measureLargeTensors } from './large-tensors.ts';
import { describeMachine, type Machine } from './machine.ts';
import { type MemoryAfterLoad, measureMemory } from './memory-after-load.ts';
import { reportOf } from './report.ts';
import { measureStart, measureSwaps, type StartResult, type SwapResult } from './start-and-swap.ts';
import { type Case, type CaseResult, compare } from './throughput.ts';

export type BenchResult = {
  readonly at: string;
  readonly machine: Machine;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly cases: readonly CaseResult[];
  readonly starts: readonly StartResult[];
  readonly swap: SwapResult | null;
  readonly latency: AddedLatency | null;
  readonly tensors: LargeTensors | null;
  readonly memory: MemoryAfterLoad | null;
};

const PARTS = ['throughput', 'start', 'swap', 'latency', 'tensors', 'memory'] as const;

const HELP = `npm run bench -- [options]

  --parts <list>        what to measure                                (throughput,start,swap,latency,tensors,memory)
  --connections <list>  connections of the one-row cases               (1,16,64)
  --seconds <n>         length of one load                             (5)
  --rounds <n>          loads of each server in each case              (5)
  --swaps <n>           versions deployed under load                   (10)
  --server-core <n>     core of the servers, with all their processes  (0)
  --client-core <n>     core of the load generator                     (1)
  --baselines-only      without Slipway
  --out <file>          where the figures go                           (bench/results/serving.local.json)
`;

const { values: options } = parseArgs({
  options: {
    parts: { type: 'string', default: PARTS.join(',') },
    connections: { type: 'string', default: '1,16,64' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '5' },
    swaps: { type: 'string', default: '10' },
    'server-core': { type: 'string', default: '0' },
    'client-core': { type: 'string', default: '1' },
    'baselines-only': { type: 'boolean', default: false },
    out: { type: 'string', default: fileURLToPath(new URL('results/serving.local.json', import.meta.url)) },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (options.help) {
  console.log(HELP);
} else {
  await main();
}

async function main(): Promise<void> {
  const parts = options.parts.split(',');
  for (const part of parts) {
    if (!PARTS.some((known) => known === part)) throw new Error(`there is no part ${part}: ${PARTS.join(', ')}`);
  }
  const machine = describeMachine();
  if (machine.loadBefore > 0.5) console.error(`The load average is ${machine.loadBefore}: something else is running.`);
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-bodies-'));
  try {
    const cases = parts.includes('throughput') ? await measureThroughput(folder) : [];
    const starts: StartResult[] = [];
    if (parts.includes('start')) {
      for (const cores of [null, options['server-core']]) starts.push(await measureStart(cores, 5));
    }
    const swap = parts.includes('swap') ? await swapUnderLoad(folder) : null;
    const how = {
      rounds: Number(options.rounds),
      seconds: Number(options.seconds),
      serverCores: options['server-core'],
      clientCores: options['client-core'],
      folder,
    };
    const latency = parts.includes('latency') ? await withModel((it) => measureAddedLatency(it, how)) : null;
    const tensors = parts.includes('tensors') ? await withModel((it) => measureLargeTensors(it, how)) : null;
    const memory = parts.includes('memory')
      ? await withModel((it) => measureMemory(it, { ...how, seconds: 20 }))
      : null;
    // Without the output path, which would name somebody's folders in a committed file.
    const { out: _out, help: _help, ...settings } = options;
    const measured = { cases, starts, swap, latency, tensors, memory };
    const result: BenchResult = { at: new Date().toISOString(), machine, settings, ...measured };
    mkdirSync(dirname(options.out), { recursive: true });
    writeFileSync(options.out, `${JSON.stringify(result, null, 1)}\n`);
    console.log(reportOf(result));
    console.error(`Figures in ${options.out}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureThroughput(folder: string): Promise<CaseResult[]> {
  const core = options['server-core'];
  const contenders: Contender[] = [];
  try {
    contenders.push(await startBaseline('fixed', core));
    const reference = await startBaseline('model', core);
    contenders.push(reference);
    if (!options['baselines-only']) contenders.push(await startWithModel());
    const plan = {
      seconds: Number(options.seconds),
      rounds: Number(options.rounds),
      warmUpSeconds: 3,
      cores: options['client-core'],
      folder,
      reference: reference.name,
    };
    const cases: Case[] = [
      ...options.connections
        .split(',')
        .map((connections) => ({ form: 'open-inference' as const, rows: 1, connections: Number(connections) })),
      { form: 'open-inference', rows: 32, connections: 16 },
      { form: 'plain', rows: 1, connections: 16 },
    ];
    const results: CaseResult[] = [];
    for (const one of cases) {
      console.error(`${one.form}, ${one.rows} row(s), ${one.connections} connection(s) …`);
      results.push(await compare(contenders, one, plan));
    }
    return results.filter((result) => result.measured.length > 0);
  } finally {
    for (const contender of contenders) await contender.stop();
  }
}

function swapUnderLoad(folder: string): Promise<SwapResult> {
  const cores = options['client-core'];
  return withModel((it) => measureSwaps(it, { swaps: Number(options.swaps), connections: 16, cores, folder }));
}

async function withModel<T>(measure: (slipway: Slipway) => Promise<T>): Promise<T> {
  const slipway = await startWithModel();
  try {
    return await measure(slipway);
  } finally {
    await slipway.stop();
  }
}

async function startWithModel(): Promise<Slipway> {
  const slipway = await startSlipway({ cores: options['server-core'] });
  await deployTab(slipway);
  return slipway;
}
