import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, mkdir, open } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { StoredFile } from '../../registry/validation.ts';

/** What `readEntry` can hold: a Buffer's and protobuf's common limit. */
const LARGEST_ENTRY_BYTES = 2 ** 31 - 1;

/**
 * Lays copies of the artifact's files into an empty folder. Copies, not links: a model that turns on its host has nothing
 * of the store within reach. Where the file system can, a copy shares its blocks with the blob.
 * @throws SlipwayError artifact_corrupt when a blob is gone, disk_full
 */
export async function copyFiles(files: readonly StoredFile[], folder: string): Promise<void> {
  for (const { path, blobPath } of files) {
    const target = join(folder, ...safeParts(path));
    await mkdir(dirname(target), { recursive: true });
    try {
      await copyFile(blobPath, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        throw corrupt(path, 'is missing in the artifact store', error);
      throw toSlipwayError(error);
    }
  }
}

/** The parts of a path inside an artifact. The registry accepts no other paths; a runner's folder is no place to find out that it did. */
export function safeParts(path: string): string[] {
  const parts = path.split('/');
  const escapes = parts.some(
    (part) => part === '' || part === '.' || part === '..' || part.includes('\0') || part.includes('\\'),
  );
  if (escapes || posix.isAbsolute(path))
    throw new SlipwayError('model_refused', 'A path of the artifact leaves its folder');
  return parts;
}

/**
 * The bytes of one file, proven to be those of its digest: hashed in memory, so that what was checked is what is used.
 * @throws SlipwayError artifact_corrupt
 */
export async function readVerified(file: StoredFile, at: string): Promise<Uint8Array> {
  if (file.sizeBytes > LARGEST_ENTRY_BYTES) {
    throw new SlipwayError('model_unsupported', `${file.path} has 2 GiB or more`, {
      hint: 'Export the model with external data: a small model file beside its weights.',
    });
  }
  const handle = await open(at, 'r');
  try {
    if ((await handle.stat()).size !== file.sizeBytes) throw corrupt(file.path, 'does not have its size');
    const bytes = Buffer.allocUnsafeSlow(file.sizeBytes);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) throw corrupt(file.path, 'ends early');
      filled += bytesRead;
    }
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== file.digest)
      throw corrupt(file.path, 'was altered');
    return bytes;
  } finally {
    await handle.close();
  }
}

/** Checks a file that an engine will open by itself, in a folder that nobody else writes to. @throws SlipwayError artifact_corrupt */
export async function verifyFile(file: StoredFile, at: string): Promise<void> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(at, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  if (size !== file.sizeBytes || `sha256:${hash.digest('hex')}` !== file.digest)
    throw corrupt(file.path, 'was altered');
}

function corrupt(path: string, what: string, cause?: unknown): SlipwayError {
  return new SlipwayError('artifact_corrupt', `The file ${path} of the artifact ${what}`, {
    hint: 'Push the model again as a new version, and check the disk of the server.',
    cause,
  });
}
