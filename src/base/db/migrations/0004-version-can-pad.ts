import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** Whether calls of different sizes may be padded to share a run: 1 or 0. No version of before declares it. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema
    .alterTable('versions')
    .addColumn('can_pad', 'integer', (c) => c.notNull().defaultTo(0))
    .execute();
}
