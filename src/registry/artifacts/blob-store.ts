import type { Db } from '../../base/db/database.ts';

/** Notes that the bytes are there and wanted now. */
export async function touchBlob(
  db: Db,
  blob: { projectId: string; digest: string; sizeBytes: number; at: string },
): Promise<void> {
  await db
    .insertInto('blobs')
    .values({
      project_id: blob.projectId,
      digest: blob.digest,
      size_bytes: blob.sizeBytes,
      created_at: blob.at,
      touched_at: blob.at,
    })
    .onConflict((conflict) =>
      conflict.columns(['project_id', 'digest']).doUpdateSet({ touched_at: blob.at, size_bytes: blob.sizeBytes }),
    )
    .execute();
}

/** Sizes of those of the digests that are there. */
export async function findBlobs(db: Db, projectId: string, digests: readonly string[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (let at = 0; at < digests.length; at += 500) {
    const rows = await db
      .selectFrom('blobs')
      .where('project_id', '=', projectId)
      .where('digest', 'in', digests.slice(at, at + 500))
      .select(['digest', 'size_bytes'])
      .execute();
    for (const row of rows) found.set(row.digest, Number(row.size_bytes));
  }
  return found;
}

/** Blobs that no version refers to and nobody has asked for since `before`. */
export async function listUnusedBlobs(
  db: Db,
  projectId: string,
  before: string,
): Promise<{ digest: string; sizeBytes: number }[]> {
  const rows = await unused(db, projectId, before).select(['digest', 'size_bytes']).execute();
  return rows.map((row) => ({ digest: row.digest, sizeBytes: Number(row.size_bytes) }));
}

/** Removes the row, if the blob is unused still. To be called in a transaction: what a version refers to by then stays. */
export async function deleteUnusedBlob(db: Db, projectId: string, digest: string, before: string): Promise<boolean> {
  const row = await unused(db, projectId, before).where('digest', '=', digest).select('digest').executeTakeFirst();
  if (!row) return false;
  await db.deleteFrom('blobs').where('project_id', '=', projectId).where('digest', '=', digest).execute();
  return true;
}

function unused(db: Db, projectId: string, before: string) {
  return db
    .selectFrom('blobs')
    .where('project_id', '=', projectId)
    .where('touched_at', '<', before)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('version_files')
            .select('version_files.digest')
            .whereRef('version_files.project_id', '=', 'blobs.project_id')
            .whereRef('version_files.digest', '=', 'blobs.digest'),
        ),
      ),
    );
}

export async function listProjectIds(db: Db): Promise<string[]> {
  return (await db.selectFrom('projects').select('id').orderBy('id').execute()).map((row) => row.id);
}
