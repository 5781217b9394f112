import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** Sessions of the console: a key that was shown once stands behind a cookie until it idles or ends. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema
    .createTable('sessions')
    .addColumn('secret_sha256', 'text', (c) => c.primaryKey())
    .addColumn('key_id', 'text', (c) => c.notNull().references('api_keys.id').onDelete('cascade'))
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('used_at', 'text', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('sessions_used').on('sessions').columns(['used_at']).execute();
}
