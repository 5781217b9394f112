import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import { appendAudit, listAudit, verifyAudit } from './audit.ts';
import { systemClock } from './clock.ts';
import type { Database } from './db/database.ts';
import { openSqlite } from './db/database.ts';
import { randomNumbers } from './random-numbers.ts';

async function append(database: Database, count: number, from = 0): Promise<void> {
  for (let i = from; i < from + count; i++) {
    await database.transaction((tx) =>
      appendAudit(
        tx,
        {
          project: i % 3 === 0 ? null : `p${i % 3}`,
          actor: 'key:tester',
          action: i % 2 ? 'model.create' : 'endpoint.update',
          resource: `model/m${i}`,
          detail: { from: i, to: { big: 2n ** 60n, text: 'ü"\n' } },
          reason: i % 4 === 0 ? 'because' : null,
          requestId: `r${i}`,
        },
        systemClock,
      ),
    );
  }
}

eachDialect('the audit log', ({ open }) => {
  test('is empty and intact at first, and stays intact while it grows', async () => {
    const database = await open();
    expect(await verifyAudit(database.db)).toEqual({
      intact: true,
      records: 0,
      lastHash: '0'.repeat(64),
      brokenAt: null,
    });
    await append(database, 30);
    const verdict = await verifyAudit(database.db);
    expect(verdict).toMatchObject({ intact: true, records: 30, brokenAt: null });
    expect(verdict.lastHash).toMatch(/^[0-9a-f]{64}$/);
  });

  test('is one chain even when many append at the same time', async () => {
    const database = await open();
    await Promise.all(Array.from({ length: 40 }, (_, i) => append(database, 1, i)));
    expect(await verifyAudit(database.db)).toMatchObject({ intact: true, records: 40 });
  });

  test('is verified rightly while it grows', async () => {
    const database = await open();
    await append(database, 20);
    const growing = append(database, 60, 20);
    for (let i = 0; i < 10; i++) expect(await verifyAudit(database.db)).toMatchObject({ intact: true });
    await growing;
    expect(await verifyAudit(database.db)).toMatchObject({ intact: true, records: 80 });
  });

  test('keeps no record of a change that was rolled back', async () => {
    const database = await open();
    await append(database, 2);
    await expect(
      database.transaction(async (tx) => {
        await appendAudit(tx, { project: null, actor: 'a', action: 'b', resource: 'c', detail: null }, systemClock);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await append(database, 1, 2);
    expect(await verifyAudit(database.db)).toMatchObject({ intact: true, records: 3 });
  });

  test('is listed newest first, page by page, and by project, actor, action and resource', async () => {
    const { db, ...database } = await open();
    await append({ db, ...database }, 12);
    const first = await listAudit(db, { beforeSeq: null, limit: 5 });
    expect(first.map((record) => record.seq)).toEqual([12, 11, 10, 9, 8]);
    expect(first[0]).toMatchObject({
      project: 'p2',
      actor: 'key:tester',
      resource: 'model/m11',
      detail: { from: 11, to: { big: '1152921504606846976', text: 'ü"\n' } },
      requestId: 'r11',
    });
    expect((await listAudit(db, { beforeSeq: 8, limit: 5 })).map((r) => r.seq)).toEqual([7, 6, 5, 4, 3]);
    const filtered = await listAudit(db, { beforeSeq: null, limit: 99, project: 'p1', action: 'model.create' });
    expect(filtered.map((record) => record.resource)).toEqual(['model/m7', 'model/m1']);
  });
});

describe('tampering', () => {
  test('never writes a key into the log', async () => {
    const database = await openSqlite({ path: ':memory:', clock: systemClock });
    const { makeKey } = await import('./access/key.ts');
    const { text } = makeKey();
    await database.transaction((tx) =>
      appendAudit(tx, { project: null, actor: 'a', action: 'b', resource: 'c', detail: { text } }, systemClock),
    );
    expect(JSON.stringify(await listAudit(database.db, { beforeSeq: null, limit: 9 }))).not.toContain(text);
    await database.close();
  });

  test('of any kind is found: 400 random ones, of which each edits, removes, inserts, swaps or cuts', async () => {
    const seed = Number(process.env['SLIPWAY_TEST_SEED'] ?? Date.now() % 1e9);
    console.log(`audit tampers: seed ${seed} (SLIPWAY_TEST_SEED replays it)`);
    const random = randomNumbers(seed);
    const pick = (n: number): number => Math.floor(random() * n);
    const records = 25;
    const database = await openSqlite({ path: ':memory:', clock: systemClock });
    await append(database, records);
    // Someone with the file in hand is not stopped by triggers.
    await sql`drop trigger audit_no_update`.execute(database.db);
    await sql`drop trigger audit_no_delete`.execute(database.db);
    const rows = await database.db.selectFrom('audit').selectAll().orderBy('seq').execute();
    const meta = await database.db.selectFrom('meta').selectAll().execute();
    const columns = [
      'at',
      'project',
      'actor',
      'action',
      'resource',
      'detail',
      'reason',
      'request_id',
      'previous_hash',
      'hash',
    ] as const;
    const kinds = {
      edit: () => {
        const row = rows[pick(records)]!;
        const column = columns[pick(columns.length)]!;
        const before = row[column];
        const text = before ?? '';
        const at = pick(text.length);
        const after = before === null ? 'x' : text.slice(0, at) + (text[at] === '0' ? '1' : '0') + text.slice(at + 1);
        return { what: `${column} of ${row.seq}`, rows: rows.map((r) => (r === row ? { ...r, [column]: after } : r)) };
      },
      remove: () => {
        const at = pick(records);
        return { what: `record ${at + 1}`, rows: rows.filter((_, i) => i !== at) };
      },
      removeAndRenumber: () => {
        const at = pick(records);
        return {
          what: `record ${at + 1}`,
          rows: rows.filter((_, i) => i !== at).map((r, i) => ({ ...r, seq: i + 1 })),
        };
      },
      swap: () => {
        const a = pick(records);
        const b = (a + 1 + pick(records - 1)) % records;
        const swapped = rows.map((r, i) =>
          i === a ? { ...rows[b]!, seq: r.seq } : i === b ? { ...rows[a]!, seq: r.seq } : r,
        );
        return { what: `${a + 1} and ${b + 1}`, rows: swapped };
      },
      insert: () => {
        const copy = rows[pick(records)]!;
        return { what: `copy of ${copy.seq} at the end`, rows: [...rows, { ...copy, seq: records + 1 }] };
      },
      cut: () => {
        const left = pick(records);
        return { what: `after ${left}`, rows: rows.slice(0, left) };
      },
      edge: () => ({ what: 'head row gone', rows, meta: [] as typeof meta }),
    };
    for (let round = 0; round < 400; round++) {
      const names = Object.keys(kinds) as (keyof typeof kinds)[];
      const kind = names[pick(names.length)]!;
      const tampered: { what: string; rows: typeof rows; meta?: typeof meta } = kinds[kind]();
      await database.db.deleteFrom('audit').execute();
      await database.db.deleteFrom('meta').execute();
      for (const row of tampered.rows) await database.db.insertInto('audit').values(row).execute();
      for (const row of tampered.meta ?? meta) await database.db.insertInto('meta').values(row).execute();
      const verdict = await verifyAudit(database.db);
      expect(verdict.intact, `seed ${seed}, round ${round}: ${kind} ${tampered.what}`).toBe(false);
      expect(verdict.brokenAt).toBeGreaterThan(0);
      expect(verdict.brokenAt).toBeLessThanOrEqual(records + 1);
    }
    await database.close();
  });
});
