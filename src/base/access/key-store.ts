import type { Db } from '../db/database.ts';
import type { Tables } from '../db/tables.ts';

export type KeyRow = Tables['api_keys'] & { readonly project: string | null };

function select(db: Db) {
  return db
    .selectFrom('api_keys')
    .leftJoin('projects', 'projects.id', 'api_keys.project_id')
    .selectAll('api_keys')
    .select('projects.name as project');
}

export async function findKey(db: Db, id: string): Promise<KeyRow | null> {
  return (await select(db).where('api_keys.id', '=', id).executeTakeFirst()) ?? null;
}

/** In the order of their making. */
export async function listKeys(db: Db, page: { after: string | null; limit: number }): Promise<KeyRow[]> {
  let query = select(db);
  if (page.after !== null) {
    const [createdAt, id] = page.after.split(' ') as [string, string];
    query = query.where((eb) =>
      eb.or([
        eb('api_keys.created_at', '>', createdAt),
        eb.and([eb('api_keys.created_at', '=', createdAt), eb('api_keys.id', '>', id ?? '')]),
      ]),
    );
  }
  return query.orderBy('api_keys.created_at').orderBy('api_keys.id').limit(page.limit).execute();
}

/** Those neither revoked nor expired at that time. */
export async function listLiveKeys(db: Db, at: string): Promise<KeyRow[]> {
  return select(db)
    .where('api_keys.revoked_at', 'is', null)
    .where((eb) => eb.or([eb('api_keys.expires_at', 'is', null), eb('api_keys.expires_at', '>', at)]))
    .orderBy('api_keys.created_at')
    .orderBy('api_keys.id')
    .execute();
}

export async function insertKey(db: Db, row: Tables['api_keys']): Promise<void> {
  await db.insertInto('api_keys').values(row).execute();
}

export async function revokeKey(db: Db, id: string, at: string): Promise<void> {
  await db.updateTable('api_keys').set({ revoked_at: at }).where('id', '=', id).execute();
}

export async function setKeyLimits(db: Db, id: string, limits: string): Promise<void> {
  await db.updateTable('api_keys').set({ limits }).where('id', '=', id).execute();
}

export async function touchKey(db: Db, id: string, at: string): Promise<void> {
  await db.updateTable('api_keys').set({ last_used_at: at }).where('id', '=', id).execute();
}

/** The keys of a project that goes; the audit log keeps what they were. */
export async function deleteKeysOfProject(db: Db, projectId: string): Promise<void> {
  await db.deleteFrom('api_keys').where('project_id', '=', projectId).execute();
}
