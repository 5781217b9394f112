import type { Db, Tx } from '../../base/db/database.ts';
import type { Tables } from '../../base/db/tables.ts';
import type { ColumnProfile } from './column-profile.ts';
import { decodeProfile, encodeProfile } from './profile-codec.ts';

/** `file`: of the reference set that came with the version; `first`: of its first predictions. */
export type ReferenceOrigin = 'file' | 'first';

export type ReferenceProfile = {
  readonly origin: ReferenceOrigin;
  /** Grows with every new reference of the version. */
  readonly revision: number;
  readonly madeAt: string;
  readonly columns: ReadonlyMap<string, ColumnProfile>;
};

type Key = { readonly projectId: string; readonly versionDigest: string };

/** Puts a reference in the place of the one before. */
export async function putReference(
  tx: Tx,
  { projectId, versionDigest }: Key,
  model: string,
  { origin, revision, madeAt, columns }: ReferenceProfile,
): Promise<void> {
  await tx
    .deleteFrom('reference_profiles')
    .where('project_id', '=', projectId)
    .where('version_digest', '=', versionDigest)
    .execute();
  const of = { project_id: projectId, model, version_digest: versionDigest, revision, origin, made_at: madeAt };
  for (const [name, profile] of columns) {
    const row = { ...of, column_name: name, profile: Buffer.from(encodeProfile(profile)) };
    await tx.insertInto('reference_profiles').values(row).execute();
  }
}

export async function readReference(db: Db, { projectId, versionDigest }: Key): Promise<ReferenceProfile | null> {
  const rows = await db
    .selectFrom('reference_profiles')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('version_digest', '=', versionDigest)
    .execute();
  if (rows.length === 0) return null;
  const { origin, revision, made_at: madeAt } = rows[0]!;
  const columns = new Map(rows.map((row) => [row.column_name, decodeProfile(row.profile)]));
  return { origin: origin as ReferenceOrigin, revision, madeAt, columns };
}

/** Versions that have a reference, with its revision. */
export async function listReferences(db: Db): Promise<(Key & { revision: number })[]> {
  return db
    .selectFrom('reference_profiles')
    .select(['project_id as projectId', 'version_digest as versionDigest', 'revision'])
    .distinct()
    .execute();
}

export type ReferenceAsked = Tables['references_asked'];

export async function putAsked(tx: Tx, row: ReferenceAsked): Promise<void> {
  await tx
    .insertInto('references_asked')
    .values(row)
    .onConflict((c) => c.columns(['project_id', 'endpoint', 'version_digest']).doUpdateSet(row))
    .execute();
}

export async function listAsked(db: Db): Promise<ReferenceAsked[]> {
  return db.selectFrom('references_asked').selectAll().execute();
}

export async function findAsked(db: Db, projectId: string, versionDigest: string): Promise<ReferenceAsked | null> {
  const query = db.selectFrom('references_asked').selectAll().where('project_id', '=', projectId);
  return (await query.where('version_digest', '=', versionDigest).executeTakeFirst()) ?? null;
}

export async function deleteAsked(tx: Tx, { project_id, endpoint, version_digest }: ReferenceAsked): Promise<void> {
  await tx
    .deleteFrom('references_asked')
    .where('project_id', '=', project_id)
    .where('endpoint', '=', endpoint)
    .where('version_digest', '=', version_digest)
    .execute();
}

/** How many rows a reference is of. */
export function rowsOf(columns: ReadonlyMap<string, ColumnProfile>): number {
  return Math.max(0, ...[...columns.values()].map((profile) => profile.values + profile.missing));
}
