import type { Readable } from 'node:stream';
import type { Call } from '../../base/access/call.ts';
import { canSome, notPermitted } from '../../base/access/permission.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { uuidv7 } from '../../base/ids.ts';
import type { ArtifactStore, StagedFile } from './artifact-store.ts';
import { findBlobs, touchBlob } from './blob-store.ts';
import type { KeyedLock } from './keyed-lock.ts';
import * as store from './upload-store.ts';
import { createUploadWriter, notEnoughSpace, type UploadTarget } from './upload-writer.ts';

export type Upload = {
  readonly id: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** Bytes received and on disk: where to continue. */
  readonly offsetBytes: number;
  readonly state: 'open' | 'complete';
  readonly expiresAt: string;
};

/** An upload that gets no further byte for so long is forgotten. */
export const UPLOAD_LIFETIME_MS = 24 * 3_600_000;
const MAX_UPLOADS_PER_PROJECT = 1000;
const MIN_EXTENSION_MS = 3_600_000;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const EMPTY_DIGEST = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export type UploadService = ReturnType<typeof createUploadService>;

/** The verbs on uploads. Bytes become visible, as a blob of the project, in one step when the last one has come and the digest is right. */
export function createUploadService(deps: {
  database: Database;
  clock: Clock;
  artifacts: ArtifactStore;
  /** Shared with the collector: publishing and removing the same bytes never overlap. */
  lock: KeyedLock;
  maxUploadBytes: number;
}) {
  const { database, clock, artifacts, lock } = deps;
  const writer = createUploadWriter({ artifacts, clock, publish });

  async function publish(upload: UploadTarget, staged: StagedFile): Promise<void> {
    await lock(blobKey(upload.projectId, upload.digest), async () => {
      await staged.publish(upload.digest);
      await record(upload);
    });
  }

  const record = (upload: Omit<UploadTarget, 'id'>): Promise<void> =>
    database.transaction((tx) => touchBlob(tx, { ...upload, at: clock.now().toISOString() }));

  /**
   * Whether the bytes are there. A row without its file counts as absent, so that uploading again heals it; a file without its row
   * was published just before a crash, and as only verified bytes are published, it is taken over. `touch` keeps the collector
   * away for a while. All under the lock of these bytes: between looking and touching nobody removes them.
   */
  async function isThere(upload: Omit<UploadTarget, 'id'>, then: 'look' | 'adopt' | 'touch'): Promise<boolean> {
    return lock(blobKey(upload.projectId, upload.digest), async () => {
      const stored = await artifacts.stat(upload.projectId, upload.digest);
      if (stored?.sizeBytes !== upload.sizeBytes) return false;
      if (then === 'look') return true;
      const rows = await findBlobs(database.db, upload.projectId, [upload.digest]);
      if (then === 'touch' || !rows.has(upload.digest)) await record(upload);
      return true;
    });
  }

  async function show(row: store.UploadRow): Promise<Upload> {
    const { id, digest, sizeBytes, expiresAt } = row;
    const complete = await isThere(row, 'adopt');
    // Someone else's upload of the same bytes was faster: what this one staged is not needed.
    if (complete && !writer.isWriting(id)) await artifacts.discard(row.projectId, id);
    const offsetBytes = complete ? sizeBytes : await artifacts.stagedBytes(row.projectId, id);
    return { id, digest, sizeBytes, offsetBytes, state: complete ? 'complete' : 'open', expiresAt };
  }

  async function find(call: Call, id: string): Promise<store.UploadRow> {
    assertMayUpload(call);
    const row = await store.findUpload(database.db, call.project.id, id);
    if (row && row.expiresAt > clock.now().toISOString()) return row;
    throw new SlipwayError('upload_not_found', `There is no upload ${id.slice(0, 64)}`, {
      hint: 'An upload that gets no byte for a day is forgotten: announce it again.',
    });
  }

  const expiry = (): string => new Date(clock.now().getTime() + UPLOAD_LIFETIME_MS).toISOString();

  return {
    /**
     * Announces bytes. Those that are there already need no sending: the answer is `complete`. An upload of the same bytes that
     * broke off is continued.
     */
    async announce(call: Call, input: { digest: string; sizeBytes: number }): Promise<Upload> {
      assertMayUpload(call);
      const { digest, sizeBytes } = input;
      const projectId = call.project.id;
      assertAnnouncement(input, deps.maxUploadBytes);
      const now = clock.now();
      const wanted = { projectId, digest, sizeBytes };
      const row = { ...wanted, id: uuidv7(now.getTime()), createdAt: now.toISOString(), expiresAt: expiry() };
      if (sizeBytes === 0) await publishEmpty(call, row);
      const complete = await isThere(wanted, call.dryRun ? 'look' : 'touch');
      if (call.dryRun) return dryAnnouncement(row, complete);
      const chosen = await database.transaction(async (tx) => {
        const others = await store.findUploadsOf(tx, projectId, digest, row.createdAt);
        const mine = others.find((other) => other.sizeBytes === sizeBytes && !writer.isWriting(other.id));
        if (mine) {
          await store.extendUpload(tx, mine.id, row.expiresAt);
          return { ...mine, expiresAt: row.expiresAt };
        }
        if ((await store.countOpenUploads(tx, projectId)) >= MAX_UPLOADS_PER_PROJECT) {
          throw new SlipwayError('rate_limited', `${MAX_UPLOADS_PER_PROJECT} uploads are open in this project`, {
            hint: 'Finish or delete some; those that get no byte for a day are forgotten.',
            retryAfterS: 60,
          });
        }
        await store.insertUpload(tx, row);
        return row;
      });
      const upload = await show(chosen);
      if (upload.state === 'open') await assertRoom(upload.sizeBytes - upload.offsetBytes);
      return upload;
    },

    async get(call: Call, id: string): Promise<Upload> {
      return show(await find(call, id));
    },

    /** Takes bytes from an offset on. What was received is on disk before this answers, and stays when it throws. */
    async append(call: Call, id: string, offsetBytes: number, body: Readable): Promise<Upload> {
      if (call.dryRun) {
        throw new SlipwayError('unsupported_option', 'Sending bytes has no dry run', {
          hint: 'Announce the upload with dryRun=1: that tells whether the bytes are there already.',
        });
      }
      const row = await find(call, id);
      const before = await show(row);
      if (before.state === 'complete') return before;
      const written = await writer.write(row, offsetBytes, body);
      const expiresAt = expiry();
      const isNewer = Date.parse(expiresAt) - Date.parse(row.expiresAt) > MIN_EXTENSION_MS;
      if (isNewer) await database.transaction((tx) => store.extendUpload(tx, id, expiresAt));
      return {
        id,
        digest: row.digest,
        sizeBytes: row.sizeBytes,
        ...written,
        expiresAt: isNewer ? expiresAt : row.expiresAt,
      };
    },

    /** Gives an upload up. Bytes that are complete stay as a blob until they are collected. */
    async remove(call: Call, id: string): Promise<void> {
      await find(call, id);
      if (call.dryRun) return;
      await database.transaction((tx) => store.deleteUpload(tx, id));
      await writer.forget(call.project.id, id);
    },

    /** Forgets uploads that got no byte for a day, and staged bytes that no upload knows of. Gives how many. */
    async expire(projectId: string, options: { dryRun: boolean }): Promise<number> {
      const now = clock.now().toISOString();
      let count = 0;
      for (const row of await store.listExpiredUploads(database.db, projectId, now)) {
        if (writer.isWriting(row.id)) continue;
        count += 1;
        if (options.dryRun) continue;
        await database.transaction((tx) => store.deleteUpload(tx, row.id));
        await writer.forget(projectId, row.id);
      }
      for await (const id of artifacts.staged(projectId)) {
        if (writer.isWriting(id) || (await store.findUpload(database.db, projectId, id))) continue;
        count += 1;
        if (!options.dryRun) await writer.forget(projectId, id);
      }
      return count;
    },
  };

  async function publishEmpty(call: Call, row: store.UploadRow): Promise<void> {
    if (row.digest !== EMPTY_DIGEST) {
      throw new SlipwayError('invalid_digest', `No bytes have the digest ${EMPTY_DIGEST}, not ${row.digest}`);
    }
    if (!call.dryRun) await publish(row, await artifacts.stage(row.projectId, row.id));
  }

  async function assertRoom(bytes: number): Promise<void> {
    const free = await artifacts.freeBytes();
    if (free !== null && free < bytes) throw notEnoughSpace(bytes);
  }
}

export function blobKey(projectId: string, digest: string): string {
  return `${projectId}/${digest}`;
}

function dryAnnouncement(row: store.UploadRow, complete: boolean): Upload {
  const { id, digest, sizeBytes, expiresAt } = row;
  return {
    id,
    digest,
    sizeBytes,
    offsetBytes: complete ? sizeBytes : 0,
    state: complete ? 'complete' : 'open',
    expiresAt,
  };
}

function assertAnnouncement(input: { digest: string; sizeBytes: number }, maxBytes: number): void {
  if (!DIGEST.test(input.digest)) {
    const message = 'must be sha256: and 64 lower-case hex digits';
    throw new SlipwayError('invalid_request', `The digest ${message}`, { fields: [{ pointer: '/digest', message }] });
  }
  if (!Number.isSafeInteger(input.sizeBytes) || input.sizeBytes < 0) {
    const message = 'must be a number of bytes';
    throw new SlipwayError('invalid_request', `sizeBytes ${message}`, { fields: [{ pointer: '/sizeBytes', message }] });
  }
  if (input.sizeBytes > maxBytes) {
    throw new SlipwayError('too_large', `A file of ${input.sizeBytes} bytes is larger than the ${maxBytes} allowed`, {
      hint: 'Raise SLIPWAY_MAX_UPLOAD, or split the weights into several external files.',
    });
  }
}

/** Bytes belong to no model yet, so a key for one model is enough. */
function assertMayUpload(call: Call): void {
  if (!canSome(call.principal, 'deploy', call.project.name)) throw notPermitted(call.principal, 'deploy');
}
