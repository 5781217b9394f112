import { sql } from 'kysely';
import type { Db } from '../base/db/database.ts';
import type { Alias, AliasChange } from './alias.ts';

type Page = { readonly after: string | null; readonly limit: number };

export async function listAliases(db: Db, modelId: string, page: Page): Promise<Alias[]> {
  let query = selectAliases(db).where('aliases.model_id', '=', modelId);
  if (page.after !== null) query = query.where('aliases.name', '>', page.after);
  return query.orderBy('aliases.name').limit(page.limit).execute();
}

export async function findAlias(db: Db, modelId: string, name: string): Promise<Alias | null> {
  const alias = await selectAliases(db)
    .where('aliases.model_id', '=', modelId)
    .where('aliases.name', '=', name)
    .executeTakeFirst();
  return alias ?? null;
}

/** The names of each version of a model, sorted. */
export async function aliasesOfVersions(db: Db, modelIds: readonly string[]): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>();
  if (modelIds.length === 0) return names;
  const rows = await db
    .selectFrom('aliases')
    .where('model_id', 'in', modelIds)
    .select(['model_id', 'name', 'version'])
    .orderBy('name')
    .execute();
  for (const row of rows) {
    const key = `${row.model_id}@${row.version}`;
    names.set(key, [...(names.get(key) ?? []), row.name]);
  }
  return names;
}

/** Sets an alias and notes the move; both in the caller's transaction. */
export async function putAlias(db: Db, move: AliasMove & { to: number; revision: number }): Promise<void> {
  await db
    .insertInto('aliases')
    .values({
      project_id: move.projectId,
      model_id: move.modelId,
      name: move.name,
      version: move.to,
      revision: move.revision,
      updated_at: move.at,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['model_id', 'name'])
        .doUpdateSet({ version: move.to, revision: move.revision, updated_at: move.at }),
    )
    .execute();
  await insertHistory(db, move);
}

export async function deleteAlias(db: Db, move: AliasMove & { to: null }): Promise<void> {
  await db.deleteFrom('aliases').where('model_id', '=', move.modelId).where('name', '=', move.name).execute();
  await insertHistory(db, move);
}

export type AliasMove = {
  readonly id: string;
  readonly projectId: string;
  readonly modelId: string;
  readonly name: string;
  readonly from: number | null;
  readonly to: number | null;
  readonly actor: string;
  readonly reason: string | null;
  readonly at: string;
};

async function insertHistory(db: Db, move: AliasMove): Promise<void> {
  await db
    .insertInto('alias_history')
    .values({
      id: move.id,
      project_id: move.projectId,
      model_id: move.modelId,
      name: move.name,
      from_version: move.from,
      to_version: move.to,
      actor: move.actor,
      reason: move.reason,
      at: move.at,
    })
    .execute();
}

/** The moves of one alias, the last one first. `after` is the id of the last move of the page before. */
export async function listHistory(
  db: Db,
  modelId: string,
  name: string,
  page: Page,
): Promise<(AliasChange & { id: string })[]> {
  let query = db
    .selectFrom('alias_history')
    .where('model_id', '=', modelId)
    .where('name', '=', name)
    .select(['id', 'name', 'from_version as from', 'to_version as to', 'actor', 'reason', 'at']);
  if (page.after !== null) query = query.where('id', '<', page.after);
  return query.orderBy('id', 'desc').limit(page.limit).execute();
}

/** One more than the highest revision an alias of this name ever had, so that an entity tag is never true twice. */
export async function nextAliasRevision(db: Db, modelId: string, name: string): Promise<number> {
  const row = await db
    .selectFrom('alias_history')
    .where('model_id', '=', modelId)
    .where('name', '=', name)
    .select(sql<number>`count(*)`.as('moves'))
    .executeTakeFirstOrThrow();
  return Number(row.moves) + 1;
}

function selectAliases(db: Db) {
  return db
    .selectFrom('aliases')
    .innerJoin('models', 'models.id', 'aliases.model_id')
    .select([
      'models.name as model',
      'aliases.name as name',
      'aliases.version as version',
      'aliases.revision as revision',
      'aliases.updated_at as updatedAt',
    ]);
}
