/** Takes the minutes that gateways wrote into the database, each once. */
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import type { Logger } from '../../base/log.ts';
import { filesBelow } from '../predictions/log-segments.ts';
import { findTaken, insertTaken, listErasures, readKeys } from '../predictions/log-store.ts';
import type { PaneLine } from '../predictions/pane-writer.ts';
import { PANES_FOLDER } from '../predictions/recording-file.ts';
import { mergePane } from './profile-store.ts';

/** A file without its final name that is this old was left by a killed gateway: it is not complete, and goes. */
const LEFTOVER_MS = 600_000;

export async function ingestPanes(deps: {
  readonly database: Database;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<{ files: number; panes: number }> {
  const { database, dataDir, clock, log } = deps;
  const total = { files: 0, panes: 0 };
  const paths = filesBelow(join(dataDir, PANES_FOLDER)).sort();
  const taken = await findTaken(
    database.db,
    paths.map((path) => `panes/${basename(path)}`),
  );
  const projects = new Map((await readKeys(database.db)).map((one) => [one.project, one.projectId]));
  for (const path of paths) {
    const name = `panes/${basename(path)}`;
    if (path.endsWith('.open')) {
      const age = await stat(path).then(
        (facts) => Date.now() - facts.mtimeMs,
        () => 0,
      );
      if (age > LEFTOVER_MS) await rm(path, { force: true });
      continue;
    }
    if (!path.endsWith('.jsonl')) continue;
    if (!taken.has(name)) {
      try {
        const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
        const panes = lines.map((line) => JSON.parse(line) as PaneLine);
        await database.transaction(async (tx) => {
          for (const pane of panes) {
            const projectId = projects.get(pane.project);
            if (projectId === undefined) continue;
            const erased = await listErasures(tx, projectId, clock.now().getTime());
            await mergePane(tx, projectId, pane, (subject) =>
              erased.some((one) => one.subject === subject && pane.startMs <= one.atMs),
            );
          }
          await insertTaken(tx, [name], clock.now().toISOString());
        });
        total.panes += panes.length;
      } catch (error) {
        if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
        log.error({ err: error, name }, 'a file of profiles cannot be read; it is set aside');
        await rename(path, `${path}.unreadable`);
        continue;
      }
    }
    await rm(path, { force: true });
    total.files += 1;
  }
  return total;
}
