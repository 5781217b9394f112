import { randomUUID } from 'node:crypto';
import { createReadStream, type ReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Call } from '../../base/access/call.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { timeOfPredictionId } from '../feedback/feedback.ts';
import { type FeedbackEvent, readCurrentFeedback } from '../feedback/feedback-store.ts';
import type { LeftOut } from './damaged-files.ts';
import { quoteText } from './duck-store.ts';
import { EXPORT_COLUMNS, loadLabels } from './label-join.ts';
import { assertLogAccess, endpointsWithLog, mayReadLog } from './log-access.ts';
import { CLOCK_SLACK_MS, FAR_MS, type LogQuery, type LogScope } from './log-query.ts';
import { type LoggedPrediction, placeOf, showEvent } from './logged-prediction.ts';
import { PREDICTIONS_FOLDER } from './recording-file.ts';

export type ShownPrediction = {
  readonly endpoint: string;
  readonly rows: readonly LoggedPrediction[];
  readonly feedback: readonly FeedbackEvent[];
};

export type LogRange = { readonly since?: string | undefined; readonly until?: string | undefined };
export const EXPORT_FORMATS = ['parquet', 'csv', 'ndjson'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

const EXPORTS_FOLDER = `${PREDICTIONS_FOLDER}/exports`;
export type LogServiceDeps = {
  readonly database: Database;
  readonly query: LogQuery;
  readonly dataDir: string;
};

export type LogService = ReturnType<typeof createLogService>;

export function createLogService({ database, query, dataDir }: LogServiceDeps) {
  const scopeOf = (call: Pick<Call, 'project'>, endpoint: string, { since, until }: LogRange): LogScope => ({
    project: call.project,
    endpoint,
    fromMs: since === undefined ? 0 : Date.parse(since),
    toMs: until === undefined ? FAR_MS : Date.parse(until),
  });

  return {
    /** The youngest first. `after` is the place behind which the page starts. */
    async list(
      call: Call,
      endpoint: string,
      filter: LogRange & { readonly where?: string | undefined },
      page: { readonly after: string | null; readonly limit: number },
    ): Promise<LoggedPrediction[]> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const scope = scopeOf(call, endpoint, filter);
      const after = page.after === null ? null : placeOf(page.after);
      return query.run(scope, filter.where ?? null, [], async (duck, relation, parameters, columns) => {
        const behind = after === null ? '' : ' where ("at", "id", "row") < (?, ?, ?)';
        const rows = await duck.rows(
          `select * from ${relation}${behind} order by "at" desc, "id" desc, "row" desc limit ${page.limit}`,
          [...parameters, ...(after ?? [])],
        );
        return rows.map((row) => showEvent(row, columns));
      });
    },

    /**
     * One prediction, all its rows, with what was said of it.
     * @param endpoint null: whichever of those that the caller may read
     */
    async show(call: Call, endpoint: string | null, id: string): Promise<ShownPrediction> {
      if (endpoint !== null) await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const endpoints = endpoint === null ? await readableEndpoints(call) : [endpoint];
      for (const one of endpoints) {
        const rows = await findRows(call, one, id);
        if (rows.length === 0) continue;
        const feedback = (await readCurrentFeedback(database.db, call.project.id, [id])).get(id) ?? [];
        return { endpoint: one, rows, feedback };
      }
      const lost = await Promise.all(endpoints.map((one) => query.leftOut(scopeOfId(call, one, id))));
      const lostRows = lost.reduce((sum, one) => sum + (one?.rows ?? 0), 0);
      throw new SlipwayError(
        'prediction_not_found',
        `There is no prediction ${id.slice(0, 80)} in the log${endpoint === null ? '' : ` of ${endpoint}`}${lostRows === 0 ? '' : `, but ${lostRows} rows of its time are in files that are damaged`}`,
        {
          hint: 'Predictions are logged only where the policy samples them: `slipway policy show` tells. A new one is there after a second.',
        },
      );
    },

    /** What the log has of this time in files that are damaged, and no answer has. */
    leftOut(call: Call, endpoint: string, range: LogRange): Promise<LeftOut | null> {
      return query.leftOut(scopeOf(call, endpoint, range));
    },

    /** How many match. */
    async count(
      call: Call,
      endpoint: string,
      filter: LogRange & { readonly where?: string | undefined },
    ): Promise<number> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      return query.run(scopeOf(call, endpoint, filter), filter.where ?? null, 0, async (duck, relation, parameters) => {
        const [row] = await duck.rows(`select count(*) as n from ${relation}`, parameters);
        return Number(row!['n']);
      });
    },

    /**
     * Writes what matches to a file, which is gone when it was read.
     * @returns null where there is nothing
     */
    async export(
      call: Call,
      endpoint: string,
      filter: LogRange & { readonly where?: string | undefined },
      format: ExportFormat,
      withFeedback: boolean,
    ): Promise<{ stream: ReadStream; sizeBytes: number; rows: number } | null> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      await mkdir(join(dataDir, EXPORTS_FOLDER), { recursive: true, mode: 0o700 });
      const path = join(dataDir, EXPORTS_FOLDER, `${randomUUID()}.${format}`);
      const options = { parquet: 'format parquet, compression zstd', csv: 'format csv, header', ndjson: 'format json' }[
        format
      ];
      try {
        const rows = await query.run(
          scopeOf(call, endpoint, filter),
          filter.where ?? null,
          0,
          async (duck, relation, parameters) => {
            // Later joins must not change what was there; a whole log does not fit into memory, so it is written in one pass.
            const joined = withFeedback
              ? `(select log.*, ${EXPORT_COLUMNS} from ${relation} log left join labels on labels.prediction_id = log."id" and labels.prediction_row = log."row")`
              : relation;
            if (withFeedback) await loadLabels(duck, database.db, call.project.id, endpoint);
            const [copied] = await duck.rows(
              `copy (select * replace (make_timestamp(cast("at" * 1000 as bigint)) as "at") from ${joined}) to ${quoteText(path)} (${options})`,
              parameters,
            );
            return Number(copied!['Count']);
          },
        );
        if (rows === 0) {
          await rm(path, { force: true });
          return null;
        }
        const { size } = await stat(path);
        const stream = createReadStream(path);
        stream.once('close', () => void rm(path, { force: true }));
        return { stream, sizeBytes: size, rows };
      } catch (error) {
        await rm(path, { force: true });
        throw error;
      }
    },

    /** Exports that a killed process left. */
    async removeLeftovers(): Promise<void> {
      await rm(join(dataDir, EXPORTS_FOLDER), { recursive: true, force: true });
    },
  };

  /** When it can have been made. */
  function scopeOfId(call: Call, endpoint: string, id: string): LogScope {
    const made = timeOfPredictionId(id);
    const [fromMs, toMs] = made === null ? [0, FAR_MS] : [made - CLOCK_SLACK_MS, made + CLOCK_SLACK_MS];
    return { project: call.project, endpoint, fromMs, toMs };
  }

  async function findRows(call: Call, endpoint: string, id: string): Promise<LoggedPrediction[]> {
    return query.run(
      scopeOfId(call, endpoint, id),
      null,
      [] as LoggedPrediction[],
      async (duck, relation, parameters, columns) => {
        const found = await duck.rows(`select * from ${relation} where "id" = ? order by "row"`, [...parameters, id]);
        return found.map((row) => showEvent(row, columns));
      },
    );
  }

  /** Endpoints with a log that the caller may read; a stranger to all of them is refused. */
  async function readableEndpoints(call: Call): Promise<string[]> {
    const readable: string[] = [];
    for (const endpoint of await endpointsWithLog(database.db, dataDir, call.project)) {
      if (await mayReadLog(database.db, call, endpoint)) readable.push(endpoint);
    }
    return readable;
  }
}
