import type { Caller } from '../../base/access/call.ts';
import { assertCan } from '../../base/access/permission.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import type { ArtifactStore } from './artifact-store.ts';
import { deleteUnusedBlob, findBlobs, listProjectIds, listUnusedBlobs } from './blob-store.ts';
import type { KeyedLock } from './keyed-lock.ts';
import { blobKey, type UploadService } from './upload-service.ts';

/** Bytes that were asked for within this time stay: they may be waiting for their version to be made. */
export const GRACE_MS = 24 * 3_600_000;

export type Collected = { readonly blobs: number; readonly bytes: number; readonly uploads: number };

export type BlobCollector = ReturnType<typeof createBlobCollector>;

/**
 * Removes blobs that no version refers to, and all that deleted projects left. The row goes first, in a transaction that looks once more whether the blob is unused, then the
 * file, both under the lock that publishing takes: so a blob that a row names is never without its file, and a crash in between leaves a
 * file without a row, which the next collection removes.
 */
export function createBlobCollector(deps: {
  database: Database;
  clock: Clock;
  artifacts: ArtifactStore;
  uploads: Pick<UploadService, 'expire'>;
  lock: KeyedLock;
  graceMs?: number;
}) {
  const { database, clock, artifacts, uploads, lock } = deps;
  const graceMs = deps.graceMs ?? GRACE_MS;

  async function collect(options: { dryRun: boolean }): Promise<Collected> {
    const before = new Date(clock.now().getTime() - graceMs).toISOString();
    const total = { blobs: 0, bytes: 0, uploads: 0 };
    for (const projectId of await listProjectIds(database.db)) {
      total.uploads += await uploads.expire(projectId, options);
      for (const blob of await listUnusedBlobs(database.db, projectId, before)) {
        if (!options.dryRun && !(await removeBlob(projectId, blob.digest, before))) continue;
        total.blobs += 1;
        total.bytes += blob.sizeBytes;
      }
      for await (const stray of artifacts.blobs(projectId)) {
        if (stray.modifiedAt.toISOString() >= before) continue;
        if (!(await removeStray(projectId, stray.digest, options.dryRun))) continue;
        total.blobs += 1;
        total.bytes += stray.sizeBytes;
      }
    }
    await collectGoneProjects(total, options.dryRun);
    return total;
  }

  /** Folders of deleted projects: nobody can ask for their bytes any more, so they have no grace. */
  async function collectGoneProjects(total: { -readonly [K in keyof Collected]: number }, dryRun: boolean) {
    // Folders first: that of a project that is there was made after its row, so the row is found then.
    const folders: string[] = [];
    for await (const projectId of artifacts.projects()) folders.push(projectId);
    const known = new Set(await listProjectIds(database.db));
    for (const projectId of folders) {
      if (known.has(projectId)) continue;
      for await (const blob of artifacts.blobs(projectId)) {
        total.blobs += 1;
        total.bytes += blob.sizeBytes;
      }
      for await (const _upload of artifacts.staged(projectId)) total.uploads += 1;
      if (!dryRun) await artifacts.removeProject(projectId);
    }
  }

  function removeBlob(projectId: string, digest: string, before: string): Promise<boolean> {
    return lock(blobKey(projectId, digest), async () => {
      const removed = await database.transaction((tx) => deleteUnusedBlob(tx, projectId, digest, before));
      if (removed) await artifacts.remove(projectId, digest);
      return removed;
    });
  }

  /** A file that no row names. */
  function removeStray(projectId: string, digest: string, dryRun: boolean): Promise<boolean> {
    return lock(blobKey(projectId, digest), async () => {
      if ((await findBlobs(database.db, projectId, [digest])).has(digest)) return false;
      if (!dryRun) await artifacts.remove(projectId, digest);
      return true;
    });
  }

  return {
    /** For the timer of the server. */
    collect,

    /** For an administrator. */
    async collectFor(caller: Caller): Promise<Collected> {
      assertCan(caller.principal, 'admin', '*');
      const collected = await collect({ dryRun: caller.dryRun });
      if (!caller.dryRun) {
        await database.transaction((tx) =>
          appendAudit(
            tx,
            {
              project: null,
              actor: caller.principal.actor,
              action: 'artifacts.collect',
              resource: 'artifacts',
              detail: collected,
              requestId: caller.requestId,
            },
            clock,
          ),
        );
      }
      return collected;
    },
  };
}
