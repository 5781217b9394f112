import type { Db } from '../base/db/database.ts';
import type { EvidenceReport, StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import { type Command, type Effect, ENDED, type Rollout, type TransitionRecord } from './rollout.ts';

/** A rollout as it is kept, with what belongs to its row. */
export type StoredRollout = {
  readonly projectId: string;
  readonly endpointId: string;
  /** Until it has ended and nothing of it is left to do. */
  readonly isActive: boolean;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly state: Rollout;
};

/** The same where it has not ended yet. */
export function underWay(stored: StoredRollout | null): StoredRollout | null {
  return stored?.isActive && !ENDED.includes(stored.state.phase.kind) ? stored : null;
}

type Row = {
  project_id: string;
  endpoint_id: string;
  active: number;
  started_at: string;
  ended_at: string | null;
  state: string;
};

const COLUMNS = ['project_id', 'endpoint_id', 'active', 'started_at', 'ended_at', 'state'] as const;

function toStored(row: Row): StoredRollout {
  return {
    projectId: row.project_id,
    endpointId: row.endpoint_id,
    isActive: row.active === 1,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    state: JSON.parse(row.state) as Rollout,
  };
}

export async function insertRollout(db: Db, stored: StoredRollout): Promise<void> {
  const { state } = stored;
  await db
    .insertInto('rollouts')
    .values({
      id: state.id,
      project_id: stored.projectId,
      endpoint_id: stored.endpointId,
      endpoint: state.endpoint,
      phase: state.phase.kind,
      active: stored.isActive ? 1 : 0,
      state: JSON.stringify(state),
      revision: state.revision,
      started_at: stored.startedAt,
      ended_at: stored.endedAt,
    })
    .execute();
}

/**
 * Writes a rollout's next state.
 * @returns false when it is no longer at the revision that the state was made from: somebody else decided in the meantime
 */
export async function saveRollout(
  db: Db,
  next: Rollout,
  from: { readonly revision: number },
  ends: { readonly isActive: boolean; readonly endedAt: string | null },
): Promise<boolean> {
  const changed = await db
    .updateTable('rollouts')
    .set({
      phase: next.phase.kind,
      active: ends.isActive ? 1 : 0,
      state: JSON.stringify(next),
      revision: next.revision,
      ended_at: ends.endedAt,
    })
    .where('id', '=', next.id)
    .where('revision', '=', from.revision)
    .executeTakeFirst();
  return changed.numUpdatedRows === 1n;
}

export async function findRollout(db: Db, projectId: string, id: string): Promise<StoredRollout | null> {
  const row = await db
    .selectFrom('rollouts')
    .where('project_id', '=', projectId)
    .where('id', '=', id)
    .select(COLUMNS)
    .executeTakeFirst();
  return row === undefined ? null : toStored(row);
}

/** The last rollout of an endpoint, ended or not. */
export async function findLatest(db: Db, projectId: string, endpoint: string): Promise<StoredRollout | null> {
  const row = await db
    .selectFrom('rollouts')
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .select(COLUMNS)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : toStored(row);
}

/** Those that the loop steps. */
export async function listActive(db: Db): Promise<StoredRollout[]> {
  const rows = await db.selectFrom('rollouts').where('active', '=', 1).select(COLUMNS).orderBy('id').execute();
  return rows.map(toStored);
}

/** One page, the newest first. `before` is the last id of the page before. */
export async function listRollouts(
  db: Db,
  projectId: string,
  filter: { readonly endpoint: string | null },
  page: { readonly before: string | null; readonly limit: number },
): Promise<StoredRollout[]> {
  let query = db.selectFrom('rollouts').where('project_id', '=', projectId).select(COLUMNS);
  if (filter.endpoint !== null) query = query.where('endpoint', '=', filter.endpoint);
  if (page.before !== null) query = query.where('id', '<', page.before);
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toStored);
}

/** Appends to the ledger of a rollout; its places follow one another. */
export async function appendRecords(db: Db, rolloutId: string, records: readonly TransitionRecord[]): Promise<void> {
  if (records.length === 0) return;
  await db
    .insertInto('rollout_records')
    .values(
      records.map((record) => ({
        rollout_id: rolloutId,
        // a revision is taken once, so it is the record's place
        place: record.revision,
        record: JSON.stringify(record),
        at: new Date(record.atMs).toISOString(),
      })),
    )
    .execute();
}

export async function listRecords(db: Db, rolloutId: string): Promise<TransitionRecord[]> {
  const rows = await db
    .selectFrom('rollout_records')
    .where('rollout_id', '=', rolloutId)
    .select('record')
    .orderBy('place')
    .execute();
  return rows.map((row) => JSON.parse(row.record) as TransitionRecord);
}

/** What a transition wants done, in the transaction that decided it. */
export async function insertEffects(
  db: Db,
  rollout: Rollout,
  effects: readonly Effect[],
  appliedAt: string,
): Promise<void> {
  if (effects.length === 0) return;
  await db
    .insertInto('rollout_effects')
    .values(
      effects.map((effect, place) => ({
        rollout_id: rollout.id,
        revision: rollout.revision,
        place,
        effect: JSON.stringify(effect),
        applied_at: appliedAt,
      })),
    )
    .execute();
}

export async function insertCommand(
  db: Db,
  row: { readonly id: string; readonly rolloutId: string; readonly command: Command; readonly at: string },
): Promise<void> {
  const { id, rolloutId, command, at } = row;
  await db
    .insertInto('rollout_commands')
    .values({ id, rollout_id: rolloutId, command: JSON.stringify(command), at })
    .execute();
}

/** What was asked for and not yet taken, in its order. */
export async function listCommands(db: Db, rolloutId: string): Promise<{ id: string; command: Command }[]> {
  const rows = await db
    .selectFrom('rollout_commands')
    .where('rollout_id', '=', rolloutId)
    .select(['id', 'command'])
    .orderBy('id')
    .execute();
  return rows.map(({ id, command }) => ({ id, command: JSON.parse(command) as Command }));
}

export async function deleteCommands(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await db.deleteFrom('rollout_commands').where('id', 'in', ids).execute();
}

/** Keeps the report of a gateway unless a later one of it is kept already. */
export async function putEvidence(db: Db, report: EvidenceReport, at: string): Promise<void> {
  const { id, epoch, stage } = report.evidence;
  await db
    .insertInto('rollout_evidence')
    .values({
      rollout_id: id,
      epoch,
      stage,
      instance: report.instance,
      sequence: report.sequence,
      evidence: JSON.stringify(report.evidence),
      at,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['rollout_id', 'epoch', 'stage', 'instance'])
        .doUpdateSet({ sequence: report.sequence, evidence: JSON.stringify(report.evidence), at })
        .where('rollout_evidence.sequence', '<', report.sequence),
    )
    .execute();
}

export async function listEvidence(db: Db, rolloutId: string): Promise<EvidenceReport[]> {
  const rows = await db
    .selectFrom('rollout_evidence')
    .where('rollout_id', '=', rolloutId)
    .select(['instance', 'sequence', 'evidence'])
    .execute();
  return rows.map((row) => ({
    instance: row.instance,
    sequence: Number(row.sequence),
    evidence: JSON.parse(row.evidence) as StageEvidence,
  }));
}

const SALT_KEY = 'rollout_salt';

/** The installation's secret for salts that rollouts share; made when first needed. */
export async function sharedSalt(tx: Db, make: () => string): Promise<string> {
  const row = await tx.selectFrom('meta').select('value').where('key', '=', SALT_KEY).executeTakeFirst();
  if (row !== undefined) return row.value;
  const value = make();
  await tx.insertInto('meta').values({ key: SALT_KEY, value }).execute();
  return value;
}

/** Nothing of it is left to do any more: a newer rollout has taken over what was kept warm. */
export async function deactivate(tx: Db, id: string): Promise<void> {
  await tx.updateTable('rollouts').set({ active: 0 }).where('id', '=', id).execute();
}

const ENTERED_KEY = 'rollbacks_entered';

/** Ids of the rollbacks that were entered last after the database had been down. */
export async function enteredIntents(tx: Db): Promise<readonly string[]> {
  const row = await tx.selectFrom('meta').select('value').where('key', '=', ENTERED_KEY).executeTakeFirst();
  return row === undefined ? [] : (JSON.parse(row.value) as string[]);
}

export async function noteEnteredIntents(tx: Db, ids: readonly string[]): Promise<void> {
  const value = JSON.stringify(ids);
  await tx
    .insertInto('meta')
    .values({ key: ENTERED_KEY, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
}
