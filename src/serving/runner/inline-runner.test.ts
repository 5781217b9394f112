import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { ask, fileOf, runnerSpec, scratch, silent, spec } from '../../../test/fixtures/runner-specs.ts';
import { systemClock } from '../../base/clock.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { canBeInline, startInlineRunner } from './inline-runner.ts';
import type { RunnerSupervisor, SupervisedSpec, SupervisorStatus } from './runner-supervisor.ts';

const TAB = fileURLToPath(new URL('../../../bench/models/tab.onnx', import.meta.url));
const folder = scratch();
const runners: RunnerSupervisor[] = [];

const rowsOf = (rows: number, seed = 1): Tensor[] => [
  {
    name: 'X',
    datatype: 'FP32',
    shape: [rows, 30],
    data: Float32Array.from({ length: rows * 30 }, (_, i) => Math.sin(i * seed) * 4),
  },
];

function tab(changes: Partial<SupervisedSpec> = {}): SupervisedSpec {
  return {
    ...runnerSpec('add.onnx', folder),
    engine: 'tabular',
    entry: 'model.onnx',
    files: [fileOf('model.onnx', TAB)],
    signature: {
      inputs: [spec('X', 'FP32', -1, 30)],
      outputs: [spec('label', 'INT64', -1), spec('probabilities', 'FP32', -1, 2)],
    },
    warmUp: { inputs: rowsOf(1), rows: 1 },
    ...changes,
  };
}

function start(of: SupervisedSpec = tab()): RunnerSupervisor & { readonly states: string[] } {
  const states: string[] = [];
  const runner = startInlineRunner(of, {
    log: silent,
    clock: systemClock,
    onChange: ({ state }: SupervisorStatus) => states.push(state),
  });
  runners.push(runner);
  return Object.assign(runner, { states });
}

async function ready(runner: RunnerSupervisor): Promise<void> {
  for (let i = 0; i < 2000 && runner.status().state !== 'ready'; i++) await sleep(5);
  expect(runner.status()).toMatchObject({ state: 'ready', reason: null, memoryBytes: null, restarts: 0 });
}

afterEach(async () => {
  await Promise.all(runners.splice(0).map((runner) => runner.close()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a version in the gateway itself', () => {
  test('is for small models of the engine tabular only', () => {
    expect(canBeInline(tab())).toBe(true);
    expect(canBeInline(tab({ engine: 'onnxruntime' }))).toBe(false);
    const large = { ...fileOf('model.onnx', TAB), sizeBytes: 1024 * 1024 + 1 };
    expect(canBeInline(tab({ files: [large] }))).toBe(false);
    const wide = { inputs: [spec('X', 'FP32', -1, 3)], outputs: [spec('Y', 'FP32', -1, 3, 20_000)] };
    expect(canBeInline(tab({ signature: wide }))).toBe(false);
  });

  test('answers calls that came while it was loading, and has no process', async () => {
    const runner = start();
    expect(runner.runNow!(rowsOf(1), 1)).toBe(null);
    const { error, outputs } = await ask(runner, rowsOf(2), 2);
    expect(error).toBe(null);
    expect(outputs!.map((output) => output.shape)).toEqual([[2], [2, 2]]);
    expect(runner.pid).toBe(undefined);
    expect(runner.states).toEqual(['warming', 'ready']);
  });

  test('answers a short call at once, and a long one by slices with the same rows', async () => {
    const runner = start();
    await ready(runner);
    expect(runner.runNow!(rowsOf(1), 1)![1]!.data.length).toBe(2);
    const many = rowsOf(60_000);
    expect(runner.runNow!(many, 60_000)).toBe(null);
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const { error, outputs, timings } = await ask(runner, many, 60_000);
    isDone = true;
    expect(error).toBe(null);
    // Others had their turn in between, many times.
    expect(turns).toBeGreaterThan(20);
    expect(timings.runMs).toBeGreaterThan(0);
    for (const row of [0, 1, 255, 256, 31_007, 59_999]) {
      const one: Tensor[] = [{ ...many[0]!, shape: [1, 30], data: many[0]!.data.slice(row * 30, row * 30 + 30) }];
      const [label, scores] = runner.runNow!(one, 1)!;
      expect(outputs![0]!.data[row]).toBe(label!.data[0]);
      expect([...outputs![1]!.data.slice(row * 2, row * 2 + 2)]).toEqual([...scores!.data]);
    }
  });

  test('refuses a call whose outputs would take too much of the memory of the gateway', async () => {
    const runner = start();
    const rows = 64 * 1024 * 1024; // never computed: it stands for the inputs of as many
    const input: Tensor = { name: 'X', datatype: 'FP32', shape: [rows, 30], data: new Float32Array(0) };
    const early = ask(runner, [input], rows);
    await ready(runner);
    for (const { error } of [await early, await ask(runner, [input], rows)]) {
      expect(error).toMatchObject({ code: 'answer_too_large', hint: expect.stringContaining('at most 4194304 rows') });
    }
    expect(runner.runNow!([input], rows)).toBe(null);
  });

  test('computes long calls side by side: a short one behind a long one does not wait for its end', async () => {
    const runner = start();
    await ready(runner);
    const order: string[] = [];
    const long = ask(runner, rowsOf(40_000), 40_000).then(() => order.push('long'));
    const short = ask(runner, rowsOf(100, 2), 100).then(() => order.push('short'));
    await Promise.all([long, short]);
    expect(order).toEqual(['short', 'long']);
  });

  test('gives up a call at its deadline, between slices, and one that nobody wants any more', async () => {
    const runner = start();
    await ready(runner);
    const late = await ask(runner, rowsOf(60_000), 60_000, 8);
    expect(late.error).toMatchObject({ code: 'deadline_exceeded' });
    let answered = false;
    const handle = runner.infer(rowsOf(60_000), 60_000, { timeoutMs: 60_000 }, () => {
      answered = true;
    });
    await sleep(5);
    handle.cancel();
    const { error } = await ask(runner, rowsOf(3), 3);
    expect(error).toBe(null);
    await sleep(20);
    expect(answered).toBe(false);
  });

  test('says what is wrong with inputs, and goes on', async () => {
    const runner = start();
    await ready(runner);
    const short: Tensor[] = [{ ...rowsOf(1)[0]!, data: new Float32Array(3) }];
    expect(() => runner.runNow!(short, 1)).toThrow(expect.objectContaining({ code: 'run_failed' }));
    expect((await ask(runner, short, 1)).error).toMatchObject({
      code: 'run_failed',
      message: expect.stringContaining('3 elements'),
    });
    expect((await ask(runner, rowsOf(1), 1)).error).toBe(null);
  });

  test('answers what it has before it ends, and takes no more', async () => {
    const runner = start();
    await ready(runner);
    const under = ask(runner, rowsOf(50_000), 50_000);
    await sleep(1);
    const closing = runner.close();
    expect((await ask(runner, rowsOf(1), 1)).error).toMatchObject({ code: 'shutting_down' });
    expect((await under).error).toBe(null);
    await closing;
    expect(runner.status().state).toBe('draining');
  });

  test('takes no file that was altered, and none that is gone', async () => {
    const at = join(folder, 'altered.onnx');
    copyFileSync(TAB, at);
    const file = fileOf('model.onnx', at);
    writeFileSync(at, Buffer.alloc(file.sizeBytes, 7));
    const altered = start(tab({ files: [file] }));
    const { error } = await ask(altered, rowsOf(1), 1);
    expect(error).toMatchObject({ code: 'not_ready', message: expect.stringContaining('was altered') });
    expect(altered.status().state).toBe('failed');
    const gone = start(tab({ files: [{ ...file, blobPath: `${at}.gone` }] }));
    expect((await ask(gone, rowsOf(1), 1)).error).toMatchObject({ message: expect.stringContaining('is missing') });
  });

  test('fails in words where the model is not covered after all', async () => {
    const at = fileURLToPath(new URL('../../../test/fixtures/tabular/uncovered-cumsum.onnx', import.meta.url));
    const runner = start(
      tab({
        files: [fileOf('model.onnx', at)],
        signature: { inputs: [spec('X', 'FP32', -1, 2)], outputs: [spec('Y', 'FP32', -1, 2)] },
      }),
    );
    expect((await ask(runner, rowsOf(1), 1)).error).toMatchObject({ message: expect.stringContaining('CumSum') });
    expect(runner.status()).toMatchObject({ state: 'failed', reason: expect.stringContaining('CumSum') });
  });
});
