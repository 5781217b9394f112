/** What each protocol costs beside the plain form, on the same rows: `npm run bench:protocols -- --help`. Needs Linux with two cores, taskset and wrk. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type WriteBody, writeBodies } from './bodies.ts';
import { deployTab, startSlipway } from './contenders.ts';
import { applyLoad } from './load.ts';
import { describeMachine } from './machine.ts';
import { type Spread, spreadOf } from './statistics.ts';

type Wire = {
  readonly path: string;
  readonly body: WriteBody;
  readonly headers?: Readonly<Record<string, string>>;
  readonly contentType?: string;
};

const MODEL = 'tab';
const columns: WriteBody = (rows) => JSON.stringify({ inputs: { X: rows } });
const instances: WriteBody = (rows) => JSON.stringify({ instances: rows });

/** The most that a protocol may cost. */
const MOST = 1.25;
/** What costs are measured against. */
const NATIVE = 'plain';

/** One way to ask for a prediction in each protocol; a new one is an entry here. */
const PROTOCOLS: Readonly<Record<string, Wire>> = {
  [NATIVE]: { path: `/endpoints/${MODEL}/predict`, body: columns },
  'open-inference': {
    path: `/v2/models/${MODEL}/infer`,
    body: (rows) =>
      JSON.stringify({
        inputs: [{ name: 'X', shape: [rows.length, rows[0]!.length], datatype: 'FP32', data: rows.flat() }],
      }),
  },
  'tensorflow-serving rows': { path: `/v1/models/${MODEL}:predict`, body: instances },
  'tensorflow-serving columns': { path: `/v1/models/${MODEL}:predict`, body: columns },
  'kserve-v1 event': {
    path: `/v1/models/${MODEL}:predict`,
    body: instances,
    headers: { 'ce-specversion': '1.0', 'ce-id': 'bench', 'ce-source': 'bench', 'ce-type': 'bench' },
  },
  'mlflow frame': {
    path: `/m/${MODEL}/invocations`,
    body: (rows) => JSON.stringify({ dataframe_split: { columns: rows[0]!.map((_, at) => at), data: rows } }),
  },
  'mlflow instances': { path: `/m/${MODEL}/invocations`, body: instances },
  'sagemaker csv': {
    path: `/endpoints/${MODEL}/invocations`,
    body: (rows) => rows.map((row) => row.join(',')).join('\n'),
    contentType: 'text/csv',
  },
  'sagemaker json': { path: `/endpoints/${MODEL}/invocations`, body: (rows) => JSON.stringify(rows) },
  vertex: { path: `/v1/projects/default/locations/x/endpoints/${MODEL}:predict`, body: instances },
  'azure-ml': { path: `/aml/${MODEL}/score`, body: (rows) => JSON.stringify({ data: rows }) },
  seldon: {
    path: `/seldon/default/${MODEL}/api/v1.0/predictions`,
    body: (rows) => JSON.stringify({ data: { ndarray: rows } }),
  },
  torchserve: { path: `/predictions/${MODEL}`, body: (rows) => JSON.stringify(rows.length === 1 ? rows[0] : rows) },
};

const HELP = `npm run bench:protocols -- [options]

  --only <list>         protocols to measure beside ${NATIVE}  (all)
  --rows <list>         rows of a request                  (1,32)
  --connections <n>     connections                        (16)
  --seconds <n>         length of one load                 (2)
  --rounds <n>          loads of each protocol             (5)
  --server-core <n>     core of the server                 (0)
  --client-core <n>     core of the load generator         (1)
  --out <file>          where the table goes               (bench/results/protocols.local.md)
`;

type Cost = {
  readonly protocol: string;
  readonly rows: number;
  readonly perSecond: Spread;
  readonly cost: Spread;
  readonly failed: number;
};

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(PROTOCOLS).join(',') },
    rows: { type: 'string', default: '1,32' },
    connections: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    'server-core': { type: 'string', default: '0' },
    'client-core': { type: 'string', default: '1' },
    out: { type: 'string', default: fileURLToPath(new URL('results/protocols.local.md', import.meta.url)) },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (options.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const names = [...new Set([NATIVE, ...options.only.split(',')])];
  for (const name of names) {
    if (PROTOCOLS[name] === undefined) throw new Error(`there is no ${name}: ${Object.keys(PROTOCOLS).join(', ')}`);
  }
  const machine = describeMachine();
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-protocols-'));
  const slipway = await startSlipway({ cores: options['server-core'] });
  const costs: Cost[] = [];
  try {
    await deployTab(slipway);
    const base = new URL(slipway.url('plain')!).origin;
    for (const rows of options.rows.split(',').map(Number)) {
      console.error(`${rows} row(s) …`);
      costs.push(...(await measure(base, names, rows, folder)));
    }
  } finally {
    await slipway.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const text = reportOf(
    costs,
    `${machine.processor}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}; load average before: ${machine.loadBefore}`,
  );
  writeFileSync(options.out, text);
  console.log(text);
}

async function measure(base: string, names: readonly string[], rows: number, folder: string): Promise<Cost[]> {
  const load = async (name: string, seconds: number) => {
    const { path, headers = {}, contentType = 'application/json' } = PROTOCOLS[name]!;
    return applyLoad({
      url: base + path,
      bodies: join(folder, `${name.replace(/\W/g, '-')}.bodies`),
      headers,
      contentType,
      connections: Number(options.connections),
      seconds,
      cores: options['client-core'],
    });
  };
  for (const name of names) {
    writeBodies(join(folder, `${name.replace(/\W/g, '-')}.bodies`), PROTOCOLS[name]!.body, rows);
    const tried = await load(name, 1); // warm-up, and whether it is answered at all
    if (tried.refused > 0 || tried.requestsPerSecond === 0)
      throw new Error(`${name} is refused: ${JSON.stringify(tried)}`);
  }
  const rates = new Map<string, number[]>(names.map((name) => [name, []]));
  const failed = new Map<string, number>();
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const name of names) {
      const { requestsPerSecond, refused, socketErrors } = await load(name, Number(options.seconds));
      rates.get(name)!.push(requestsPerSecond);
      failed.set(name, (failed.get(name) ?? 0) + refused + socketErrors);
    }
  }
  const native = rates.get(NATIVE)!;
  return names.map((protocol) => ({
    protocol,
    rows,
    perSecond: spreadOf(rates.get(protocol)!),
    cost: spreadOf(rates.get(protocol)!.map((rate, round) => native[round]! / rate)),
    failed: failed.get(protocol)!,
  }));
}

function reportOf(costs: readonly Cost[], machine: string): string {
  const shown = ({ median, min, max }: Spread): string => `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
  const lines = costs.map(
    ({ protocol, rows, perSecond, cost, failed }) =>
      `| ${protocol} | ${rows} | ${Math.round(perSecond.median)} | ${shown(cost)}${cost.median > MOST ? ' **over**' : ''} | ${failed} |`,
  );
  return [
    '# What a protocol costs',
    '',
    `Cost is the time of a request beside the plain form's on the same rows, median (range) over the rounds; aim: at most ${MOST}. ${options.connections} connections, one core, ${options.rounds} rounds of ${options.seconds} s.`,
    `${machine}.`,
    '',
    '| protocol | rows | requests/s | cost | failed |',
    '|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}
