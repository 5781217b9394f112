/** Every input that the repository keeps, finds among them, and a short burst of new ones; `npm run fuzz` is the long one. */
import { describe, expect, test } from 'vitest';
import { readCorpus } from './corpus.ts';
import { fuzz } from './fuzz-run.ts';
import { createRandom, mutate } from './mutate.ts';
import { MAX_MS } from './target.ts';
import { TARGETS } from './targets.ts';

const SEED = Number(process.env['SLIPWAY_SEED'] ?? Date.now() % 1_000_000);

describe.each(TARGETS)('$name', (target) => {
  const corpus = readCorpus(target.name);

  test('has a corpus, and none of it is a find', () => {
    expect(corpus.length).toBeGreaterThan(3);
    for (const input of corpus) {
      const startedMs = performance.now();
      expect(() => target.run(input), JSON.stringify(input.toString('latin1'))).not.toThrow();
      expect(performance.now() - startedMs).toBeLessThan(5 * MAX_MS);
    }
  });

  test('nor is anything that a second of changes makes of it', async () => {
    console.log(`seed ${SEED}`);
    const { runs, outcomes, finds } = await fuzz({ target: target.name, seconds: 1, seed: SEED });
    expect(finds).toEqual([]);
    expect(runs).toBeGreaterThan(corpus.length);
    expect(outcomes).toBeGreaterThan(3);
  });
});

test('changes reach what a person would try', () => {
  const random = createRandom(1);
  const seed = Buffer.from('{"shape":[1,3]}');
  const made = Array.from({ length: 20_000 }, () => mutate(seed, seed, ['"data":'], random).toString('latin1'));
  for (const wanted of ['[-1,3]', '{"shape":[1,3', '"data":', '[1,9223372036854775808]', '[1,3]]}', '\\ud800']) {
    expect(
      made.some((text) => text.includes(wanted)),
      wanted,
    ).toBe(true);
  }
});
