import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** Whether an endpoint's versions are kept running: 1 or 0. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema
    .alterTable('endpoints')
    .addColumn('loaded', 'integer', (c) => c.notNull().defaultTo(1))
    .execute();
}
