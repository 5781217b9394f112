import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely, sql, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { SlipwayError } from '../errors.ts';
import type { Dialect } from './dialect.ts';
import { assertKnownMigrations, migrate, readAppliedSqlite } from './migrate.ts';
import { createSqliteDialect } from './sqlite-dialect.ts';
import { fromSqliteError, sqliteCode } from './sqlite-errors.ts';
import type { Tables } from './tables.ts';

/** What every store function takes first: the database, or the transaction under way. */
export type Db = Kysely<Tables> | Transaction<Tables>;

/** A transaction under way: what a function takes that must be part of one. */
export type Tx = Transaction<Tables>;

export type Database = {
  /** For reads outside a transaction. Inside one it throws: there the transaction's own handle is to be used. */
  readonly db: Kysely<Tables>;
  readonly dialect: Dialect;
  /**
   * Runs the work in one transaction and commits it, or rolls back when it throws. Transactions run one after the other on every
   * dialect, so what one reads stays true until it commits; hence no retries, and one line of audit records. They do not nest.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Whether what was promised at start still holds, asked anew. */
  durability(): Promise<{ readonly safe: boolean; readonly detail: string }>;
  /** Takes what was deleted out of the files as well: the bytes themselves are in none of them any more when it resolves. */
  forget(): Promise<void>;
  close(): Promise<void>;
};

export type OpenSqliteOptions = {
  /** Path of the file, or `:memory:`. */
  readonly path: string;
  readonly clock: Clock;
  /** How long to wait for another process's lock; 250 ms unless told, enough for one that is just ending. */
  readonly lockTimeoutMs?: number;
  /** See `createSqliteDialect`; ends the process unless told. */
  readonly onFatal?: (error: Error) => void;
};

/**
 * Opens the database file, alone: while it is open no other process can, and the operating system gives the lock back when this
 * one ends, however it ends (see docs/decisions/0001). Applies the migrations that are missing.
 * @throws SlipwayError `data_locked`, `data_newer` (the file is left as it is), `data_unsafe`, `data_corrupt`, `disk_full`
 */
export async function openSqlite(options: OpenSqliteOptions): Promise<Database> {
  const { path, clock } = options;
  const timeout = options.lockTimeoutMs ?? 250;
  let connection: DatabaseSync | undefined;
  try {
    if (path !== ':memory:') prepareFile(path, timeout);
    connection = new DatabaseSync(path, { timeout });
    configure(connection, path);
  } catch (error) {
    connection?.close();
    throw fromOpenError(error);
  }
  const { dialect, transactionScope } = createSqliteDialect(connection, options.onFatal ?? endProcess);
  const db = new Kysely<Tables>({ dialect });
  const transaction = <T>(work: (tx: Tx) => Promise<T>): Promise<T> =>
    transactionScope(() => db.transaction().execute(work));
  try {
    await migrate({ transaction, dialect: 'sqlite', clock });
  } catch (error) {
    await db.destroy();
    throw error;
  }
  const durability = async () => {
    const wrong = findUnsafe(readPragma(connection), path === ':memory:');
    const detail = wrong.length === 0 ? 'WAL, synchronous=FULL, foreign keys on, exclusive lock' : wrong.join(', ');
    return { safe: wrong.length === 0, detail };
  };
  const forget = async () => void (await sql`pragma wal_checkpoint(truncate)`.execute(db));
  return { db, dialect: 'sqlite', transaction, durability, forget, close: () => db.destroy() };
}

/**
 * Looks before touching: a file of a newer release is only read, so its owner finds it unchanged. The file is created here, for
 * its owner's eyes only, and never opened by other means afterwards: closing any descriptor of it would drop the lock.
 */
function prepareFile(path: string, timeout: number): void {
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
    return;
  }
  const reader = new DatabaseSync(path, { readOnly: true, timeout });
  try {
    assertKnownMigrations(readAppliedSqlite(reader));
  } finally {
    reader.close();
  }
}

/** The lock mode comes first: WAL opened under it keeps its index in memory and needs no shared-memory file. */
function configure(connection: DatabaseSync, path: string): void {
  connection.exec('pragma locking_mode = exclusive');
  connection.exec('pragma journal_mode = wal');
  connection.exec('pragma synchronous = full');
  connection.exec('pragma foreign_keys = on');
  connection.exec('pragma journal_size_limit = 67108864');
  connection.exec('pragma secure_delete = on'); // what is deleted is overwritten
  connection.exec('begin immediate; commit'); // takes the lock now, not at the first write
  const wrong = findUnsafe(readPragma(connection), path === ':memory:');
  if (wrong.length > 0) {
    throw new SlipwayError('data_unsafe', `The database does not run as it must: ${wrong.join(', ')}`, {
      hint: 'Put the data folder on a local file system: WAL does not work on network shares.',
    });
  }
}

function readPragma(connection: DatabaseSync): (name: string) => unknown {
  return (name) => Object.values(connection.prepare(`pragma ${name}`).get() ?? {})[0];
}

/**
 * What is promised about acknowledged changes holds only with these. Builds of SQLite differ in their defaults and ignore what they
 * cannot do, so the answers are read back.
 * @returns one phrase for each that is not as it must be
 */
export function findUnsafe(pragma: (name: string) => unknown, inMemory: boolean): string[] {
  const wanted: [string, unknown][] = [
    ['journal_mode', inMemory ? 'memory' : 'wal'],
    ['synchronous', 2],
    ['foreign_keys', 1],
    ['secure_delete', 1],
    ['locking_mode', 'exclusive'],
  ];
  return wanted
    .filter(([name, value]) => pragma(name) !== value)
    .map(([name, value]) => `${name} is ${String(pragma(name))} instead of ${String(value)}`);
}

function fromOpenError(error: unknown): unknown {
  const code = sqliteCode(error);
  if (code === 5 || code === 6) {
    return new SlipwayError('data_locked', 'The data folder is in use by another Slipway process', {
      hint: 'Stop the other server, or give this one a folder of its own with SLIPWAY_DATA.',
      cause: error,
    });
  }
  if (code === 8 || code === 14) {
    return new SlipwayError('data_unsafe', 'The database in the data folder cannot be opened for writing', {
      hint: 'Check that the user running Slipway owns the data folder.',
      cause: error,
    });
  }
  return fromSqliteError(error);
}

/**
 * After a failed write or fsync the kernel may have dropped the pages and report the next fsync as good. Only a fresh start, which
 * reads back what is really on disk, can be trusted; the supervisor starts one.
 */
function endProcess(error: Error): void {
  process.stderr.write(
    `${JSON.stringify({ level: 'fatal', msg: 'the database failed; ending to recover', error: error.message })}\n`,
  );
  process.exit(70);
}

/** Whether something failed because the database cannot be used now, and not because of what was asked of it. */
export function isDatabaseDown(error: unknown): boolean {
  const code = sqliteCode(error) ?? sqliteCode((error as { cause?: unknown } | null)?.cause);
  // busy, locked, read-only, I/O error, damaged, full, cannot be opened, no database
  return code !== null && [5, 6, 8, 10, 11, 13, 14, 26].includes(code);
}

/** Whether an insert or update was refused because a unique key is taken; the same on every dialect. */
export function isUniqueViolation(error: unknown): boolean {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  return (code === 'ERR_SQLITE_ERROR' && (errcode === 2067 || errcode === 1555)) || code === '23505';
}
