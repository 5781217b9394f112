import { AsyncLocalStorage } from 'node:async_hooks';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { type DatabaseConnection, type Dialect, type Driver, SqliteAdapter, SqliteDialect } from 'kysely';
import { fromSqliteError, isFatalSqlite } from './sqlite-errors.ts';

const STATEMENT_CACHE = 256;

export type SqliteDialectParts = {
  readonly dialect: Dialect;
  /** Runs a whole transaction, begin to commit, so that the connection's other users wait and misuse inside is told. */
  readonly transactionScope: <T>(run: () => Promise<T>) => Promise<T>;
};

/**
 * Kysely's SQLite dialect over node:sqlite.
 * @param onFatal told once, after the failing statement's error was thrown, when the database can no longer be trusted
 */
export function createSqliteDialect(database: DatabaseSync, onFatal: (error: Error) => void): SqliteDialectParts {
  const base = new SqliteDialect({ database: adapt(database, onFatal) });
  const scope = new AsyncLocalStorage<{ open: boolean }>();
  return {
    dialect: {
      createDriver: () => oneAtATime(base.createDriver(), () => scope.getStore()?.open === true),
      createQueryCompiler: () => base.createQueryCompiler(),
      createIntrospector: (db) => base.createIntrospector(db),
      createAdapter: () => new QueuedHere(),
    },
    transactionScope: async (run) => {
      if (scope.getStore()?.open) throw new Error('Transactions do not nest: pass the transaction on');
      const state = { open: false };
      return scope.run(state, async () => {
        try {
          return await run();
        } finally {
          state.open = false;
        }
      });
    },
  };

  /** One connection, first come first served. A second use inside a transaction would wait for itself for ever: it throws. */
  function oneAtATime(driver: Driver, insideTransaction: () => boolean): Driver {
    let last: Promise<void> = Promise.resolve();
    const releases = new Map<DatabaseConnection, () => void>();
    return {
      init: (options) => driver.init(options),
      acquireConnection: async (options) => {
        if (insideTransaction()) throw new Error('Inside a transaction use its own handle, not the database');
        const before = last;
        const { promise, resolve } = Promise.withResolvers<void>();
        last = promise;
        await before;
        try {
          const connection = await driver.acquireConnection(options);
          releases.set(connection, resolve);
          return connection;
        } catch (error) {
          resolve();
          throw error;
        }
      },
      beginTransaction: async (connection, settings) => {
        await driver.beginTransaction(connection, settings);
        const state = scope.getStore();
        if (state) state.open = true;
      },
      commitTransaction: (connection) => driver.commitTransaction(connection),
      rollbackTransaction: (connection) => driver.rollbackTransaction(connection),
      releaseConnection: async (connection, options) => {
        await driver.releaseConnection(connection, options);
        releases.get(connection)?.();
      },
      destroy: (options) => driver.destroy(options),
    };
  }
}

/** Tells Kysely not to queue by itself: the queue above can see a caller that would wait for itself. */
class QueuedHere extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

type Prepared = {
  readonly reader: boolean;
  all(parameters: readonly unknown[]): unknown[];
  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint };
  iterate(parameters: readonly unknown[]): IterableIterator<unknown>;
};

/**
 * The four calls Kysely makes. SQLite may end a transaction by itself (a full disk does), after which statements would each commit
 * alone; so between begin and commit every statement first checks that the transaction still stands.
 */
function adapt(database: DatabaseSync, onFatal: (error: Error) => void) {
  const cache = new Map<string, Prepared>();
  let inTransaction = false;
  let failed: Error | null = null;

  const guard = <T>(sql: string, work: () => T): T => {
    if (failed) throw failed;
    if (inTransaction && !database.isTransaction && sql !== 'rollback') {
      throw new Error('The transaction was ended by an earlier error');
    }
    try {
      return work();
    } catch (error) {
      const told = fromSqliteError(error);
      if (isFatalSqlite(error)) {
        failed = told as Error;
        setImmediate(onFatal, failed);
      }
      throw told;
    }
  };

  const run = (sql: string, statement: StatementSync, parameters: readonly SQLInputValue[]) => {
    if (sql === 'rollback') {
      inTransaction = false;
      if (!database.isTransaction) return { changes: 0, lastInsertRowid: 0 };
    }
    const result = statement.run(...parameters);
    if (sql === 'begin') inTransaction = true;
    if (sql === 'commit') inTransaction = false;
    return result;
  };

  const prepare = (sql: string): Prepared => {
    const statement: StatementSync = database.prepare(sql);
    const bind = (parameters: readonly unknown[]) => parameters as readonly SQLInputValue[];
    return {
      reader: statement.columns().length > 0,
      all: (parameters) => guard(sql, () => statement.all(...bind(parameters))),
      run: (parameters) => guard(sql, () => run(sql, statement, bind(parameters))),
      iterate: (parameters) => guard(sql, () => statement.iterate(...bind(parameters)) as IterableIterator<unknown>),
    };
  };

  return {
    close: () => {
      cache.clear();
      if (database.isOpen) database.close();
    },
    prepare: (sql: string): Prepared => {
      const known = cache.get(sql);
      if (known) return known;
      if (cache.size >= STATEMENT_CACHE) cache.clear();
      const prepared = guard(sql, () => prepare(sql));
      cache.set(sql, prepared);
      return prepared;
    },
  };
}
