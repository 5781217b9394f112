import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** Keys that can sign requests have a second secret, kept as it is, because only who has it can tell a signature; null: the key signs nothing. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema.alterTable('api_keys').addColumn('signing_secret', 'text').execute();
}
