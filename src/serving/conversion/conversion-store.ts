import type { Db } from '../../base/db/database.ts';
import type { ConversionReport } from '../../registry/conversion-report.ts';
import type { Conversion, ConversionSpec, ConversionStatus } from './conversion.ts';

export type StoredConversion = Conversion & {
  readonly projectId: string;
  readonly project: string;
  readonly modelId: string;
  /** How often it was begun: one that ends its server each time is given up. */
  readonly attempts: number;
};

function selectConversions(db: Db) {
  return db
    .selectFrom('conversions')
    .innerJoin('models', 'models.id', 'conversions.model_id')
    .innerJoin('projects', 'projects.id', 'conversions.project_id')
    .selectAll('conversions')
    .select(['models.name as model', 'projects.name as project']);
}

type Row = Awaited<ReturnType<ReturnType<typeof selectConversions>['executeTakeFirstOrThrow']>>;

function toConversion(row: Row): StoredConversion {
  return {
    id: row.id,
    projectId: row.project_id,
    project: row.project,
    modelId: row.model_id,
    model: row.model,
    from: row.from_version,
    spec: JSON.parse(row.spec) as ConversionSpec,
    status: row.status as ConversionStatus,
    reason: row.reason,
    hint: row.hint,
    report: row.report === null ? null : (JSON.parse(row.report) as ConversionReport),
    version: row.to_version,
    attempts: row.attempts,
    createdAt: row.created_at,
    createdBy: row.created_by,
    finishedAt: row.finished_at,
  };
}

export async function insertConversion(db: Db, one: Omit<StoredConversion, 'model' | 'project'>): Promise<void> {
  await db
    .insertInto('conversions')
    .values({
      id: one.id,
      project_id: one.projectId,
      model_id: one.modelId,
      from_version: one.from,
      spec: JSON.stringify(one.spec),
      status: one.status,
      reason: one.reason,
      hint: one.hint,
      report: one.report === null ? null : JSON.stringify(one.report),
      to_version: one.version,
      attempts: one.attempts,
      created_at: one.createdAt,
      created_by: one.createdBy,
      finished_at: one.finishedAt,
    })
    .execute();
}

/** The newest first. @param page.after id of the last one of the page before */
export async function listConversions(
  db: Db,
  modelId: string,
  page: { readonly after: string | null; readonly limit: number },
): Promise<StoredConversion[]> {
  let query = selectConversions(db).where('conversions.model_id', '=', modelId);
  if (page.after !== null) query = query.where('conversions.id', '<', page.after);
  return (await query.orderBy('conversions.id', 'desc').limit(page.limit).execute()).map(toConversion);
}

export async function findConversion(db: Db, id: string): Promise<StoredConversion | null> {
  const row = await selectConversions(db).where('conversions.id', '=', id).executeTakeFirst();
  return row === undefined ? null : toConversion(row);
}

/** Those that have not come to an end, in the order they were asked for. */
export async function listOpenConversions(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('conversions')
    .where('status', 'in', ['waiting', 'working'])
    .select('id')
    .orderBy('id')
    .execute();
  return rows.map((row) => row.id);
}

/** Counts the attempt before it begins. */
export async function beginConversion(db: Db, id: string, attempts: number): Promise<void> {
  await db.updateTable('conversions').set({ status: 'working', attempts }).where('id', '=', id).execute();
}

export async function tellConversion(db: Db, id: string, reason: string): Promise<void> {
  await db.updateTable('conversions').set({ reason }).where('id', '=', id).where('status', '=', 'working').execute();
}

export async function endConversion(
  db: Db,
  id: string,
  end: Pick<Conversion, 'status' | 'reason' | 'hint' | 'report' | 'version'> & { readonly finishedAt: string },
): Promise<void> {
  await db
    .updateTable('conversions')
    .set({
      status: end.status,
      reason: end.reason,
      hint: end.hint,
      report: end.report === null ? null : JSON.stringify(end.report),
      to_version: end.version,
      finished_at: end.finishedAt,
    })
    .where('id', '=', id)
    .execute();
}
