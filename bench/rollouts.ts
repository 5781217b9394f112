/**
 * What a rollout costs and how soon it sees harm: `bin/node-24 bench/rollouts.ts --help`. Needs Linux with two cores, taskset and wrk. Everything is
 * measured in pairs of one run, on one server.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startOpenLoop } from '../test/scenarios/open-loop.ts';
import { oneBody, writeBodies } from './bodies.ts';
import { deployTab, type Slipway, startSlipway } from './contenders.ts';
import { applyLoad, type LoadResult } from './load.ts';
import { describeMachine } from './machine.ts';
import { type Spread, spreadOf } from './statistics.ts';

const PARTS = ['evidence', 'shadow', 'assignment', 'trip', 'size'] as const;
const HELP = `bin/node-24 bench/rollouts.ts [options]

  --parts <list>        ${PARTS.join(',')}
  --rounds <n>          pairs of loads            (30)
  --seconds <n>         length of one load        (1)
  --trips <n>           canaries that fail        (5)
  --out <file>          where the table goes      (bench/results/rollouts.local.md)
`;

/**
 * The model is the same in both versions, so nothing ends; stages last longer than the benchmark. Nearly all calls go to the canary, so that it makes
 * no difference which process answers.
 */
const SPLIT =
  'stages: [{ kind: canary, weight: 99%, control: rest, minDwell: 1h, gates: [{ kind: rate-ratio, passBelow: 5% }] }, { kind: promote }]';
const SHADOW =
  'stages: [{ kind: shadow, sample: 20%, noiseFloor: 0%, minDwell: 1h, gates: [{ kind: shadow, maxLatencyRatio: 1000, minCoverage: 0% }] }]';
const TRIP = `stages: [{ kind: canary, weight: 20%, minDwell: 1h, gates: [{ kind: rate-ratio, failMargin: 1000, passBelow: 20% }, { kind: ceiling, consecutiveErrors: 20, errorRate: null }] }, { kind: promote }]`;
/** The same, and nearly all units lie outside its slot of a layer: their arm is found by a hash too, and they are not counted. */
const NOT_COUNTED = `layer: { name: bench, from: 0%, to: 0.01% }\n${SPLIT}`;
/** Calls a second that come whether or not earlier ones were answered: a twentieth of what the server can take. */
const CALM = 1000;

type Line = { readonly what: string; readonly measured: string; readonly aim: string };

const { values: options } = parseArgs({
  options: {
    parts: { type: 'string', default: PARTS.join(',') },
    rounds: { type: 'string', default: '30' },
    seconds: { type: 'string', default: '1' },
    trips: { type: 'string', default: '5' },
    out: { type: 'string', default: fileURLToPath(new URL('results/rollouts.local.md', import.meta.url)) },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (options.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const machine = describeMachine();
  const lines: Line[] = [];
  const parts = options.parts.split(',');
  if (parts.includes('evidence')) lines.push(...(await evidence()));
  if (parts.includes('shadow')) lines.push(...(await shadow()));
  if (parts.includes('assignment')) lines.push(assignment());
  if (parts.includes('trip')) lines.push(...(await trips(parts.includes('size'))));
  const text = reportOf(
    lines,
    `${machine.processor}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}; load average before: ${machine.loadBefore}`,
  );
  writeFileSync(options.out, text);
  console.log(text);
}

/** The server on one core, wrk on the other, 16 connections that never pause: a model inside the gateway, and one in a runner. */
async function evidence(): Promise<Line[]> {
  const lines: Line[] = [];
  for (const [inline, where] of [
    ['auto', 'inside the gateway (10,000 calls/s and more)'],
    ['off', 'in a runner'],
  ] as const)
    lines.push(
      ...(await withServer({ inline, endpoints: { split: SPLIT, 'not-counted': NOT_COUNTED } }, async (load) => {
        const rate = (one: LoadResult): number => one.requestsPerSecond;
        const counting = await inTurns(
          () => load('not-counted', 16),
          () => load('split', 16),
        );
        return [
          line(
            `evidence; the model ${where}: requests/s of those that are hashed and not counted`,
            ratios(counting, rate),
            'at least 0.97',
          ),
          failures(counting.flat()),
        ];
      })),
    );
  return lines;
}

/** The server on one core, the shadow's runner on the other beside the callers, which leave most of it free. */
async function shadow(): Promise<Line[]> {
  return withServer({ inline: 'off', endpoints: { alone: null, shadow: SHADOW } }, async (_load, slipway, body) => {
    const runners = slipway.tree.pids().filter((pid) => commandOf(pid).includes('runner.ts'));
    // the shadow's own runner was started last
    const [last] = runners.toSorted((a, b) => b - a);
    spawnSync('taskset', ['-cp', '1', String(last)]);
    const origin = new URL(slipway.url('plain')!).origin;
    const latencies = async (endpoint: string): Promise<Calm> => {
      let failed = 0;
      const calls = startOpenLoop({
        url: origin,
        perSecond: CALM,
        connections: 16,
        arrival: () => ({ path: `/v2/models/${endpoint}/infer`, body }),
        onAnswer: ({ status }) => {
          if (status !== 200) failed += 1;
        },
      });
      await setTimeout(200);
      calls.takeLatencies();
      await setTimeout(Number(options.seconds) * 1000);
      const sorted = calls.takeLatencies();
      await calls.stop();
      const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))]!;
      return { p50Ms: at(0.5), p99Ms: at(0.99), failed: failed + calls.broken.length };
    };
    for (const endpoint of ['alone', 'shadow']) await latencies(endpoint);
    const pairs = await inTurns(
      () => latencies('alone'),
      () => latencies('shadow'),
    );
    const { shadows } = await slipway.client.rollouts.show('shadow');
    const { statuses } = shadows[0]!;
    const p99 = spreadOf(pairs.map(([alone]) => alone.p99Ms));
    return [
      line(
        `a shadow of 20 % at ${CALM} calls/s: p99 of live calls, of an endpoint without one (${p99.median} ms)`,
        ratios(pairs, (one) => one.p99Ms),
        'at most 1.02',
      ),
      line(
        'the same: p50',
        ratios(pairs, (one) => one.p50Ms),
        '–',
      ),
      { what: 'copies made, and dropped', measured: `${statuses['ok'] ?? 0}, ${statuses['dropped'] ?? 0}`, aim: '–' },
      failures(pairs.flat().map(({ failed }) => ({ refused: failed, socketErrors: 0 }))),
    ];
  });
}

function assignment(): Line {
  const run = spawnSync(process.execPath, [fileURLToPath(new URL('assignment.ts', import.meta.url))], {
    encoding: 'utf8',
  });
  return { what: 'the arm of a call', measured: run.stdout.trim().replace('assignment: ', ''), aim: 'at most 5 us' };
}

/** Canaries that suddenly fail always; and, when the server has stopped, what is kept of each rollout. */
async function trips(isSizeAsked: boolean): Promise<Line[]> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'slipway-bench-trips-'));
  const slipway = await startSlipway({ cores: null, dataFolder });
  const sinceLimit: number[] = [];
  const sinceFirst: number[] = [];
  try {
    const { client } = slipway;
    for (const file of ['antidote.onnx', 'poison.onnx']) {
      const bytes = readFileSync(new URL(`../test/fixtures/models/${file}`, import.meta.url));
      await client.models.push({ model: 'm', files: [{ path: 'model.onnx', blob: new Blob([bytes]) }] });
    }
    await client.endpoints.create({ name: 'm', model: 'm', target: { version: 1 }, pins: [2] });
    let index = 0;
    let failedMs: number[] = [];
    const calls = startOpenLoop({
      url: new URL(slipway.url('plain')!).origin,
      perSecond: 300,
      connections: 16,
      arrival: () => ({
        path: '/v2/models/m/infer',
        body: `{"inputs":[{"name":"idx","datatype":"INT64","shape":[1],"data":[${index}]}]}`,
      }),
      onAnswer: ({ headers, status }) => {
        if (status !== 200 && headers['x-slipway-version'] === '2') failedMs.push(performance.now());
      },
    });
    for (let trip = 0; trip < Number(options.trips); trip++) {
      index = 0;
      await client.rollouts.start('m', { to: '2', plan: TRIP });
      await until(slipway, 'm', 'baking');
      await setTimeout(1000 + 270 * trip);
      failedMs = [];
      index = 500;
      await until(slipway, 'm', 'rolled-back');
      await setTimeout(300);
      sinceLimit.push(failedMs.at(-1)! - failedMs[19]!);
      sinceFirst.push(failedMs.at(-1)! - failedMs[0]!);
    }
    await calls.stop();
  } finally {
    await slipway.stop();
  }
  const lines = [
    line(
      'a canary that fails always: from the twentieth failure to its last call, ms',
      spreadOf(sinceLimit),
      'under 2,000',
    ),
    line('the same, from the first failure, ms', spreadOf(sinceFirst), '–'),
  ];
  if (isSizeAsked) lines.push(sizeOf(join(dataFolder, 'slipway.db')));
  rmSync(dataFolder, { recursive: true, force: true });
  return lines;
}

function sizeOf(path: string): Line {
  const database = new DatabaseSync(path, { readOnly: true });
  const row = database.prepare('select max(length(cast(state as blob))) as bytes from rollouts').get() as {
    bytes: number;
  };
  database.close();
  return {
    what: 'state of the largest of these rollouts',
    measured: `${(row.bytes / 1000).toFixed(1)} kB`,
    aim: 'under 100 kB',
  };
}

type Calm = { readonly p50Ms: number; readonly p99Ms: number; readonly failed: number };
type Load = (endpoint: string, connections: number) => Promise<LoadResult>;

/** Two versions of one model, and an endpoint for each plan, whose rollout is at work when the measuring begins. */
async function withServer(
  given: { inline: 'auto' | 'off'; endpoints: Readonly<Record<string, string | null>> },
  measure: (load: Load, slipway: Slipway, body: string) => Promise<Line[]>,
): Promise<Line[]> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-rollouts-'));
  const bodies = join(folder, 'rows.bodies');
  writeBodies(bodies, 'open-inference', 1);
  const slipway = await startSlipway({ cores: '0', env: { SLIPWAY_INLINE: given.inline } });
  try {
    const origin = new URL(slipway.url('plain')!).origin;
    const load: Load = (endpoint, connections) =>
      applyLoad({
        url: `${origin}/v2/models/${endpoint}/infer`,
        bodies,
        connections,
        seconds: Number(options.seconds),
        cores: '1',
      });
    await deployTab(slipway, 0);
    await deployTab(slipway, 1);
    for (const [name, plan] of Object.entries(given.endpoints)) {
      await slipway.client.endpoints.create({ name, model: 'tab', target: { version: 1 }, pins: [2] });
      if (plan !== null) await slipway.client.rollouts.start(name, { to: '2', plan });
      await load(name, 16);
      if (plan !== null) await until(slipway, name, 'baking', () => load(name, 16));
    }
    return await measure(load, slipway, oneBody('open-inference'));
  } finally {
    await slipway.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rounds of both, in turns; who begins changes with each. */
async function inTurns<T>(a: () => Promise<T>, b: () => Promise<T>): Promise<[T, T][]> {
  const pairs: [T, T][] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    if (round % 2 === 0) {
      const first = await a();
      pairs.push([first, await b()]);
    } else {
      const second = await b();
      pairs.push([await a(), second]);
    }
  }
  return pairs;
}

function ratios<T>(pairs: readonly [T, T][], value: (one: T) => number): Spread {
  return spreadOf(pairs.map(([a, b]) => value(b) / value(a)));
}

function line(what: string, { median, min, max }: Spread, aim: string): Line {
  return { what, measured: `${median} (${min}–${max})`, aim };
}

function failures(results: readonly Pick<LoadResult, 'refused' | 'socketErrors'>[]): Line {
  const failed = results.reduce((sum, one) => sum + one.refused + one.socketErrors, 0);
  return { what: 'calls that failed meanwhile', measured: String(failed), aim: '0' };
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it ended
  }
}

async function until(
  { client }: Slipway,
  endpoint: string,
  phase: string,
  call: () => Promise<unknown> = () => setTimeout(50),
): Promise<void> {
  for (;;) {
    const { rollout } = await client.rollouts.show(endpoint);
    if (rollout.phase === phase) return;
    if (rollout.isEnded || rollout.phase === 'paused') throw new Error(rollout.text);
    await call();
  }
}

function reportOf(lines: readonly Line[], machine: string): string {
  return [
    '# What a rollout costs',
    '',
    `Medians (range) over ${options.rounds} pairs of loads of ${options.seconds} s in turns, and over ${options.trips} canaries that fail. Model: 100 boosted trees in ONNX Runtime, one JSON row a request.`,
    `${machine}.`,
    '',
    '| what | measured | aim |',
    '|---|---|---|',
    ...lines.map(({ what, measured, aim }) => `| ${what} | ${measured} | ${aim} |`),
    '',
  ].join('\n');
}
