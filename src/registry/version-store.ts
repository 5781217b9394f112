import type { Db } from '../base/db/database.ts';
import { aliasesOfVersions } from './alias-store.ts';
import { effectiveLimits, type RunnerLimits } from './limits.ts';
import { byPath, type Lineage } from './manifest.ts';
import type { Tags } from './model.ts';
import type { Runtime } from './runtime.ts';
import type { Signature } from './signature.ts';
import type { PlainBody, Validation } from './validation.ts';
import { sameFiles, type Version, type VersionStatus } from './version.ts';

/** A version with what only the registry itself needs. */
export type StoredVersion = Omit<Version, 'limits'> & {
  /** Only what the version itself set: the rest is the operator's, and changes with the settings. */
  readonly ownLimits: Partial<RunnerLimits>;
  readonly id: string;
  readonly projectId: string;
  readonly modelId: string;
  readonly manifest: string;
  readonly idempotencyKey: string | null;
  /** Of the request that the key stands for. */
  readonly requestSha256: string | null;
};

/**
 * Without what only the registry needs, and with the limits that hold.
 * @param ceiling the operator's limits
 */
export function showVersion(version: StoredVersion, ceiling: RunnerLimits): Version {
  const {
    id: _id,
    projectId: _project,
    modelId: _model,
    manifest: _text,
    idempotencyKey: _key,
    requestSha256: _request,
    ...shown
  } = version;
  const { ownLimits, ...rest } = shown;
  return { ...rest, limits: effectiveLimits(ceiling, ownLimits) };
}

function selectVersions(db: Db) {
  return db
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .innerJoin('projects', 'projects.id', 'versions.project_id')
    .selectAll('versions')
    .select(['models.name as model', 'projects.name as project']);
}

type VersionRow = Awaited<ReturnType<ReturnType<typeof selectVersions>['executeTakeFirstOrThrow']>>;

async function toVersions(db: Db, rows: readonly VersionRow[]): Promise<StoredVersion[]> {
  if (rows.length === 0) return [];
  const files = await db
    .selectFrom('version_files')
    .where(
      'version_id',
      'in',
      rows.map((row) => row.id),
    )
    .select(['version_id', 'path', 'digest', 'size_bytes'])
    .execute();
  const filesOf = Map.groupBy(files.toSorted(byPath), (file) => file.version_id);
  const aliases = await aliasesOfVersions(db, [...new Set(rows.map((row) => row.model_id))]);
  return rows.map((row) => ({
    id: row.id,
    projectId: row.project_id,
    modelId: row.model_id,
    project: row.project,
    model: row.model,
    version: row.number,
    digest: row.digest,
    manifest: row.manifest,
    status: row.status as VersionStatus,
    statusReason: row.status_reason,
    format: row.format,
    engine: row.engine,
    entry: row.entry,
    files: (filesOf.get(row.id) ?? []).map((file) => ({
      path: file.path,
      digest: file.digest,
      sizeBytes: Number(file.size_bytes),
    })),
    signature: JSON.parse(row.signature) as Signature,
    runtime: row.runtime === null ? null : (JSON.parse(row.runtime) as Runtime),
    environment: row.environment,
    sampleRequest: JSON.parse(row.sample_request) as PlainBody,
    canBatch: row.can_batch === 1,
    canPad: row.can_pad === 1,
    ownLimits: JSON.parse(row.limits) as Partial<RunnerLimits>,
    validation: row.validation === null ? null : (JSON.parse(row.validation) as Validation),
    estimatedMemoryBytes: Number(row.estimated_memory_bytes),
    measuredMemoryBytes: row.measured_memory_bytes === null ? null : Number(row.measured_memory_bytes),
    lineage: JSON.parse(row.lineage) as Lineage,
    tags: JSON.parse(row.tags) as Tags,
    card: row.card,
    aliases: aliases.get(`${row.model_id}@${row.number}`) ?? [],
    idempotencyKey: row.idempotency_key,
    requestSha256: row.request_sha256,
    revision: row.revision,
    createdAt: row.created_at,
    createdBy: row.created_by,
  }));
}

/** One page, the newest first. `before` is the last number of the page before. */
export async function listVersions(
  db: Db,
  modelId: string,
  page: { before: number | null; limit: number },
): Promise<StoredVersion[]> {
  let query = selectVersions(db).where('versions.model_id', '=', modelId);
  if (page.before !== null) query = query.where('versions.number', '<', page.before);
  return toVersions(db, await query.orderBy('versions.number', 'desc').limit(page.limit).execute());
}

/** Versions of all projects in the order they were made, behind the one with this id. */
export async function listVersionsAfter(db: Db, id: string, limit: number): Promise<StoredVersion[]> {
  return toVersions(
    db,
    await selectVersions(db).where('versions.id', '>', id).orderBy('versions.id').limit(limit).execute(),
  );
}

export async function findVersion(db: Db, modelId: string, number: number): Promise<StoredVersion | null> {
  const rows = await selectVersions(db)
    .where('versions.model_id', '=', modelId)
    .where('versions.number', '=', number)
    .execute();
  return (await toVersions(db, rows))[0] ?? null;
}

export async function findVersionById(db: Db, id: string): Promise<StoredVersion | null> {
  return (await toVersions(db, await selectVersions(db).where('versions.id', '=', id).execute()))[0] ?? null;
}

export async function findVersionByKey(db: Db, modelId: string, key: string): Promise<StoredVersion | null> {
  const rows = await selectVersions(db)
    .where('versions.model_id', '=', modelId)
    .where('versions.idempotency_key', '=', key)
    .execute();
  return (await toVersions(db, rows))[0] ?? null;
}

export async function versionExists(db: Db, modelId: string, number: number): Promise<boolean> {
  const row = await db
    .selectFrom('versions')
    .where('model_id', '=', modelId)
    .where('number', '=', number)
    .select('id')
    .executeTakeFirst();
  return row !== undefined;
}

export async function latestNumber(db: Db, modelId: string): Promise<number | null> {
  const row = await db
    .selectFrom('versions')
    .where('model_id', '=', modelId)
    .select('number')
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.number ?? null;
}

/** How many earlier versions are compared when looking for one with the same files. */
const COMPARED = 20;

/** The newest version before `number` with the same files. */
export async function findSameBytes(
  db: Db,
  modelId: string,
  number: number,
  files: readonly { path: string; digest: string }[],
): Promise<number | null> {
  const entry = files[0];
  if (entry === undefined) return null;
  const candidates = await db
    .selectFrom('versions')
    .innerJoin('version_files', 'version_files.version_id', 'versions.id')
    .where('versions.model_id', '=', modelId)
    .where('versions.number', '<', number)
    .where('version_files.path', '=', entry.path)
    .where('version_files.digest', '=', entry.digest)
    .select(['versions.id as id', 'versions.number as number'])
    .orderBy('versions.number', 'desc')
    .limit(COMPARED)
    .execute();
  for (const candidate of candidates) {
    const theirs = await db
      .selectFrom('version_files')
      .where('version_id', '=', candidate.id)
      .select(['path', 'digest'])
      .execute();
    if (sameFiles(files, theirs)) return candidate.number;
  }
  return null;
}

export async function insertVersion(db: Db, version: StoredVersion): Promise<void> {
  await db
    .insertInto('versions')
    .values({
      id: version.id,
      project_id: version.projectId,
      model_id: version.modelId,
      number: version.version,
      digest: version.digest,
      manifest: version.manifest,
      format: version.format,
      engine: version.engine,
      entry: version.entry,
      signature: JSON.stringify(version.signature),
      runtime: version.runtime === null ? null : JSON.stringify(version.runtime),
      environment: version.environment,
      sample_request: JSON.stringify(version.sampleRequest),
      can_batch: version.canBatch ? 1 : 0,
      can_pad: version.canPad ? 1 : 0,
      limits: JSON.stringify(version.ownLimits),
      status: version.status,
      status_reason: version.statusReason,
      validation: null,
      estimated_memory_bytes: version.estimatedMemoryBytes,
      measured_memory_bytes: version.measuredMemoryBytes,
      lineage: JSON.stringify(version.lineage),
      tags: JSON.stringify(version.tags),
      card: version.card,
      idempotency_key: version.idempotencyKey,
      request_sha256: version.requestSha256,
      revision: version.revision,
      created_at: version.createdAt,
      created_by: version.createdBy,
    })
    .execute();
  // In portions: databases bound the number of values in one statement.
  for (let at = 0; at < version.files.length; at += 100) {
    await db
      .insertInto('version_files')
      .values(
        version.files.slice(at, at + 100).map((file) => ({
          project_id: version.projectId,
          version_id: version.id,
          path: file.path,
          digest: file.digest,
          size_bytes: file.sizeBytes,
        })),
      )
      .execute();
  }
}

export async function updateWords(
  db: Db,
  version: Pick<StoredVersion, 'id' | 'tags' | 'card' | 'revision'>,
): Promise<void> {
  await db
    .updateTable('versions')
    .set({ tags: JSON.stringify(version.tags), card: version.card, revision: version.revision })
    .where('id', '=', version.id)
    .execute();
}

export async function deleteVersion(db: Db, id: string): Promise<void> {
  await db.deleteFrom('version_files').where('version_id', '=', id).execute();
  await db.deleteFrom('versions').where('id', '=', id).execute();
}

/** Versions whose validation has not come to an end, in the order they were made. */
export async function listUnvalidated(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('versions')
    .where('status', 'in', ['pending', 'validating'])
    .select('id')
    .orderBy('id')
    .execute();
  return rows.map((row) => row.id);
}

export async function markValidating(db: Db, id: string): Promise<void> {
  await db.updateTable('versions').set({ status: 'validating', status_reason: null }).where('id', '=', id).execute();
}

/** What its validation is doing, for who waits. */
export async function markProgress(db: Db, id: string, reason: string): Promise<void> {
  await db
    .updateTable('versions')
    .set({ status_reason: reason })
    .where('id', '=', id)
    .where('status', '=', 'validating')
    .execute();
}

/** Its validation could not be done; it is done again. */
export async function markPending(db: Db, id: string, reason: string): Promise<void> {
  await db
    .updateTable('versions')
    .set({ status: 'pending', status_reason: reason })
    .where('id', '=', id)
    .where('status', 'in', ['pending', 'validating'])
    .execute();
}

export async function storeValidation(
  db: Db,
  id: string,
  result: {
    status: 'ready' | 'failed';
    reason: string | null;
    validation: Validation;
    canBatch: boolean;
    canPad: boolean;
    measuredMemoryBytes: number | null;
    sampleRequest: PlainBody;
    engine: string;
    environment: string | null;
  },
): Promise<void> {
  await db
    .updateTable('versions')
    .set({
      status: result.status,
      status_reason: result.reason,
      validation: JSON.stringify(result.validation),
      can_batch: result.canBatch ? 1 : 0,
      can_pad: result.canPad ? 1 : 0,
      measured_memory_bytes: result.measuredMemoryBytes,
      sample_request: JSON.stringify(result.sampleRequest),
      engine: result.engine,
      environment: result.environment,
    })
    .where('id', '=', id)
    .execute();
}
