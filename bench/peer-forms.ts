/**
 * Forms of other systems, as Slipway answers them and as the systems themselves do: `npm run bench:peer-forms -- --help`. Needs what `bench:peers` needs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeBodies } from './bodies.ts';
import { applyLoad } from './load.ts';
import { describeMachine } from './machine.ts';
import { LEAST, PEER_FORMS, type PeerForm, type Wire } from './peers/forms.ts';
import { MODEL_NAME, openKit, rivalVersions, startRival } from './peers/kit.ts';
import type { Served } from './peers/served.ts';
import { SLIPWAY_FORMS, startForm } from './peers/slipway-forms.ts';
import { type Spread, spreadOf } from './statistics.ts';

const HELP = `npm run bench:peer-forms -- [options]

  --only <regex>        forms by their title, such as "MLflow"
  --rows <list>         rows of a request                  (1,32)
  --connections <n>     connections                        (16)
  --seconds <n>         length of one load, whole seconds  (2)
  --rounds <n>          loads of each server in each form  (3)
  --server-core <n>     core of the servers                (0)
  --load-core <n>       core of the load generator         (1)
  --out <file>          where the table goes               (bench/results/peer-forms.local.md)

  PEERS_DIR, BENCH_DIR  as for bench:peers
`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    rows: { type: 'string', default: '1,32' },
    connections: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    'server-core': { type: 'string', default: '0' },
    'load-core': { type: 'string', default: '1' },
    out: { type: 'string', default: fileURLToPath(new URL('results/peer-forms.local.md', import.meta.url)) },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

type Result = {
  readonly form: PeerForm;
  readonly rows: number;
  readonly ours: Spread;
  readonly theirs: Spread;
  readonly ratio: Spread;
  readonly failed: number;
};

if (options.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const kit = openKit();
  const machine = describeMachine();
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-forms-'));
  const wanted = PEER_FORMS.filter(({ title }) => new RegExp(options.only).test(title));
  const results: Result[] = [];
  const failures: string[] = [];
  const slipway = await startForm(kit, SLIPWAY_FORMS[0]!, MODEL_NAME, options['server-core']);
  try {
    for (const name of new Set(wanted.map(({ rival }) => rival))) {
      const rival = await startRival(kit, name, MODEL_NAME, options['server-core']);
      try {
        for (const form of wanted.filter((one) => one.rival === name)) {
          for (const rows of options.rows.split(',').map(Number)) {
            console.error(`${form.title}, ${rows} row(s), beside ${name} …`);
            try {
              results.push(await measure(form, rows, slipway, rival, folder));
            } catch (error) {
              failures.push(`${form.title}, ${rows} row(s): ${(error as Error).message}`);
            }
          }
        }
      } finally {
        await rival.stop();
      }
    }
  } finally {
    await slipway.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const versions = Object.entries(rivalVersions(kit))
    .filter(([name]) => wanted.some(({ rival }) => rival.startsWith(name)))
    .map(([name, version]) => `${name} ${version}`);
  const text = reportOf(
    results,
    `${machine.processor}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}; load average before: ${machine.loadBefore}; ${versions.join(', ')}`,
  );
  writeFileSync(options.out, text);
  console.log(text);
  for (const failure of failures) console.error(`not measured: ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
}

async function measure(form: PeerForm, rows: number, ours: Served, theirs: Served, folder: string): Promise<Result> {
  const load = async (served: Served, wire: Wire, seconds: number) => {
    const bodies = join(folder, `${served.name}.bodies`.replace(/\s/g, '-'));
    writeBodies(bodies, wire.body, rows);
    const found = await applyLoad({
      url: new URL(served.url).origin + wire.path,
      bodies,
      contentType: wire.contentType ?? 'application/json',
      connections: Number(options.connections),
      seconds,
      cores: options['load-core'],
    });
    if (found.requestsPerSecond === 0)
      throw new Error(`${served.name} refuses ${form.title}: ${JSON.stringify(found)}`);
    return found;
  };
  for (const [served, wire] of [
    [ours, form.ours],
    [theirs, form.theirs],
  ] as const)
    await load(served, wire, 1); // warm-up
  const rates: { ours: number; theirs: number }[] = [];
  let failed = 0;
  for (let round = 0; round < Number(options.rounds); round++) {
    const a = await load(ours, form.ours, Number(options.seconds));
    const b = await load(theirs, form.theirs, Number(options.seconds));
    rates.push({ ours: a.requestsPerSecond, theirs: b.requestsPerSecond });
    failed += a.refused + a.socketErrors + b.refused + b.socketErrors;
  }
  return {
    form,
    rows,
    ours: spreadOf(rates.map((rate) => rate.ours)),
    theirs: spreadOf(rates.map((rate) => rate.theirs)),
    ratio: spreadOf(rates.map((rate) => rate.ours / rate.theirs)),
    failed,
  };
}

function reportOf(results: readonly Result[], machine: string): string {
  const lines = results.map(({ form, rows, ours, theirs, ratio, failed }) => {
    const shown = `${ratio.median.toFixed(1)} (${ratio.min.toFixed(1)}–${ratio.max.toFixed(1)})`;
    const below = ratio.median < LEAST ? ' **below**' : '';
    return `| ${form.title} | ${form.rival} | ${rows} | ${Math.round(ours.median)} | ${Math.round(theirs.median)} | ${shown}${below} | ${failed} |`;
  });
  return [
    '# Forms of other systems, beside the systems themselves',
    '',
    `Ratio is Slipway's requests per second over the rival's in the same round, median (range); aim: at least ${LEAST}. ${options.connections} connections, one core, ${options.rounds} rounds of ${options.seconds} s.`,
    `${machine}.`,
    '',
    '| form | rival | rows | Slipway, requests/s | rival, requests/s | ratio | failed |',
    '|---|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}
