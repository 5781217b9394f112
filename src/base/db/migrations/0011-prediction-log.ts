import type { Transaction } from 'kysely';
import type { Dialect } from '../dialect.ts';
import type { Tables } from '../tables.ts';

/** The prediction log's policies, index and proofs; profiles and their references; rules of data quality. */
export async function up(db: Transaction<Tables>, dialect: Dialect): Promise<void> {
  const bytes = dialect === 'sqlite' ? ('blob' as const) : ('bytea' as const);
  const ofProject = (name: string) =>
    db.schema
      .createTable(name)
      .addColumn('project_id', 'text', (c) => c.notNull().references('projects.id').onDelete('cascade'));
  await ofProject('prediction_keys')
    .addColumn('key', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('prediction_keys_pk', ['project_id'])
    .execute();
  await ofProject('prediction_policies')
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('policy', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .addColumn('updated_by', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('prediction_policies_pk', ['project_id', 'endpoint'])
    .execute();
  await ofProject('prediction_files')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('path', 'text', (c) => c.notNull().unique())
    .addColumn('from_ms', 'bigint', (c) => c.notNull())
    .addColumn('to_ms', 'bigint', (c) => c.notNull())
    .addColumn('rows', 'bigint', (c) => c.notNull())
    .addColumn('bad_lines', 'bigint', (c) => c.notNull())
    .addColumn('size_bytes', 'bigint', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('columns', 'text', (c) => c.notNull())
    .addColumn('created_at', 'text', (c) => c.notNull())
    .execute();
  await db.schema
    .createIndex('prediction_files_time')
    .on('prediction_files')
    .columns(['project_id', 'endpoint', 'to_ms'])
    .execute();
  await db.schema
    .createTable('prediction_sources')
    .addColumn('name', 'text', (c) => c.primaryKey())
    .addColumn('taken_at', 'text', (c) => c.notNull())
    .execute();
  await ofProject('prediction_erasures')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addColumn('actor', 'text', (c) => c.notNull())
    .addColumn('proof', 'text', (c) => c.notNull())
    .execute();
  await ofProject('prediction_holds')
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('set_at', 'text', (c) => c.notNull())
    .addColumn('set_by', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('prediction_holds_pk', ['project_id', 'endpoint'])
    .execute();
  const pane = ['project_id', 'endpoint', 'version_digest', 'slice', 'span', 'start_ms'] as const;
  await ofProject('profile_panes')
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('version_digest', 'text', (c) => c.notNull())
    .addColumn('slice', 'text', (c) => c.notNull())
    .addColumn('span', 'text', (c) => c.notNull())
    .addColumn('start_ms', 'bigint', (c) => c.notNull())
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('predictions', 'bigint', (c) => c.notNull())
    .addColumn('failed', 'bigint', (c) => c.notNull())
    .addColumn('rows', 'bigint', (c) => c.notNull())
    .addColumn('profiled', 'bigint', (c) => c.notNull())
    .addColumn('unrecorded', 'integer', (c) => c.notNull())
    .addColumn('reservoir', 'text')
    .addPrimaryKeyConstraint('profile_panes_pk', [...pane])
    .execute();
  await ofProject('profile_columns')
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('version_digest', 'text', (c) => c.notNull())
    .addColumn('slice', 'text', (c) => c.notNull())
    .addColumn('span', 'text', (c) => c.notNull())
    .addColumn('start_ms', 'bigint', (c) => c.notNull())
    .addColumn('column_name', 'text', (c) => c.notNull())
    .addColumn('profile', bytes, (c) => c.notNull())
    .addPrimaryKeyConstraint('profile_columns_pk', [...pane, 'column_name'])
    .execute();
  await ofProject('reference_profiles')
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('version_digest', 'text', (c) => c.notNull())
    .addColumn('column_name', 'text', (c) => c.notNull())
    .addColumn('profile', bytes, (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('origin', 'text', (c) => c.notNull())
    .addColumn('made_at', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('reference_profiles_pk', ['project_id', 'model', 'version_digest', 'column_name'])
    .execute();
  await ofProject('quality_rules')
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('rules', 'text', (c) => c.notNull())
    .addColumn('set_at', 'text', (c) => c.notNull())
    .addColumn('set_by', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('quality_rules_pk', ['project_id', 'endpoint', 'revision'])
    .execute();
}
