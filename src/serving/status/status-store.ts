import { sql } from 'kysely';
import type { Database, Db } from '../../base/db/database.ts';

export async function countRows(db: Db, table: 'models' | 'versions'): Promise<number> {
  const row = await db
    .selectFrom(table)
    .select((e) => e.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  return Number(row.n);
}

/** Live keys that expire before `before` (RFC 3339). */
export async function listKeysExpiringBefore(db: Db, before: string): Promise<{ name: string; expiresAt: string }[]> {
  const rows = await db
    .selectFrom('api_keys')
    .select(['name', 'expires_at'])
    .where('revoked_at', 'is', null)
    .where('expires_at', 'is not', null)
    .where('expires_at', '<', before)
    .orderBy('expires_at')
    .execute();
  return rows.map((row) => ({ name: row.name, expiresAt: row.expires_at ?? '' }));
}

export async function listFailedVersions(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .select(['models.name as model', 'versions.number as number'])
    .where('versions.status', '=', 'failed')
    .orderBy('versions.created_at', 'desc')
    .limit(20)
    .execute();
  return rows.map((row) => `${row.model}@${row.number}`);
}

/** Whether a commit that was acknowledged survives a loss of power, as the database itself answers now. */
export async function readDurability({ db, dialect }: Database): Promise<{ safe: boolean; detail: string }> {
  if (dialect === 'postgres') {
    const { rows } = await sql<{ fsync: string; commit: string }>`
      select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`.execute(db);
    const { fsync, commit } = rows[0] ?? { fsync: '?', commit: '?' };
    return { safe: fsync === 'on' && commit !== 'off', detail: `fsync ${fsync}, synchronous_commit ${commit}` };
  }
  const journal = (await sql<{ journal_mode: string }>`pragma journal_mode`.execute(db)).rows[0]?.journal_mode;
  const level = (await sql<{ synchronous: number }>`pragma synchronous`.execute(db)).rows[0]?.synchronous;
  return {
    safe: journal === 'wal' && level === 2,
    detail: `journal ${journal}, synchronous ${level === 2 ? 'full' : level}`,
  };
}
