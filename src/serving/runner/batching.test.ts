/**
 * Random interleavings of calls against real runners: whatever shares a run with what, every caller gets exactly what it would get alone,
 * a poison row fails alone, and nobody hears of a call that was cancelled or has expired.
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { ask, floats, runnerSpec, scratch, silent, spec } from '../../../test/fixtures/runner-specs.ts';
import { systemClock } from '../../base/clock.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Flow, Priority } from './runner.ts';
import { type RunnerSupervisor, superviseRunner } from './runner-supervisor.ts';

const folder = scratch();
const open: RunnerSupervisor[] = [];
afterAll(async () => {
  await Promise.all(open.map((one) => one.close()));
  rmSync(folder, { recursive: true, force: true });
});

type Said = { error: string | null; outputs: readonly Tensor[] | null; batchRows: number };
type Move = {
  readonly rows: readonly number[];
  readonly flow: number;
  readonly priority: Priority;
  /** Turns of the event loop before it is sent. */
  readonly pause: number;
  readonly fate: 'wanted' | 'cancelled at once' | 'cancelled later' | 'expired';
};

const POISON = 99;
const FLOWS: readonly Flow[] = [{ weight: 1 }, { weight: 2 }, { weight: 5 }];
const move = fc.record<Move>({
  rows: fc.array(fc.oneof({ weight: 30, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.constant(POISON) }), {
    minLength: 1,
    maxLength: 5,
  }),
  flow: fc.nat(FLOWS.length - 1),
  priority: fc.constantFrom('high', 'normal', 'low'),
  pause: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
  fate: fc.oneof(
    { weight: 8, arbitrary: fc.constant('wanted' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('cancelled at once' as const, 'cancelled later' as const, 'expired' as const),
    },
  ),
});

/** Sends the calls as told and gives what each was told, all of it. */
async function play(to: RunnerSupervisor, moves: readonly Move[], inputsOf: (rows: readonly number[]) => Tensor[]) {
  const said: Said[][] = moves.map(() => []);
  const later: (() => void)[] = [];
  for (const [i, { rows, flow, priority, pause, fate }] of moves.entries()) {
    for (let turn = 0; turn < pause; turn++) await new Promise((resolve) => setImmediate(resolve));
    const options = { timeoutMs: fate === 'expired' ? 1e-3 : 30_000, flow: FLOWS[flow], priority };
    const inputs = inputsOf(rows);
    const call = to.infer(inputs, inputs[0]!.shape[0]!, options, (error, outputs, { batchRows }) =>
      said[i]!.push({ error: error?.code ?? null, outputs, batchRows }),
    );
    if (fate === 'cancelled at once') call.cancel();
    if (fate === 'cancelled later') later.push(() => call.cancel());
  }
  for (const cancel of later) cancel();
  const untilMs = performance.now() + 20_000;
  while (performance.now() < untilMs && moves.some(({ fate }, i) => fate === 'wanted' && said[i]!.length === 0))
    await sleep(1);
  return said;
}

const supervise = (model: string, changes: Parameters<typeof runnerSpec>[2], warmUp: Tensor[]): RunnerSupervisor => {
  const supervisor = superviseRunner(
    { ...runnerSpec(model, folder, changes), warmUp: { inputs: warmUp, rows: 1 } },
    { log: silent, clock: systemClock },
  );
  open.push(supervisor);
  return supervisor;
};

const index = (rows: readonly number[]): Tensor[] => [
  { name: 'idx', datatype: 'INT64', shape: [rows.length], data: BigInt64Array.from(rows, BigInt) },
];
const POISONOUS = { inputs: [spec('idx', 'INT64', -1)], outputs: [spec('Y', 'FP32', -1)] };

describe.each([
  { maxDelayMs: 0, maxBatchRows: 64 },
  { maxDelayMs: 3, maxBatchRows: 8 },
])('with %o', (limits) => {
  test('each call is answered as if it were alone, a poison row fails its own call only, and the unwanted hear nothing', async () => {
    const runner = supervise('poison.onnx', { signature: POISONOUS, limits }, index([0]));
    let largest = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 1, maxLength: 60 }), async (moves) => {
        const said = await play(runner, moves, index);
        for (const [i, { rows, fate }] of moves.entries()) {
          const [first, ...more] = said[i]!;
          expect(more).toEqual([]);
          if (fate === 'cancelled at once') expect(first).toBeUndefined();
          else if (fate === 'expired') expect(first === undefined || first.error === 'deadline_exceeded').toBe(true);
          else if (fate === 'wanted' && rows.includes(POISON)) expect(first).toMatchObject({ error: 'run_failed' });
          else if (fate === 'wanted') {
            expect(first?.error).toBeNull();
            expect(first!.outputs).toEqual([
              { name: 'Y', datatype: 'FP32', shape: [rows.length], data: Float32Array.from(rows, (row) => 10 + row) },
            ]);
            largest = Math.max(largest, first!.batchRows);
          }
        }
      }),
      { numRuns: 40, ...(process.env['SLIPWAY_TEST_SEED'] ? { seed: Number(process.env['SLIPWAY_TEST_SEED']) } : {}) },
    );
    expect(largest).toBeGreaterThan(5); // runs were shared
    expect(largest).toBeLessThanOrEqual(limits.maxBatchRows);
  }, 60_000);
});

test('calls of different widths wait together and are never mixed up', async () => {
  const signature = {
    inputs: [spec('image', 'FP32', -1, 3, -1, -1)],
    outputs: [spec('mean', 'FP32', -1, 3), spec('elements', 'FP32', -1, 3, -1, -1)],
  };
  /** A call's numbers say its size too: the first one is the height, the rest are rows. */
  const image = ([height = 0, ...rows]: readonly number[]): Tensor[] => {
    const size = 3 * (height + 1) * 2;
    const data = Float32Array.from({ length: (rows.length + 1) * size }, (_, i) => i + (rows[0] ?? 0));
    return [{ name: 'image', datatype: 'FP32', shape: [rows.length + 1, 3, height + 1, 2], data }];
  };
  const runner = supervise('image-mean.onnx', { signature }, image([0]));
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 2, maxLength: 40 }), async (given) => {
      const moves = given.map((one) => ({ ...one, rows: one.rows.map((row) => row % 4), fate: 'wanted' as const }));
      const said = await play(runner, moves, image);
      for (const [i, { rows }] of moves.entries()) {
        const [input] = image(rows);
        expect(said[i]).toHaveLength(1);
        expect(said[i]![0]!.outputs![1]).toEqual({ ...input, name: 'elements' });
        const mean = said[i]![0]!.outputs![0]!;
        const plane = (input!.data.length as number) / rows.length / 3;
        const first = (input!.data as Float32Array).slice(0, plane).reduce((sum, x) => sum + x, 0) / plane;
        expect([mean.shape, (mean.data as Float32Array)[0]]).toEqual([[rows.length, 3], expect.closeTo(first, 3)]);
      }
    }),
    { numRuns: 30 },
  );
}, 60_000);

describe('padding', () => {
  const sized = (name: string): TensorSpec => ({
    ...spec(name, 'INT64', -1, -1),
    symbols: ['N', 'T'],
    pad: { axis: 1, value: 0 },
  });
  const signature: Signature = {
    inputs: [sized('tokens'), sized('mask')],
    outputs: [spec('mean', 'FP32', -1), { ...spec('found', 'FP32', -1, -1), symbols: ['N', 'T'] }],
  };
  const TABLE = [10, 11, 12, 15];
  /** A row of these tokens, and where they are even in number a second one, backwards. The last of many is the caller's own padding. */
  const rowsOf = (tokens: readonly number[]): (readonly number[])[] =>
    tokens.length % 2 === 0 ? [tokens, tokens.toReversed()] : [tokens];
  const isCounted = (_token: number, at: number, { length }: readonly number[]): boolean =>
    length <= 3 || at < length - 1;
  const masked = (tokens: readonly number[]): Tensor[] => {
    const rows = rowsOf(tokens);
    const shape = [rows.length, tokens.length];
    const mask = rows.flatMap((row) => row.map((token, at) => (isCounted(token, at, row) ? 1n : 0n)));
    return [
      { name: 'tokens', datatype: 'INT64', shape, data: BigInt64Array.from(rows.flat(), BigInt) },
      { name: 'mask', datatype: 'INT64', shape, data: BigInt64Array.from(mask) },
    ];
  };
  const answerTo = (tokens: readonly number[]) => {
    const found = rowsOf(tokens).map((row) => row.map((token) => TABLE[token]!));
    const means = found.map((row) => {
      const counted = row.filter(isCounted);
      return counted.reduce((a, b) => a + b) / counted.length;
    });
    return { means, found: floats('found', [found.length, tokens.length], ...found.flat()) };
  };
  /** Calls with up to 12 tokens a row, seldom one that makes its run fail. */
  const sentence = move.chain((one) =>
    fc
      .array(fc.oneof({ weight: 60, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.constant(POISON) }), {
        minLength: 1,
        maxLength: 12,
      })
      .map((rows) => ({ ...one, rows })),
  );

  test('calls of different sizes share runs, and each is answered as if it were alone, in its own size', async () => {
    const runner = supervise('masked-mean.onnx', { signature, canPad: true }, masked([0]));
    const seed = process.env['SLIPWAY_TEST_SEED'];
    let largest = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(sentence, { minLength: 1, maxLength: 40 }), async (moves) => {
        const said = await play(runner, moves, masked);
        for (const [i, { rows, fate }] of moves.entries()) {
          const [first, ...more] = said[i]!;
          expect(more).toEqual([]);
          if (fate !== 'wanted') continue;
          if (rows.includes(POISON)) {
            expect(first).toMatchObject({ error: 'run_failed' });
            continue;
          }
          expect(first?.error).toBeNull();
          const { means, found } = answerTo(rows);
          const [mean, second] = first!.outputs!;
          expect(second).toEqual(found);
          expect(mean!.shape).toEqual([means.length]);
          expect([...(mean!.data as Float32Array)]).toEqual(means.map((each) => expect.closeTo(each, 4)));
          largest = Math.max(largest, first!.batchRows);
        }
      }),
      { numRuns: 40, ...(seed ? { seed: Number(seed) } : {}) },
    );
    expect(largest).toBeGreaterThan(8); // runs were shared
  }, 60_000);

  /** Rows of the run that each of these calls was answered by, when all of them wait while another runs. */
  const sharing = async (runner: RunnerSupervisor, sizes: readonly number[]): Promise<number[]> => {
    const calls = sizes.map((size) => {
      const ones = new BigInt64Array(size).fill(1n);
      const inputs = ['tokens', 'mask'].map(
        (name): Tensor => ({ name, datatype: 'INT64', shape: [1, size], data: ones }),
      );
      return ask(runner, inputs);
    });
    return (await Promise.all(calls)).map(({ timings }) => timings.batchRows);
  };
  const ready = async (runner: RunnerSupervisor): Promise<RunnerSupervisor> => {
    while (runner.status().state !== 'ready') await sleep(5);
    return runner;
  };
  const limits = { maxDelayMs: 100, maxBatchRows: 8 };

  test.each([
    ['within twice the shortest', [4, 8, 5, 6], [4, 4, 4, 4]],
    ['and not a call of 10 with one of 500', [10, 500, 12, 400], [2, 2, 2, 2]],
  ])('shares runs %s', async (_what, sizes, rows) => {
    const runner = await ready(supervise('masked-mean.onnx', { signature, canPad: true, limits }, masked([0])));
    expect(await sharing(runner, sizes)).toEqual(rows);
  });

  test('is not done where it was not proven', async () => {
    const runner = await ready(supervise('masked-mean.onnx', { signature, canPad: false, limits }, masked([0])));
    expect(await sharing(runner, [4, 5, 4, 6])).toEqual([2, 1, 2, 1]);
  });

  test('ends for good when an output does not have the padded size, whatever validation said', async () => {
    const wrong = { ...signature.outputs[1]!, symbols: ['N', 'T'] };
    const identity = {
      inputs: [sized('tokens'), sized('mask')],
      outputs: [{ ...wrong, name: 'mean', shape: [-1] }, signature.outputs[1]!],
    };
    const runner = await ready(
      supervise('masked-mean.onnx', { signature: identity, canPad: true, limits }, masked([0])),
    );
    expect(await sharing(runner, [4, 5, 4])).toEqual([1, 1, 1]);
    expect(await sharing(runner, [4, 5, 4])).toEqual([2, 1, 2]);
  });
});

test('maxDelayMs lets a call wait for others, never longer, and not at all when the batch is full', async () => {
  const delayMs = 150;
  const runner = supervise(
    'poison.onnx',
    { signature: POISONOUS, limits: { maxDelayMs: delayMs, maxBatchRows: 4 } },
    index([0]),
  );
  while (runner.status().state !== 'ready') await sleep(5);
  const startedMs = performance.now();
  const first = ask(runner, index([1]));
  await sleep(40);
  const second = ask(runner, index([2]));
  expect((await Promise.all([first, second])).map(({ timings }) => timings.batchRows)).toEqual([2, 2]);
  const tookMs = performance.now() - startedMs;
  expect(tookMs).toBeGreaterThan(delayMs - 10);
  const fullMs = performance.now();
  const four = await Promise.all([0, 1, 2, 3].map((i) => ask(runner, index([i]))));
  expect(four.map(({ timings }) => timings.batchRows)).toEqual([4, 4, 4, 4]);
  expect(performance.now() - fullMs).toBeLessThan(delayMs - 10);
});
