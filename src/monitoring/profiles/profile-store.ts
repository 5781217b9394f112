import type { Db, Tx } from '../../base/db/database.ts';
import type { Tables } from '../../base/db/tables.ts';
import type { PaneLine } from '../predictions/pane-writer.ts';
import { type ColumnProfile, mergeProfiles } from './column-profile.ts';
import { decodeProfile, encodeProfile } from './profile-codec.ts';
import { mergeReservoirs, type ReservoirRow } from './reservoir.ts';

export type PaneRow = Tables['profile_panes'];
export const SPANS = ['minute', 'hour', 'day'] as const;
export type Span = (typeof SPANS)[number];
export const SPAN_MS: Readonly<Record<Span, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** How long panes are kept, by span. They are aggregates; days stay. */
export const KEPT_DAYS: Readonly<Record<Span, number>> = { minute: 2, hour: 90, day: 3650 };

type KeptReservoir = { readonly columns: readonly string[]; readonly rows: readonly ReservoirRow[] };

/**
 * Adds a gateway's minute to the minute, the hour and the day it lies in: what is read is merged already.
 * @param isErased whether a subject was erased after that minute began: none of its rows come back with it
 */
export async function mergePane(
  tx: Tx,
  projectId: string,
  line: PaneLine,
  isErased: (subject: string) => boolean = () => false,
): Promise<void> {
  const given = line.reservoir as KeptReservoir | null;
  const reservoir = given === null ? null : withoutSubjects(given, isErased);
  const fresh = Object.entries(line.columns).map(
    ([name, text]) => [name, decodeProfile(Buffer.from(text, 'base64'))] as const,
  );
  for (const span of line.span === undefined ? SPANS : (['hour', 'day'] as const)) {
    const key = {
      project_id: projectId,
      endpoint: line.endpoint,
      version_digest: line.versionDigest,
      slice: line.slice,
      span,
      start_ms: Math.floor(line.startMs / SPAN_MS[span]) * SPAN_MS[span],
    };
    await mergeCounts(tx, key, line, reservoir);
    const known = await readColumns(tx, key);
    for (const [name, profile] of fresh) {
      const before = known.get(name);
      const merged = before === undefined ? profile : mergeProfiles(before, profile);
      const row = { ...key, column_name: name, profile: Buffer.from(encodeProfile(merged)) };
      await tx
        .insertInto('profile_columns')
        .values(row)
        .onConflict((c) =>
          c
            .columns(['project_id', 'endpoint', 'version_digest', 'slice', 'span', 'start_ms', 'column_name'])
            .doUpdateSet({ profile: row.profile }),
        )
        .execute();
    }
  }
}

type PaneKey = Pick<PaneRow, 'project_id' | 'endpoint' | 'version_digest' | 'slice' | 'span' | 'start_ms'>;

async function mergeCounts(tx: Tx, key: PaneKey, line: PaneLine, fresh: KeptReservoir | null): Promise<void> {
  const before = await whereKey(tx, key).selectAll().executeTakeFirst();
  const kept = before?.reservoir == null ? null : (JSON.parse(before.reservoir) as KeptReservoir);
  const reservoir = joinReservoirs(kept, fresh);
  const row: PaneRow = {
    ...key,
    model: line.model,
    version: line.version,
    predictions: Number(before?.predictions ?? 0) + line.predictions,
    failed: Number(before?.failed ?? 0) + line.failed,
    rows: Number(before?.rows ?? 0) + line.rows,
    profiled: Number(before?.profiled ?? 0) + line.profiled,
    unrecorded: line.unrecorded,
    reservoir: reservoir === null ? null : JSON.stringify(reservoir),
  };
  await tx
    .insertInto('profile_panes')
    .values(row)
    .onConflict((c) =>
      c.columns(['project_id', 'endpoint', 'version_digest', 'slice', 'span', 'start_ms']).doUpdateSet(row),
    )
    .execute();
}

/** Rows of other columns (the policy changed) are not mixed: the newer ones stay. */
function joinReservoirs(before: KeptReservoir | null, fresh: KeptReservoir | null): KeptReservoir | null {
  if (before === null || fresh === null) return fresh ?? before;
  if (JSON.stringify(before.columns) !== JSON.stringify(fresh.columns)) return fresh;
  return { columns: fresh.columns, rows: mergeReservoirs(before, fresh).rows };
}

function whereKey(db: Db, key: PaneKey) {
  return db
    .selectFrom('profile_panes')
    .where('project_id', '=', key.project_id)
    .where('endpoint', '=', key.endpoint)
    .where('version_digest', '=', key.version_digest)
    .where('slice', '=', key.slice)
    .where('span', '=', key.span)
    .where('start_ms', '=', key.start_ms);
}

async function readColumns(db: Db, key: PaneKey): Promise<Map<string, ColumnProfile>> {
  const rows = await db
    .selectFrom('profile_columns')
    .select(['column_name', 'profile'])
    .where('project_id', '=', key.project_id)
    .where('endpoint', '=', key.endpoint)
    .where('version_digest', '=', key.version_digest)
    .where('slice', '=', key.slice)
    .where('span', '=', key.span)
    .where('start_ms', '=', key.start_ms)
    .execute();
  return new Map(rows.map((row) => [row.column_name, decodeProfile(row.profile)]));
}

export type PaneFilter = {
  readonly projectId: string;
  readonly endpoint: string;
  /** Empty: all rows. */
  readonly slice: string;
  readonly span: Span;
  /** Panes that start in [fromMs, toMs). */
  readonly fromMs: number;
  readonly toMs: number;
};

/** Counts of panes, without their columns, in order of time. */
export async function listPanes(db: Db, filter: PaneFilter): Promise<PaneRow[]> {
  return db
    .selectFrom('profile_panes')
    .selectAll()
    .where('project_id', '=', filter.projectId)
    .where('endpoint', '=', filter.endpoint)
    .where('slice', '=', filter.slice)
    .where('span', '=', filter.span)
    .where('start_ms', '>=', filter.fromMs)
    .where('start_ms', '<', filter.toMs)
    .orderBy('start_ms')
    .execute();
}

/** Profiles of panes, by column, merged. */
export async function readProfiles(
  db: Db,
  filter: PaneFilter,
  only: { readonly columns?: readonly string[] | undefined; readonly digests?: readonly string[] | undefined } = {},
): Promise<Map<string, ColumnProfile>> {
  let query = db
    .selectFrom('profile_columns')
    .select(['column_name', 'profile'])
    .where('project_id', '=', filter.projectId)
    .where('endpoint', '=', filter.endpoint)
    .where('slice', '=', filter.slice)
    .where('span', '=', filter.span)
    .where('start_ms', '>=', filter.fromMs)
    .where('start_ms', '<', filter.toMs);
  if (only.digests !== undefined) query = query.where('version_digest', 'in', only.digests);
  if (only.columns !== undefined) query = query.where('column_name', 'in', only.columns);
  const merged = new Map<string, ColumnProfile>();
  for (const row of await query.execute()) {
    const profile = decodeProfile(row.profile);
    const known = merged.get(row.column_name);
    merged.set(row.column_name, known === undefined ? profile : mergeProfiles(known, profile));
  }
  return merged;
}

/** Slices that there are profiles of. */
export async function listSlices(db: Db, projectId: string, endpoint: string): Promise<string[]> {
  const rows = await db
    .selectFrom('profile_panes')
    .select('slice')
    .distinct()
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .where('span', '=', 'day')
    .where('slice', '!=', '')
    .orderBy('slice')
    .execute();
  return rows.map((row) => row.slice);
}

export async function listProfiledEndpoints(db: Db, projectId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('profile_panes')
    .select('endpoint')
    .distinct()
    .where('project_id', '=', projectId)
    .execute();
  return rows.map((row) => row.endpoint);
}

/** @returns how many panes are gone */
export async function deletePanesBefore(tx: Tx, span: string, beforeMs: number): Promise<number> {
  await tx.deleteFrom('profile_columns').where('span', '=', span).where('start_ms', '<', beforeMs).execute();
  const gone = await tx
    .deleteFrom('profile_panes')
    .where('span', '=', span)
    .where('start_ms', '<', beforeMs)
    .executeTakeFirst();
  return Number(gone.numDeletedRows);
}

export type ReservoirRowsOf = {
  readonly endpoint: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
};

/** A subject's rows in the samples of minutes, hours and days: the same row may be in several. */
export async function listReservoirRows(db: Db, projectId: string, subject: string): Promise<ReservoirRowsOf[]> {
  return (await panesWith(db, projectId, subject)).map(({ pane, kept }) => ({
    endpoint: pane.endpoint,
    columns: kept.columns,
    rows: kept.rows.filter((row) => row.subject === subject).map((row) => row.values),
  }));
}

/** Takes a subject's rows out of every sample. @returns how many there were */
export async function eraseFromReservoirs(tx: Tx, projectId: string, subject: string): Promise<number> {
  let erased = 0;
  for (const { pane, kept } of await panesWith(tx, projectId, subject)) {
    const left = withoutSubjects(kept, (one) => one === subject);
    erased += kept.rows.length - left.rows.length;
    await tx
      .updateTable('profile_panes')
      .set({ reservoir: JSON.stringify(left) })
      .where('project_id', '=', pane.project_id)
      .where('endpoint', '=', pane.endpoint)
      .where('version_digest', '=', pane.version_digest)
      .where('slice', '=', pane.slice)
      .where('span', '=', pane.span)
      .where('start_ms', '=', pane.start_ms)
      .execute();
  }
  return erased;
}

async function panesWith(db: Db, projectId: string, subject: string) {
  const panes = await db
    .selectFrom('profile_panes')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('reservoir', 'like', `%"${subject}"%`)
    .execute();
  return panes
    .map((pane) => ({ pane, kept: JSON.parse(pane.reservoir!) as KeptReservoir }))
    .filter(({ kept }) => kept.rows.some((row) => row.subject === subject));
}

function withoutSubjects({ columns, rows }: KeptReservoir, isGone: (subject: string) => boolean): KeptReservoir {
  return { columns, rows: rows.filter((row) => row.subject === null || !isGone(row.subject)) };
}
