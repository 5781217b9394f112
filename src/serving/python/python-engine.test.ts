import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { filesIn, NO_PYTHON, PYTHON_MODELS, pythonEngine, pythonSpecOf } from '../../../test/fixtures/python-models.ts';
import { type Answer, ask, floats, row, scratch, silent, spec } from '../../../test/fixtures/runner-specs.ts';
import { systemClock } from '../../base/clock.ts';
import { importArtifact } from '../../registry/imports/artifact-import.ts';
import type { Signature } from '../../registry/signature.ts';
import { testEngine } from '../engines/engine-conformance.ts';
import { type RunnerProcess, startRunner } from '../runner/runner-process.ts';
import { superviseRunner } from '../runner/runner-supervisor.ts';
import type { Tensor } from '../tensors/tensor.ts';

const folder = scratch();
const started: RunnerProcess[] = [];
const texts = (name: string, ...data: string[]): Tensor => ({ name, datatype: 'BYTES', shape: [data.length], data });

afterEach(async () => {
  for (const runner of started.splice(0)) {
    runner.kill();
    await runner.exited;
  }
  expect(readdirSync(folder)).toEqual([]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(model: string, changes: Parameters<typeof pythonSpecOf>[2] = {}): Promise<RunnerProcess> {
  const runner = startRunner(await pythonSpecOf(model, folder, changes), { log: silent });
  started.push(runner);
  return runner;
}

if (NO_PYTHON !== null) {
  test.skip(`the engine python (${NO_PYTHON})`, () => {});
} else {
  const signatureOf = async (model: string): Promise<Signature> =>
    (await importArtifact(filesIn(join(PYTHON_MODELS, model)), { allowCode: true })).signature;
  const at = (model: string): string => join(PYTHON_MODELS, model, 'predict.py');

  const everyType: Tensor[] = [
    { name: 'a', datatype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
    { name: 'b', datatype: 'UINT8', shape: [2], data: Uint8Array.of(255, 0) },
    { name: 'c', datatype: 'UINT16', shape: [2], data: Uint16Array.of(65535, 1) },
    { name: 'd', datatype: 'UINT32', shape: [2], data: Uint32Array.of(2 ** 32 - 1, 1) },
    { name: 'e', datatype: 'UINT64', shape: [2], data: BigUint64Array.of(2n ** 64n - 1n, 1n) },
    { name: 'f', datatype: 'INT8', shape: [2], data: Int8Array.of(-128, 127) },
    { name: 'g', datatype: 'INT16', shape: [2], data: Int16Array.of(-32768, 1) },
    { name: 'h', datatype: 'INT32', shape: [2], data: Int32Array.of(-(2 ** 31), 1) },
    { name: 'i', datatype: 'INT64', shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n) },
    { name: 'j', datatype: 'FP16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
    { name: 'k', datatype: 'FP32', shape: [2], data: Float32Array.of(0.1, Number.NaN) },
    { name: 'l', datatype: 'FP64', shape: [2], data: Float64Array.of(0.1, Number.NEGATIVE_INFINITY) },
    texts('m', 'ä\0b', ''),
  ];
  const rows = {
    title: 'rows of three numbers',
    entryPath: at('add'),
    signature: await signatureOf('add'),
    calls: [
      { inputs: row(1), outputs: [floats('Y', [1, 3], 2, 2, 2)] },
      { inputs: [floats('X', [2, 3], 1, 2, 3, 4, 5, 6)], outputs: [floats('Y', [2, 3], 2, 3, 4, 5, 6, 7)] },
    ],
  };
  const byRow = {
    title: 'a function of one row',
    entryPath: at('rows'),
    signature: await signatureOf('rows'),
    calls: [
      {
        inputs: [
          { name: 'age', datatype: 'INT64', shape: [2], data: BigInt64Array.of(3n, 4n) } as const,
          texts('city', 'Basel', 'Bern'),
        ],
        outputs: [
          { name: 'score', datatype: 'FP64', shape: [2], data: Float64Array.of(3.2, 4.1) } as const,
          texts('place', 'Basel', 'Bern'),
        ],
      },
      {
        inputs: [{ name: 'age', datatype: 'INT64', shape: [1], data: BigInt64Array.of(3n) } as const],
        outputs: [
          { name: 'score', datatype: 'FP64', shape: [1], data: Float64Array.of(3.1) } as const,
          texts('place', 'Bern'),
        ],
      },
    ],
  };
  testEngine({
    create: () => pythonEngine(folder),
    models: [
      rows,
      byRow,
      {
        title: 'every datatype',
        entryPath: at('types'),
        signature: await signatureOf('types'),
        calls: [{ inputs: everyType, outputs: everyType }],
      },
    ],
    rows,
    poison: {
      model: byRow,
      inputs: [{ name: 'age', datatype: 'INT64', shape: [1], data: BigInt64Array.of(-1n) }],
    },
    refused: [
      {
        title: 'a program that cannot be imported',
        entryPath: at('bad'),
        signature: { inputs: [spec('x', 'FP64', -1)], outputs: [spec('prediction', 'FP64', -1)] },
        code: 'model_invalid',
      },
    ],
  });

  describe('a runner in Python', () => {
    test('joins what waits into one run, and a poison row fails alone', async () => {
      const runner = await start('rows');
      await runner.loaded;
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, i) => {
          const age: Tensor = {
            name: 'age',
            datatype: 'INT64',
            shape: [1],
            data: BigInt64Array.of(i === 31 ? -1n : BigInt(i)),
          };
          return ask(runner, [age, texts('city', 'Basel')]);
        }),
      );
      expect(answers.map(({ error }) => error?.message ?? null).filter((one) => one !== null)).toEqual([
        expect.stringMatching(/ValueError: an age of -1 \(line \d+ of predict\.py\)/),
      ]);
      expect(answers.map(({ outputs }) => (outputs?.[0]?.data as Float64Array | undefined)?.[0] ?? null)).toEqual(
        Array.from({ length: 60 }, (_, i) => (i === 31 ? null : i + 0.2)),
      );
      expect(Math.max(...answers.map(({ timings }) => timings.batchRows))).toBeGreaterThan(1);
    });

    test('tells the version of Python and which protections hold', async () => {
      const report = await (await start('add')).loaded;
      expect(report.about).toMatch(/^Python 3\.\d+\.\d+$/);
      expect(report.measures!.map(({ name }) => name)).toEqual([
        'own user',
        'limits',
        'files',
        'network',
        'system calls',
      ]);
      for (const { detail } of report.measures!) expect(detail).not.toBe('');
    });

    test('names the package that is missing, and what to do', async () => {
      await expect((await start('bad')).loaded).rejects.toMatchObject({
        code: 'model_invalid',
        message: expect.stringMatching(
          /ModuleNotFoundError: No module named 'a_package_that_nobody_has' \(line 1 of predict\.py\)/,
        ),
        hint: expect.stringContaining('requirements.txt'),
      });
    });

    test('refuses a file that was altered', async () => {
      const good = await pythonSpecOf('add', folder);
      const runner = startRunner(
        { ...good, files: good.files.map((file) => ({ ...file, digest: `sha256:${'0'.repeat(64)}` })) },
        { log: silent },
      );
      started.push(runner);
      await expect(runner.loaded).rejects.toMatchObject({ code: 'artifact_corrupt' });
    });

    test.each([
      ['shape', /the output y has the shape \[1, 3\], and the signature says \[-1, 2\]/],
      ['ragged', /parts of different lengths/],
      ['dtype', /the output x has float, and the signature says INT32/],
      ['large', /the output x has numbers that INT32 does not hold/],
      ['missing', /predict gave no y/],
      ['none', /predict gave NoneType/],
    ])('an answer that is not what the signature says is an error of its call: %s', async (what, message) => {
      const runner = await start('shapes');
      await runner.loaded;
      const { error } = await ask(runner, [texts('what', what)]);
      expect(error).toMatchObject({ code: 'run_failed', message: expect.stringMatching(message) });
      expect((await ask(runner, [texts('what', 'good')])).error).toBeNull();
    });
  });

  describe('a model that misbehaves', () => {
    const call = (runner: RunnerProcess, what: string): Promise<Answer> => ask(runner, [texts('what', what)]);
    const value = ({ outputs }: Answer): number => (outputs![0]!.data as Float64Array)[0]!;

    test('writes to standard output: its log has it, and no frame breaks', async () => {
      const runner = await start('faults');
      await runner.loaded;
      expect(value(await call(runner, 'print'))).toBe(1);
      expect(value(await call(runner, 'other'))).toBe(0);
    });

    test('asks for its exit: the call fails, the others are answered', async () => {
      const runner = await start('faults');
      await runner.loaded;
      expect((await call(runner, 'exit')).error).toMatchObject({
        code: 'run_failed',
        message: expect.stringContaining('SystemExit'),
      });
      expect(value(await call(runner, 'other'))).toBe(0);
    });

    test('ends its process: the reason is told', async () => {
      const runner = await start('faults');
      await runner.loaded;
      expect((await call(runner, 'end')).error).toMatchObject({ code: 'runner_crashed' });
      expect((await runner.exited).reason).toBe('ended with code 4 while computing its first answer');
    });

    test('forks: one answer, and the copy ends', async () => {
      const runner = await start('faults');
      await runner.loaded;
      expect(value(await call(runner, 'fork'))).toBe(2);
      expect(value(await call(runner, 'fork'))).toBe(2);
      expect(value(await call(runner, 'other'))).toBe(0);
    });

    test.runIf(process.platform === 'linux')('starts a process: it ends with the runner', async () => {
      const runner = await start('faults');
      await runner.loaded;
      const pid = value(await call(runner, 'child'));
      expect(isRunning(pid)).toBe(true);
      runner.kill();
      await runner.exited;
      for (let tries = 0; isRunning(pid) && tries < 50; tries++) await sleep(50);
      expect(isRunning(pid)).toBe(false);
    });

    test('leaves a thread that never ends: it closes all the same', async () => {
      const runner = await start('faults');
      await runner.loaded;
      expect(value(await call(runner, 'thread'))).toBe(3);
      await runner.close();
      expect((await runner.exited).asked).toBe(true);
    });

    test('leaks memory: it is stopped at its limit', async () => {
      const runner = await start('faults', { limits: { memoryBytes: 256 * 1024 * 1024 } });
      await runner.loaded;
      const { error } = await call(runner, 'leak');
      // Either the watch saw it first, or the system refused more.
      expect(error!.code === 'runner_crashed' || /memory/.test(error!.message)).toBe(true);
    });

    test('sleeps for ever: it is killed at the limit of a run', async () => {
      const runner = await start('faults', { limits: { runTimeoutMs: 500 } });
      await runner.loaded;
      expect((await call(runner, 'sleep')).error).toMatchObject({ code: 'run_timeout' });
      expect((await runner.exited).reason).toBe('was killed after a run of more than 500 ms');
    });

    test('raises with ten megabytes of words: the answer stays short', async () => {
      const runner = await start('faults');
      await runner.loaded;
      const { error } = await call(runner, 'long');
      expect(error!.message).toMatch(/^The model could not compute these inputs: ValueError: yyy/);
      expect(error!.message.length).toBeLessThan(1000);
    });

    test('gives a text where a number was promised', async () => {
      const runner = await start('faults');
      await runner.loaded;
      expect((await call(runner, 'text')).error).toMatchObject({
        code: 'run_failed',
        message: expect.stringContaining('the output prediction has str'),
      });
    });

    test('sees no setting and no key of the server', async () => {
      const runner = await start('faults');
      await runner.loaded;
      expect(value(await call(runner, 'environment'))).toBe(0);
    });

    test.each([
      ['socket', 'network'],
      ['read', 'files'],
      ['write', 'files'],
    ])('reaches out (%s): refused where the measure %s holds', async (what, measure) => {
      const runner = await start('faults');
      const { measures } = await runner.loaded;
      const { holds } = measures!.find(({ name }) => name === measure)!;
      const { error } = await call(runner, what);
      if (holds) expect(error?.message).toMatch(/PermissionError/);
      else if (process.platform === 'linux') console.warn(`the measure ${measure} does not hold on this system`);
    });
  });

  test('a version in Python is restarted after a crash, and calls that wait go on', async () => {
    const base = await pythonSpecOf('faults', folder);
    const supervisor = superviseRunner(
      { ...base, canBatch: false, warmUp: { inputs: [texts('what', 'other')], rows: 1 } },
      { log: silent, clock: systemClock },
    );
    try {
      const answers = await Promise.all(
        ['other', 'end', 'other', 'other'].map((what) => ask(supervisor, [texts('what', what)])),
      );
      expect(answers.map(({ error }) => error?.code ?? null)).toEqual([null, 'runner_crashed', null, null]);
    } finally {
      await supervisor.close();
    }
  });
}

function isRunning(pid: number): boolean {
  try {
    const state = /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return state !== 'Z';
  } catch {
    return false;
  }
}
