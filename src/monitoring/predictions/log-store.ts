/** The log's index, policies, keys, holds and erasures in the database. */
import { randomBytes } from 'node:crypto';
import type { Db, Tx } from '../../base/db/database.ts';
import type { Tables } from '../../base/db/tables.ts';
import type { PrivacyPolicy } from './privacy-policy.ts';

export type LogFile = Tables['prediction_files'];

export async function listFiles(
  db: Db,
  filter: { readonly projectId: string; readonly endpoint?: string; readonly fromMs?: number; readonly toMs?: number },
): Promise<LogFile[]> {
  let query = db.selectFrom('prediction_files').selectAll().where('project_id', '=', filter.projectId);
  if (filter.endpoint !== undefined) query = query.where('endpoint', '=', filter.endpoint);
  if (filter.fromMs !== undefined) query = query.where('to_ms', '>=', filter.fromMs);
  if (filter.toMs !== undefined) query = query.where('from_ms', '<=', filter.toMs);
  return query.orderBy('from_ms').execute();
}

/** Every file of every project, the oldest first. */
export async function listAllFiles(db: Db): Promise<LogFile[]> {
  return db.selectFrom('prediction_files').selectAll().orderBy('to_ms').execute();
}

export async function insertFiles(tx: Tx, files: readonly LogFile[]): Promise<void> {
  for (const file of files) await tx.insertInto('prediction_files').values(file).execute();
}

export async function deleteFiles(tx: Tx, ids: readonly string[]): Promise<void> {
  for (const id of ids) await tx.deleteFrom('prediction_files').where('id', '=', id).execute();
}

/** Which of these files of gateways were taken. */
export async function findTaken(db: Db, names: readonly string[]): Promise<Set<string>> {
  const taken = new Set<string>();
  for (let at = 0; at < names.length; at += 5000) {
    const rows = await db
      .selectFrom('prediction_sources')
      .select('name')
      .where('name', 'in', names.slice(at, at + 5000))
      .execute();
    for (const row of rows) taken.add(row.name);
  }
  return taken;
}

export async function insertTaken(tx: Tx, names: readonly string[], at: string): Promise<void> {
  for (const name of names) await tx.insertInto('prediction_sources').values({ name, taken_at: at }).execute();
}

/** Forgets names of files that are long gone. */
export async function deleteTakenBefore(tx: Tx, at: string): Promise<void> {
  await tx.deleteFrom('prediction_sources').where('taken_at', '<', at).execute();
}

export async function readKeys(db: Db): Promise<{ project: string; projectId: string; key: string | null }[]> {
  return db
    .selectFrom('projects')
    .leftJoin('prediction_keys', 'prediction_keys.project_id', 'projects.id')
    .select(['projects.name as project', 'projects.id as projectId', 'prediction_keys.key as key'])
    .orderBy('projects.name')
    .execute();
}

/** Every project has a key of hashes; made when it is first asked for. */
export async function ensureKey(tx: Tx, projectId: string): Promise<string> {
  const row = await tx
    .selectFrom('prediction_keys')
    .select('key')
    .where('project_id', '=', projectId)
    .executeTakeFirst();
  if (row !== undefined) return row.key;
  const key = randomBytes(32).toString('hex');
  await tx.insertInto('prediction_keys').values({ project_id: projectId, key }).execute();
  return key;
}

export async function readPolicies(
  db: Db,
): Promise<{ project: string; projectId: string; endpoint: string; policy: PrivacyPolicy; revision: number }[]> {
  const rows = await db
    .selectFrom('prediction_policies')
    .innerJoin('projects', 'projects.id', 'prediction_policies.project_id')
    .select([
      'projects.name as project',
      'projects.id as projectId',
      'prediction_policies.endpoint as endpoint',
      'prediction_policies.policy as policy',
      'prediction_policies.revision as revision',
    ])
    .execute();
  return rows.map((row) => ({ ...row, policy: JSON.parse(row.policy) as PrivacyPolicy }));
}

export async function findPolicy(
  db: Db,
  projectId: string,
  endpoint: string,
): Promise<{ policy: PrivacyPolicy; revision: number; updatedAt: string; updatedBy: string } | null> {
  const row = await db
    .selectFrom('prediction_policies')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .executeTakeFirst();
  if (row === undefined) return null;
  const { revision, updated_at: updatedAt, updated_by: updatedBy } = row;
  return { policy: JSON.parse(row.policy) as PrivacyPolicy, revision, updatedAt, updatedBy };
}

export async function putPolicy(tx: Tx, row: Tables['prediction_policies']): Promise<void> {
  await tx
    .insertInto('prediction_policies')
    .values(row)
    .onConflict((c) => c.columns(['project_id', 'endpoint']).doUpdateSet(row))
    .execute();
}

export async function listHolds(db: Db): Promise<Tables['prediction_holds'][]> {
  return db.selectFrom('prediction_holds').selectAll().execute();
}

export async function putHold(tx: Tx, row: Tables['prediction_holds']): Promise<void> {
  await tx
    .insertInto('prediction_holds')
    .values(row)
    .onConflict((c) => c.columns(['project_id', 'endpoint']).doUpdateSet(row))
    .execute();
}

export async function deleteHold(tx: Tx, projectId: string, endpoint: string): Promise<void> {
  await tx
    .deleteFrom('prediction_holds')
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .execute();
}

export async function insertErasure(tx: Tx, row: Tables['prediction_erasures']): Promise<void> {
  await tx.insertInto('prediction_erasures').values(row).execute();
}

/** Notes what was done, when all of it was. */
export async function endErasure(tx: Tx, id: string, proof: string): Promise<void> {
  await tx.updateTable('prediction_erasures').set({ proof }).where('id', '=', id).execute();
}

/** Erasures that were begun and whose end is not known. */
export async function listOpenErasures(db: Db): Promise<(Tables['prediction_erasures'] & { project: string })[]> {
  return db
    .selectFrom('prediction_erasures')
    .innerJoin('projects', 'projects.id', 'prediction_erasures.project_id')
    .selectAll('prediction_erasures')
    .select('projects.name as project')
    .where('proof', '=', OPEN_PROOF)
    .execute();
}

/** Proof of an erasure that is under way. */
export const OPEN_PROOF = '{}';

/** Gateways hold nothing back for longer than this: files have nothing any more of what was erased before. */
const HELD_BACK_MS = 7 * 86_400_000;

/** Subjects that were erased lately, and all whose erasure is under way. */
export async function listErasures(
  db: Db,
  projectId: string,
  nowMs: number,
): Promise<{ subject: string; atMs: number }[]> {
  const rows = await db
    .selectFrom('prediction_erasures')
    .select(['subject', 'at_ms as atMs'])
    .where('project_id', '=', projectId)
    .where((eb) => eb.or([eb('at_ms', '>=', nowMs - HELD_BACK_MS), eb('proof', '=', OPEN_PROOF)]))
    .execute();
  return rows.map((row) => ({ subject: row.subject, atMs: Number(row.atMs) }));
}
