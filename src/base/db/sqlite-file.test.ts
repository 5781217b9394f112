import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { type Database, openSqlite } from './database.ts';

const AT = '2026-01-02T03:04:05.006Z';
let folder: string;
let path: string;
const open = (extra: { onFatal?: (error: Error) => void } = {}): Promise<Database> =>
  openSqlite({ path, clock: systemClock, ...extra });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-db-'));
  path = join(folder, 'slipway.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
const fill = (database: Database, id: string, bytes = 10): Promise<unknown> =>
  database.transaction((tx) =>
    tx
      .insertInto('projects')
      .values({ id, name: id + 'x'.repeat(bytes), created_at: AT })
      .execute(),
  );

/** A process that opens the same file, commits rows as fast as it can and says each committed id. */
const WRITER = `
import { openSqlite } from ${JSON.stringify(new URL('./database.ts', import.meta.url).href)};
import { systemClock } from ${JSON.stringify(new URL('../clock.ts', import.meta.url).href)};
import { writeSync } from 'node:fs';
try {
  const database = await openSqlite({ path: process.argv[1], clock: systemClock });
  const from = Date.now();
  for (let i = 0; ; i++) {
    const id = from + '-' + i;
    await database.transaction(async (tx) => {
      await tx.insertInto('projects').values({ id: id + 'a', name: id + 'a', created_at: '' }).execute();
      await tx.insertInto('projects').values({ id: id + 'b', name: id + 'b', created_at: '' }).execute();
    });
    writeSync(1, id + '\\n');
  }
} catch (error) {
  writeSync(1, 'refused ' + error.code + '\\n');
  process.exit(3);
}`;
const writer = () =>
  spawn(process.execPath, ['--input-type=module', '-e', WRITER, path], { stdio: ['ignore', 'pipe', 'inherit'] });

describe('the lock', () => {
  test('another process is refused at once with data_locked, also one that only reads', async () => {
    const database = await open();
    const started = performance.now();
    const second = spawnSync(process.execPath, ['--input-type=module', '-e', WRITER, path], { encoding: 'utf8' });
    expect(second.stdout).toBe('refused data_locked\n');
    expect(performance.now() - started).toBeLessThan(5000);
    await expect(open()).rejects.toMatchObject({ code: 'data_locked', hint: expect.stringContaining('SLIPWAY_DATA') });
    await fill(database, 'still-works');
    await database.close();
    await (await open()).close();
  });

  test('is given back by kill -9, and every change the killed process acknowledged is there, whole', async () => {
    const acknowledged: string[] = [];
    for (let round = 0; round < 5; round++) {
      const child = writer();
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
      });
      while (out.split('\n').length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
      child.kill('SIGKILL');
      await once(child, 'close');
      expect(out).not.toContain('refused');
      acknowledged.push(...out.split('\n').slice(0, -1));
      const database = await open();
      const rows = new Set((await database.db.selectFrom('projects').select('id').execute()).map((row) => row.id));
      for (const id of acknowledged) expect(rows.has(`${id}a`) && rows.has(`${id}b`), id).toBe(true);
      for (const id of rows) expect(rows.has(id.slice(0, -1) + (id.endsWith('a') ? 'b' : 'a')), id).toBe(true);
      await database.close();
    }
    expect(acknowledged.length).toBeGreaterThan(50);
  });
});

describe('the file', () => {
  test('is made with its folder, for its owner only, and needs no shared memory file', async () => {
    path = join(folder, 'new/data/slipway.db');
    const database = await open();
    await fill(database, 'p');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, 'new/data')).sort()).toEqual(['slipway.db', 'slipway.db-wal']);
    await database.close();
    expect(readdirSync(join(folder, 'new/data'))).toEqual(['slipway.db']);
  });

  test('of a newer release is refused and not one byte of it changes, even with a WAL left by a crash', async () => {
    const child = writer();
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    const newer = new DatabaseSync(path);
    newer.exec(`pragma wal_autocheckpoint = 0; insert into migrations values ('9999-future', '${AT}')`);
    // a copy taken while it is open is what a crash leaves: the last change is in the WAL only
    const crashed = join(folder, 'crashed');
    mkdirSync(crashed);
    for (const name of ['slipway.db', 'slipway.db-wal']) cpSync(join(folder, name), join(crashed, name));
    newer.close();
    path = join(crashed, 'slipway.db');
    expect(existsSync(`${path}-wal`)).toBe(true);
    const before = [hashOf(path), hashOf(`${path}-wal`)];
    await expect(open()).rejects.toMatchObject({ code: 'data_newer' });
    expect([hashOf(path), hashOf(`${path}-wal`)]).toEqual(before);
  });

  test('that is no database is refused without a path in the message', async () => {
    writeFileSync(path, 'this is no database, but long enough to be looked at as if it were one'.repeat(100));
    const before = hashOf(path);
    await expect(open()).rejects.toMatchObject({
      code: 'data_corrupt',
      message: expect.not.stringContaining(folder),
    });
    expect(hashOf(path)).toBe(before);
  });

  async function damage(): Promise<void> {
    const database = await open();
    for (let i = 0; i < 200; i++) await fill(database, `p${i}`, 2000);
    await database.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, Math.floor(bytes.length * 0.6));
    writeFileSync(path, bytes);
  }

  test('that was damaged on disk answers nothing more once that is seen', async () => {
    await damage();
    const fatal: Error[] = [];
    const database = await open({ onFatal: (error) => fatal.push(error) });
    const read = database.db.selectFrom('projects').selectAll().execute();
    await expect(read).rejects.toMatchObject({ code: 'data_corrupt' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(fatal).toHaveLength(1);
    await expect(fill(database, 'after')).rejects.toMatchObject({ code: 'data_corrupt' });
    await database.close();
  });

  test('that was damaged on disk ends the process, which says why', async () => {
    await damage();
    const reader = WRITER.replace(
      /const from[\s\S]*(?=} catch)/,
      `
      await database.db.selectFrom('projects').selectAll().execute().catch(() => {});
      setInterval(() => {}, 1000);
    `,
    );
    const ended = spawnSync(process.execPath, ['--input-type=module', '-e', reader, path], { encoding: 'utf8' });
    expect(ended.status).toBe(70);
    expect(ended.stderr).toContain('ending to recover');
    expect(ended.stderr).not.toContain(folder);
  });
});

describe('a full disk', () => {
  async function fillUp(database: Database): Promise<string[]> {
    const kept: string[] = [];
    for (let i = 0; ; i++) {
      try {
        await fill(database, `p${i}`, 3000);
        kept.push(`p${i}`);
      } catch (error) {
        expect(error).toMatchObject({ code: 'disk_full', message: expect.not.stringContaining(folder) });
        return kept;
      }
      if (i > 20_000) throw new Error('the disk never became full');
    }
  }
  const ids = async (database: Database): Promise<string[]> =>
    (await database.db.selectFrom('projects').select('id').execute()).map((row) => row.id);

  test('gives disk_full, keeps what was committed, and goes on when there is space again', async () => {
    const database = await open();
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(database.db);
    await sql`pragma max_page_count = ${sql.lit(rows[0]!.page_count + 20)}`.execute(database.db);
    const kept = await fillUp(database);
    expect(kept.length).toBeGreaterThan(3);
    expect((await ids(database)).sort()).toEqual(kept.toSorted());
    // the transaction that met the end is gone as a whole, also when its work goes on after the error
    await expect(
      database.transaction(async (tx) => {
        await tx.insertInto('meta').values({ key: 'first', value: '1' }).execute();
        await tx
          .insertInto('meta')
          .values({ key: 'big', value: 'x'.repeat(200_000) })
          .execute()
          .catch(() => {});
        await tx.insertInto('meta').values({ key: 'second', value: '2' }).execute();
      }),
    ).rejects.toThrow();
    expect(await database.db.selectFrom('meta').selectAll().execute()).toEqual([]);
    await sql`pragma max_page_count = 1000000`.execute(database.db);
    await fill(database, 'again');
    await database.close();
    const reopened = await open();
    expect((await ids(reopened)).sort()).toEqual([...kept, 'again'].sort());
    await reopened.close();
  });

  const small = mkdtempSync(join(tmpdir(), 'slipway-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small], { encoding: 'utf8' });
  if (mounted.status === 0) spawnSync('umount', [small]);
  rmSync(small, { recursive: true, force: true });
  const reason = mounted.status === 0 ? '' : ' (skipped: this user may not mount a small file system)';

  test.skipIf(mounted.status !== 0)(`of a real file system loses nothing either${reason}`, async () => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
    try {
      path = join(disk, 'slipway.db');
      const database = await open({ onFatal: () => {} });
      const kept = await fillUp(database);
      expect(kept.length).toBeGreaterThan(20);
      await database.close();
      const copy = join(folder, 'copy');
      mkdirSync(copy);
      for (const name of readdirSync(disk)) cpSync(join(disk, name), join(copy, name));
      path = join(copy, 'slipway.db');
      const reopened = await open();
      expect((await ids(reopened)).sort()).toEqual(kept.toSorted());
      await fill(reopened, 'again');
      await reopened.close();
    } finally {
      spawnSync('umount', ['-l', disk]);
    }
  });
});

test('a query on the database inside a transaction throws instead of hanging', async () => {
  const database = await open();
  const inside = database.transaction(() => database.db.selectFrom('projects').selectAll().execute());
  await expect(inside).rejects.toThrow('Inside a transaction');
  await fill(database, 'p');
  await database.close();
});
