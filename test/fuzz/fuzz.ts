/** Fuzzes the parsers: `npm run fuzz -- --help`. README.md beside it says what a find is and what becomes of one. */
import { parseArgs } from 'node:util';
import { addToCorpus } from './corpus.ts';
import { fuzz } from './fuzz-run.ts';
import { TARGETS } from './targets.ts';

const HELP = `npm run fuzz -- [target…] [options]

  targets: ${TARGETS.map((target) => target.name).join(', ')}; all of them unless named

  --seconds <n>   how long each                                             (60)
  --seed <n>      where the random numbers begin                            (the time)
  --grow <bytes>  keep inputs with a new outcome in the corpus, up to this length

Each find is added to the corpus, which \`npm test\` replays, and makes the exit code 1.
`;

const { values: options, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    grow: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
  allowPositionals: true,
});

if (options.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const names = positionals.length > 0 ? positionals : TARGETS.map((target) => target.name);
  for (const name of names) {
    if (!TARGETS.some((target) => target.name === name)) throw new Error(`there is no target ${name}`);
  }
  console.log(`seed ${options.seed}`);
  for (const target of names) {
    const result = await fuzz({ target, seconds: Number(options.seconds), seed: Number(options.seed) });
    console.log(
      `${target}: ${result.runs} runs, ${result.outcomes} different outcomes, ${result.finds.length} finds, heap ${result.heapMb.before} MB then ${result.heapMb.after} MB`,
    );
    for (const find of result.finds) {
      console.log(`  ${JSON.stringify(find.input.toString('latin1').slice(0, 300))}\n    ${find.reason}`);
    }
    addToCorpus(
      target,
      result.finds.map((find) => find.input),
    );
    if (options.grow !== undefined) {
      addToCorpus(
        target,
        result.fresh.filter((input) => input.length <= Number(options.grow)),
      );
    }
    if (result.finds.length > 0) process.exitCode = 1;
  }
}
