import type { Db, Tx } from '../../base/db/database.ts';
import { uuidv7 } from '../../base/ids.ts';
import { findEndpoint } from './endpoint-store.ts';

/** A version by its number and the digest that says what it is. */
export type LiveVersion = { readonly version: number; readonly digest: string };

/** What answers an endpoint's calls. */
export type LiveTraffic = {
  readonly model: string;
  /** Null while its alias names none. */
  readonly target: LiveVersion | null;
  readonly loaded: boolean;
  /** Shares of the arms while calls are shared out; null when all go to the target. */
  readonly arms: readonly (LiveVersion & { readonly name: string; readonly share: number })[] | null;
  readonly shadows: readonly (LiveVersion & { readonly name: string; readonly share: number })[];
  readonly pins: readonly LiveVersion[];
  /** Of the rollout and its stage, where one shares the calls out. */
  readonly rollout: { readonly id: string; readonly stage: number; readonly planVersion: string } | null;
};

/** What was live from a time on, by whom and why. `live` is null from when the endpoint was gone. */
export type LiveChange = {
  readonly id: string;
  readonly at: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly requestId: string | null;
  readonly live: LiveTraffic | null;
};

const COLUMNS = ['id', 'at', 'actor', 'reason', 'request_id', 'live'] as const;

/** Writes down what is live now, in the transaction that changed it; nothing where nothing changed. Append-only. */
export async function noteLive(
  tx: Tx,
  change: {
    readonly projectId: string;
    readonly endpoint: string;
    readonly actor: string;
    readonly reason: string | null;
    readonly requestId: string | null;
    readonly at: string;
  },
): Promise<void> {
  const live = await readLive(tx, change.projectId, change.endpoint);
  const last = await lastChange(tx, change.projectId, change.endpoint, null);
  if ((last === null && live === null) || (last !== null && JSON.stringify(last.live) === JSON.stringify(live))) return;
  await tx
    .insertInto('traffic_history')
    .values({
      id: uuidv7(Date.parse(change.at)),
      project_id: change.projectId,
      endpoint: change.endpoint,
      at: change.at,
      actor: change.actor,
      reason: change.reason,
      request_id: change.requestId,
      live: live === null ? null : JSON.stringify(live),
    })
    .execute();
}

/** The change that holds at a time (null: now); null where nothing was known yet. */
export async function lastChange(
  db: Db,
  projectId: string,
  endpoint: string,
  at: string | null,
): Promise<LiveChange | null> {
  let query = db
    .selectFrom('traffic_history')
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .select(COLUMNS);
  if (at !== null) query = query.where('at', '<=', at);
  const row = await query.orderBy('at', 'desc').orderBy('id', 'desc').limit(1).executeTakeFirst();
  return row === undefined ? null : toChange(row);
}

/** One page, the newest first. `before` is the last id of the page before. */
export async function listChanges(
  db: Db,
  projectId: string,
  endpoint: string,
  page: { readonly before: string | null; readonly limit: number },
): Promise<LiveChange[]> {
  let query = db
    .selectFrom('traffic_history')
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .select(COLUMNS);
  if (page.before !== null) query = query.where('id', '<', page.before);
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toChange);
}

function toChange(row: {
  id: string;
  at: string;
  actor: string;
  reason: string | null;
  request_id: string | null;
  live: string | null;
}): LiveChange {
  return {
    id: row.id,
    at: row.at,
    actor: row.actor,
    reason: row.reason,
    requestId: row.request_id,
    live: row.live === null ? null : (JSON.parse(row.live) as LiveTraffic),
  };
}

async function readLive(db: Db, projectId: string, endpoint: string): Promise<LiveTraffic | null> {
  const spec = await findEndpoint(db, projectId, endpoint);
  if (spec === null) return null;
  const rows = await db
    .selectFrom('versions')
    .where('model_id', '=', spec.modelId)
    .select(['number', 'digest'])
    .execute();
  const digests = new Map(rows.map((row) => [row.number, row.digest]));
  const named = (version: number): LiveVersion => ({ version, digest: digests.get(version) ?? '' });
  const split = spec.traffic?.split ?? null;
  const shareOf = (ranges: readonly (readonly [number, number])[]): number =>
    Number(ranges.reduce((sum, [from, to]) => sum + to - from, 0).toPrecision(9));
  return {
    model: spec.model,
    target: spec.targetVersion === null ? null : named(spec.targetVersion),
    loaded: spec.loaded,
    arms: split?.arms.map((arm) => ({ name: arm.name, ...named(arm.version), share: shareOf(arm.ranges) })) ?? null,
    shadows: (spec.traffic?.shadows ?? []).map((one) => ({
      name: one.name,
      ...named(one.version),
      share: one.sampleShare,
    })),
    pins: spec.pins.map(named),
    rollout: split === null ? null : { id: split.id, stage: split.stage, planVersion: split.planVersion },
  };
}
