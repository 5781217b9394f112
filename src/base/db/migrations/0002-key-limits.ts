import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** Rate, concurrency and weight of API keys, as one JSON document; null: none. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema.alterTable('api_keys').addColumn('limits', 'text').execute();
}
