import type { Db } from '../base/db/database.ts';
import type { Model, Tags } from './model.ts';

/** A model with the id that other tables know it by. */
export type StoredModel = Model & { readonly id: string };

function selectModels(db: Db) {
  return db
    .selectFrom('models')
    .innerJoin('projects', 'projects.id', 'models.project_id')
    .select(({ selectFrom }) => [
      'models.id as id',
      'projects.name as project',
      'models.name as name',
      'models.description as description',
      'models.card as card',
      'models.tags as tags',
      'models.revision as revision',
      'models.created_at as createdAt',
      'models.created_by as createdBy',
      selectFrom('versions')
        .whereRef('versions.model_id', '=', 'models.id')
        .select(({ fn }) => fn.max<number | null>('versions.number').as('latest'))
        .as('latestVersion'),
    ]);
}

type ModelRow = Awaited<ReturnType<ReturnType<typeof selectModels>['executeTakeFirstOrThrow']>>;

async function toModels(db: Db, rows: readonly ModelRow[]): Promise<StoredModel[]> {
  if (rows.length === 0) return [];
  const aliases = await db
    .selectFrom('aliases')
    .where(
      'model_id',
      'in',
      rows.map((row) => row.id),
    )
    .select(['model_id', 'name', 'version'])
    .orderBy('name')
    .execute();
  const byModel = Map.groupBy(aliases, (alias) => alias.model_id);
  return rows.map((row) => ({
    ...row,
    tags: JSON.parse(row.tags) as Tags,
    latestVersion: row.latestVersion === null ? null : Number(row.latestVersion),
    aliases: Object.fromEntries((byModel.get(row.id) ?? []).map((alias) => [alias.name, alias.version])),
  }));
}

/** One page, by name. `after` is the last name of the page before. */
export async function listModels(
  db: Db,
  projectId: string,
  page: { after: string | null; limit: number },
): Promise<StoredModel[]> {
  let query = selectModels(db).where('models.project_id', '=', projectId);
  if (page.after !== null) query = query.where('models.name', '>', page.after);
  return toModels(db, await query.orderBy('models.name').limit(page.limit).execute());
}

export async function findModel(db: Db, projectId: string, name: string): Promise<StoredModel | null> {
  const rows = await selectModels(db)
    .where('models.project_id', '=', projectId)
    .where('models.name', '=', name)
    .execute();
  return (await toModels(db, rows))[0] ?? null;
}

export async function insertModel(
  db: Db,
  model: Pick<StoredModel, 'id' | 'name' | 'description' | 'card' | 'tags' | 'createdAt' | 'createdBy'> & {
    projectId: string;
  },
): Promise<void> {
  await db
    .insertInto('models')
    .values({
      id: model.id,
      project_id: model.projectId,
      name: model.name,
      description: model.description,
      card: model.card,
      tags: JSON.stringify(model.tags),
      revision: 1,
      next_version: 1,
      created_at: model.createdAt,
      created_by: model.createdBy,
    })
    .execute();
}

export async function updateModel(
  db: Db,
  model: Pick<StoredModel, 'id' | 'description' | 'card' | 'tags' | 'revision'>,
): Promise<void> {
  await db
    .updateTable('models')
    .set({
      description: model.description,
      card: model.card,
      tags: JSON.stringify(model.tags),
      revision: model.revision,
    })
    .where('id', '=', model.id)
    .execute();
}

/** Removes a model with its versions and aliases; the history of its aliases stays. */
export async function deleteModel(db: Db, id: string): Promise<void> {
  await db.deleteFrom('aliases').where('model_id', '=', id).execute();
  const versions = db.selectFrom('versions').select('id').where('model_id', '=', id);
  await db.deleteFrom('version_files').where('version_id', 'in', versions).execute();
  await db.deleteFrom('versions').where('model_id', '=', id).execute();
  await db.deleteFrom('models').where('id', '=', id).execute();
}

/** The number the next version gets. A number is never given twice, also after its version was deleted. */
export async function nextVersion(db: Db, modelId: string): Promise<number> {
  const row = await db.selectFrom('models').where('id', '=', modelId).select('next_version').executeTakeFirstOrThrow();
  return row.next_version;
}

export async function setNextVersion(db: Db, modelId: string, next: number): Promise<void> {
  await db.updateTable('models').set({ next_version: next }).where('id', '=', modelId).execute();
}
