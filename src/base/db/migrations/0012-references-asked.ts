import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** References that are to be made of the first predictions of a version. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema
    .createTable('references_asked')
    .addColumn('project_id', 'text', (c) => c.notNull().references('projects.id').onDelete('cascade'))
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('version_digest', 'text', (c) => c.notNull())
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('first_rows', 'integer', (c) => c.notNull())
    .addColumn('asked_at', 'text', (c) => c.notNull())
    .addColumn('asked_by', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('references_asked_pk', ['project_id', 'endpoint', 'version_digest'])
    .execute();
}
