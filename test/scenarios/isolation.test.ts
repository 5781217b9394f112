/**
 * Made from the whole route table, so that no route can be forgotten: who may call it (S-02), and whether another project's things
 * answer exactly like absent ones (S-01).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VERBS, type Verb } from '../../src/base/access/permission.ts';
import { systemClock as clock } from '../../src/base/clock.ts';
import { openSqlite } from '../../src/base/db/database.ts';
import { createLogger } from '../../src/base/log.ts';
import { readSettings } from '../../src/base/settings.ts';
import { composeControl } from '../../src/control-rooms.ts';
import type { DesiredStatePublisher } from '../../src/serving/endpoints/desired-state-publisher.ts';
import { findLeaks, findPermissionFaults } from '../fixtures/route-matrix.ts';
import { sendFile } from '../fixtures/send-file.ts';
import { eventually, MODELS, pause } from './running-server.ts';

/** No gateway is connected: what is published reaches nobody. */
const publisher: DesiredStatePublisher = {
  publish: async () => {},
  current: () => null,
  sendAhead: () => {},
  beforeReading: () => {},
  generation: () => 1,
  gateways: () => [],
  observed: () => [],
};

let app: FastifyInstance;
let adminKey: string;
const dispose: (() => void | Promise<void>)[] = [];

beforeAll(async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'slipway-isolation-'));
  dispose.push(() => rmSync(dataDir, { recursive: true }));
  const { settings } = readSettings({ SLIPWAY_DATA: dataDir });
  const database = await openSqlite({ path: ':memory:', clock });
  dispose.push(() => database.close());
  const log = createLogger('control', 'error');
  const { ensureAdminKey } = await import('../../src/base/access/admin-key.ts');
  const rooms = await composeControl({ settings, database, publisher, log, clock });
  dispose.push(() => rooms.registry.stop());
  app = rooms.server;
  adminKey = (await ensureAdminKey({ database, clock, dataDir })).key ?? '';
  await app.ready();
});
afterAll(async () => {
  for (const one of dispose.reverse()) await one();
});

async function api<T>(method: 'GET' | 'POST' | 'PUT', url: string, body?: object): Promise<T> {
  const answer = await app.inject({
    method,
    url: `/api/v1${url}`,
    headers: { authorization: `Bearer ${adminKey}` },
    ...(body ? { payload: body } : {}),
  });
  expect(answer.statusCode, answer.body).toBeLessThan(300);
  return answer.json() as T;
}

const makeKey = async (name: string, scopes: string[], project: string | null = null): Promise<string> =>
  (await api<{ key: string }>('POST', '/keys', { name, scopes, project })).key;

test('every route is open to the keys its permission names, and to no other', async () => {
  const keys = {} as Record<Verb, string>;
  for (const verb of VERBS) keys[verb] = await makeKey(`only-${verb}`, [verb]);
  const { checked, faults } = await findPermissionFaults({
    app,
    keys,
    skip: {
      'GET /api/v1/logs': 'streams; its permission is checked by the scenarios of the CLI',
      'GET /api/v1/events': 'streams; the next test checks it',
    },
  });
  expect(faults).toEqual([]);
  expect(checked).toBeGreaterThan(200);
});

test('the stream of changes is open to keys that read, and tells the key of one project nothing of another', async () => {
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const eventsOf = (key: string | null, stop: AbortController) =>
    fetch(`${url}/api/v1/events`, {
      signal: stop.signal,
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
    });
  const statuses: Record<string, number> = {};
  for (const verb of [null, ...VERBS]) {
    const stop = new AbortController();
    const answer = await eventsOf(verb === null ? null : await makeKey(`listens-${verb}`, [verb]), stop);
    statuses[verb ?? 'no key'] = answer.status;
    stop.abort();
  }
  expect(statuses).toEqual({
    'no key': 401,
    read: 200,
    predict: 403,
    deploy: 200,
    code: 403,
    promote: 200,
    admin: 200,
  });

  await api('POST', '/projects', { name: 'heard' });
  await api('POST', '/projects', { name: 'unheard' });
  const stop = new AbortController();
  const answer = await eventsOf(await makeKey('listens-here', ['read'], 'heard'), stop);
  let told = '';
  const listening = (async () => {
    for await (const part of answer.body!.pipeThrough(new TextDecoderStream())) told += part;
  })().catch(() => undefined);
  await eventually('the stream is open', () => told.includes('event: open'));
  await api('POST', '/projects/unheard/models', { name: 'quiet' });
  await pause(2_500); // it looks once a second
  expect(told).not.toContain('"registry"');
  await api('POST', '/projects/heard/models', { name: 'loud' });
  await eventually('its own change is told', () => told.includes('"registry"'));
  expect(told).not.toMatch(/quiet|loud/);
  stop.abort();
  await listening;
});

test("another project's things answer exactly like absent ones, on every route", async () => {
  await api('POST', '/projects', { name: 'ours' });
  await api('POST', '/projects', { name: 'theirs' });
  const theirs = '/projects/theirs';
  const digest = await sendFile(api, app, adminKey, theirs, join(MODELS, 'add.onnx'));
  await api('POST', `${theirs}/models`, { name: 'secret-model' });
  await api('POST', `${theirs}/models/secret-model/versions`, { files: [{ path: 'model.onnx', digest }] });
  const version = await api<{ status: string }>('GET', `${theirs}/models/secret-model/versions/1?waitMs=30000`);
  expect(version.status).toBe('ready');
  await api('PUT', `${theirs}/models/secret-model/aliases/secret-alias`, { version: 1 });
  await api('POST', `${theirs}/endpoints`, { name: 'secret-endpoint', model: 'secret-model', target: { version: 1 } });
  const wider = await sendFile(api, app, adminKey, theirs, join(MODELS, 'add-two.onnx'));
  await api('POST', `${theirs}/models/secret-model/versions`, { files: [{ path: 'model.onnx', digest: wider }] });
  await api('GET', `${theirs}/models/secret-model/versions/2?waitMs=30000`);
  await api('POST', `${theirs}/endpoints/secret-endpoint/rollouts`, { to: '2', strategy: 'blue-green' });
  const made = await api<{ id: string }>('POST', `${theirs}/models/secret-model/versions/1/conversions`, {
    kind: 'optimize',
    quantize: 'none',
  });
  const open = await api<{ id: string }>('POST', `${theirs}/uploads`, {
    digest: `sha256:${'a'.repeat(64)}`,
    sizeBytes: 10,
  });
  const verbs = ['admin'];
  const { checked, leaks } = await findLeaks({
    app,
    own: { project: 'ours', key: await makeKey('ours', verbs, 'ours') },
    foreign: { project: 'theirs', key: await makeKey('theirs', verbs, 'theirs') },
    values: {
      model: { foreign: 'secret-model', absent: 'no-such-model' },
      version: { foreign: '1', absent: '1' },
      ref: { foreign: '1', absent: '1' },
      alias: { foreign: 'secret-alias', absent: 'no-such-alias' },
      endpoint: { foreign: 'secret-endpoint', absent: 'no-such-endpoint' },
      conversion: { foreign: made.id, absent: '00000000-0000-7000-8000-000000000001' },
      id: { foreign: open.id, absent: '00000000-0000-7000-8000-000000000000' },
      '*': { foreign: 'model.onnx', absent: 'model.onnx' },
    },
    queries: { 'GET /models/:model/versions/:ref/diff': '?against=1' },
    skip: {
      'POST /models': 'it names nothing that exists: it makes a model of its own, under any name',
      'GET /endpoints/:endpoint/predictions/:id':
        'there is no logged prediction; the log is looked up by project and endpoint',
      'GET /predictions/:id': 'likewise',
      'GET /endpoints/:endpoint/quality/suggestion':
        'there is no reference; it is looked up by project and endpoint, as GET /endpoints/:endpoint/quality is',
      'GET /subjects/:subject': 'a subject is a text that hashes with the key of its own project',
      'DELETE /subjects/:subject': 'likewise',
    },
    bodies: {
      'POST /endpoints': (value) => ({ name: 'mine', model: value('model'), target: { version: 1 } }),
      'POST /models/:model/versions': () => ({ files: [{ path: 'model.onnx', digest }] }),
    },
  });
  expect(leaks).toEqual([]);
  expect(checked).toBeGreaterThan(25);
});
