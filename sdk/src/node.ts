/** What only Node can do: sources that read files from disk. The rest of the SDK runs anywhere. */
import { createHash } from 'node:crypto';
import { createReadStream, openAsBlob } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { FileSource } from './upload.ts';

/** `sha256:…` of a file, read as a stream. */
export async function digestOfFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(path, { highWaterMark: 1024 * 1024, ...(signal ? { signal } : {}) });
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

/**
 * A file on disk, read when it is sent and never as a whole in memory.
 * @param path where it lies
 * @param as its path inside the artifact; its name by default
 */
export async function fileSource(path: string, as = basename(path), signal?: AbortSignal): Promise<FileSource> {
  const blob = await openAsBlob(path);
  return { path: as, blob, digest: await digestOfFile(path, signal) };
}

/** Every regular file below a folder, hidden ones left out, in the order of their paths. Symbolic links are not followed. */
export async function folderFiles(
  folder: string,
): Promise<{ path: string; absolutePath: string; sizeBytes: number }[]> {
  const found: { path: string; absolutePath: string; sizeBytes: number }[] = [];
  const walk = async (inside: string): Promise<void> => {
    for (const entry of await readdir(join(folder, inside), { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile()) {
        const absolutePath = join(folder, path);
        found.push({ path, absolutePath, sizeBytes: (await stat(absolutePath)).size });
      }
    }
  };
  await walk('');
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}
