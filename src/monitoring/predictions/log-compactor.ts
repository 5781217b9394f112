/**
 * Segments become Parquet files, one an hour and endpoint, and files that nobody may keep any longer go. Every step may be cut off: a Parquet
 * file counts when it is in the index, and a segment is gone when its name is there, in the same transaction.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { syncFolder } from '../../base/durable-file.ts';
import { uuidv7 } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import { type DamagedFiles, digestOf } from './damaged-files.ts';
import { type Duck, type DuckStore, quoteText } from './duck-store.ts';
import { segmentParts } from './log-query.ts';
import { countLines, endpointsWithSegments, filesBelow, listSegments, type Segment } from './log-segments.ts';
import * as store from './log-store.ts';
import { PREDICTIONS_FOLDER, SEGMENTS_FOLDER } from './recording-file.ts';
import type { WhereParameter } from './where-expression.ts';

export const PARQUET_FOLDER = `${PREDICTIONS_FOLDER}/parquet`;
const HOUR_MS = 3_600_000;
/** Segments that their gateways closed wait this long for company. */
const WAIT_MS = 300_000;
const MANY_BYTES = 128 * 1024 * 1024;
/** An open segment that nobody appends to any more is its gateway's no longer: that closes one after five minutes. */
const ABANDONED_MS = 900_000;
/** Files of one hour, above which they become one. */
const MANY_FILES = 8;

export type LogCompactorDeps = {
  readonly database: Database;
  readonly duck: DuckStore;
  readonly dataDir: string;
  readonly damaged: DamagedFiles;
  readonly clock: Clock;
  readonly log: Logger;
};

export type LogCompactor = ReturnType<typeof createLogCompactor>;

export function createLogCompactor(deps: LogCompactorDeps) {
  const { database, duck, dataDir, damaged, clock, log } = deps;
  const resting = createResting(clock);

  /**
   * Writes a relation as Parquet files by hour, and hands them over. Where that fails nothing of them stays: on a full disk it would take the
   * room that is left, again at each attempt.
   * @param relation its parameters are `parameters`
   * @param commit puts them into the index
   */
  const writeHours = async (
    to: { projectId: string; endpoint: string; columns: Readonly<Record<string, string>>; badLines: number },
    relation: string,
    parameters: readonly WhereParameter[],
    commit: (files: store.LogFile[]) => Promise<void>,
  ): Promise<store.LogFile[]> => {
    const files: store.LogFile[] = [];
    const paths: string[] = [];
    try {
      await duck.use(async (one) => {
        await one.run(`create temp table part as select distinct on ("id", "row") * from ${relation}`, parameters);
        const hours = await one.rows(
          `select distinct cast(floor("at" / ${HOUR_MS}) as bigint) as hour from part order by hour`,
        );
        for (const { hour } of hours) {
          const startMs = Number(hour) * HOUR_MS;
          const iso = new Date(startMs).toISOString();
          const folder = join(PARQUET_FOLDER, to.projectId, to.endpoint, iso.slice(0, 10), iso.slice(11, 13));
          const id = uuidv7(clock.now().getTime());
          const path = join(folder, `${id}.parquet`);
          await mkdir(join(dataDir, folder), { recursive: true, mode: 0o700 });
          paths.push(join(dataDir, `${path}.new`), join(dataDir, path));
          const about = { id, project_id: to.projectId, endpoint: to.endpoint, path };
          files.push({
            ...about,
            ...(await writeHour(one, startMs, join(dataDir, path))),
            bad_lines: files.length === 0 ? to.badLines : 0,
            columns: JSON.stringify(to.columns),
            created_at: clock.now().toISOString(),
          });
        }
      });
      await commit(files);
    } catch (error) {
      const known = await store.listAllFiles(database.db).then(
        (all) => new Set(all.map((file) => join(dataDir, file.path))),
        () => null, // whether they were committed is not known: the next start looks
      );
      for (const path of paths) if (known?.has(path) === false) await rm(path, { force: true });
      throw error;
    }
    return files;
  };

  const take = async (
    project: { id: string; name: string },
    endpoint: string,
    segments: readonly Segment[],
  ): Promise<number> => {
    const erased = await store.listErasures(database.db, project.id, clock.now().getTime());
    const parameters: WhereParameter[] = [];
    const conditions = erased.map(({ subject, atMs }) => {
      parameters.push(subject, atMs);
      return 'not ("subject" is not distinct from ? and "at" <= ?)';
    });
    const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
    const columns = Object.assign({}, ...segments.map((segment) => segment.columns)) as Record<string, string>;
    const all = `(${segmentParts(segments).join(' union all by name ')})`;
    const [read] = await duck.use((one) => one.rows(`select count(*) as n from ${all}`));
    let lines = 0;
    for (const segment of segments) lines += await countLines(segment.path);
    const badLines = Math.max(0, lines - Number(read!['n']));
    if (badLines > 0)
      log.warn(
        { project: project.name, endpoint, badLines },
        'lines of the prediction log were cut or damaged and are left out',
      );
    const to = { projectId: project.id, endpoint, columns, badLines };
    const names = segments.map((segment) => segment.name);
    const files = await writeHours(to, `(select * from ${all}${where})`, parameters, (written) =>
      database.transaction(async (tx) => {
        await store.insertFiles(tx, written);
        await store.insertTaken(tx, names, clock.now().toISOString());
      }),
    );
    for (const segment of segments) await rm(segment.path, { force: true });
    return files.reduce((sum, file) => sum + file.rows, 0);
  };

  /** Many small files of an hour as one. */
  const mergeHours = async (): Promise<void> => {
    const { whole } = await damaged.split(await store.listAllFiles(database.db));
    const hours = Map.groupBy(whole, (file) => dirname(file.path));
    for (const files of hours.values()) {
      if (files.length <= MANY_FILES) continue;
      try {
        await rewrite(files, 'true', []);
      } catch (error) {
        // What is damaged is left alone from now on.
        if (!(await damaged.examine(files))) throw error;
      }
    }
  };

  /**
   * Replaces files of one endpoint by those rows of them for which the condition holds.
   * @returns the new files
   */
  const rewrite = async (
    files: readonly store.LogFile[],
    condition: string,
    parameters: readonly WhereParameter[],
  ): Promise<store.LogFile[]> => {
    const { project_id: projectId, endpoint } = files[0]!;
    const columns = Object.assign({}, ...files.map((file) => JSON.parse(file.columns))) as Record<string, string>;
    const badLines = files.reduce((sum, file) => sum + Number(file.bad_lines), 0);
    const paths = files.map((file) => quoteText(join(dataDir, file.path))).join(', ');
    const relation = `(select * from read_parquet([${paths}], union_by_name = true) where ${condition})`;
    const old = files.map((file) => file.id);
    const written = await writeHours({ projectId, endpoint, columns, badLines }, relation, parameters, (fresh) =>
      database.transaction(async (tx) => {
        await store.deleteFiles(tx, old);
        await store.insertFiles(tx, fresh);
      }),
    );
    for (const file of files) await rm(join(dataDir, file.path), { force: true });
    return written;
  };

  return {
    rewrite,

    /**
     * Takes what gateways have closed, and what those that are gone have left open.
     * @param all also what could wait for company
     */
    async run(all: boolean): Promise<{ segments: number; rows: number }> {
      const projects = new Map((await store.readKeys(database.db)).map((one) => [one.project, one.projectId]));
      const total = { segments: 0, rows: 0 };
      for (const { project, endpoint } of endpointsWithSegments(dataDir)) {
        const id = projects.get(project);
        const segments: Segment[] = [];
        const onUnreadable = (path: string): void => {
          log.error(
            { path: relative(dataDir, path) },
            'a segment of the prediction log has no header; it is set aside',
          );
          void rename(path, `${path}.unreadable`);
        };
        for (const segment of listSegments(dataDir, project, endpoint, onUnreadable)) {
          if (!segment.open) segments.push(segment);
          else if (resting.forMs(segment) > ABANDONED_MS) {
            const path = segment.path.replace(/\.open$/, '');
            await rename(segment.path, path);
            segments.push({ ...segment, path, open: false });
          }
        }
        const taken = await store.findTaken(
          database.db,
          segments.map((segment) => segment.name),
        );
        for (const segment of segments.filter((one) => taken.has(one.name))) await rm(segment.path, { force: true });
        const fresh = segments.filter((one) => !taken.has(one.name));
        if (fresh.length === 0) continue;
        if (id === undefined) {
          // Its project was deleted: nobody may read them any more.
          for (const segment of fresh) await rm(segment.path, { force: true });
          continue;
        }
        const bytes = fresh.reduce((sum, segment) => sum + segment.bytes, 0);
        const waited = fresh.some((segment) => resting.forMs(segment) >= WAIT_MS);
        if (!all && !waited && bytes < MANY_BYTES) continue;
        total.rows += await take({ id, name: project }, endpoint, fresh);
        total.segments += fresh.length;
      }
      resting.forget();
      await mergeHours();
      return total;
    },

    /** Removes Parquet files that no index names: a crash left them. */
    async sweep(): Promise<number> {
      const known = new Set((await store.listAllFiles(database.db)).map((file) => join(dataDir, file.path)));
      let removed = 0;
      for (const path of filesBelow(join(dataDir, PARQUET_FOLDER))) {
        if (known.has(path)) continue;
        await rm(path, { force: true });
        removed += 1;
      }
      return removed;
    },

    /** Bytes of the log, with what is not taken yet. */
    async usedBytes(): Promise<number> {
      let bytes = (await store.listAllFiles(database.db)).reduce((sum, file) => sum + Number(file.size_bytes), 0);
      for (const path of filesBelow(join(dataDir, SEGMENTS_FOLDER))) {
        bytes += await stat(path).then(
          (facts) => facts.size,
          () => 0,
        );
      }
      return bytes;
    },
  };
}

/** The rows of one hour of the table `part`, as a file that is on the disk. */
async function writeHour(one: Duck, startMs: number, path: string) {
  const inHour = `"at" >= ${startMs} and "at" < ${startMs + HOUR_MS}`;
  await one.run(
    `copy (select * from part where ${inHour} order by "at", "id", "row") to ${quoteText(`${path}.new`)} (format parquet, compression zstd)`,
  );
  const [facts] = await one.rows(`select count(*) as n, min("at") as low, max("at") as high from part where ${inHour}`);
  await syncFile(`${path}.new`);
  await rename(`${path}.new`, path);
  await syncFolder(dirname(path));
  return {
    from_ms: Math.floor(Number(facts!['low'])),
    to_ms: Math.ceil(Number(facts!['high'])),
    rows: Number(facts!['n']),
    size_bytes: (await stat(path)).size,
    digest: await digestOf(path),
  };
}

/**
 * How long a segment has stayed as it is, by a clock that does not jump: a gateway still appends to one that a wrong clock calls old. Counted from
 * when this process saw it first.
 */
function createResting(clock: Clock): { forMs(segment: Segment): number; forget(): void } {
  let before = new Map<string, { bytes: number; sinceMs: number }>();
  let now = new Map<string, { bytes: number; sinceMs: number }>();
  return {
    forMs({ name, bytes }) {
      const known = now.get(name) ?? before.get(name);
      const entry = known?.bytes === bytes ? known : { bytes, sinceMs: clock.monotonicMs() };
      now.set(name, entry);
      return clock.monotonicMs() - entry.sinceMs;
    },
    /** Those that were not asked for since the last time are gone. */
    forget() {
      before = now;
      now = new Map();
    },
  };
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
