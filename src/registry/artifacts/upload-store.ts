import type { Db } from '../../base/db/database.ts';

export type UploadRow = {
  readonly id: string;
  readonly projectId: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly createdAt: string;
  readonly expiresAt: string;
};

export async function insertUpload(db: Db, upload: UploadRow): Promise<void> {
  await db
    .insertInto('uploads')
    .values({
      id: upload.id,
      project_id: upload.projectId,
      digest: upload.digest,
      size_bytes: upload.sizeBytes,
      created_at: upload.createdAt,
      expires_at: upload.expiresAt,
    })
    .execute();
}

export async function findUpload(db: Db, projectId: string, id: string): Promise<UploadRow | null> {
  const row = await select(db).where('project_id', '=', projectId).where('id', '=', id).executeTakeFirst();
  return row ? toUpload(row) : null;
}

/** Uploads of the same bytes that may be continued, the oldest first. */
export async function findUploadsOf(db: Db, projectId: string, digest: string, now: string): Promise<UploadRow[]> {
  const rows = await select(db)
    .where('project_id', '=', projectId)
    .where('digest', '=', digest)
    .where('expires_at', '>', now)
    .orderBy('id')
    .limit(10)
    .execute();
  return rows.map(toUpload);
}

export async function listExpiredUploads(db: Db, projectId: string, now: string): Promise<UploadRow[]> {
  const rows = await select(db).where('project_id', '=', projectId).where('expires_at', '<=', now).execute();
  return rows.map(toUpload);
}

/** Uploads whose bytes are not all there; finished ones are kept a while for those who ask, and stand in nobody's way. */
export async function countOpenUploads(db: Db, projectId: string): Promise<number> {
  const row = await db
    .selectFrom('uploads')
    .where('project_id', '=', projectId)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('blobs')
            .whereRef('blobs.project_id', '=', 'uploads.project_id')
            .whereRef('blobs.digest', '=', 'uploads.digest')
            .select('blobs.digest'),
        ),
      ),
    )
    .select((e) => e.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  return Number(row.n);
}

export async function extendUpload(db: Db, id: string, expiresAt: string): Promise<void> {
  await db.updateTable('uploads').set({ expires_at: expiresAt }).where('id', '=', id).execute();
}

export async function deleteUpload(db: Db, id: string): Promise<void> {
  await db.deleteFrom('uploads').where('id', '=', id).execute();
}

function select(db: Db) {
  return db.selectFrom('uploads').select(['id', 'project_id', 'digest', 'size_bytes', 'created_at', 'expires_at']);
}

function toUpload(row: {
  id: string;
  project_id: string;
  digest: string;
  size_bytes: number;
  created_at: string;
  expires_at: string;
}): UploadRow {
  return {
    id: row.id,
    projectId: row.project_id,
    digest: row.digest,
    sizeBytes: Number(row.size_bytes),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}
