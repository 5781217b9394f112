import { randomUUID } from 'node:crypto';
import { createReadStream, type ReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Call } from '../../base/access/call.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { timeOfPredictionId } from '../feedback/feedback.ts';
import type { FoundPrediction, LookUpPredictions, PredictionPlace } from '../feedback/feedback-match.ts';
import { type FeedbackEvent, readCurrentFeedback } from '../feedback/feedback-store.ts';
import { quoteText } from './duck-store.ts';
import { EXPORT_COLUMNS, loadLabels } from './label-join.ts';
import { assertLogAccess, mayReadLog } from './log-access.ts';
import type { LogQuery, LogScope } from './log-query.ts';
import { endpointsWithSegments } from './log-segments.ts';
import { listFiles, readKeys } from './log-store.ts';
import { PREDICTIONS_FOLDER } from './recording-file.ts';

export type LoggedPrediction = {
  readonly id: string;
  readonly row: number;
  readonly at: string;
  readonly model: string | null;
  readonly version: number | null;
  readonly digest: string | null;
  readonly arm: string | null;
  readonly reason: string | null;
  readonly unit: string | null;
  readonly status: string;
  readonly latencyMs: number | null;
  readonly requestId: string | null;
  readonly protocol: string | null;
  readonly shadowOf: string | null;
  readonly joinKey: string | null;
  readonly weight: number | null;
  readonly inputs: Record<string, unknown>;
  readonly outputs: Record<string, unknown>;
};

export type ShownPrediction = {
  readonly endpoint: string;
  readonly rows: readonly LoggedPrediction[];
  readonly feedback: readonly FeedbackEvent[];
};

export type LogRange = { readonly since?: string | undefined; readonly until?: string | undefined };
export const EXPORT_FORMATS = ['parquet', 'csv', 'ndjson'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

const FAR_MS = 8_640_000_000_000;
/** Keys of one look into the log. */
const LOOKUP_KEYS = 10_000;
const EXPORTS_FOLDER = `${PREDICTIONS_FOLDER}/exports`;
/** An id made by a clock that ran ahead, or behind, of the one that looks. */
const SLACK_MS = 600_000;

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
      throw new SlipwayError(
        'prediction_not_found',
        `There is no prediction ${id.slice(0, 80)} in the log${endpoint === null ? '' : ` of ${endpoint}`}`,
        {
          hint: 'Predictions are logged only where the policy samples them: `slipway policy show` tells. A new one is there after a second.',
        },
      );
    },

    /** Predictions by hour and status: what a window holds, without reading it. */
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

    /** Looks for the predictions of feedback. */
    lookUp: (async ({ projectId, endpoint, predictionIds, joinKeys }): Promise<FoundPrediction> => {
      const project = (await readKeys(database.db)).find((one) => one.projectId === projectId);
      const places = new Map<string, PredictionPlace[]>();
      if (project === undefined || predictionIds.length + joinKeys.length === 0) return () => null;
      const endpoints = endpoint === null ? await endpointsOf(projectId, project.project) : [endpoint];
      const times = predictionIds.map(timeOfPredictionId);
      const timed = joinKeys.length === 0 && times.every((ms) => ms !== null);
      const range = {
        project: { id: projectId, name: project.project },
        fromMs: timed ? Math.min(...(times as number[])) - SLACK_MS : 0,
        toMs: timed ? Math.max(...(times as number[])) + SLACK_MS : FAR_MS,
      };
      for (const one of endpoints)
        await query.run({ ...range, endpoint: one }, null, undefined, async (duck, relation, parameters) => {
          const found: Record<string, unknown>[] = [];
          for (const [column, keys] of [
            ['id', predictionIds],
            ['joinKey', joinKeys],
          ] as const) {
            for (let at = 0; at < keys.length; at += LOOKUP_KEYS) {
              const wanted = 'select distinct unnest(cast(? as varchar[])) as key';
              const part = `select "id", "row", "at", key, '${column}' as by from (${wanted}) w join ${relation} log on log."${column}" = w.key`;
              found.push(...(await duck.rows(part, [JSON.stringify(keys.slice(at, at + LOOKUP_KEYS)), ...parameters])));
            }
          }
          for (const row of found) {
            const name = `${row['by'] === 'joinKey' ? 'k' : 'p'}:${String(row['key'])}`;
            const place = {
              endpoint: one,
              predictionId: String(row['id']),
              row: Number(row['row']),
              predictedAt: new Date(Number(row['at'])).toISOString(),
            };
            places.set(name, [...(places.get(name) ?? []), place]);
          }
          return undefined;
        });
      return (subject) => {
        const list =
          places.get(subject.kind === 'join-key' ? `k:${subject.joinKey}` : `p:${subject.predictionId}`) ?? [];
        if (subject.kind === 'join-key') {
          // The youngest prediction that carries the key.
          return list.toSorted((a, b) => (a.predictedAt < b.predictedAt ? 1 : -1))[0] ?? null;
        }
        if (subject.row !== null) return list.find((place) => place.row === subject.row) ?? null;
        return list.length === 1 ? list[0]! : null;
      };
    }) satisfies LookUpPredictions,
  };

  async function findRows(call: Call, endpoint: string, id: string): Promise<LoggedPrediction[]> {
    const made = timeOfPredictionId(id);
    const scope = {
      project: call.project,
      endpoint,
      fromMs: made === null ? 0 : made - SLACK_MS,
      toMs: made === null ? FAR_MS : made + SLACK_MS,
    };
    return query.run(scope, null, [] as LoggedPrediction[], async (duck, relation, parameters, columns) => {
      const found = await duck.rows(`select * from ${relation} where "id" = ? order by "row"`, [...parameters, id]);
      return found.map((row) => showEvent(row, columns));
    });
  }

  /** Endpoints with a log that the caller may read; a stranger to all of them is refused. */
  async function readableEndpoints(call: Call): Promise<string[]> {
    const readable: string[] = [];
    for (const endpoint of await endpointsOf(call.project.id, call.project.name)) {
      if (await mayReadLog(database.db, call, endpoint)) readable.push(endpoint);
    }
    return readable;
  }

  async function endpointsOf(projectId: string, project: string): Promise<string[]> {
    const files = await listFiles(database.db, { projectId });
    const segments = endpointsWithSegments(dataDir).filter((one) => one.project === project);
    return [...new Set([...files.map((file) => file.endpoint), ...segments.map((one) => one.endpoint)])];
  }
}

function showEvent(row: Record<string, unknown>, columns: ReadonlyMap<string, string>): LoggedPrediction {
  const inputs: Record<string, unknown> = {};
  const outputs: Record<string, unknown> = {};
  for (const [name, kind] of columns) {
    const value = row[name];
    if (value === null || value === undefined) continue;
    const shown = kind === 'vector' ? JSON.parse(String(value)) : jsonNumber(value);
    if (name.startsWith('input.')) inputs[name.slice(6)] = shown;
    else outputs[name.slice(7)] = shown;
  }
  const text = (name: string): string | null => (row[name] == null ? null : String(row[name]));
  const number = (name: string): number | null => (row[name] == null ? null : Number(row[name]));
  return {
    id: String(row['id']),
    row: Number(row['row']),
    at: new Date(Number(row['at'])).toISOString(),
    model: text('model'),
    version: number('version'),
    digest: text('digest'),
    arm: text('arm'),
    reason: text('reason'),
    unit: text('unit'),
    status: text('status') ?? 'answered',
    latencyMs: number('latencyMs'),
    requestId: text('requestId'),
    protocol: text('protocol'),
    shadowOf: text('shadowOf'),
    joinKey: text('joinKey'),
    weight: number('weight'),
    inputs,
    outputs,
  };
}

/** JSON has no NaN and no infinities. */
function jsonNumber(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

/** The place of a prediction in a list. */
export function cursorOf({ at, id, row }: Pick<LoggedPrediction, 'at' | 'id' | 'row'>): string {
  return JSON.stringify([Date.parse(at), id, row]);
}

function placeOf(text: string): [number, string, number] {
  try {
    const [at, id, row] = JSON.parse(text) as unknown[];
    if (typeof at === 'number' && typeof id === 'string' && typeof row === 'number') return [at, id, row];
  } catch {
    // told below
  }
  throw new SlipwayError('invalid_cursor', 'The cursor was not made by this list', {
    hint: 'Take nextCursor of the page before.',
  });
}
