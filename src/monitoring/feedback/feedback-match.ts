/** Bringing feedback and predictions together: at once where the prediction is in the log, else later, or never. */
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import type { FeedbackSubject } from './feedback.ts';
import * as store from './feedback-store.ts';

/** Where a prediction is, for feedback about it. */
export type PredictionPlace = {
  readonly endpoint: string;
  readonly predictionId: string;
  readonly row: number;
  /** RFC 3339. */
  readonly predictedAt: string;
};

/** null: not in the log, or it has several rows and the feedback names none. */
export type FoundPrediction = (subject: FeedbackSubject) => PredictionPlace | null;

/** Looks into the log for all of them at once. */
export type LookUpPredictions = (asked: {
  readonly projectId: string;
  /** null: any. */
  readonly endpoint: string | null;
  readonly predictionIds: readonly string[];
  readonly joinKeys: readonly string[];
}) => Promise<FoundPrediction>;

const PAGE = 2_000;

/**
 * Looks for the predictions of all parked feedback, and gives up what waited too long, with an audit record of how many.
 * @returns how many found theirs, and how many were given up
 */
export async function settleParked(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly lookUp: LookUpPredictions;
}): Promise<{ matched: number; expired: number }> {
  const { database, clock, lookUp } = deps;
  let matched = 0;
  for (let afterSeq = 0; ; ) {
    const page = await store.listParked(database.db, { afterSeq, limit: PAGE });
    if (page.length === 0) break;
    afterSeq = Number(page.at(-1)!.seq);
    for (const [, rows] of Map.groupBy(page, (row) => `${row.project_id}\n${row.endpoint ?? ''}`)) {
      matched += await matchRows(rows);
    }
  }
  const expired = await database.transaction(async (tx) => {
    const counts = await store.deleteExpired(tx, clock.now().toISOString());
    for (const { projectId, count } of counts) {
      const entry = { actor: 'system', action: 'feedback.expire', resource: `feedback/${projectId}` };
      await appendAudit(tx, { ...entry, project: null, detail: { records: count } }, clock);
    }
    return counts.reduce((sum, { count }) => sum + count, 0);
  });
  return { matched, expired };

  async function matchRows(rows: readonly store.ParkedRow[]): Promise<number> {
    const { project_id: projectId, endpoint } = rows[0]!;
    const found = await lookUp({
      projectId,
      endpoint,
      predictionIds: rows.flatMap((row) => (row.prediction_id === null ? [] : [row.prediction_id])),
      joinKeys: rows.flatMap((row) => (row.join_key === null ? [] : [row.join_key])),
    });
    const matches = rows.flatMap((row): store.Match[] => {
      const place = found(subjectOf(row));
      return place === null ? [] : [{ seq: Number(row.seq), ...place }];
    });
    if (matches.length === 0) return 0;
    await database.transaction((tx) => store.markMatched(tx, matches, clock.now().toISOString()));
    return matches.length;
  }
}

function subjectOf(row: store.ParkedRow): FeedbackSubject {
  return row.join_key !== null
    ? { kind: 'join-key', endpoint: row.endpoint!, joinKey: row.join_key }
    : { kind: 'prediction', predictionId: row.prediction_id!, row: row.prediction_row };
}
