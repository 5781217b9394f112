/** One SQL interface over what is in Parquet files and what is still in segments. */
import { join } from 'node:path';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { ColumnKind } from '../../registry/signature-columns.ts';
import type { DamagedFiles, LeftOut } from './damaged-files.ts';
import { type Duck, type DuckStore, quoteText } from './duck-store.ts';
import { listSegments, type Segment } from './log-segments.ts';
import * as store from './log-store.ts';
import { compileWhere, quoteName, type WhereParameter } from './where-expression.ts';

/** What every logged prediction has, with its type in DuckDB. */
export const EVENT_COLUMNS: Readonly<Record<string, string>> = {
  id: 'VARCHAR',
  row: 'INTEGER',
  at: 'DOUBLE',
  model: 'VARCHAR',
  version: 'INTEGER',
  digest: 'VARCHAR',
  requestId: 'VARCHAR',
  protocol: 'VARCHAR',
  arm: 'VARCHAR',
  reason: 'VARCHAR',
  propensity: 'DOUBLE',
  unit: 'VARCHAR',
  plan: 'VARCHAR',
  epoch: 'INTEGER',
  stage: 'INTEGER',
  status: 'VARCHAR',
  latencyMs: 'DOUBLE',
  queueMs: 'DOUBLE',
  runMs: 'DOUBLE',
  rows: 'INTEGER',
  weight: 'DOUBLE',
  shadowOf: 'VARCHAR',
  subject: 'VARCHAR',
  joinKey: 'VARCHAR',
  schema: 'INTEGER',
};

const TYPES: Readonly<Record<ColumnKind, string>> = {
  number: 'DOUBLE',
  integer: 'DOUBLE',
  boolean: 'BOOLEAN',
  text: 'VARCHAR',
  vector: 'VARCHAR',
};

/** Later than anything. */
export const FAR_MS = 8_640_000_000_000;
/** How far an id may have been made by a clock that ran ahead, or behind, of the one that looks. */
export const CLOCK_SLACK_MS = 600_000;

export type LogScope = {
  readonly project: { readonly id: string; readonly name: string };
  readonly endpoint: string;
  /** ms since 1970, both ends included. */
  readonly fromMs: number;
  readonly toMs: number;
};

export type LogView = {
  /** A relation with all columns, to stand behind `from`; null where there is nothing. */
  readonly relation: string | null;
  readonly parameters: readonly WhereParameter[];
  /** Kinds of inputs and outputs by name. */
  readonly columns: ReadonlyMap<string, ColumnKind>;
};

export type LogQueryDeps = {
  readonly database: Database;
  readonly duck: DuckStore;
  readonly dataDir: string;
  readonly damaged: DamagedFiles;
};

export type LogQuery = ReturnType<typeof createLogQuery>;

/** A file may go between the look and the reading: control put it into Parquet. Then all is looked at anew. */
const ATTEMPTS = 4;

export function createLogQuery({ database, duck, dataDir, damaged }: LogQueryDeps) {
  const filesOf = ({ project, endpoint, fromMs, toMs }: LogScope): Promise<store.LogFile[]> =>
    store.listFiles(database.db, { projectId: project.id, endpoint, fromMs, toMs });

  const look = async (scope: LogScope): Promise<LogView> => {
    const { project, endpoint, fromMs, toMs } = scope;
    const segments = listSegments(dataDir, project.name, endpoint);
    const names = segments.map((segment) => segment.name);
    let taken = await store.findTaken(database.db, names);
    let indexed = await filesOf(scope);
    // Rows that go from a segment into a file between the two looks would be there twice.
    for (let before = -1; before !== taken.size; ) {
      before = taken.size;
      taken = await store.findTaken(database.db, names);
      if (before !== taken.size) indexed = await filesOf(scope);
    }
    const { whole: files } = await damaged.split(indexed);
    const erased = await store.listErasures(database.db, project.id, Date.now());
    const fresh = segments.filter((segment) => !taken.has(segment.name));
    const columns = new Map<string, ColumnKind>();
    for (const file of files) {
      for (const [name, kind] of Object.entries(JSON.parse(file.columns) as Record<string, ColumnKind>))
        columns.set(name, kind);
    }
    for (const segment of fresh) for (const [name, kind] of Object.entries(segment.columns)) columns.set(name, kind);
    const parts: string[] = [];
    if (files.length > 0) {
      const paths = files.map((file) => quoteText(join(dataDir, file.path))).join(', ');
      parts.push(`select * from read_parquet([${paths}], union_by_name = true)`);
    }
    parts.push(...segmentParts(fresh));
    if (parts.length === 0) return { relation: null, parameters: [], columns };
    const parameters: WhereParameter[] = [fromMs, toMs];
    const conditions = ['"at" between ? and ?'];
    // What was erased is not shown while it waits in a segment that its gateway still holds.
    for (const { subject, atMs } of erased) {
      conditions.push('not ("subject" is not distinct from ? and "at" <= ?)');
      parameters.push(subject, atMs);
    }
    const relation = `(select * from (${parts.join(' union all by name ')}) where ${conditions.join(' and ')})`;
    return { relation, parameters, columns };
  };

  const attempt = async <T>(scope: LogScope, work: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        const { message } = error as Error;
        if (/No files found|Cannot open file|does not exist/i.test(message) && tries < ATTEMPTS) continue;
        if (error instanceof SlipwayError) throw error;
        if (/^(Conversion|Binder) Error/.test(message)) {
          throw new SlipwayError('invalid_request', 'The filter compares a field with a value of another kind', {
            hint: "Texts stand in single quotes, numbers in none: input.country = 'DE' and output.score > 0.9",
            cause: error,
          });
        }
        if (/^Out of Memory Error/.test(message)) {
          throw new SlipwayError('overloaded', 'The query takes more memory than there is for the log', {
            hint: 'Ask for a shorter time, or for fewer rows.',
            cause: error,
          });
        }
        if (!/Error: /.test(message)) throw error;
        // Damage to one file hides no other: it is left out, and the query goes on.
        if (tries < 2 * ATTEMPTS && (await damaged.examine(await filesOf(scope)))) continue;
        throw new SlipwayError('data_corrupt', 'A file of the prediction log cannot be read', {
          hint: 'The server log says why.',
          cause: error,
        });
      }
    }
  };

  return {
    /** Columns that there are in a time. */
    async columns(scope: LogScope): Promise<ReadonlyMap<string, ColumnKind>> {
      return (await look(scope)).columns;
    },

    /** What queries do not see because files are damaged; null: nothing. */
    async leftOut(scope: LogScope): Promise<LeftOut | null> {
      const { damaged: files } = await damaged.split(await filesOf(scope));
      return files.length === 0
        ? null
        : { files: files.length, rows: files.reduce((sum, file) => sum + Number(file.rows), 0) };
    },

    /**
     * Runs a query over the log.
     * @param where as people write it; null: all
     * @param work gets the relation with the filter applied, ready to stand behind `from`, and its parameters
     * @returns `empty` where there is nothing
     */
    async run<T>(
      scope: LogScope,
      where: string | null,
      empty: T,
      work: (
        duck: Duck,
        relation: string,
        parameters: WhereParameter[],
        columns: ReadonlyMap<string, ColumnKind>,
      ) => Promise<T>,
    ): Promise<T> {
      return attempt(scope, async () => {
        const { relation, parameters, columns } = await look(scope);
        const known = new Set([...Object.keys(EVENT_COLUMNS), ...columns.keys()]);
        const filter = where === null ? null : compileWhere(where, known);
        if (relation === null) return empty;
        const filtered = filter === null ? relation : `(select * from ${relation} where ${filter.sql})`;
        return duck.use((one) => work(one, filtered, [...parameters, ...(filter?.parameters ?? [])], columns));
      });
    },
  };
}

/** One part for all segments with the same columns. */
export function segmentParts(segments: readonly Segment[]): string[] {
  const groups = Map.groupBy(segments, (segment) => JSON.stringify(segment.columns));
  return [...groups.values()].map((group) => {
    const columns = { ...EVENT_COLUMNS, ...typesOf(group[0]!.columns) };
    const types = Object.entries(columns).map(([name, type]) => `${quoteName(name)}: '${type}'`);
    const paths = group.map((segment) => quoteText(segment.path)).join(', ');
    // A cut or damaged line is left out; the compactor counts them.
    return `select * from read_json([${paths}], format = 'newline_delimited', ignore_errors = true, maximum_object_size = 67108864, columns = {${types.join(', ')}}) where "id" is not null and "at" is not null`;
  });
}

function typesOf(columns: Readonly<Record<string, ColumnKind>>): Record<string, string> {
  return Object.fromEntries(Object.entries(columns).map(([name, kind]) => [name, TYPES[kind] ?? 'VARCHAR']));
}
