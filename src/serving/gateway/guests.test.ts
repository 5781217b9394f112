/** Two gateways' ends of the line between them, over a real socket, with real runners behind the owner. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  add,
  makeDataDir,
  makeState,
  type StateChoice,
  tensor,
  type VersionChoice,
} from '../../../test/fixtures/gateway.ts';
import { type Answer, ask, floats, ROWS_OF_3, row, silent } from '../../../test/fixtures/runner-specs.ts';
import { type KeyLimits, NO_LIMITS } from '../../base/access/key-limits.ts';
import { systemClock as clock } from '../../base/clock.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';
import { createFrameReader } from '../runner/frame-reader.ts';
import { FrameWriter } from '../runner/frame-writer.ts';
import { FRAME, frameTensors } from '../runner/frames.ts';
import { superviseRemote } from '../runner/remote-supervisor.ts';
import type { Flow } from '../runner/runner.ts';
import type { RunnerSupervisor } from '../runner/runner-supervisor.ts';
import type { Account } from './account.ts';
import { type Admission, createAdmission } from './admission.ts';
import { type GuestListener, listenForGuests } from './guest-listener.ts';
import { EXCHANGE_MS } from './quota-exchange.ts';
import { openQuotaLink } from './quota-link.ts';
import { identityOf, versionKey } from './served-version.ts';
import { createServingState, type ServingState } from './serving-state.ts';

const slow: VersionChoice = {
  model: 'slow',
  file: 'slow.onnx',
  signature: {
    inputs: [tensor('X', 'FP32', -1, 1), tensor('rounds', 'INT64', -1, 1)],
    outputs: [tensor('Y', 'FP32', -1, 1)],
  },
  sampleRequest: { records: [{ X: 1, rounds: 1 }] },
};
const slowRow = (rounds: number) => [
  floats('X', [1, 1], 1),
  { name: 'rounds', datatype: 'INT64' as const, shape: [1, 1], data: BigInt64Array.of(BigInt(rounds)) },
];
/** Some tenths of a second. */
const LONG = 120_000;
/** Long enough for others to be there when it ends. */
const SHORT = 4_000;

vi.setConfig({ testTimeout: 60_000 });

let folder: string;
let dataDir: string;
let socketPath: string;
let state: ServingState;
let listener: GuestListener | null;
let guests: RunnerSupervisor[];
let admission: Admission;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-guests-'));
  socketPath = join(folder, 'owner.sock');
  dataDir = makeDataDir();
  guests = [];
  listener = null;
  admission = createAdmission({ anonymousRate: 0, anonymousConcurrency: 0 });
});
afterEach(async () => {
  await Promise.all(guests.map((guest) => guest.close()));
  await listener?.stop(0);
  await state?.close();
  for (const one of [folder, dataDir]) rmSync(one, { recursive: true, force: true, maxRetries: 5 });
});

function makeOwner(): ServingState {
  const scratchDir = join(dataDir, 'run/runners');
  const onObservable = (): void => listener?.changed();
  return createServingState({ dataDir, scratchDir, retryAfterS: 1, inline: true, log: silent, clock, onObservable });
}

const listen = () => listenForGuests({ socketPath, state, admission, log: silent });

async function own(choice: StateChoice): Promise<void> {
  state = makeOwner();
  listener = await listen();
  state.apply(makeState(dataDir, choice));
}

/** A guest's view of one version, by the state that the guest has. */
function joinOwner(choice: StateChoice, index = 0): RunnerSupervisor {
  const spec = makeState(dataDir, choice).versions[index]!;
  const guest = superviseRemote(
    {
      version: versionKey(spec),
      identity: identityOf(spec),
      signature: spec.signature,
      limits: spec.limits,
      socketPath,
    },
    { log: silent, clock, retryAfterS: 3 },
  );
  guests.push(guest);
  return guest;
}

async function until(of: RunnerSupervisor, wanted: string, withinMs = 20_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (of.status().state !== wanted && performance.now() < endMs) await sleep(5);
  expect(of.status()).toMatchObject({ state: wanted });
}

const key = (id: string, limits: Partial<KeyLimits> = {}): DesiredKey => ({
  id,
  project: null,
  secretSha256: '',
  scopes: ['predict'],
  expiresAt: null,
  limits: { ...NO_LIMITS, ...limits },
});

const choice: StateChoice = { versions: [add()] };
const ownVersion = (name: string): RunnerSupervisor => state.find('default', name)!.desired!.supervisor!;

test('a guest answers with what the owner computes, and its state is the one that the owner sees', async () => {
  await own(choice);
  const guest = joinOwner(choice);
  const early = ask(guest, row(7)); // waits for the runner, at the owner
  await until(guest, 'ready');
  expect((await early).outputs).toEqual([floats('Y', [1, 3], 8, 8, 8)]);
  const many = await Promise.all(Array.from({ length: 500 }, (_, i) => ask(guest, row(i))));
  for (const [i, answer] of many.entries()) expect(answer.outputs).toEqual([floats('Y', [1, 3], i + 1, i + 1, i + 1)]);
  expect(guest.status()).toMatchObject({ state: 'ready', reason: null, waiting: 0 });
  expect(guest.status().memoryBytes).toBeGreaterThan(10_000_000);
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
});

test('calls of owner and guest share runs, and each has the timings of its run', async () => {
  const serving: StateChoice = { versions: [slow] };
  await own(serving);
  const guest = joinOwner(serving);
  await until(guest, 'ready');
  // How many rows fit into a run is bounded by time, and when they arrive is the machine's: so it is tried until a run has more rows than either
  // side sent.
  let most = 0;
  for (let round = 0; round < 50 && most < 9; round++) {
    const blocking = [ask(guest, slowRow(SHORT)), ask(ownVersion('slow'), slowRow(SHORT))];
    await sleep(5);
    const answers = await Promise.all([
      ...Array.from({ length: 8 }, () => ask(guest, slowRow(1))),
      ...Array.from({ length: 8 }, () => ask(ownVersion('slow'), slowRow(1))),
    ]);
    await Promise.all(blocking);
    for (const { error, timings } of answers) {
      expect(error).toBeNull();
      expect(timings.runMs).toBeGreaterThan(0);
      expect(timings.queueMs).toBeGreaterThanOrEqual(0);
      most = Math.max(most, timings.batchRows);
    }
  }
  expect(most).toBeGreaterThanOrEqual(9);
});

test("errors cross with code, message, hint and time to retry; one guest's poison row fails alone", async () => {
  const poison: VersionChoice = {
    model: 'poison',
    file: 'poison.onnx',
    signature: { inputs: [tensor('idx', 'INT64', -1)], outputs: [tensor('Y', 'FP32', -1)] },
    sampleRequest: { inputs: { idx: [0] } },
    limits: { queueLimit: 40 },
  };
  const serving: StateChoice = { versions: [poison] };
  await own(serving);
  const guest = joinOwner(serving);
  await until(guest, 'ready');
  const call = (to: RunnerSupervisor, value: bigint): Promise<Answer> =>
    ask(to, [{ name: 'idx', datatype: 'INT64', shape: [1], data: BigInt64Array.of(value) }]);
  const here = await call(ownVersion('poison'), 99n);
  const [there, ...others] = await Promise.all([
    call(guest, 99n),
    ...Array.from({ length: 20 }, () => call(guest, 0n)),
  ]);
  expect(here.error!.code).toBe('run_failed');
  expect([there!.error!.code, there!.error!.message]).toEqual([here.error!.code, here.error!.message]);
  for (const answer of others) expect(answer.error).toBeNull();
  // More than may wait: refused by the owner, with its words.
  const flood = await Promise.all(Array.from({ length: 400 }, () => call(guest, 0n)));
  const refused = flood.filter(({ error }) => error !== null);
  expect(refused.length).toBeGreaterThan(0);
  for (const { error } of refused) {
    expect(error).toMatchObject({ code: 'queue_full', kind: 'overloaded' });
    expect(error!.retryAfterS).toBeGreaterThan(0);
    expect(error!.hint).toMatch(/^Retry later/);
  }
});

test('a call that is cancelled at the guest is never started, and one whose deadline passes says so', async () => {
  const serving: StateChoice = { versions: [{ ...slow, canBatch: false }] };
  await own(serving);
  const guest = joinOwner(serving);
  await until(guest, 'ready');
  const busy = [ask(guest, slowRow(LONG)), ask(guest, slowRow(LONG)), ask(guest, slowRow(LONG))];
  await sleep(50);
  let answered = 0;
  const handles = Array.from({ length: 30 }, () =>
    guest.infer(slowRow(LONG), 1, { timeoutMs: 60_000 }, () => answered++),
  );
  const late = ask(guest, slowRow(1), 1, 100);
  await sleep(50);
  expect(ownVersion('slow').status().waiting).toBeGreaterThan(25);
  for (const handle of handles) handle.cancel();
  await sleep(50);
  expect(ownVersion('slow').status().waiting).toBeLessThan(5);
  expect((await late).error).toMatchObject({ code: 'deadline_exceeded' });
  await Promise.all(busy);
  expect(answered).toBe(0);
});

test('keys and priorities cross: the order of the queue is the one that they give', async () => {
  const serving: StateChoice = { versions: [{ ...slow, canBatch: false }] };
  await own(serving);
  const guest = joinOwner(serving);
  await until(guest, 'ready');
  admission.replaceKeys([key('k1')]);
  const busy = [ask(guest, slowRow(LONG)), ask(guest, slowRow(LONG)), ask(guest, slowRow(LONG))];
  await sleep(50);
  const order: string[] = [];
  const put = (name: string, priority: 'high' | 'low', flow?: Flow): Promise<void> =>
    new Promise((resolve) => {
      guest.infer(slowRow(5_000), 1, { timeoutMs: 60_000, priority, flow }, () => {
        order.push(name);
        resolve();
      });
    });
  const mine: Flow = { id: 'k1', weight: 1 };
  const low = Array.from({ length: 10 }, () => put('low', 'low', mine));
  const high = Array.from({ length: 5 }, () => put('high', 'high', mine));
  await Promise.all([...busy, ...low, ...high]);
  expect(order.slice(0, 6).filter((name) => name === 'high').length).toBeGreaterThanOrEqual(4);
});

test('a version that the owner does not have, or has with another identity, waits and never answers', async () => {
  await own(choice);
  const other = joinOwner({ versions: [add({ file: 'add-two.onnx', model: 'add' })] });
  const late = await ask(other, row(1), 1, 300);
  expect(late.error).toMatchObject({ code: 'deadline_exceeded' });
  expect(other.status()).toMatchObject({ state: 'loading', waiting: 0 });
  expect(other.status().reason).toMatch(/does not have this version yet/);
  // The owner takes over the state that the guest has already.
  const waits = ask(other, row(1));
  state.apply(makeState(dataDir, { generation: 2, versions: [add({ file: 'add-two.onnx', model: 'add' })] }));
  expect((await waits).outputs).toEqual([floats('Y', [1, 3], 3, 3, 3)]);
});

test('a version that the owner would end goes on while a guest has it, and ends when the guest lets go', async () => {
  await own(choice);
  const guest = joinOwner(choice);
  await until(guest, 'ready');
  state.apply(makeState(dataDir, { generation: 2, versions: [add({ file: 'add-two.onnx', model: 'add' })] }));
  while (
    state.find('default', 'add')!.serving?.supervisor !== ownVersion('add') ||
    ownVersion('add').status().state !== 'ready'
  )
    await sleep(10);
  expect((await ask(guest, row(1))).outputs).toEqual([floats('Y', [1, 3], 2, 2, 2)]);
  expect((await ask(ownVersion('add'), row(1))).outputs).toEqual([floats('Y', [1, 3], 3, 3, 3)]);
  expect(state.observe().versions).toHaveLength(1); // by one name: the one that is asked for
  await guest.close();
  expect((await ask(guest, row(1))).error).toMatchObject({ code: 'shutting_down' });
});

test('while the owner is away calls wait, bounded; those that it had go on at its successor', async () => {
  const serving: StateChoice = { versions: [{ ...slow, canBatch: false, limits: { queueLimit: 50 } }] };
  await own(serving);
  const guest = joinOwner(serving);
  await until(guest, 'ready');
  const under = Array.from({ length: 5 }, () => ask(guest, slowRow(LONG)));
  await sleep(50);
  // The owner ends without a word.
  await listener!.stop(0);
  await until(guest, 'restarting');
  expect(guest.status().reason).toMatch(/started again/);
  const waiting = Array.from({ length: 100 }, () => ask(guest, slowRow(1)));
  const late = await ask(guest, slowRow(1), 1, 1).catch(() => null);
  expect(late!.error!.code).toMatch(/queue_full|deadline_exceeded/);
  await state.close();
  state = makeOwner();
  listener = await listen();
  state.apply(makeState(dataDir, serving));
  await until(guest, 'ready');
  const answers = await Promise.all(waiting);
  expect(answers.filter(({ error }) => error === null).length).toBeGreaterThanOrEqual(45);
  for (const { error } of answers) if (error !== null) expect(error.code).toBe('queue_full');
  for (const answer of await Promise.all(under)) expect(answer.error).toBeNull();
});

test('calls that lose two owners get one clear 503 with a time to retry', async () => {
  const sockets = new Set<Socket>();
  const taken: number[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    const writer = new FrameWriter();
    const reader = createFrameReader((kind) => {
      if (kind === FRAME.join) {
        writer.json(FRAME.status, 0, {
          joined: true,
          state: 'ready',
          reason: null,
          since: new Date().toISOString(),
          restarts: 0,
          memoryBytes: null,
          openLimit: null,
        });
        socket.write(writer.written());
        writer.clear();
      } else taken.push(kind);
    });
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      if (taken.length > 0) socket.destroy(taken.splice(0) && undefined);
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  state = makeOwner();
  const guest = joinOwner(choice);
  const { error, outputs } = await ask(guest, row(1));
  expect(outputs).toBeNull();
  expect(error).toMatchObject({ code: 'runner_crashed', kind: 'unavailable', retryAfterS: 3 });
  for (const socket of sockets) socket.destroy();
  server.close();
});

test('a guest that ends takes its calls with it', async () => {
  const serving: StateChoice = { versions: [{ ...slow, canBatch: false }] };
  await own(serving);
  await until(ownVersion('slow'), 'ready');
  const spec = makeState(dataDir, serving).versions[0]!;
  const socket = connect(socketPath);
  await new Promise((resolve) => socket.once('connect', resolve));
  const writer = new FrameWriter();
  writer.json(FRAME.join, 0, { version: versionKey(spec), identity: identityOf(spec) });
  const specs = frameTensors(spec.signature.inputs);
  for (let id = 1; id <= 40; id++) writer.infer(id, 1, Number.MAX_SAFE_INTEGER, slowRow(LONG), specs);
  socket.write(writer.written());
  while (ownVersion('slow').status().waiting < 30) await sleep(5);
  socket.destroy();
  await sleep(100);
  expect(ownVersion('slow').status().waiting).toBe(0);
});

test('noise, and frames that break a rule, end that connection and nothing else', async () => {
  await own(choice);
  const guest = joinOwner(choice);
  await until(guest, 'ready');
  const spec = makeState(dataDir, choice).versions[0]!;
  const specs = frameTensors(ROWS_OF_3.inputs);
  const join: (writer: FrameWriter) => void = (writer) =>
    writer.json(FRAME.join, 0, { version: versionKey(spec), identity: identityOf(spec) });
  const lies: ((writer: FrameWriter) => void)[] = [
    (writer) => writer.infer(1, 1, 1e12, row(1), specs),
    (writer) => {
      join(writer);
      join(writer);
    },
    (writer) => writer.json(FRAME.join, 0, { version: 7 }),
    (writer) => writer.json(FRAME.flow, 0, { key: {}, priority: null }),
    (writer) => writer.json(FRAME.flow, 0, { key: null, priority: 'urgent' }),
    (writer) => writer.bare(FRAME.ready, 0),
    (writer) => {
      join(writer);
      for (let i = 0; i < 2; i++) writer.infer(1, 1, 1e12, row(1), specs);
    },
    (writer) => {
      join(writer);
      writer.infer(1, 1, Number.NaN, row(1), specs);
    },
    (writer) => {
      join(writer);
      writer.infer(1, 1, 1e12, [], []);
    },
  ];
  for (const lie of lies) {
    const socket = connect(socketPath);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    const writer = new FrameWriter();
    lie(writer);
    socket.resume().write(writer.written());
    await closed;
  }
  const whole = new FrameWriter();
  join(whole);
  whole.json(FRAME.flow, 0, { key: 'k', priority: 'high' });
  whole.infer(1, 1, 1e12, row(1), specs);
  const good = whole.written();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      async (changes) => {
        const damaged = Buffer.from(good);
        for (const [at, byte] of changes) damaged[at] = byte;
        const socket = connect(socketPath);
        socket.on('error', () => {});
        socket.resume().end(damaged);
        await new Promise<void>((resolve) => socket.once('close', () => resolve()));
      },
    ),
    { numRuns: 100 },
  );
  expect((await ask(guest, row(1))).outputs).toEqual([floats('Y', [1, 3], 2, 2, 2)]);
  expect(ownVersion('add').status()).toMatchObject({ state: 'ready', restarts: 0 });
});

describe('quotas', () => {
  /** The gateways of one machine, the owner first, each with accounts of its own. */
  async function machine(gateways: number, limits: Partial<KeyLimits>) {
    const all = Array.from({ length: gateways }, () => createAdmission({ anonymousRate: 0, anonymousConcurrency: 0 }));
    for (const one of all) one.replaceKeys([key('k', limits)]);
    admission = all[0]!;
    await own({ versions: [] });
    const links = all.slice(1).map((one) => openQuotaLink({ socketPath, admission: one, log: silent }));
    const accounts = all.map((one) => one.accountOfKey('k')!);
    await sleep(100);
    return { accounts, close: () => links.forEach((link) => void link.close()) };
  }
  const told = (): Promise<void> => sleep(EXCHANGE_MS * 6);
  const admits = (account: Account): boolean => {
    try {
      account.admit(performance.now());
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'rate_limited' });
      return false;
    }
  };

  test("a key's rate holds for all gateways together", async () => {
    const { accounts, close } = await machine(3, { rate: 50, burst: 10 });
    let admitted = 0;
    const startedMs = performance.now();
    while (performance.now() - startedMs < 3000) {
      for (const account of accounts) if (admits(account)) admitted++;
      await sleep(5);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    close();
    // The rate, the burst, and once what the others had not heard of.
    expect(admitted).toBeLessThanOrEqual(50 * seconds + 3 * 10 + 3);
    expect(admitted).toBeGreaterThan(50 * seconds * 0.8);
    // Nobody gave each the whole rate.
    expect(admitted).toBeLessThan(2 * 50 * seconds);
  });

  test('calls under way at one gateway count at the others, and no longer when it is gone', async () => {
    const { accounts, close } = await machine(3, { concurrency: 4 });
    const [owner, one, other] = accounts as [Account, Account, Account];
    owner.begin();
    one.begin();
    one.begin();
    await told();
    expect([owner.elsewhere, one.elsewhere, other.elsewhere]).toEqual([2, 1, 3]);
    expect(other.headers(performance.now())![3]).toBe('"concurrency";r=1');
    other.begin();
    await told();
    for (const account of accounts) expect(() => account.begin()).toThrow(/under way/);
    one.end();
    await told();
    owner.begin();
    await told();
    expect(() => other.begin()).toThrow(/under way/);
    // The guests end: what they had does not count for ever.
    close();
    await told();
    expect(owner.elsewhere).toBe(0);
    owner.begin();
  });

  test('while the owner is away each gateway holds its own, and what is under way is told to the successor', async () => {
    const { accounts, close } = await machine(2, { concurrency: 2 });
    const [, guest] = accounts as [Account, Account];
    guest.begin();
    await listener!.stop(0);
    await sleep(50);
    expect(guest.elsewhere).toBe(0);
    admission = createAdmission({ anonymousRate: 0, anonymousConcurrency: 0 });
    admission.replaceKeys([key('k', { concurrency: 2 })]);
    listener = await listen();
    await sleep(400);
    expect(admission.accountOfKey('k')!.elsewhere).toBe(1);
    close();
  });
});
