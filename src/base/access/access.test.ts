import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eachDialect } from '../../../test/fixtures/databases.ts';
import { verifyAudit } from '../audit.ts';
import { listRecords } from '../audit-store.ts';
import type { Clock } from '../clock.ts';
import { ADMIN_KEY_FILE } from '../data-folder.ts';
import type { Database } from '../db/database.ts';
import { createLogger } from '../log.ts';
import { ensureAdminKey } from './admin-key.ts';
import type { Caller } from './call.ts';
import type { KeyLimitsChange } from './key-limits.ts';
import { createKeyService, keyCursor } from './key-service.ts';
import { createProjectService } from './project-service.ts';
import { keyIdOf } from './signing-pair.ts';

const DAY_MS = 86_400_000;
let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'slipway-access-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

function movableClock(): Clock & { forward(ms: number): void } {
  let at = Date.parse('2026-03-01T00:00:00.000Z');
  return {
    now: () => new Date(at),
    monotonicMs: () => at,
    forward: (ms) => {
      at += ms;
    },
  };
}

eachDialect('access', ({ open }) => {
  async function setUp() {
    const clock = movableClock();
    const database: Database = await open(clock);
    const log = createLogger('test', 'error', { write: () => {} });
    let changes = 0;
    const keys = createKeyService({ database, clock, log, onChange: () => void changes++ });
    const projects = createProjectService({ database, clock });
    await projects.ensureDefault();
    const { key } = await ensureAdminKey({ database, clock, dataDir });
    const principal = (await keys.authenticate(key ?? ''))!;
    const admin: Caller = { principal, requestId: 'r', dryRun: false, ifMatch: null, idempotencyKey: null };
    const actions = async () =>
      (await listRecords(database.db, { beforeSeq: null, limit: 100 })).map((row) => row.action).reverse();
    return { clock, database, keys, projects, admin, adminText: key ?? '', actions, changed: () => changes };
  }

  test('limits are kept, changed one by one, go over to a rotated key, and are refused when they make no sense', async () => {
    const { keys, admin, actions, changed } = await setUp();
    const none = { rate: null, burst: null, concurrency: null, weight: 1 };
    expect((await keys.create(admin, { name: 'free', scopes: ['predict'] })).limits).toEqual(none);
    const made = await keys.create(admin, { name: 'k', scopes: ['predict'], limits: { rate: 10.5, burst: 20 } });
    expect(made.limits).toEqual({ ...none, rate: 10.5, burst: 20 });
    const update = (limits: KeyLimitsChange, dryRun = false) => keys.update({ ...admin, dryRun }, made.id, { limits });
    expect((await update({ concurrency: 4, weight: 3 })).limits).toEqual({
      rate: 10.5,
      burst: 20,
      concurrency: 4,
      weight: 3,
    });
    const before = changed();
    expect((await update({ rate: null }, true)).limits).toEqual({ ...none, concurrency: 4, weight: 3 });
    expect(changed()).toBe(before);
    expect((await keys.rotate(admin, made.id)).limits).toMatchObject({ rate: 10.5, concurrency: 4 });
    expect((await update({ rate: null, weight: null })).limits).toEqual({ ...none, concurrency: 4 });
    for (const [limits, pointer] of [
      [{ rate: 0 }, '/limits/rate'],
      [{ rate: Number.NaN }, '/limits/rate'],
      [{ rate: 2_000_000 }, '/limits/rate'],
      [{ burst: 5 }, '/limits/burst'],
      [{ concurrency: 1.5 }, '/limits/concurrency'],
      [{ weight: 0 }, '/limits/weight'],
    ] as const) {
      await expect(update(limits)).rejects.toMatchObject({ code: 'invalid_request', fields: [{ pointer }] });
    }
    await expect(keys.create(admin, { name: 'bad', scopes: ['read'], limits: { rate: -1 } })).rejects.toMatchObject({
      fields: [{ pointer: '/limits/rate' }],
    });
    await keys.revoke(admin, made.id);
    await expect(update({ rate: 1 })).rejects.toMatchObject({ code: 'key_revoked' });
    await expect(keys.update(admin, 'nobody', { limits: {} })).rejects.toMatchObject({ code: 'key_not_found' });
    expect(await actions()).toEqual([
      'project.create',
      'key.create',
      'key.create',
      'key.create',
      'key.update',
      'key.rotate',
      'key.update',
      'key.revoke',
    ]);
  });

  test('the first start makes the project default and one admin key, told once and kept in a private file', async () => {
    const { clock, database, keys, projects, adminText, actions } = await setUp();
    expect(readFileSync(join(dataDir, ADMIN_KEY_FILE), 'utf8')).toBe(`${adminText}\n`);
    expect(statSync(join(dataDir, ADMIN_KEY_FILE)).mode & 0o777).toBe(0o600);
    expect(await keys.authenticate(adminText)).toEqual({
      actor: 'key:admin',
      keyId: expect.any(String),
      project: null,
      scopes: ['admin'],
    });
    expect(await ensureAdminKey({ database, clock, dataDir })).toEqual({ key: null });
    await projects.ensureDefault();
    expect(await actions()).toEqual(['project.create', 'key.create']);
    expect(await projects.find('default')).toMatchObject({ name: 'default' });
    expect(await projects.find('other')).toBeNull();
  });

  test('a file left by a start that was killed before its commit is replaced', async () => {
    const clock = movableClock();
    const database = await open(clock);
    writeFileSync(join(dataDir, ADMIN_KEY_FILE), 'a key nobody knows\n', { mode: 0o644 });
    writeFileSync(join(dataDir, `${ADMIN_KEY_FILE}.new`), 'half', { mode: 0o644 });
    const { key } = await ensureAdminKey({ database, clock, dataDir });
    expect(readFileSync(join(dataDir, ADMIN_KEY_FILE), 'utf8')).toBe(`${key}\n`);
    expect(statSync(join(dataDir, ADMIN_KEY_FILE)).mode & 0o777).toBe(0o600);
  });

  test('no column of the database holds a key or its secret', async () => {
    const { database, keys, admin, adminText } = await setUp();
    const made = await keys.create(admin, { name: 'k', scopes: ['read'] });
    const tables = ['api_keys', 'audit', 'meta', 'projects'] as const;
    const dump = JSON.stringify(
      await Promise.all(tables.map((table) => database.db.selectFrom(table).selectAll().execute())),
    );
    for (const text of [adminText, made.key]) {
      expect(dump).not.toContain(text);
      expect(dump).not.toContain(text.split('_')[3]);
    }
  });

  test('a key is what was asked for; it works until it expires or is revoked, and then at once no more', async () => {
    const { clock, keys, admin, changed } = await setUp();
    const expiresAt = new Date(clock.now().getTime() + DAY_MS).toISOString();
    const made = await keys.create(admin, {
      name: 'ci',
      scopes: ['deploy:churn', 'read', 'read'],
      project: 'default',
      expiresAt,
    });
    expect(made).toMatchObject({
      name: 'ci',
      project: 'default',
      scopes: ['deploy:churn', 'read'],
      expiresAt,
      createdBy: 'key:admin',
      revokedAt: null,
    });
    expect(await keys.authenticate(made.key)).toMatchObject({ actor: 'key:ci', project: 'default' });
    clock.forward(DAY_MS);
    expect(await keys.authenticate(made.key)).toBeNull();
    const second = await keys.create(admin, { name: 'ci', scopes: ['read'] });
    expect(await keys.authenticate(second.key)).not.toBeNull();
    await keys.revoke(admin, second.id);
    expect(await keys.authenticate(second.key)).toBeNull();
    await expect(keys.revoke(admin, second.id)).rejects.toMatchObject({
      code: 'key_revoked',
      message: expect.stringContaining(`since ${clock.now().toISOString()}`),
    });
    expect(changed()).toBe(3);
  });

  test('a right id with a wrong secret opens nothing', async () => {
    const { keys, admin } = await setUp();
    const { formatKey, makeKey, parseKey } = await import('./key.ts');
    const made = await keys.create(admin, { name: 'k', scopes: ['read'] });
    const forged = formatKey({ id: parseKey(made.key)!.id, secret: makeKey().secret });
    expect(await keys.authenticate(forged)).toBeNull();
    expect(await keys.authenticate(formatKey({ ...parseKey(made.key)!, id: makeKey().id }))).toBeNull();
  });

  test('a key gets a pair to sign with when it asks for one: shown once, kept, and new when it is rotated', async () => {
    const { database, keys, admin } = await setUp();
    const plain = await keys.create(admin, { name: 'plain', scopes: ['predict'] });
    expect(plain).toMatchObject({ accessKeyId: null, signingPair: null });
    expect(await keys.rotate(admin, plain.id)).toMatchObject({ accessKeyId: null, signingPair: null });
    const made = await keys.create(admin, { name: 'ml', scopes: ['predict'], signing: true });
    const pair = made.signingPair!;
    expect(pair.accessKeyId).toMatch(/^\w{16,128}$/);
    expect(keyIdOf(pair.accessKeyId)).toBe(made.id);
    expect(pair.secretAccessKey).toHaveLength(40);
    expect(made.key).not.toContain(pair.secretAccessKey);
    const listed = JSON.stringify(await keys.list(admin, { after: null, limit: 100 }));
    expect(listed).toContain(pair.accessKeyId);
    expect(listed).not.toContain(pair.secretAccessKey);
    expect(JSON.stringify(await listRecords(database.db, { beforeSeq: null, limit: 100 }))).not.toContain(
      pair.secretAccessKey,
    );
    const { signingPair: next } = await keys.rotate(admin, made.id);
    expect(next!.accessKeyId).not.toBe(pair.accessKeyId);
    expect(next!.secretAccessKey).not.toBe(pair.secretAccessKey);
    for (const text of ['SLIPWAY', 'AKIAIOSFODNN7EXAMPLE', `${pair.accessKeyId}x`]) expect(keyIdOf(text)).toBeNull();
  });

  test('rotation gives a second live key with the same rights and lifetime; a third is refused until one is revoked', async () => {
    const { clock, keys, admin, actions } = await setUp();
    const expiresAt = new Date(clock.now().getTime() + 10 * DAY_MS).toISOString();
    const old = await keys.create(admin, { name: 'app', scopes: ['predict'], expiresAt });
    clock.forward(9 * DAY_MS);
    const fresh = await keys.rotate(admin, old.id);
    expect(fresh).toMatchObject({ name: 'app', scopes: ['predict'], rotatedFrom: old.id });
    expect(Date.parse(fresh.expiresAt!) - clock.now().getTime()).toBe(10 * DAY_MS);
    expect(await keys.authenticate(old.key)).not.toBeNull();
    expect(await keys.authenticate(fresh.key)).not.toBeNull();
    await expect(keys.rotate(admin, old.id)).rejects.toMatchObject({ code: 'in_use' });
    await expect(keys.rotate(admin, fresh.id)).rejects.toMatchObject({ code: 'in_use' });
    await keys.revoke(admin, old.id);
    await expect(keys.rotate(admin, old.id)).rejects.toMatchObject({
      code: 'in_use',
      message: expect.stringContaining('revoked'),
    });
    await keys.rotate(admin, fresh.id);
    expect((await actions()).slice(2)).toEqual(['key.create', 'key.rotate', 'key.revoke', 'key.rotate']);
  });

  test('the last key that can administer is not revoked; a project admin does not count', async () => {
    const { keys, admin } = await setUp();
    await keys.create(admin, { name: 'local', scopes: ['admin'], project: 'default' });
    await expect(keys.revoke(admin, admin.principal.keyId)).rejects.toMatchObject({ code: 'in_use' });
    const next = await keys.rotate(admin, admin.principal.keyId);
    await keys.revoke(admin, admin.principal.keyId);
    expect(await keys.authenticate(next.key)).not.toBeNull();
    await expect(keys.revoke(admin, next.id)).rejects.toMatchObject({ code: 'in_use' });
  });

  test('faults of a new key are told all at once, a live name is not taken twice, and a dry run keeps nothing', async () => {
    const { keys, admin, actions } = await setUp();
    await expect(
      keys.create(admin, { name: 'Bad Name', scopes: ['read', 'fly', 'admin:m'], expiresAt: '2020-01-01T00:00:00Z' }),
    ).rejects.toMatchObject({
      code: 'invalid_request',
      fields: [{ pointer: '/name' }, { pointer: '/scopes/1' }, { pointer: '/scopes/2' }, { pointer: '/expiresAt' }],
    });
    await expect(keys.create(admin, { name: 'k', scopes: ['read'], project: 'nowhere' })).rejects.toMatchObject({
      code: 'project_not_found',
    });
    await keys.create({ ...admin, dryRun: true }, { name: 'k', scopes: ['read'] });
    await keys.create(admin, { name: 'k', scopes: ['read'] });
    await expect(keys.create(admin, { name: 'k', scopes: ['read'] })).rejects.toMatchObject({ code: 'already_exists' });
    await expect(keys.revoke(admin, 'nobody')).rejects.toMatchObject({ code: 'key_not_found' });
    expect(await actions()).toHaveLength(3);
  });

  test('the last use is noted at most once a minute', async () => {
    const { clock, database, keys, admin } = await setUp();
    const made = await keys.create(admin, { name: 'k', scopes: ['read'] });
    const used = async () => {
      await keys.authenticate(made.key);
      await database.transaction(async () => {}); // behind the write that nobody waits for
      await new Promise((resolve) => setTimeout(resolve, 20));
      return (await keys.list(admin, { after: null, limit: 10 })).find((key) => key.id === made.id)?.lastUsedAt;
    };
    const first = await used();
    expect(first).toBe(clock.now().toISOString());
    clock.forward(59_000);
    expect(await used()).toBe(first);
    clock.forward(1000);
    expect(await used()).toBe(clock.now().toISOString());
  });

  test('keys are listed page by page, each once, also those made in the same millisecond', async () => {
    const { keys, admin } = await setUp();
    for (let i = 0; i < 7; i++) await keys.create(admin, { name: `k${i}`, scopes: ['read'] });
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await keys.list(admin, { after, limit: 3 });
      if (page.length === 0) break;
      seen.push(...page.map((key) => key.name));
      after = keyCursor(page.at(-1)!);
    }
    expect(seen.sort()).toEqual(['admin', 'k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6']);
  });

  describe('a project', () => {
    test('is made once under a good name and listed', async () => {
      const { projects, admin } = await setUp();
      await projects.create(admin, { name: 'fraud' });
      await expect(projects.create(admin, { name: 'fraud' })).rejects.toMatchObject({ code: 'already_exists' });
      for (const name of ['', 'A', '../x', 'a b', '-a', 'x'.repeat(64)]) {
        await expect(projects.create(admin, { name }), name).rejects.toMatchObject({ code: 'invalid_name' });
      }
      await projects.create({ ...admin, dryRun: true }, { name: 'unreal' });
      expect((await projects.list(admin, { after: null, limit: 10 })).map((p) => p.name)).toEqual(['default', 'fraud']);
    });

    test('is deleted when it has no live keys, and takes its revoked keys and what is known of its files along', async () => {
      const { database, keys, projects, admin, actions } = await setUp();
      await projects.create(admin, { name: 'fraud' });
      const { id } = (await projects.find('fraud'))!;
      const key = await keys.create(admin, { name: 'k', scopes: ['read'], project: 'fraud' });
      const at = '2026-03-01T00:00:00.000Z';
      await database.db
        .insertInto('blobs')
        .values({ project_id: id, digest: 'd', size_bytes: 1, created_at: at, touched_at: at })
        .execute();
      await database.db
        .insertInto('uploads')
        .values({ id: 'u', project_id: id, digest: 'e', size_bytes: 1, created_at: at, expires_at: at })
        .execute();
      await expect(projects.remove(admin, 'fraud')).rejects.toMatchObject({
        code: 'in_use',
        message: expect.stringMatching(/holds 1 live keys$/),
      });
      await keys.revoke(admin, key.id);
      const history = {
        id: 'h',
        project_id: id,
        model_id: 'm',
        name: 'a',
        from_version: null,
        to_version: 1,
        actor: 'x',
        reason: null,
        at,
      };
      await database.db.insertInto('alias_history').values(history).execute();
      await projects.remove({ ...admin, dryRun: true }, 'fraud');
      await projects.remove(admin, 'fraud');
      expect(await projects.find('fraud')).toBeNull();
      await expect(projects.remove(admin, 'fraud')).rejects.toMatchObject({ code: 'project_not_found' });
      await expect(projects.remove(admin, 'default')).rejects.toMatchObject({ code: 'in_use' });
      expect((await actions()).at(-1)).toBe('project.delete');
      expect(await verifyAudit(database.db)).toMatchObject({ intact: true });
    });
  });
});
