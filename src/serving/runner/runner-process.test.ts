import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import {
  type Answer,
  ask,
  fileOf,
  floats,
  MODELS,
  row,
  runnerSpec,
  scratch,
  silent,
  spec,
} from '../../../test/fixtures/runner-specs.ts';
import type { RunnerSpec } from './runner.ts';
import { type RunnerProcess, startRunner } from './runner-process.ts';

const folder = scratch();
const started: RunnerProcess[] = [];

function start(model: string, changes: Parameters<typeof runnerSpec>[2] = {}): RunnerProcess {
  return startSpec(runnerSpec(model, folder, changes));
}

function startSpec(of: RunnerSpec): RunnerProcess {
  const runner = startRunner(of, { log: silent });
  started.push(runner);
  return runner;
}

afterEach(async () => {
  for (const runner of started.splice(0)) {
    runner.kill();
    await runner.exited;
  }
  // Nothing stays behind, however the process ended.
  expect(readdirSync(folder)).toEqual([]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const values = (answer: Answer): number[] => Array.from(answer.outputs![0]!.data as Float32Array);

describe('a runner', () => {
  test('loads, answers, and ends when asked', async () => {
    const runner = start('add.onnx');
    const report = await runner.loaded;
    expect(report.loadMs).toBeGreaterThan(0);
    if (process.platform === 'linux') expect(report.memoryBytes).toBeGreaterThan(10_000_000);
    const answer = await ask(runner, row(5));
    expect(answer.error).toBeNull();
    expect(answer.outputs).toEqual([floats('Y', [1, 3], 6, 6, 6)]);
    expect(answer.timings.batchRows).toBe(1);
    await runner.close();
    expect(await runner.exited).toMatchObject({ code: 0, asked: true, reason: 'was stopped', lastStep: 'running' });
  });

  test('finishes what it has when it is asked to end', async () => {
    const runner = start('add.onnx');
    await runner.loaded;
    const answers = Promise.all(Array.from({ length: 500 }, (_, i) => ask(runner, row(i))));
    await runner.close();
    expect((await answers).map((answer) => values(answer)[0])).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
  });

  test('joins what waits into one run and gives each call its own rows', async () => {
    const runner = start('add.onnx');
    await runner.loaded;
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => {
        const rows = 1 + (i % 3);
        return ask(runner, [floats('X', [rows, 3], ...new Array(rows * 3).fill(i))]);
      }),
    );
    for (const [i, answer] of answers.entries()) {
      const rows = 1 + (i % 3);
      expect(answer.outputs![0]!.shape).toEqual([rows, 3]);
      expect(values(answer)).toEqual(new Array(rows * 3).fill(i + 1));
      expect(answer.timings.batchRows).toBeLessThanOrEqual(64);
    }
    expect(Math.max(...answers.map((answer) => answer.timings.batchRows))).toBeGreaterThan(8);
  });

  test('never mixes rows where validation did not show that they may be', async () => {
    const runner = start('batch-mixing.onnx', { canBatch: false });
    await runner.loaded;
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(runner, row(i))));
    // X - mean(X) over the rows of one run: 0 for a row alone, something else beside others.
    for (const answer of answers) {
      expect(values(answer)).toEqual([0, 0, 0]);
      expect(answer.timings.batchRows).toBe(1);
    }
  });

  test('runs calls alone when an output has no row for each row, whatever validation said', async () => {
    const runner = start('two.onnx', {
      canBatch: true,
      signature: {
        inputs: [spec('A', 'FP32', -1, 3), spec('B', 'FP32', -1, 3)],
        outputs: [spec('Y', 'FP32', -1, 3), spec('total', 'FP32')],
      },
    });
    await runner.loaded;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(runner, [floats('A', [1, 3], i, i, i), floats('B', [1, 3], 1, 1, 1)])),
    );
    for (const [i, answer] of answers.entries()) {
      expect(values(answer)).toEqual([i + 1, i + 1, i + 1]);
      expect(answer.outputs![1]!.shape).toEqual([]);
    }
    const totals = answers.map((answer) => (answer.outputs![1]!.data as Float32Array)[0]);
    expect(new Set(totals).size).toBe(20);
  });

  test('answers all but the poison rows of a run', async () => {
    const runner = start('poison.onnx', {
      signature: { inputs: [spec('idx', 'INT64', -1)], outputs: [spec('Y', 'FP32', -1)] },
    });
    await runner.loaded;
    const index = (i: number) => [
      { name: 'idx', datatype: 'INT64' as const, shape: [1], data: BigInt64Array.of(BigInt(i)) },
    ];
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => ask(runner, index(i === 17 || i === 40 ? 99 : i % 4))),
    );
    for (const [i, answer] of answers.entries()) {
      if (i === 17 || i === 40) {
        expect(answer.error).toMatchObject({
          code: 'run_failed',
          message: expect.stringMatching(/idx=99 must be within/),
        });
        expect(answer.error!.message).not.toMatch(/\.cc|\/\w+\//);
      } else {
        expect(answer.error).toBeNull();
        expect(values(answer)).toEqual([10 + (i % 4)]);
      }
    }
  });

  test('refuses inputs that are not those of the signature without a word to the process', async () => {
    const runner = start('add.onnx');
    await runner.loaded;
    const [missing, wrong, good] = await Promise.all([
      ask(runner, [], 1),
      ask(runner, [{ name: 'X', datatype: 'FP64', shape: [1, 3], data: new Float64Array(3) }]),
      ask(runner, row(1)),
    ]);
    expect(missing.error).toMatchObject({ code: 'invalid_input' });
    expect(wrong.error).toMatchObject({ code: 'invalid_input' });
    expect(values(good)).toEqual([2, 2, 2]);
  });

  test("has nothing of its parent's environment, no core dumps, and a folder with the artifact only", async () => {
    process.env['SLIPWAY_PLANTED_SECRET'] = 'planted';
    const runner = start('external');
    await runner.loaded;
    if (process.platform !== 'linux') return;
    const of = (name: string): string => readFileSync(`/proc/${runner.pid}/${name}`, 'utf8');
    expect(
      of('environ')
        .split('\0')
        .filter((entry) => entry !== '' && !/^(PWD|NODE_COMPILE_CACHE)=/.test(entry)),
    ).toEqual([]);
    delete process.env['SLIPWAY_PLANTED_SECRET'];
    expect(of('limits')).toMatch(/Max core file size +0 +0/);
    expect(of('limits')).toMatch(/Max data size +1744830464 +1744830464/);
    expect(readdirSync(`/proc/${runner.pid}/cwd`).sort()).toEqual(['model.onnx', 'weights.bin']);
    // Neither CUDA nor WebGPU is ever mapped.
    expect(of('maps')).not.toMatch(/cuda|webgpu|dawn|tensorrt/i);
  });
});

describe('time', () => {
  test('a model that never finishes loading is killed at the limit', async () => {
    const runner = start('loop-load.onnx', { limits: { loadTimeoutMs: 1200 } });
    await expect(runner.loaded).rejects.toMatchObject({ code: 'runner_crashed' });
    expect(await runner.exited).toMatchObject({
      signal: 'SIGKILL',
      lastStep: 'loading',
      reason: 'was killed after 1.2 s of loading',
      asked: false,
    });
  });

  test('a run that never ends is killed at the limit, and only its own calls fail for it', async () => {
    const runner = start('loop-some.onnx', { canBatch: false, limits: { runTimeoutMs: 600 } });
    await runner.loaded;
    expect((await ask(runner, row(1))).error).toBeNull();
    const endless = ask(runner, row(1000));
    await sleep(50);
    const beside = ask(runner, row(1));
    expect((await endless).error).toMatchObject({
      code: 'run_timeout',
      message: 'The model did not finish within 600 ms and was stopped',
    });
    // This process stands alone: with a supervisor the call would have gone on to the next one.
    expect((await beside).error).toMatchObject({ code: 'runner_crashed', retryAfterS: 1 });
    expect(await runner.exited).toMatchObject({
      signal: 'SIGKILL',
      reason: 'was killed after a run of more than 600 ms',
    });
  });

  test('calls that expired or were cancelled while a run blocked the runner are never started', async () => {
    const runner = start('slow.onnx', {
      signature: {
        inputs: [spec('X', 'FP32', -1, 1), spec('rounds', 'INT64', -1, 1)],
        outputs: [spec('Y', 'FP32', -1, 1)],
      },
      canBatch: false,
    });
    await runner.loaded;
    const slow = (rounds: number) => [
      floats('X', [1, 1], 1),
      { name: 'rounds', datatype: 'INT64' as const, shape: [1, 1], data: BigInt64Array.of(BigInt(rounds)) },
    ];
    const unit = await ask(runner, slow(100_000));
    const rounds = Math.round((100_000 / Math.max(1, unit.timings.runMs)) * 600);
    const blocking = ask(runner, slow(rounds));
    await sleep(30);
    // All of these would take 600 ms each; none may.
    const expired = await Promise.all(Array.from({ length: 20 }, () => ask(runner, slow(rounds), 1, 100)));
    for (const answer of expired) expect(answer.error).toMatchObject({ code: 'deadline_exceeded' });
    let answered = 0;
    for (let i = 0; i < 20; i++) runner.infer(slow(rounds), 1, { timeoutMs: 20_000 }, () => answered++).cancel();
    const from = performance.now();
    expect((await blocking).error).toBeNull();
    expect((await ask(runner, slow(1))).error).toBeNull();
    expect(performance.now() - from).toBeLessThan(3000);
    expect(answered).toBe(0);
  });

  test('a call beyond the queue limit is refused at once', async () => {
    const runner = start('loop-run.onnx', { limits: { queueLimit: 3, runTimeoutMs: 1000 }, canBatch: false });
    await runner.loaded;
    void ask(runner, row(1));
    await sleep(30);
    void ask(runner, row(1));
    await sleep(30);
    const waiting = Array.from({ length: 3 }, () => ask(runner, row(1)));
    const from = performance.now();
    const { error } = await ask(runner, row(1));
    expect(error).toMatchObject({ code: 'queue_full' });
    expect([1, 2]).toContain(error!.retryAfterS); // jittered, so that those refused together do not come back together
    expect(performance.now() - from).toBeLessThan(100);
    expect(runner.waiting).toBe(3);
    for (const answer of await Promise.all(waiting)) expect(answer.error).toMatchObject({ code: 'runner_crashed' });
  });
});

describe('memory', () => {
  const LIMIT = 400 * 1024 * 1024;

  test('a model that asks for more than allowed is refused it, and goes on', async () => {
    const runner = start('huge-some.onnx', { limits: { memoryBytes: LIMIT } });
    await runner.loaded;
    const { error } = await ask(runner, row(1000));
    if (error!.code === 'run_failed') {
      expect(error!.message).toBe('The model asked for more memory than it is allowed');
      expect((await ask(runner, row(1))).error).toBeNull();
    } else {
      expect((await runner.exited).reason).toMatch(/^ran out of its 400 MiB of memory/);
    }
    expect(runner.peakMemoryBytes()).toBeLessThan(3 * LIMIT);
  });

  test.runIf(process.platform === 'linux')('a process that grows past its limit is killed and says so', async () => {
    const runner = start('add.onnx', { limits: { memoryBytes: 64 * 1024 * 1024 } });
    await expect(runner.loaded.then(() => runner.exited).then((exit) => Promise.reject(exit))).rejects.toBeDefined();
    expect((await runner.exited).reason).toMatch(/^ran out of its 64 MiB of memory/);
  });
});

describe('the death of a process', () => {
  test.each(['SIGABRT', 'SIGSEGV', 'SIGKILL'] as const)(
    'by %s while loading is reported with its step',
    async (signal) => {
      const runner = start('loop-load.onnx');
      await until(() => runner.pid !== undefined);
      await sleep(700); // it is unfolding functions by now, deaf to everything
      process.kill(runner.pid!, signal);
      await expect(runner.loaded).rejects.toMatchObject({ code: 'runner_crashed' });
      expect(await runner.exited).toMatchObject({
        signal,
        lastStep: 'loading',
        reason: `ended by signal ${signal} while loading`,
        asked: false,
      });
    },
  );

  test.each(['SIGABRT', 'SIGSEGV'] as const)('by %s in a run fails the calls in it', async (signal) => {
    const runner = start('loop-run.onnx', { canBatch: false });
    await runner.loaded;
    const call = ask(runner, row(1));
    await sleep(150);
    process.kill(runner.pid!, signal);
    expect((await call).error).toMatchObject({ code: 'runner_crashed', retryAfterS: 1 });
    expect(await runner.exited).toMatchObject({
      signal,
      reason: `ended by signal ${signal} while computing its first answer`,
    });
    expect((await ask(runner, row(1))).error).toMatchObject({ code: 'runner_crashed' });
  });

  test.runIf(process.platform === 'linux')(
    'of its parent ends a runner, even inside a run that never ends',
    async () => {
      const program = fileURLToPath(new URL('../../../test/fixtures/runner-orphan.ts', import.meta.url));
      const parent = spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      const pid = Number(
        await new Promise<string>((resolve) => parent.stdout.once('data', (chunk: Buffer) => resolve(String(chunk)))),
      );
      expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(String(pid));
      parent.kill('SIGKILL');
      await until(() => gone(pid));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      start('add.onnx');
      await started[0]!.loaded;
    },
  );
});

describe('what is loaded', () => {
  test.each([
    ['model.onnx', 0],
    ['model.onnx', -1],
    ['weights.bin', 7],
    ['weights.bin', -1],
  ])('is never a byte that was altered: %s, byte %i', async (path, at) => {
    // Every byte and bit in turn: verified-files.test.ts. Here: that a process obeys it.
    const of = runnerSpec('external', folder);
    const elsewhere = scratch();
    const damaged = join(elsewhere, 'blob');
    const bytes = readFileSync(of.files.find((file) => file.path === path)!.blobPath);
    bytes[at < 0 ? bytes.length - 1 : at]! ^= 0x10;
    writeFileSync(damaged, bytes);
    const runner = startSpec({
      ...of,
      files: of.files.map((file) => (file.path === path ? { ...file, blobPath: damaged } : file)),
    });
    await expect(runner.loaded).rejects.toMatchObject({
      code: 'artifact_corrupt',
      message: `The file ${path} of the artifact was altered`,
    });
    expect((await runner.exited).lastStep).toBe('verifying');
    rmSync(elsewhere, { recursive: true });
  });

  test('is nothing when a blob is gone', async () => {
    const of = runnerSpec('add.onnx', folder);
    const runner = startSpec({ ...of, files: [{ ...of.files[0]!, blobPath: join(folder, 'nowhere') }] });
    await expect(runner.loaded).rejects.toMatchObject({
      code: 'artifact_corrupt',
      message: expect.not.stringContaining(folder),
    });
  });

  test('never leaves the working folder by its path', async () => {
    for (const path of ['../x.onnx', '/etc/x.onnx', 'a/../../x.onnx', 'a\\..\\x.onnx']) {
      const runner = startSpec({
        ...runnerSpec('add.onnx', folder),
        entry: path,
        files: [fileOf(path, join(MODELS, 'add.onnx'))],
      });
      await expect(runner.loaded).rejects.toMatchObject({ code: 'model_refused' });
    }
  });

  test.each(['external', 'external-nested'])('can have external data, read from its own folder: %s', async (name) => {
    const runner = start(name);
    await runner.loaded;
    expect((await ask(runner, row(1))).error).toBeNull();
  });

  test.each([
    ['external-missing', 'model_invalid'],
    ['external-absolute', 'model_invalid'],
    ['external-dotdot', 'model_invalid'],
    ['unknown-op.onnx', 'model_unsupported'],
    ['truncated.onnx', 'model_invalid'],
  ])('is refused with a reason that shows no path: %s', async (name, code) => {
    const runner = start(name);
    await expect(runner.loaded).rejects.toMatchObject({
      code,
      message: expect.not.stringMatching(/(^|[\s"])\/\w+\/|\.cc:/),
    });
    expect((await runner.exited).reason).toMatch(/^did not load: /);
  });
});

function gone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return true;
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}
