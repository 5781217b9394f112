import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { ask, floats, row, runnerSpec, scratch, silent, spec } from '../../../test/fixtures/runner-specs.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import {
  type RunnerSupervisor,
  type SupervisedSpec,
  type SupervisorDeps,
  type SupervisorStatus,
  superviseRunner,
} from './runner-supervisor.ts';

const folder = scratch();
const supervisors: RunnerSupervisor[] = [];

const supervised = (model: string, changes: Parameters<typeof runnerSpec>[2] = {}): SupervisedSpec => ({
  ...runnerSpec(model, folder, changes),
  warmUp: { inputs: row(0), rows: 1 },
});

function supervise(of: SupervisedSpec, deps: Partial<SupervisorDeps> = {}): RunnerSupervisor {
  const supervisor = superviseRunner(of, { log: silent, clock: systemClock, ...deps });
  supervisors.push(supervisor);
  return supervisor;
}

/** A clock that says what it is told, and a scheduler that waits for nothing but remembers for how long it was asked to. */
function testTime() {
  let nowMs = 0;
  const pauses: number[] = [];
  const clock: Clock = { now: () => new Date(Date.UTC(2026, 0, 1) + nowMs), monotonicMs: () => nowMs };
  const schedule: SupervisorDeps['schedule'] = (delayMs, work) => {
    pauses.push(delayMs);
    const timer = setImmediate(work);
    return () => clearImmediate(timer);
  };
  return { clock, schedule, pauses, pass: (ms: number) => (nowMs += ms) };
}

async function state(
  of: RunnerSupervisor,
  wanted: SupervisorStatus['state'],
  withinMs = 20_000,
): Promise<SupervisorStatus> {
  const endMs = performance.now() + withinMs;
  while (of.status().state !== wanted && performance.now() < endMs) await sleep(5);
  expect(of.status().state).toBe(wanted);
  return of.status();
}

function kill(supervisor: RunnerSupervisor, signal: NodeJS.Signals = 'SIGKILL'): void {
  process.kill(supervisor.pid!, signal);
}

afterEach(async () => {
  await Promise.all(supervisors.splice(0).map((supervisor) => supervisor.close()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a version is ready only after it answered a real inference, and says what it is doing until then', async () => {
  const states: string[] = [];
  const supervisor = supervise(supervised('add.onnx'), { onChange: (status) => states.push(status.state) });
  expect(supervisor.status()).toMatchObject({ state: 'loading', reason: 'The model is being loaded.', restarts: 0 });
  const early = ask(supervisor, row(1)); // waits for the process
  const status = await state(supervisor, 'ready');
  expect(states).toEqual(['warming', 'ready']);
  expect(status).toMatchObject({ reason: null, restarts: 0, waiting: 0 });
  if (process.platform === 'linux') expect(status.memoryBytes).toBeGreaterThan(10_000_000);
  expect((await early).outputs).toEqual([floats('Y', [1, 3], 2, 2, 2)]);
});

test('kill -9 twenty times under load: only calls in the run fail, with 503 and a time to retry, and the other version feels nothing', {
  timeout: 120_000,
}, async () => {
  const time = testTime();
  const victim = supervise(supervised('add.onnx'), { clock: time.clock, schedule: time.schedule });
  const other = supervise(supervised('add-two.onnx'));
  await Promise.all([state(victim, 'ready'), state(other, 'ready')]);
  const answered = { victim: 0, other: 0 };
  const failed: { victim: string[]; other: string[] } = { victim: [], other: [] };
  let stop = false;
  const caller = async (to: 'victim' | 'other', lane: number): Promise<void> => {
    const supervisor = to === 'victim' ? victim : other;
    for (let i = lane; !stop; i++) {
      const { error, outputs } = await ask(supervisor, row(i));
      if (error === null) {
        // The answer is this call's own.
        expect((outputs![0]!.data as Float32Array)[0]).toBe(Math.fround(i + (to === 'victim' ? 1 : 2)));
        answered[to]++;
      } else {
        expect(error.retryAfterS).toBeGreaterThan(0);
        failed[to].push(error.code);
      }
      if (i % 50 === 0) await sleep(1);
    }
  };
  const callers = [0, 1, 2, 3].flatMap((lane) => [caller('victim', lane), caller('other', lane)]);
  const back: number[] = [];
  for (let i = 0; i < 20; i++) {
    await sleep(20 + ((i * 37) % 60));
    const before = victim.status().restarts;
    time.pass(61_000); // these crashes are an hour's, not a minute's
    kill(victim);
    const fromMs = performance.now();
    while (victim.status().restarts === before || victim.status().state !== 'ready') await sleep(2);
    back.push(performance.now() - fromMs);
  }
  stop = true;
  await Promise.all(callers);
  expect(victim.status()).toMatchObject({ state: 'ready', restarts: 20 });
  expect(other.status().restarts).toBe(0);
  expect(failed.other).toEqual([]);
  expect(new Set(failed.victim)).toEqual(failed.victim.length === 0 ? new Set() : new Set(['runner_crashed']));
  expect(failed.victim.length).toBeLessThanOrEqual(20 * 4); // at most what was in the runs
  expect(answered.victim).toBeGreaterThan(100);
  expect(answered.other).toBeGreaterThan(answered.victim / 2);
  expect(Math.max(...back)).toBeLessThan(10_000); // a machine of the tests may be busy; bench/runner.ts measures it
});

test('five crashes in a minute quarantine the version, and everything that waits is told', async () => {
  const time = testTime();
  const supervisor = supervise(supervised('add.onnx'), { clock: time.clock, schedule: time.schedule });
  for (let crash = 1; crash <= 4; crash++) {
    await state(supervisor, 'ready');
    time.pass(10_000);
    kill(supervisor, 'SIGABRT');
    const { reason } = await state(supervisor, 'restarting');
    expect(reason).toMatch(
      /^The runner ended by signal SIGABRT while (serving|computing its first answer); it is started again\.$/,
    );
  }
  await state(supervisor, 'ready');
  kill(supervisor, 'SIGABRT');
  const { reason, restarts } = await state(supervisor, 'quarantined');
  expect(reason).toMatch(/^The runner ended 5 times in 60 s; the last time it ended by signal SIGABRT/);
  expect(restarts).toBe(4);
  expect((await ask(supervisor, row(1))).error).toMatchObject({ code: 'version_quarantined', message: reason });
});

test('crashes that lie further apart quarantine nothing', async () => {
  const time = testTime();
  const supervisor = supervise(supervised('add.onnx'), { clock: time.clock, schedule: time.schedule });
  for (let crash = 1; crash <= 6; crash++) {
    await state(supervisor, 'ready');
    time.pass(15_001); // never five of them within 60 s
    kill(supervisor);
    await state(supervisor, 'restarting');
  }
  await state(supervisor, 'ready');
  expect(supervisor.status().restarts).toBe(6);
  expect(time.pauses).toEqual([0, 0, 0, 0, 0, 0]);
});

test('a model that never comes up is tried five times, ever more slowly', async () => {
  const time = testTime();
  const supervisor = supervise(supervised('add.onnx', { limits: { loadTimeoutMs: 1 } }), {
    clock: time.clock,
    schedule: time.schedule,
  });
  while (supervisor.status().state !== 'quarantined') {
    time.pass(70_000 / 1000); // its crashes are far apart as well
    await sleep(5);
  }
  expect(supervisor.status().reason).toMatch(
    /^The runner ended 5 times in (60 s|a row); the last time it was killed after 1 ms of starting\.$/,
  );
  expect(time.pauses).toEqual([0, 100, 200, 400]);
});

test('deadlines are kept while no process serves, and looked at here only then', async () => {
  const set = vi.spyOn(globalThis, 'setInterval');
  const cleared = vi.spyOn(globalThis, 'clearInterval');
  const ticking = (): number => {
    const over = new Set(cleared.mock.calls.map(([timer]) => timer));
    return set.mock.results.filter(({ value }) => !over.has(value)).length;
  };
  let startNext = (): void => {};
  const supervisor = supervise(supervised('add.onnx'), {
    schedule: (_delayMs, work) => {
      startNext = work;
      return () => {};
    },
  });
  expect(ticking()).toBe(1);
  expect((await ask(supervisor, row(1), 1, 1)).error).toMatchObject({ code: 'deadline_exceeded' });
  await state(supervisor, 'ready');
  expect(ticking()).toBe(0);
  kill(supervisor);
  await state(supervisor, 'restarting');
  expect(ticking()).toBe(1);
  expect((await ask(supervisor, row(1), 1, 30)).error).toMatchObject({ code: 'deadline_exceeded' });
  startNext();
  await state(supervisor, 'ready');
  expect(ticking()).toBe(0);
  await supervisor.close();
  expect(ticking()).toBe(0);
  vi.restoreAllMocks();
});

test('a run over its limit fails its own calls; what waited goes on in the next process', async () => {
  const supervisor = supervise(supervised('loop-some.onnx', { canBatch: false, limits: { runTimeoutMs: 500 } }));
  await state(supervisor, 'ready');
  const endless = ask(supervisor, row(1000));
  await sleep(30);
  const waiting = Array.from({ length: 30 }, (_, i) => ask(supervisor, row(i)));
  const short = ask(supervisor, row(1), 1, 100);
  expect((await endless).error).toMatchObject({ code: 'run_timeout' });
  expect((await short).error).toMatchObject({ code: 'deadline_exceeded' });
  for (const answer of await Promise.all(waiting)) expect(answer.error).toBeNull();
  expect(supervisor.status()).toMatchObject({ state: 'ready', restarts: 1 });
});

test('a sample request that the model cannot answer leaves the version not ready, with the reason', async () => {
  const time = testTime();
  const of: SupervisedSpec = {
    ...supervised('poison.onnx', {
      signature: { inputs: [spec('idx', 'INT64', -1)], outputs: [spec('Y', 'FP32', -1)] },
    }),
    warmUp: { inputs: [{ name: 'idx', datatype: 'INT64', shape: [1], data: BigInt64Array.of(99n) }], rows: 1 },
  };
  const supervisor = supervise(of, { clock: time.clock, schedule: time.schedule });
  const { reason } = await state(supervisor, 'quarantined');
  expect(reason).toMatch(/the last time it does not answer its sample request: .*idx=99/);
});

test('altered bytes are not tried again', async () => {
  const of = supervised('add.onnx');
  const files = of.files.map((file) => ({ ...file, digest: `sha256:${'0'.repeat(64)}` }));
  const supervisor = supervise({ ...of, files });
  const waiting = ask(supervisor, row(1));
  const { reason, restarts } = await state(supervisor, 'failed');
  expect(reason).toBe('The model did not load: The file add.onnx of the artifact was altered.');
  expect(restarts).toBe(0);
  expect((await waiting).error).toMatchObject({ code: 'not_ready' });
});

test('closing answers what was taken and refuses what comes after', async () => {
  const supervisor = supervise(supervised('add.onnx'));
  await state(supervisor, 'ready');
  const taken = Array.from({ length: 300 }, (_, i) => ask(supervisor, row(i)));
  const closed = supervisor.close();
  expect((await ask(supervisor, row(1))).error).toMatchObject({ code: 'shutting_down' });
  await closed;
  for (const answer of await Promise.all(taken)) expect(answer.error).toBeNull();
  expect(supervisor.status().state).toBe('draining');
  expect(supervisor.pid).toBeUndefined();
});

test('closing while a process starts, or between two, ends it as well', async () => {
  const starting = supervise(supervised('loop-load.onnx'));
  await sleep(100);
  await starting.close();
  expect(starting.pid).toBeUndefined();
  const between = supervise(supervised('add.onnx'), { schedule: () => () => {} });
  await state(between, 'ready');
  kill(between);
  await state(between, 'restarting');
  const waiting = ask(between, row(1));
  await between.close();
  expect((await waiting).error).toMatchObject({ code: 'shutting_down' });
});
