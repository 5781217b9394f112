/**
 * Parquet files of the log that cannot be read. Queries leave them out and say so, and nothing rewrites or removes them; one that is put back
 * whole counts again. What is known of them is in memory: the first query after a start finds them anew.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '../../base/log.ts';
import type { LogFile } from './log-store.ts';

/** What a query did not see. */
export type LeftOut = { readonly files: number; readonly rows: number };

export type DamagedFiles = {
  /** Files that may be read, and those that are known not to be; one that changed since is looked at again. */
  split(files: readonly LogFile[]): Promise<{ whole: LogFile[]; damaged: LogFile[] }>;
  /** Reads every byte of files that something failed on. @returns whether one more is damaged than was known */
  examine(files: readonly LogFile[]): Promise<boolean>;
};

export function createDamagedFiles({ dataDir, log }: { readonly dataDir: string; readonly log: Logger }): DamagedFiles {
  /** What each was like when it was found damaged, by id. */
  const known = new Map<string, string>();
  const stampOf = (file: LogFile): Promise<string> =>
    stat(join(dataDir, file.path)).then(
      ({ size, mtimeMs, ino }) => `${size} ${mtimeMs} ${ino}`,
      () => 'gone',
    );
  const isWhole = async (file: LogFile): Promise<boolean> =>
    (await digestOf(join(dataDir, file.path)).catch(() => null)) === file.digest;

  return {
    async split(files) {
      const [whole, damaged]: [LogFile[], LogFile[]] = [[], []];
      for (const file of files) {
        const before = known.get(file.id);
        const stamp = before === undefined ? '' : await stampOf(file);
        if (before === stamp) damaged.push(file);
        else if (before === undefined) whole.push(file);
        else if (await isWhole(file)) {
          known.delete(file.id);
          log.info({ path: file.path, rows: Number(file.rows) }, 'a file of the prediction log is whole again');
          whole.push(file);
        } else {
          known.set(file.id, stamp);
          damaged.push(file);
        }
      }
      return { whole, damaged };
    },

    async examine(files) {
      let found = false;
      for (const file of files) {
        if (known.has(file.id)) continue;
        const stamp = await stampOf(file);
        if (await isWhole(file)) continue;
        known.set(file.id, stamp);
        found = true;
        log.error(
          { path: file.path, digest: file.digest, rows: Number(file.rows), gone: stamp === 'gone' },
          'a file of the prediction log is damaged or gone; queries leave it out. Put it back from a backup, and it counts again',
        );
      }
      return found;
    },
  };
}

export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return `sha256:${hash.digest('hex')}`;
}
