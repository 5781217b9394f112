import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { eachDialect } from '../../../test/fixtures/databases.ts';
import { systemClock } from '../clock.ts';
import { findUnsafe, isUniqueViolation } from './database.ts';
import { assertKnownMigrations, MIGRATIONS, migrate } from './migrate.ts';

const AT = '2026-01-02T03:04:05.006Z';
const project = (id: string, name = id) => ({ id, name, created_at: AT });

eachDialect('the database', ({ name: dialect, open }) => {
  test('has all tables, and rows come back as they went in', async () => {
    const { db, dialect: said } = await open();
    expect(said).toBe(dialect);
    await db.insertInto('projects').values(project('p', 'Zürich 🚢')).execute();
    expect({ ...(await db.selectFrom('projects').selectAll().executeTakeFirstOrThrow()) }).toEqual(
      project('p', 'Zürich 🚢'),
    );
  });

  test('gives sizes beyond 32 bits and counts back as numbers', async () => {
    const { db } = await open();
    await db.insertInto('projects').values(project('p')).execute();
    const size = 2 ** 45 + 1;
    await db
      .insertInto('blobs')
      .values({ project_id: 'p', digest: 'd', size_bytes: size, created_at: AT, touched_at: AT })
      .execute();
    const row = await db
      .selectFrom('blobs')
      .select((eb) => ['size_bytes', eb.fn.countAll<number>().over().as('n')])
      .executeTakeFirstOrThrow();
    expect(row.size_bytes).toBe(size);
    expect(row.n).toBe(1);
    const changed = await db.updateTable('blobs').set({ touched_at: 'x' }).where('digest', '=', 'd').executeTakeFirst();
    expect(Number(changed.numUpdatedRows)).toBe(1);
    const returned = await db.deleteFrom('blobs').where('digest', '=', 'd').returning('size_bytes').execute();
    expect(returned.map((r) => r.size_bytes)).toEqual([size]);
  });

  test('says whether it is durable', async () => {
    const { durability } = await open();
    // The test server of PostgreSQL runs without fsync, and must say so.
    expect((await durability()).safe).toBe(dialect === 'sqlite');
    expect((await durability()).detail).toContain(dialect === 'sqlite' ? 'synchronous=FULL' : 'fsync=off');
  });

  test('rolls everything back when the work throws, and commits otherwise', async () => {
    const { db, transaction } = await open();
    await expect(
      transaction(async (tx) => {
        await tx.insertInto('projects').values(project('a')).execute();
        throw new Error('stop here');
      }),
    ).rejects.toThrow('stop here');
    expect(await db.selectFrom('projects').selectAll().execute()).toEqual([]);
    const answer = await transaction(async (tx) => {
      await tx.insertInto('projects').values(project('b')).execute();
      return 42;
    });
    expect(answer).toBe(42);
    expect(await db.selectFrom('projects').select('id').execute()).toEqual([{ id: 'b' }]);
  });

  test('runs transactions one after the other: no update is lost', async () => {
    const { db, transaction } = await open();
    await db.insertInto('meta').values({ key: 'n', value: '0' }).execute();
    const add = () =>
      transaction(async (tx) => {
        const { value } = await tx.selectFrom('meta').select('value').where('key', '=', 'n').executeTakeFirstOrThrow();
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
        await tx
          .updateTable('meta')
          .set({ value: String(Number(value) + 1) })
          .where('key', '=', 'n')
          .execute();
      });
    await Promise.all(Array.from({ length: 40 }, add));
    expect((await db.selectFrom('meta').select('value').executeTakeFirstOrThrow()).value).toBe('40');
  });

  test('a transaction inside a transaction throws instead of waiting for itself', async () => {
    const { transaction } = await open();
    await expect(transaction(() => transaction(async () => 1))).rejects.toThrow('do not nest');
    expect(await transaction(async () => 2)).toBe(2);
  });

  test('refuses a second row under a unique key, and a row whose project is missing', async () => {
    const { db } = await open();
    await db.insertInto('projects').values(project('p', 'one')).execute();
    const twice = db.insertInto('projects').values(project('q', 'one')).execute();
    await expect(twice).rejects.toSatisfy(isUniqueViolation);
    const same = db.insertInto('projects').values(project('p', 'two')).execute();
    await expect(same).rejects.toSatisfy(isUniqueViolation);
    const orphan = db
      .insertInto('blobs')
      .values({ project_id: 'nowhere', digest: 'd', size_bytes: 1, created_at: AT, touched_at: AT })
      .execute();
    await expect(orphan).rejects.toSatisfy((error: unknown) => !isUniqueViolation(error));
  });

  test('refuses to change or remove what is append-only', async () => {
    const { db } = await open();
    await db.insertInto('projects').values(project('p')).execute();
    const row = { id: 'h', project_id: 'p', model_id: 'm', name: 'a', from_version: null, to_version: 1 };
    await db
      .insertInto('alias_history')
      .values({ ...row, actor: 'key:x', reason: null, at: AT })
      .execute();
    await expect(db.updateTable('alias_history').set({ actor: 'key:y' }).execute()).rejects.toThrow('append-only');
    await expect(db.deleteFrom('alias_history').execute()).rejects.toThrow('append-only');
  });

  test('applies each migration once, and one that fails leaves nothing behind', async () => {
    const { db, transaction } = await open();
    const extra = {
      name: '0002-extra',
      up: async (tx: Parameters<(typeof MIGRATIONS)[0]['up']>[0]) => {
        await sql`create table extra (a integer)`.execute(tx);
        await sql`insert into extra values (1)`.execute(tx);
      },
    };
    const broken = {
      name: '0003-broken',
      up: async (tx: Parameters<(typeof MIGRATIONS)[0]['up']>[0]) => {
        await sql`create table half (a integer)`.execute(tx);
        await sql`select nonsense from nowhere`.execute(tx);
      },
    };
    const run = (migrations: typeof MIGRATIONS) => migrate({ transaction, dialect, clock: systemClock, migrations });
    expect(await run(MIGRATIONS)).toEqual([]);
    await expect(run([...MIGRATIONS, extra, broken])).rejects.toThrow();
    expect(await run([...MIGRATIONS, extra])).toEqual([]);
    expect((await sql`select * from extra`.execute(db)).rows).toHaveLength(1);
    await expect(sql`select * from half`.execute(db)).rejects.toThrow();
    await expect(run(MIGRATIONS)).rejects.toMatchObject({ code: 'data_newer' });
  });
});

describe('what start-up asserts', () => {
  test('names every pragma that is not as it must be', () => {
    const good: Record<string, unknown> = {
      journal_mode: 'wal',
      synchronous: 2,
      foreign_keys: 1,
      secure_delete: 1,
      locking_mode: 'exclusive',
    };
    expect(findUnsafe((name) => good[name], false)).toEqual([]);
    const weak: Record<string, unknown> = { ...good, synchronous: 1, journal_mode: 'delete' };
    expect(findUnsafe((name) => weak[name], false)).toEqual([
      'journal_mode is delete instead of wal',
      'synchronous is 1 instead of 2',
    ]);
  });

  test('a migration of a newer release is named', () => {
    expect(() => assertKnownMigrations(['0001-foundation', '9999-future'])).toThrow(
      expect.objectContaining({ code: 'data_newer', message: expect.stringContaining('9999-future') }),
    );
  });
});
