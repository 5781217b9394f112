import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** What turned out to be true of predictions, and what people think of them. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema
    .createTable('feedback')
    .addColumn('seq', 'bigint', (c) => c.primaryKey())
    .addColumn('id', 'text', (c) => c.notNull().unique())
    .addColumn('project_id', 'text', (c) => c.notNull().references('projects.id').onDelete('cascade'))
    .addColumn('endpoint', 'text')
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('prediction_id', 'text')
    .addColumn('prediction_row', 'integer')
    .addColumn('join_key', 'text')
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('value', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('source', 'text', (c) => c.notNull())
    .addColumn('weight', 'double precision', (c) => c.notNull())
    .addColumn('occurred_at', 'text')
    .addColumn('arrived_at', 'text', (c) => c.notNull())
    .addColumn('actor', 'text', (c) => c.notNull())
    .addColumn('matched_at', 'text')
    .addColumn('predicted_at', 'text')
    .addColumn('expires_at', 'text')
    .addUniqueConstraint('feedback_revision', ['project_id', 'subject', 'kind', 'source', 'revision'])
    .execute();
  await db.schema.createIndex('feedback_endpoint').on('feedback').columns(['project_id', 'endpoint', 'seq']).execute();
  await db.schema.createIndex('feedback_prediction').on('feedback').columns(['project_id', 'prediction_id']).execute();
  await db.schema.createIndex('feedback_expiry').on('feedback').columns(['expires_at']).execute();
}
