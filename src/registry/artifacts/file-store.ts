import { constants } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, readdir, realpath, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { syncFolder } from '../../base/durable-file.ts';
import type { ArtifactStore, StagedFile, StoredBlob } from './artifact-store.ts';
import { blobPath } from './blob-path.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const HEX = /^[0-9a-f]{64}$/;
const READ_BYTES = 1024 * 1024;

/**
 * Blobs as files below the data folder: `<root>/<project id>/sha256/<2 hex>/<64 hex>`, mode 0444. Uploads grow in
 * `<root>/<project id>/uploads/<upload id>`, on the same file system, so that publishing is one rename. Names are made from ids and digests
 * only, links are never followed, and a folder that resolves elsewhere is refused.
 * @param options.root absolute path of the `artifacts` folder in the data folder
 */
export function createFileStore(options: { readonly root: string }): ArtifactStore {
  const root = resolve(options.root);
  const projectFolder = (projectId: string): string => join(root, matched(UUID, projectId, 'a project id'));
  const uploadsFolder = (projectId: string): string => join(projectFolder(projectId), 'uploads');
  const uploadPath = (projectId: string, uploadId: string): string =>
    join(uploadsFolder(projectId), matched(UUID, uploadId, 'an upload id'));
  const pathOf = (projectId: string, digest: string): string => blobPath(projectFolder(projectId), digest);

  return {
    stat: async (projectId, digest) => statBlob(pathOf(projectId, digest), digest),

    async read(projectId, digest): Promise<Readable> {
      const file = await open(pathOf(projectId, digest), constants.O_RDONLY | constants.O_NOFOLLOW);
      return file.createReadStream({ highWaterMark: 256 * 1024 });
    },

    localPath: async (projectId, digest) => pathOf(projectId, digest),

    async remove(projectId, digest) {
      const path = pathOf(projectId, digest);
      await rm(path, { force: true });
      await syncFolder(dirname(path)).catch(ignoreMissing);
    },

    async *projects(): AsyncGenerator<string> {
      for (const name of await namesIn(root)) if (UUID.test(name)) yield name;
    },

    async removeProject(projectId) {
      await rm(projectFolder(projectId), { recursive: true, force: true });
      await syncFolder(root).catch(ignoreMissing);
    },

    async *blobs(projectId): AsyncGenerator<StoredBlob> {
      const folder = join(projectFolder(projectId), 'sha256');
      for (const shard of await namesIn(folder)) {
        for (const name of await namesIn(join(folder, shard))) {
          if (!HEX.test(name) || !name.startsWith(shard)) continue;
          const blob = await statBlob(join(folder, shard, name), `sha256:${name}`);
          if (blob) yield blob;
        }
      }
    },

    async stage(projectId, uploadId) {
      const folder = uploadsFolder(projectId);
      await makeFolder(root, folder);
      const path = uploadPath(projectId, uploadId);
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
      const file = await open(path, flags, 0o600);
      try {
        const { size } = await file.stat();
        return stagedFile({ file, path, size, target: (digest) => pathOf(projectId, digest), root });
      } catch (error) {
        await file.close();
        throw error;
      }
    },

    async stagedBytes(projectId, uploadId) {
      const found = await lstat(uploadPath(projectId, uploadId)).catch(ignoreMissing);
      return found?.isFile() ? found.size : 0;
    },

    async discard(projectId, uploadId) {
      await rm(uploadPath(projectId, uploadId), { force: true });
    },

    async *staged(projectId): AsyncGenerator<string> {
      for (const name of await namesIn(uploadsFolder(projectId))) if (UUID.test(name)) yield name;
    },

    async freeBytes() {
      // Before the first upload the folder is not there; the data folder above it is.
      const { bavail, bsize } = await statfs(root).catch(() => statfs(dirname(root)));
      return bavail * bsize;
    },
  };
}

function stagedFile(deps: {
  file: FileHandle;
  path: string;
  size: number;
  target: (digest: string) => string;
  root: string;
}): StagedFile {
  const { file, path } = deps;
  let { size } = deps;
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await file.close();
  };
  return {
    get sizeBytes() {
      return size;
    },
    async append(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, size);
        at += bytesWritten;
        size += bytesWritten;
      }
    },
    async *read(fromBytes) {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (let at = fromBytes; at < size; ) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(READ_BYTES, size - at), at);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    sync: () => file.sync(),
    async publish(digest) {
      const target = deps.target(digest);
      const folder = dirname(target);
      await makeFolder(deps.root, folder);
      await file.sync();
      await close();
      await chmod(path, 0o444);
      await rename(path, target);
      await syncFolder(folder);
    },
    close,
  };
}

async function statBlob(path: string, digest: string): Promise<StoredBlob | null> {
  const found = await lstat(path).catch(ignoreMissing);
  return found?.isFile() ? { digest, sizeBytes: found.size, modifiedAt: found.mtime } : null;
}

/** Makes a folder and its parents durably, and makes sure that no link leads out of the root. */
async function makeFolder(root: string, folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  const realRoot = await realpath(root);
  const expected = join(realRoot, folder.slice(root.length));
  if ((await realpath(folder)) !== expected || !expected.startsWith(realRoot + sep)) {
    throw new Error('a folder of the artifact store leads elsewhere');
  }
  if (first === undefined) return;
  // Each new folder is an entry of the one above it, and that is what must reach the disk.
  for (let at = folder; at.length >= first.length; at = dirname(at)) await syncFolder(dirname(at));
}

async function namesIn(folder: string): Promise<string[]> {
  return ((await readdir(folder).catch(ignoreMissing)) ?? []).sort();
}

function matched(pattern: RegExp, text: string, what: string): string {
  if (!pattern.test(text)) throw new TypeError(`not ${what}`);
  return text;
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}
