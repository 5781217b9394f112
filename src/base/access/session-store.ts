import type { Db } from '../db/database.ts';
import type { Tables } from '../db/tables.ts';

export type SessionRow = Tables['sessions'];
/** Times before which a session is over: of its last use, and of its beginning. */
export type SessionLimits = { readonly usedAfter: string; readonly createdAfter: string };

export async function findSession(db: Db, secretSha256: string): Promise<SessionRow | null> {
  return (
    (await db.selectFrom('sessions').selectAll().where('secret_sha256', '=', secretSha256).executeTakeFirst()) ?? null
  );
}

export async function insertSession(db: Db, row: SessionRow): Promise<void> {
  await db.insertInto('sessions').values(row).execute();
}

export async function touchSession(db: Db, secretSha256: string, at: string): Promise<void> {
  await db.updateTable('sessions').set({ used_at: at }).where('secret_sha256', '=', secretSha256).execute();
}

export async function deleteSession(db: Db, secretSha256: string): Promise<void> {
  await db.deleteFrom('sessions').where('secret_sha256', '=', secretSha256).execute();
}

/** Removes those that are over, and of the others all but the `most` that were used last. */
export async function deleteOldSessions(db: Db, limits: SessionLimits, most: number): Promise<void> {
  await db
    .deleteFrom('sessions')
    .where((eb) => eb.or([eb('used_at', '<=', limits.usedAfter), eb('created_at', '<=', limits.createdAfter)]))
    .execute();
  const kept = await db
    .selectFrom('sessions')
    .select('used_at')
    .orderBy('used_at', 'desc')
    .limit(1)
    .offset(most)
    .executeTakeFirst();
  if (kept) await db.deleteFrom('sessions').where('used_at', '<=', kept.used_at).execute();
}
