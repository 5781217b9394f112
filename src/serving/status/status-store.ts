import type { Db } from '../../base/db/database.ts';

/** @param project counts only what belongs to it; null counts all */
export async function countRows(db: Db, table: 'models' | 'versions', project: string | null): Promise<number> {
  let query = db
    .selectFrom(table)
    .innerJoin('projects', 'projects.id', `${table}.project_id`)
    .select((e) => e.fn.countAll<number>().as('n'));
  if (project !== null) query = query.where('projects.name', '=', project);
  return Number((await query.executeTakeFirstOrThrow()).n);
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

/** Texts that are others whenever something changed: the audit log, versions under validation, rollouts. */
export async function readMarks(
  db: Db,
  project: string | null,
): Promise<{ registry: string; validation: string; rollouts: string }> {
  let audited = db.selectFrom('audit').select((e) => e.fn.max('seq').as('n'));
  if (project !== null) audited = audited.where('project', '=', project);
  let versions = db
    .selectFrom('versions')
    .innerJoin('projects', 'projects.id', 'versions.project_id')
    .select(['versions.id', 'versions.status', 'versions.status_reason as reason'])
    .where('versions.status', 'in', ['pending', 'validating']);
  if (project !== null) versions = versions.where('projects.name', '=', project);
  let rollouts = db
    .selectFrom('rollouts')
    .innerJoin('projects', 'projects.id', 'rollouts.project_id')
    .select(['rollouts.id', 'rollouts.revision'])
    .where('rollouts.active', '=', 1);
  if (project !== null) rollouts = rollouts.where('projects.name', '=', project);
  return {
    registry: String((await audited.executeTakeFirst())?.n ?? 0),
    validation: JSON.stringify(await versions.limit(100).execute()),
    rollouts: JSON.stringify(await rollouts.limit(100).execute()),
  };
}
