import { AsyncLocalStorage } from 'node:async_hooks';
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { SlipwayError } from '../errors.ts';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';
import type { Tables } from './tables.ts';

/** Any number that no other program on the same database uses for an advisory lock. */
const WRITER_LOCK = 7_354_920_118;
const INT8 = 20;

export type OpenPostgresOptions = {
  /** A connection string, or what libpq calls host (a folder for a Unix socket), port, user and database. */
  readonly connection: string | { host: string; port: number; user: string; database: string };
  readonly clock: Clock;
  readonly poolSize?: number;
};

/**
 * The same database on PostgreSQL 15 or newer. Not offered by a setting yet; the conformance suite keeps every store able to run
 * on it. The `pg` package is loaded here only, so that a server on SQLite does not need it.
 * @throws SlipwayError `data_newer`
 */
export async function openPostgres(options: OpenPostgresOptions): Promise<Database> {
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({
    ...(typeof options.connection === 'string' ? { connectionString: options.connection } : options.connection),
    max: options.poolSize ?? 4,
    // bigint columns hold sizes and sequence numbers, far below 2^53: numbers, as on SQLite
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text'),
    },
  });
  pool.on('error', () => {}); // an idle connection that breaks is replaced by the pool; a query on it reports by itself
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  const scope = new AsyncLocalStorage<true>();

  /** One writer at a time, as on SQLite: under read committed each statement then sees all that was committed before. */
  const transaction = async <T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T> => {
    if (scope.getStore()) throw new Error('Transactions do not nest: pass the transaction on');
    try {
      return await db
        .transaction()
        .setIsolationLevel('read committed')
        .execute(async (tx) => {
          await sql`select pg_advisory_xact_lock(${sql.lit(WRITER_LOCK)})`.execute(tx);
          return scope.run(true, () => work(tx));
        });
    } catch (error) {
      throw fromPostgresError(error);
    }
  };

  try {
    await migrate({ transaction, dialect: 'postgres', clock: options.clock });
  } catch (error) {
    await db.destroy();
    throw error;
  }
  const durability = async () => {
    const { rows } = await sql<{ fsync: string; commit: string }>`
      select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`.execute(db);
    const { fsync, commit } = rows[0]!;
    return { safe: fsync === 'on' && commit !== 'off', detail: `fsync=${fsync}, synchronous_commit=${commit}` };
  };
  const forget = async () => void (await sql`vacuum`.execute(db));
  return { db, dialect: 'postgres', transaction, durability, forget, close: () => db.destroy() };
}

function fromPostgresError(error: unknown): unknown {
  if ((error as { code?: unknown } | null)?.code === '53100') {
    return new SlipwayError('disk_full', 'There is no space left for the database', {
      hint: 'Nothing was changed. Free some space on the database server, then repeat the request.',
      cause: error,
    });
  }
  return error;
}
