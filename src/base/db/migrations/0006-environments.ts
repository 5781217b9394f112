import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** What a version needs to run in Python, as JSON, and the environment that was made for it; null for versions that are data. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema.alterTable('versions').addColumn('runtime', 'text').execute();
  await db.schema.alterTable('versions').addColumn('environment', 'text').execute();
}
