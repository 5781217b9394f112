import { SlipwayError } from '../errors.ts';

/** Primary result code of a SQLite error, else null. https://sqlite.org/rescode.html */
export function sqliteCode(error: unknown): number | null {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  return code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number' ? errcode & 0xff : null;
}

/** I/O error, damaged file, no database: nothing this process does from now on can be trusted. */
export function isFatalSqlite(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === 10 || code === 11 || code === 26;
}

/** SQLite's errors as ours, where ours say more; others (constraints, syntax) as they are. */
export function fromSqliteError(error: unknown): unknown {
  const code = sqliteCode(error);
  if (code === 13) {
    return new SlipwayError('disk_full', 'There is no space left for the database', {
      hint: 'Nothing was changed. Free some space in the data folder, then repeat the request.',
      cause: error,
    });
  }
  if (code === 10) {
    return new SlipwayError('internal', 'The disk failed while the database was written', {
      hint: 'The server restarts and recovers every acknowledged change. Check the disk.',
      cause: error,
    });
  }
  if (code === 11 || code === 26) {
    return new SlipwayError('data_corrupt', 'The database file in the data folder is damaged or no database', {
      hint: 'Restore slipway.db from a backup; keep the damaged file for examination.',
      cause: error,
    });
  }
  return error;
}
