import type { Transaction } from 'kysely';
import type { Tables } from '../tables.ts';

/** Rollouts with all that moves them, how endpoints share out their calls, and the ledger of what was live when. */
export async function up(db: Transaction<Tables>): Promise<void> {
  await db.schema.alterTable('endpoints').addColumn('traffic', 'text').execute();
  await db.schema
    .createTable('rollouts')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('project_id', 'text', (c) => c.notNull().references('projects.id').onDelete('cascade'))
    .addColumn('endpoint_id', 'text', (c) => c.notNull())
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('phase', 'text', (c) => c.notNull())
    .addColumn('active', 'integer', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('started_at', 'text', (c) => c.notNull())
    .addColumn('ended_at', 'text')
    .execute();
  await db.schema.createIndex('rollouts_endpoint').on('rollouts').columns(['project_id', 'endpoint', 'id']).execute();
  await db.schema
    .createTable('rollout_effects')
    .addColumn('rollout_id', 'text', (c) => c.notNull().references('rollouts.id').onDelete('cascade'))
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('place', 'integer', (c) => c.notNull())
    .addColumn('effect', 'text', (c) => c.notNull())
    .addColumn('applied_at', 'text')
    .addPrimaryKeyConstraint('rollout_effects_key', ['rollout_id', 'revision', 'place'])
    .execute();
  await db.schema
    .createTable('rollout_records')
    .addColumn('rollout_id', 'text', (c) => c.notNull().references('rollouts.id').onDelete('cascade'))
    .addColumn('place', 'integer', (c) => c.notNull())
    .addColumn('record', 'text', (c) => c.notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('rollout_records_key', ['rollout_id', 'place'])
    .execute();
  await db.schema
    .createTable('rollout_commands')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('rollout_id', 'text', (c) => c.notNull().references('rollouts.id').onDelete('cascade'))
    .addColumn('command', 'text', (c) => c.notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('rollout_evidence')
    .addColumn('rollout_id', 'text', (c) => c.notNull().references('rollouts.id').onDelete('cascade'))
    .addColumn('epoch', 'integer', (c) => c.notNull())
    .addColumn('stage', 'integer', (c) => c.notNull())
    .addColumn('instance', 'text', (c) => c.notNull())
    .addColumn('sequence', 'integer', (c) => c.notNull())
    .addColumn('evidence', 'text', (c) => c.notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('rollout_evidence_key', ['rollout_id', 'epoch', 'stage', 'instance'])
    .execute();
  await db.schema
    .createTable('traffic_history')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('project_id', 'text', (c) => c.notNull().references('projects.id').onDelete('cascade'))
    .addColumn('endpoint', 'text', (c) => c.notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .addColumn('actor', 'text', (c) => c.notNull())
    .addColumn('reason', 'text')
    .addColumn('request_id', 'text')
    .addColumn('live', 'text')
    .execute();
  await db.schema
    .createIndex('traffic_history_endpoint')
    .on('traffic_history')
    .columns(['project_id', 'endpoint', 'id'])
    .execute();
}
