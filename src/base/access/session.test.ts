import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ManagementUnderTest, startManagement } from '../../../test/fixtures/management.ts';

let nowMs = Date.parse('2026-05-01T08:00:00Z');
const clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs };
const MINUTE = 60_000;
let server: ManagementUnderTest;

beforeEach(async () => {
  server = await startManagement({ clock });
});
afterEach(() => server.close());

const ORIGIN = { host: 'localhost', origin: 'http://localhost' };

async function open(key = server.adminKey, headers: Record<string, string> = ORIGIN) {
  const answer = await server.call('POST', '/api/v1/session', { key: null, body: { key }, headers });
  const cookie = String(answer.headers['set-cookie'] ?? '');
  return { answer, cookie, sent: cookie.split(';')[0]! };
}
const me = (cookie: string, headers: Record<string, string> = {}) =>
  server.call('GET', '/api/v1/me', { key: null, headers: { cookie, ...headers } });

test('a key opens a session; its cookie is for this API alone and no script sees it', async () => {
  const { answer, cookie, sent } = await open();
  expect(answer.status).toBe(200);
  expect(answer.json).toMatchObject({ me: { actor: 'key:admin', scopes: ['admin'] }, idleMs: 30 * MINUTE });
  expect(cookie).toMatch(/^slipway_session=[\w-]{43}; Max-Age=43200; HttpOnly; SameSite=Strict$/);
  expect((await me(sent)).json).toMatchObject({ actor: 'key:admin' });
  expect((await open(server.adminKey, { host: 'localhost', origin: 'https://localhost' })).cookie).toMatch(/; Secure$/);
});

test('what the database holds opens nothing', async () => {
  const { sent } = await open();
  const [row] = await server.database.db.selectFrom('sessions').selectAll().execute();
  expect(sent).not.toContain(row!.secret_sha256);
  expect((await me(`slipway_session=${row!.secret_sha256}`)).json.code).toBe('session_ended');
});

test('a wrong key opens none', async () => {
  const { answer, cookie } = await open(`${server.adminKey.slice(0, -1)}x`);
  expect([answer.status, answer.json.code, cookie]).toEqual([401, 'key_invalid', '']);
});

test('it ends when it idles, and refreshing alone does not keep it', async () => {
  const { sent } = await open();
  nowMs += 29 * MINUTE;
  expect((await me(sent, { 'x-slipway-unattended': '1' })).status).toBe(200);
  nowMs += 2 * MINUTE;
  expect((await me(sent)).json.code).toBe('session_ended');
});

test('it lives on while it is used, up to its end', async () => {
  const { sent } = await open();
  for (let used = 0; used < 28; used++) {
    nowMs += 25 * MINUTE;
    expect((await me(sent)).status).toBe(200);
  }
  nowMs += 21 * MINUTE;
  expect((await me(sent)).json.code).toBe('session_ended');
});

test('it goes with its key', async () => {
  const { json } = await server.call('POST', '/api/v1/keys', { body: { name: 'guest', scopes: ['read'] } });
  const { sent } = await open(json.key);
  expect((await me(sent)).status).toBe(200);
  await server.call('DELETE', `/api/v1/keys/${json.id}`);
  expect((await me(sent)).json.code).toBe('session_ended');
});

test('a change must come from a page of ours', async () => {
  const { sent } = await open();
  const make = (headers: Record<string, string>) =>
    server.call('POST', '/api/v1/projects', {
      key: null,
      body: { name: `p${Math.random().toString(36).slice(2)}` },
      headers: { cookie: sent, ...headers },
    });
  expect((await make(ORIGIN)).status).toBe(201);
  expect((await make({ 'sec-fetch-site': 'same-origin' })).status).toBe(201);
  expect((await make({})).json.code).toBe('foreign_origin');
  expect((await make({ origin: 'null' })).json.code).toBe('foreign_origin');
  expect((await make({ host: 'localhost', origin: 'http://localhost:9999' })).json.code).toBe('foreign_origin');
  expect((await make({ 'sec-fetch-site': 'same-site' })).json.code).toBe('foreign_origin');
});

test('logging out ends it and takes the cookie back', async () => {
  const { sent } = await open();
  const out = await server.call('DELETE', '/api/v1/session', { key: null, headers: { cookie: sent, ...ORIGIN } });
  expect(out.status).toBe(204);
  expect(String(out.headers['set-cookie'])).toMatch(/^slipway_session=; Max-Age=0/);
  expect((await me(sent)).json.code).toBe('session_ended');
});
