/** Holds the ratios of a run beside rivals against an earlier one: `npm run bench:compare -- --help`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { shown } from './peers/report.ts';
import type { PeerRatio, PeerResults } from './peers/results.ts';

const HELP = `npm run bench:compare -- [new.json] [--against <old.json>]

Compares the ratios to rivals of a new run (bench/results/peers.json unless given) with those of an earlier one (the committed
bench/results/peers.json unless given). Only ratios are compared: requests per second belong to a machine and a minute. A ratio has
moved when the two ranges from least to most do not overlap; one that fell makes the exit code 1.
`;
const COMMITTED = 'bench/results/peers.json';

const { values: options, positionals } = parseArgs({
  options: { against: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
  allowPositionals: true,
});

if (options.help) console.log(HELP);
else main();

function main(): void {
  const now = parse(readFileSync(positionals[0] ?? rootPath(COMMITTED), 'utf8'));
  const before = parse(options.against === undefined ? committed() : readFileSync(options.against, 'utf8'));
  const moves = movesBetween(before, now);
  console.log(
    `${before.at.slice(0, 10)}, ${before.machine.processor} → ${now.at.slice(0, 10)}, ${now.machine.processor}`,
  );
  console.log(`${moves.length} ratios are in both runs; beyond the spread moved:`);
  const moved = moves.filter((move) => move.verdict !== 'same');
  for (const move of moved) {
    console.log(`  ${move.verdict === 'rose' ? '+' : '-'} ${move.name}: ${shown(move.before)} → ${shown(move.now)}`);
  }
  if (moved.length === 0) console.log('  none');
  if (moved.some((move) => move.verdict === 'fell')) process.exitCode = 1;
}

type Move = {
  readonly name: string;
  readonly before: PeerRatio['requests'];
  readonly now: PeerRatio['requests'];
  readonly verdict: 'same' | 'rose' | 'fell';
};

function movesBetween(before: PeerResults, now: PeerResults): Move[] {
  const known = ratiosOf(before);
  return [...ratiosOf(now)].flatMap(([name, ratio]) => {
    const was = known.get(name);
    if (was === undefined) return [];
    const verdict = ratio.min > was.max ? 'rose' : ratio.max < was.min ? 'fell' : 'same';
    return [{ name, before: was, now: ratio, verdict }];
  });
}

function ratiosOf(results: PeerResults): Map<string, PeerRatio['requests']> {
  return new Map(
    results.cases.flatMap((one) =>
      one.ratios.map((ratio) => [`${one.case.title}: ${ratio.slipway} over ${ratio.rival}`, ratio.requests] as const),
    ),
  );
}

function committed(): string {
  const { status, stdout } = spawnSync('git', ['show', `HEAD:${COMMITTED}`], {
    cwd: rootPath('.'),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`there is no committed ${COMMITTED}; name an earlier run with --against`);
  return stdout;
}

function rootPath(path: string): string {
  const found = fileURLToPath(new URL(`../${path}`, import.meta.url));
  if (!existsSync(found)) throw new Error(`${path} is not there: npm run bench:peers makes it`);
  return found;
}

function parse(text: string): PeerResults {
  return JSON.parse(text) as PeerResults;
}
