/** Both real ends of the line between control and a gateway, over a real socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SlipwayError } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import { openControlLink } from '../gateway/control-link.ts';
import { createLineReader } from './control-line.ts';
import { CONTROL_SOCKET, type ControlSocket, listenControlSocket } from './control-socket.ts';
import type { DesiredState } from './desired-state.ts';

const log = createLogger('test', 'error', { write: () => undefined });
const before = process.cwd();
let folder: string;
let socket: ControlSocket;
const closers: (() => void)[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-socket-'));
  process.chdir(folder); // the socket's name is relative
  socket = await listenControlSocket({ log });
});
afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await socket.close();
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

const state = (generation: number, bulk = 0): DesiredState => ({
  schema: 1,
  generation,
  endpoints: [],
  versions: [],
  keys: Array.from({ length: bulk }, (_, i) => ({
    id: `k${i}`,
    project: null,
    secretSha256: 'a'.repeat(64),
    scopes: ['read'],
    expiresAt: null,
  })),
});

function gateway(instance: string) {
  const taken: DesiredState[] = [];
  const link = openControlLink({
    instance,
    httpUrl: 'http://127.0.0.1:1',
    log,
    generation: () => taken.at(-1)?.generation ?? 0,
    observe: () => ({
      instance,
      httpUrl: 'http://127.0.0.1:1',
      grpcAddress: null,
      generation: taken.at(-1)?.generation ?? 0,
      observedAt: new Date().toISOString(),
      versions: [],
      endpoints: [],
    }),
    metricsText: () => '',
    onState: (next) => taken.push(next),
  });
  closers.push(() => link.close());
  return { taken, link };
}

test('a gateway gets the state when it connects and each later one, and is heard', async () => {
  socket.publish(state(1));
  const { taken, link } = gateway('g1');
  await vi.waitFor(() => expect(taken.map((one) => one.generation)).toEqual([1]));
  socket.publish(state(2));
  await vi.waitFor(() => expect(taken.map((one) => one.generation)).toEqual([1, 2]));
  link.observedChanged();
  await vi.waitFor(() => expect(socket.gateways()[0]?.observed).toMatchObject({ instance: 'g1', generation: 2 }));
});

test('a large state arrives once and whole, and the newest wins over those it had no time for', async () => {
  const { taken } = gateway('g1');
  await vi.waitFor(() => expect(socket.gateways().length).toBe(1));
  for (let generation = 1; generation <= 5; generation++) socket.publish(state(generation, 40_000));
  await vi.waitFor(() => expect(taken.at(-1)?.generation).toBe(5), 10_000);
  const seen = taken.map((one) => one.generation);
  expect(new Set(seen).size).toBe(seen.length);
  expect(taken.at(-1)?.keys.length).toBe(40_000);
});

test('a gateway finds control again after it was away, and gets the state of the new one', async () => {
  socket.publish(state(1));
  const { taken } = gateway('g1');
  await vi.waitFor(() => expect(taken.length).toBe(1));
  await socket.close();
  socket = await listenControlSocket({ log });
  socket.publish(state(7));
  await vi.waitFor(() => expect(taken.at(-1)?.generation).toBe(7), 10_000);
});

test('one who sends what is no message is cut off, the others are not', async () => {
  socket.publish(state(1));
  const { taken } = gateway('g1');
  await vi.waitFor(() => expect(taken.length).toBe(1));
  const rude = connect(CONTROL_SOCKET);
  closers.push(() => rude.destroy());
  rude.on('error', () => {});
  const cut = new Promise((done) => rude.once('close', done));
  rude.write('not json\n');
  await cut;
  socket.publish(state(2));
  await vi.waitFor(() => expect(taken.at(-1)?.generation).toBe(2));
});

test('control learns how far a gateway is when it connects', async () => {
  const seen: number[] = [];
  socket.onHello((generation) => seen.push(generation));
  socket.publish(state(3));
  const { taken } = gateway('g1');
  await vi.waitFor(() => expect(taken.length).toBe(1));
  expect(seen).toEqual([0]);
});

const asked = { key: 'k', project: 'default', endpoint: 'churn', change: { loaded: false }, requestId: 'r' };

test('a change asked for in a caller’s name is made by control, whose refusal comes back whole', async () => {
  const seen: unknown[] = [];
  const { link } = gateway('g1');
  await vi.waitFor(() => expect(socket.gateways().length).toBe(1));
  await expect(link.change(asked)).rejects.toMatchObject({ code: 'not_ready', message: 'Control is starting' });
  socket.onChange(async (change) => {
    seen.push(change);
    if (seen.length === 1) return;
    throw new SlipwayError('endpoint_not_found', 'There is no endpoint churn', {
      hint: 'Look.',
      fields: [{ pointer: '/a', message: 'b' }],
    });
  });
  await link.change(asked);
  expect(seen).toEqual([asked]);
  await expect(link.change(asked)).rejects.toMatchObject({
    code: 'endpoint_not_found',
    hint: 'Look.',
    fields: [{ pointer: '/a', message: 'b' }],
  });
});

test('what goes wrong inside is told without its details', async () => {
  socket.onChange(() => Promise.reject(new Error('secret path')));
  const { link } = gateway('g1');
  await vi.waitFor(() => expect(socket.gateways().length).toBe(1));
  const error = await link.change(asked).catch((thrown: SlipwayError) => thrown);
  expect(error).toMatchObject({ code: 'internal' });
  expect(JSON.stringify(error)).not.toContain('secret path');
});

test('changes end with a plain refusal when control goes away, and before it came', async () => {
  socket.onChange(() => new Promise(() => {}));
  const { link } = gateway('g1');
  await expect(link.change(asked)).rejects.toMatchObject({
    code: 'not_ready',
    message: expect.stringContaining('not running'),
  });
  await vi.waitFor(() => expect(socket.gateways().length).toBe(1));
  const waiting = expect(link.change(asked)).rejects.toMatchObject({ code: 'not_ready', retryAfterS: 1 });
  await socket.close();
  await waiting;
  socket = await listenControlSocket({ log });
});

test('lines are put together from any chunks', () => {
  const seen: object[] = [];
  const faults: string[] = [];
  const read = createLineReader(
    (message) => seen.push(message),
    (fault) => faults.push(fault),
  );
  const bytes = Buffer.from('{"a":"é"}\n{"b":2}\n{"c"');
  for (const byte of bytes) read(Buffer.from([byte]));
  read(Buffer.from(':3}\n{"d":4}\n'));
  expect(seen).toEqual([{ a: 'é' }, { b: 2 }, { c: 3 }, { d: 4 }]);
  read(Buffer.from('null\n'));
  expect(faults).toEqual(['a line is not an object']);
});

test('messages of further kinds go both ways, and one that cannot be taken ends nothing', async () => {
  const heard: unknown[] = [];
  socket.onMessage('evidence', (message, { instance }) => {
    if ((message as { seq: number }).seq === 1) throw new Error('of a test');
    heard.push([instance, message]);
  });
  expect(() => socket.onMessage('evidence', () => {})).toThrow(/taken already/);
  const told: unknown[] = [];
  let connections = 0;
  const link = openControlLink({
    instance: 'g1',
    httpUrl: 'http://127.0.0.1:1',
    log,
    generation: () => 0,
    observe: () => ({ instance: 'g1' }) as never,
    metricsText: () => '',
    onState: () => {},
    kinds: { 'shadow-off': (message) => told.push(message) },
    onConnected: () => connections++,
  });
  closers.push(() => link.close());
  expect(link.send({ type: 'evidence' })).toBe(false); // not connected yet: the sender is told
  await vi.waitFor(() => expect(socket.gateways()).toHaveLength(1));
  expect(connections).toBe(1);
  for (const seq of [1, 2]) expect(link.send({ type: 'evidence', seq })).toBe(true);
  link.send({ type: 'unheard-of' });
  await vi.waitFor(() => expect(heard).toEqual([['g1', { type: 'evidence', seq: 2 }]]));
  expect(socket.gateways()[0]!.send({ type: 'shadow-off' })).toBe(true);
  socket.gateways()[0]!.send({ type: 'constructor' });
  await vi.waitFor(() => expect(told).toEqual([{ type: 'shadow-off' }]));
  expect(socket.gateways()).toHaveLength(1);
});
