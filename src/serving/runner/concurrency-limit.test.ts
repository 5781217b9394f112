/**
 * The control law against a simulated version in virtual time: a queue, sendings as `runner-link.ts` makes them, runs that take
 * `fixedMs + rows * rowMs` give or take a fifth. The clock is the simulation's, so a loaded machine changes nothing.
 */
import { describe, expect, test } from 'vitest';
import { randomNumbers } from '../../base/random-numbers.ts';
import { createConcurrencyLimit } from './concurrency-limit.ts';

type Version = { readonly fixedMs: number; readonly rowMs: number; readonly maxBatchRows: number };

/** Runs a version for a while. `arrivals` gives the time of the next call, or null; with `closed` callers ask again when they are answered. */
function simulate(
  version: Version,
  spec: { seed: number; untilMs: number; openPerMs?: (nowMs: number) => number; closed?: number; hardLimit?: number },
) {
  const random = randomNumbers(spec.seed);
  let shedNow = false;
  const adaptive = createConcurrencyLimit({
    maxBatchRows: version.maxBatchRows,
    onLimited: () => {
      shedNow = true;
    },
  });
  const queue: number[] = [];
  const sendings: number[][] = [];
  let runEndMs = Number.POSITIVE_INFINITY;
  let run: { calls: number[]; runMs: number } | null = null;
  let open = 0;
  const answers: { atMs: number; spentMs: number }[] = [];
  const refusals: number[] = [];
  let limited = 0;
  const exponential = (perMs: number): number => -Math.log(1 - random()) / perMs;
  let nextMs = spec.openPerMs === undefined ? Number.POSITIVE_INFINITY : exponential(spec.openPerMs(0));
  const returning: number[] = Array.from({ length: spec.closed ?? 0 }, () => 0);
  const meanRunMs = version.fixedMs + version.rowMs;
  const perSending = version.maxBatchRows > 1 ? version.maxBatchRows : Math.max(1, Math.floor(4 / meanRunMs));

  const feed = (nowMs: number): void => {
    while (queue.length > 0 && sendings.length + (run === null ? 0 : 1) < 2) sendings.push(queue.splice(0, perSending));
    if (run !== null) return;
    const calls = version.maxBatchRows > 1 ? sendings.shift() : sendings[0]?.splice(0, 1);
    if (sendings[0]?.length === 0) sendings.shift();
    if (calls === undefined) return;
    const runMs = (version.fixedMs + version.rowMs * calls.length) * (0.8 + 0.4 * random());
    run = { calls, runMs };
    runEndMs = nowMs + runMs;
  };
  const arrive = (nowMs: number): void => {
    const refused = open >= adaptive.limit || queue.length >= (spec.hardLimit ?? 1024);
    adaptive.arrived(nowMs, refused);
    if (refused) {
      refusals.push(nowMs);
      if (spec.closed !== undefined) returning.push(nowMs + 1500);
    } else {
      open++;
      queue.push(nowMs);
    }
    if (!shedNow) return;
    shedNow = false;
    limited++;
    while (open > adaptive.limit && queue.length > 0) {
      queue.pop();
      open--;
      refusals.push(nowMs);
      if (spec.closed !== undefined) returning.push(nowMs + 1500);
    }
  };

  for (;;) {
    const backMs = returning.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...returning);
    const nowMs = Math.min(nextMs, runEndMs, backMs);
    if (nowMs > spec.untilMs) break;
    if (nowMs === runEndMs && run !== null) {
      const { calls, runMs } = run as { calls: number[]; runMs: number };
      run = null;
      runEndMs = Number.POSITIVE_INFINITY;
      for (const sinceMs of calls) {
        open--;
        answers.push({ atMs: nowMs, spentMs: nowMs - sinceMs });
        adaptive.left(nowMs - sinceMs, 1, calls.length, runMs);
        if (spec.closed !== undefined) returning.push(nowMs);
      }
    } else if (nowMs === backMs) {
      returning.splice(returning.indexOf(backMs), 1);
      arrive(nowMs);
    } else {
      arrive(nowMs);
      nextMs = nowMs + exponential(spec.openPerMs!(nowMs));
    }
    feed(nowMs);
  }
  const between = (fromMs: number, toMs: number) => {
    const times = answers.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(({ spentMs }) => spentMs);
    times.sort((a, b) => a - b);
    return {
      perMs: times.length / (toMs - fromMs),
      p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
      refused: refusals.filter((atMs) => atMs >= fromMs && atMs < toMs).length,
    };
  };
  return { between, adaptive, limited: () => limited };
}

const VERSIONS: Record<string, Version> = {
  'a slow model, run by run': { fixedMs: 0, rowMs: 5, maxBatchRows: 1 },
  'a very slow model, run by run': { fixedMs: 0, rowMs: 200, maxBatchRows: 1 },
  'a model whose batches gain nothing': { fixedMs: 0.2, rowMs: 5, maxBatchRows: 256 },
  'a model whose batches gain much': { fixedMs: 5, rowMs: 0.25, maxBatchRows: 256 },
  'a fast model': { fixedMs: 0.5, rowMs: 0.05, maxBatchRows: 256 },
};
const capacityOf = ({ fixedMs, rowMs, maxBatchRows }: Version): number =>
  maxBatchRows / (fixedMs + rowMs * maxBatchRows);
/** The bounds below hold for almost every seed, not for all: `npm test` takes one that is known. SLIPWAY_TEST_RANDOM=1 for others. */
const seed = process.env['SLIPWAY_TEST_RANDOM'] ? Date.now() % 1e9 : Number(process.env['SLIPWAY_TEST_SEED'] ?? 1);

describe.each(Object.entries(VERSIONS))(`%s (seed ${seed})`, (_name, version) => {
  const capacity = capacityOf(version);
  const spanMs = Math.max(20_000, 3000 / capacity);
  const at = (factor: number) =>
    simulate(version, { seed, untilMs: spanMs, openPerMs: () => capacity * factor }).between(spanMs * 0.4, spanMs);

  test.each([2, 10])(
    'R-19: offered %d times its capacity it does 90 % of it, and what is admitted is answered soon',
    (factor) => {
      const steady = at(0.8);
      const over = at(factor);
      expect(steady.refused).toBe(0);
      // Where runs are shared, what a larger batch gains is only known within bounds: usually 0.82 to 0.95, and 1.2 to 2.5.
      const shares = version.maxBatchRows > 1;
      const gains = version.fixedMs > version.rowMs;
      expect(over.perMs / capacity).toBeGreaterThan(gains ? 0.75 : 0.9);
      expect(over.p99Ms / Math.max(steady.p99Ms, 10)).toBeLessThan(shares ? 4 : 2);
      expect(over.refused).toBeGreaterThan(0);
    },
  );

  test.each([1, 16, 64, 250])('%d callers who wait for their answers are never refused', (closed) => {
    const { between, limited } = simulate(version, { seed, untilMs: spanMs, closed });
    expect([between(0, spanMs).refused, limited()]).toEqual([0, 0]);
  });

  test('a burst is answered whole', () => {
    const burstMs = 10 / capacity; // a hundred calls
    const { between } = simulate(version, {
      seed,
      untilMs: spanMs,
      openPerMs: (nowMs) => (nowMs > 1000 && nowMs < 1000 + burstMs ? 10 * capacity : 0.3 * capacity),
    });
    expect(between(0, spanMs).refused).toBe(0);
  });

  test('when the overload ends so do the refusals, within 10 s or 40 calls', () => {
    const backMs = spanMs / 2;
    const { between, adaptive } = simulate(version, {
      seed,
      untilMs: spanMs,
      openPerMs: (nowMs) => capacity * (nowMs < backMs ? 10 : 0.6),
    });
    const settledMs = backMs + Math.max(5_000, 40 / capacity);
    expect(between(0, backMs).refused).toBeGreaterThan(0);
    expect(between(settledMs, spanMs).refused).toBe(0);
    expect(adaptive.limit).toBe(Number.POSITIVE_INFINITY);
  });
});
