import { createHash, type Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { ArtifactStore, StagedFile } from './artifact-store.ts';

/** A writer that has brought nothing for so long is taken for a connection that broke without anyone telling. */
export const STALLED_MS = 5_000;

export type WrittenUpload =
  | { readonly state: 'open'; readonly offsetBytes: number }
  | { readonly state: 'complete'; readonly offsetBytes: number };

export type UploadTarget = {
  readonly id: string;
  readonly projectId: string;
  readonly digest: string;
  readonly sizeBytes: number;
};

/** The hash of what is on disk so far, kept between requests so that bytes are read back only after a restart. */
type HashState = { hash: Hash; bytes: number };
type Writer = {
  lastByteMs: number;
  readonly body: Readable;
  readonly ended: Promise<void>;
  readonly release: () => void;
};

/**
 * Takes the bytes of uploads to the store, hashing them on the way. One writer per upload; memory is one chunk of the connection, which
 * is read no faster than the disk takes it.
 */
export function createUploadWriter(deps: {
  artifacts: ArtifactStore;
  clock: Clock;
  /** Makes verified bytes visible: publishes the staged file and records the blob. */
  publish: (upload: UploadTarget, staged: StagedFile) => Promise<void>;
}) {
  const { artifacts, clock } = deps;
  const hashes = new Map<string, HashState>();
  const writers = new Map<string, Writer>();

  /** @throws SlipwayError `offset_conflict`, `too_large`, `invalid_digest`, `disk_full`, `client_closed` */
  async function write(upload: UploadTarget, offsetBytes: number, body: Readable): Promise<WrittenUpload> {
    const writer = await claim(upload, body);
    try {
      const staged = await artifacts.stage(upload.projectId, upload.id);
      try {
        return await receive(upload, offsetBytes, staged, writer);
      } finally {
        await staged.close();
      }
    } catch (error) {
      throw toSlipwayError(error);
    } finally {
      writers.delete(upload.id);
      writer.release();
    }
  }

  async function claim(upload: UploadTarget, body: Readable): Promise<Writer> {
    for (let other = writers.get(upload.id); other; other = writers.get(upload.id)) {
      if (clock.monotonicMs() - other.lastByteMs < STALLED_MS) {
        throw new SlipwayError('offset_conflict', 'Another connection is sending this upload', {
          hint: 'Ask for the upload again and continue at its offset.',
        });
      }
      other.body.destroy();
      await other.ended;
    }
    const { promise: ended, resolve: release } = Promise.withResolvers<void>();
    const writer: Writer = { lastByteMs: clock.monotonicMs(), body, ended, release };
    writers.set(upload.id, writer);
    return writer;
  }

  async function receive(
    upload: UploadTarget,
    offsetBytes: number,
    staged: StagedFile,
    writer: Writer,
  ): Promise<WrittenUpload> {
    if (offsetBytes !== staged.sizeBytes) {
      throw new SlipwayError(
        'offset_conflict',
        `The upload continues at byte ${staged.sizeBytes}, not ${offsetBytes}`,
        {
          hint: 'Ask for the upload again and continue at its offset.',
          extra: { offsetBytes: staged.sizeBytes },
        },
      );
    }
    const state = await hashOfStaged(upload, staged, writer);
    await take(upload, staged, state, writer);
    if (staged.sizeBytes < upload.sizeBytes) {
      await staged.sync();
      return { state: 'open', offsetBytes: staged.sizeBytes };
    }
    hashes.delete(upload.id);
    const digest = `sha256:${state.hash.digest('hex')}`;
    if (digest !== upload.digest) {
      await staged.close();
      await artifacts.discard(upload.projectId, upload.id);
      throw new SlipwayError('invalid_digest', `The bytes received have the digest ${digest}, not ${upload.digest}`, {
        hint: 'They were removed. The file changed while it was sent, or was damaged on the way: compute its digest again and start over.',
        extra: { received: digest },
      });
    }
    await deps.publish(upload, staged);
    return { state: 'complete', offsetBytes: upload.sizeBytes };
  }

  async function take(upload: UploadTarget, staged: StagedFile, state: HashState, writer: Writer): Promise<void> {
    let isOurs = false;
    try {
      for await (const chunk of writer.body as AsyncIterable<Buffer>) {
        isOurs = true;
        if (staged.sizeBytes + chunk.length > upload.sizeBytes) {
          throw new SlipwayError('too_large', `More bytes came than the ${upload.sizeBytes} that were announced`, {
            hint: 'Announce the upload again with the right size and digest.',
          });
        }
        writer.lastByteMs = clock.monotonicMs();
        await staged.append(chunk);
        state.hash.update(chunk);
        state.bytes += chunk.length;
        isOurs = false;
      }
    } catch (error) {
      if (isOurs) throw diskFull(error, upload, staged);
      throw new SlipwayError('client_closed', 'The connection ended before the body did', { cause: error });
    }
  }

  /** After a restart, or a write that got in half, what is on disk is read back, a chunk at a time. */
  async function hashOfStaged(upload: UploadTarget, staged: StagedFile, writer: Writer): Promise<HashState> {
    let state = hashes.get(upload.id);
    if (!state || state.bytes > staged.sizeBytes) state = { hash: createHash('sha256'), bytes: 0 };
    hashes.set(upload.id, state);
    for await (const chunk of staged.read(state.bytes)) {
      state.hash.update(chunk);
      state.bytes += chunk.length;
      writer.lastByteMs = clock.monotonicMs();
    }
    return state;
  }

  return {
    write,
    isWriting: (uploadId: string): boolean => writers.has(uploadId),
    /** Ends a writer and forgets what is staged. */
    async forget(projectId: string, uploadId: string): Promise<void> {
      const writer = writers.get(uploadId);
      writer?.body.destroy();
      await writer?.ended;
      hashes.delete(uploadId);
      await artifacts.discard(projectId, uploadId);
    },
  };
}

/** ENOSPC and EDQUOT say nothing of how much is missing; who reads the error needs to know. */
function diskFull(error: unknown, upload: UploadTarget, staged: StagedFile): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return notEnoughSpace(upload.sizeBytes - staged.sizeBytes, error);
}

export function notEnoughSpace(missingBytes: number, cause?: unknown): SlipwayError {
  return new SlipwayError('disk_full', `The data folder has no room for the ${missingBytes} bytes still to come`, {
    hint: 'Free some space (`slipway artifacts collect`, POST /api/v1/artifacts/collect, removes unused bytes), then repeat the command: the upload continues where it stopped.',
    ...(cause === undefined ? {} : { cause }),
  });
}
