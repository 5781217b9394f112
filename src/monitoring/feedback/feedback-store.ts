import type { Db, Tx } from '../../base/db/database.ts';
import type { Tables } from '../../base/db/tables.ts';
import type { FeedbackKind, JsonValue } from './feedback.ts';

export type FeedbackRow = Tables['feedback'];

/** A record as readers see it. */
export type FeedbackEvent = {
  readonly seq: number;
  readonly id: string;
  readonly endpoint: string | null;
  readonly predictionId: string | null;
  readonly row: number | null;
  readonly joinKey: string | null;
  readonly kind: FeedbackKind;
  readonly value: JsonValue;
  readonly revision: number;
  readonly source: string;
  readonly weight: number;
  readonly occurredAt: string | null;
  readonly arrivedAt: string;
  readonly actor: string;
  readonly state: 'parked' | 'matched';
  readonly predictedAt: string | null;
  readonly expiresAt: string | null;
};

/** Values of one statement; SQLite takes 32,766 and a row has 19. */
const INSERT_ROWS = 500;
const LOOKUP_KEYS = 5_000;

/** The last sequence number given; 0 when there is none. */
export async function lastSeq(db: Db): Promise<number> {
  const row = await db
    .selectFrom('feedback')
    .select((eb) => eb.fn.max('seq').as('seq'))
    .executeTakeFirst();
  return Number(row?.seq ?? 0);
}

/** What is known about these subjects: every revision of every kind and source. */
export async function findRevisions(
  db: Db,
  projectId: string,
  subjects: readonly string[],
): Promise<Pick<FeedbackRow, 'id' | 'subject' | 'kind' | 'source' | 'revision' | 'value' | 'weight'>[]> {
  const found = [];
  for (const part of chunks(subjects, LOOKUP_KEYS)) {
    found.push(
      ...(await db
        .selectFrom('feedback')
        .select(['id', 'subject', 'kind', 'source', 'revision', 'value', 'weight'])
        .where('project_id', '=', projectId)
        .where('subject', 'in', part)
        .execute()),
    );
  }
  return found;
}

export async function insertFeedback(tx: Tx, rows: readonly FeedbackRow[]): Promise<void> {
  for (const part of chunks(rows, INSERT_ROWS)) await tx.insertInto('feedback').values(part).execute();
}

export type FeedbackFilter = {
  readonly endpoint?: string | undefined;
  readonly predictionId?: string | undefined;
  readonly kind?: FeedbackKind | undefined;
  readonly state?: 'parked' | 'matched' | undefined;
};

/**
 * Records in the order they were committed. Every revision is there: for the one that counts take the highest of a subject, kind and source
 * (`readCurrentFeedback` does).
 */
export async function readFeedback(
  db: Db,
  projectId: string,
  page: { readonly afterSeq: number; readonly limit: number },
  filter: FeedbackFilter = {},
): Promise<FeedbackEvent[]> {
  let query = db.selectFrom('feedback').selectAll().where('project_id', '=', projectId);
  query = query.where('seq', '>', page.afterSeq);
  if (filter.endpoint !== undefined) query = query.where('endpoint', '=', filter.endpoint);
  if (filter.predictionId !== undefined) query = query.where('prediction_id', '=', filter.predictionId);
  if (filter.kind !== undefined) query = query.where('kind', '=', filter.kind);
  if (filter.state !== undefined) query = query.where('matched_at', filter.state === 'parked' ? 'is' : 'is not', null);
  return (await query.orderBy('seq').limit(page.limit).execute()).map(toEvent);
}

export type LabelRow = Pick<
  FeedbackRow,
  'seq' | 'prediction_id' | 'prediction_row' | 'kind' | 'value' | 'revision' | 'source' | 'weight'
>;

/** What was said of predictions of an endpoint in values, every revision, in the order it came; values as JSON. */
export async function readLabels(
  db: Db,
  projectId: string,
  endpoint: string,
  page: { readonly afterSeq: number; readonly limit: number },
): Promise<LabelRow[]> {
  return db
    .selectFrom('feedback')
    .select(['seq', 'prediction_id', 'prediction_row', 'kind', 'value', 'revision', 'source', 'weight'])
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .where('prediction_id', 'is not', null)
    .where('kind', '!=', 'text')
    .where('seq', '>', page.afterSeq)
    .orderBy('seq')
    .limit(page.limit)
    .execute();
}

/**
 * What counts now about these predictions: of each kind and source the highest revision.
 * @returns by prediction id; ids without feedback are missing
 */
export async function readCurrentFeedback(
  db: Db,
  projectId: string,
  predictionIds: readonly string[],
): Promise<Map<string, FeedbackEvent[]>> {
  const current = new Map<string, FeedbackEvent[]>();
  for (const part of chunks(predictionIds, LOOKUP_KEYS)) {
    const rows = await db
      .selectFrom('feedback')
      .selectAll()
      .where('project_id', '=', projectId)
      .where('prediction_id', 'in', part)
      .orderBy('seq')
      .execute();
    const best = new Map<string, FeedbackRow>();
    for (const row of rows) {
      const key = `${row.subject}\n${row.kind}\n${row.source}`;
      const known = best.get(key);
      if (known === undefined || row.revision > known.revision) best.set(key, row);
    }
    for (const row of best.values()) {
      const list = current.get(row.prediction_id!);
      if (list === undefined) current.set(row.prediction_id!, [toEvent(row)]);
      else list.push(toEvent(row));
    }
  }
  return current;
}

export type ParkedRow = Pick<
  FeedbackRow,
  'seq' | 'endpoint' | 'prediction_id' | 'prediction_row' | 'join_key' | 'project_id'
>;

/** Records that wait for their prediction, in order. */
export async function listParked(
  db: Db,
  page: { readonly afterSeq: number; readonly limit: number },
): Promise<ParkedRow[]> {
  return db
    .selectFrom('feedback')
    .select(['seq', 'endpoint', 'prediction_id', 'prediction_row', 'join_key', 'project_id'])
    .where('expires_at', 'is not', null)
    .where('seq', '>', page.afterSeq)
    .orderBy('seq')
    .limit(page.limit)
    .execute();
}

export type Match = {
  readonly seq: number;
  readonly endpoint: string;
  readonly predictionId: string;
  readonly row: number;
  readonly predictedAt: string;
};

/** Notes that predictions were found. A join key becomes the prediction that carries it. */
export async function markMatched(tx: Tx, matches: readonly Match[], at: string): Promise<void> {
  for (const { seq, endpoint, predictionId, row, predictedAt } of matches) {
    await tx
      .updateTable('feedback')
      .set({
        endpoint,
        prediction_id: predictionId,
        prediction_row: row,
        predicted_at: predictedAt,
        matched_at: at,
        expires_at: null,
      })
      .where('seq', '=', seq)
      .execute();
  }
}

/** Gives up what waited too long. @returns how many, by project id */
export async function deleteExpired(tx: Tx, now: string): Promise<{ projectId: string; count: number }[]> {
  const counts = await tx
    .selectFrom('feedback')
    .select((eb) => ['project_id as projectId', eb.fn.countAll<number>().as('count')])
    .where('expires_at', '<=', now)
    .groupBy('project_id')
    .execute();
  if (counts.length > 0) await tx.deleteFrom('feedback').where('expires_at', '<=', now).execute();
  return counts.map(({ projectId, count }) => ({ projectId, count: Number(count) }));
}

export async function countFeedback(
  db: Db,
  projectId: string,
  endpoint: string,
): Promise<{ matched: number; parked: number }> {
  const row = await db
    .selectFrom('feedback')
    .select((eb) => [eb.fn.count<number>('matched_at').as('matched'), eb.fn.countAll<number>().as('all')])
    .where('project_id', '=', projectId)
    .where('endpoint', '=', endpoint)
    .executeTakeFirstOrThrow();
  return { matched: Number(row.matched), parked: Number(row.all) - Number(row.matched) };
}

function toEvent(row: FeedbackRow): FeedbackEvent {
  return {
    seq: Number(row.seq),
    id: row.id,
    endpoint: row.endpoint,
    predictionId: row.prediction_id,
    row: row.prediction_row,
    joinKey: row.join_key,
    kind: row.kind as FeedbackKind,
    value: JSON.parse(row.value) as JsonValue,
    revision: row.revision,
    source: row.source,
    weight: row.weight,
    occurredAt: row.occurred_at,
    arrivedAt: row.arrived_at,
    actor: row.actor,
    state: row.matched_at === null ? 'parked' : 'matched',
    predictedAt: row.predicted_at,
    expiresAt: row.expires_at,
  };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}

export type FeedbackEndpoint = { readonly projectId: string; readonly endpoint: string | null };

/** Endpoints that something was said about; null: what names none. */
export async function listFeedbackEndpoints(db: Db): Promise<FeedbackEndpoint[]> {
  return db.selectFrom('feedback').select(['project_id as projectId', 'endpoint']).distinct().execute();
}

/** @returns how many records about an endpoint are gone because they came before a time */
export async function deleteFeedbackBefore(
  tx: Tx,
  { projectId, endpoint }: FeedbackEndpoint,
  before: string,
): Promise<number> {
  const gone = await tx
    .deleteFrom('feedback')
    .where('project_id', '=', projectId)
    .where('endpoint', 'is', endpoint)
    .where('arrived_at', '<', before)
    .executeTakeFirst();
  return Number(gone.numDeletedRows);
}

/** What was said of these predictions, or under one of these join keys: every revision, in the order it came. */
export async function listFeedbackAbout(
  db: Db,
  projectId: string,
  predictionIds: readonly string[],
  joinKeys: readonly string[],
): Promise<FeedbackEvent[]> {
  const found = new Map<number, FeedbackEvent>();
  const add = (rows: readonly FeedbackRow[]): void => {
    for (const row of rows) found.set(Number(row.seq), toEvent(row));
  };
  const ofProject = () => db.selectFrom('feedback').selectAll().where('project_id', '=', projectId);
  for (const part of chunks(predictionIds, LOOKUP_KEYS)) {
    add(await ofProject().where('prediction_id', 'in', part).execute());
  }
  add(await ofProject().where('join_key', 'in', joinKeys).execute());
  return [...found.values()].sort((a, b) => a.seq - b.seq);
}

export async function deleteFeedback(tx: Tx, ids: readonly string[]): Promise<void> {
  for (const part of chunks(ids, LOOKUP_KEYS)) await tx.deleteFrom('feedback').where('id', 'in', part).execute();
}
