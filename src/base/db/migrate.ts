import type { DatabaseSync } from 'node:sqlite';
import { sql, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { SlipwayError } from '../errors.ts';
import type { Dialect } from './dialect.ts';
import * as foundation from './migrations/0001-foundation.ts';
import * as keyLimits from './migrations/0002-key-limits.ts';
import * as endpointLoaded from './migrations/0003-endpoint-loaded.ts';
import * as versionCanPad from './migrations/0004-version-can-pad.ts';
import * as environments from './migrations/0006-environments.ts';
import * as conversions from './migrations/0007-conversions.ts';
import * as keySigning from './migrations/0008-key-signing.ts';
import * as feedback from './migrations/0010-feedback.ts';
import * as predictionLog from './migrations/0011-prediction-log.ts';
import * as referencesAsked from './migrations/0012-references-asked.ts';
import * as rollouts from './migrations/0020-rollouts.ts';
import * as sessions from './migrations/0030-sessions.ts';
import type { Tables } from './tables.ts';

export type Migration = {
  readonly name: string;
  readonly up: (db: Transaction<Tables>, dialect: Dialect) => Promise<void>;
};

/** In order. One that was released is never changed or removed; a mistake is mended by a further one. */
export const MIGRATIONS: readonly Migration[] = [
  { name: '0001-foundation', up: foundation.up },
  { name: '0002-key-limits', up: keyLimits.up },
  { name: '0003-endpoint-loaded', up: endpointLoaded.up },
  { name: '0004-version-can-pad', up: versionCanPad.up },
  { name: '0010-feedback', up: feedback.up },
  { name: '0020-rollouts', up: rollouts.up },
  { name: '0011-prediction-log', up: predictionLog.up },
  { name: '0008-key-signing', up: keySigning.up },
  { name: '0006-environments', up: environments.up },
  { name: '0012-references-asked', up: referencesAsked.up },
  { name: '0030-sessions', up: sessions.up },
  { name: '0007-conversions', up: conversions.up },
];

export type MigrateOptions = {
  readonly transaction: <T>(work: (tx: Transaction<Tables>) => Promise<T>) => Promise<T>;
  readonly dialect: Dialect;
  readonly clock: Clock;
  readonly migrations?: readonly Migration[];
};

/**
 * Applies what is missing, each migration in a transaction of its own together with the record of it: one that fails leaves nothing.
 * @returns the names applied now
 * @throws SlipwayError `data_newer`
 */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const { transaction, dialect, clock, migrations = MIGRATIONS } = options;
  const done: string[] = [];
  for (;;) {
    const name = await transaction(async (tx) => {
      await sql`create table if not exists migrations (name text primary key, applied_at text not null)`.execute(tx);
      const rows = await sql<{ name: string }>`select name from migrations`.execute(tx);
      const applied = rows.rows.map((row) => row.name);
      assertKnownMigrations(applied, migrations);
      const next = migrations.find((migration) => !applied.includes(migration.name));
      if (!next) return null;
      await next.up(tx, dialect);
      await sql`insert into migrations (name, applied_at) values (${next.name}, ${clock.now().toISOString()})`.execute(
        tx,
      );
      return next.name;
    });
    if (name === null) return done;
    done.push(name);
  }
}

/** @throws SlipwayError `data_newer` when one of them is not of this release */
export function assertKnownMigrations(applied: readonly string[], known: readonly Migration[] = MIGRATIONS): void {
  const unknown = applied.filter((name) => !known.some((migration) => migration.name === name));
  if (unknown.length === 0) return;
  throw new SlipwayError(
    'data_newer',
    `The data folder was written by a newer release (it has ${unknown.join(', ')})`,
    {
      hint: 'Start the newer release again. The folder was left as it is.',
    },
  );
}

/** Names of the applied migrations, read without changing anything; none in a file that is new. */
export function readAppliedSqlite(reader: DatabaseSync): string[] {
  const table = reader.prepare("select 1 from sqlite_master where type = 'table' and name = 'migrations'").get();
  if (table === undefined) return [];
  return reader
    .prepare('select name from migrations order by name')
    .all()
    .map((row) => String(row['name']));
}
