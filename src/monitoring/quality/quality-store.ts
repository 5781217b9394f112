import type { Db, Tx } from '../../base/db/database.ts';
import type { Tables } from '../../base/db/tables.ts';

export type RulesRow = Tables['quality_rules'];

/** The newest revision; null where none was set. */
export async function findRules(db: Db, projectId: string, endpoint: string): Promise<RulesRow | null> {
  return (await listRules(db, projectId, endpoint, { before: null, limit: 1 }))[0] ?? null;
}

/** Every revision, the newest first. `before` is the last revision of the page before. */
export async function listRules(
  db: Db,
  projectId: string,
  endpoint: string,
  page: { readonly before: number | null; readonly limit: number },
): Promise<RulesRow[]> {
  let query = db
    .selectFrom('quality_rules')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint);
  if (page.before !== null) query = query.where('revision', '<', page.before);
  return query.orderBy('revision', 'desc').limit(page.limit).execute();
}

export async function insertRules(tx: Tx, row: RulesRow): Promise<void> {
  await tx.insertInto('quality_rules').values(row).execute();
}
