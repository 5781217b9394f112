import type { Call } from '../../base/access/call.ts';
import { assertCan, type Verb } from '../../base/access/permission.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database, Db } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { uuidv7 } from '../../base/ids.ts';
import { assertLogAccess } from '../predictions/log-access.ts';
import { type FeedbackInput, type FeedbackRecord, parseFeedback, timeOfPredictionId } from './feedback.ts';
import { type FeedbackGuard, guardKeys, guardRecords } from './feedback-guard.ts';
import type { FoundPrediction, LookUpPredictions } from './feedback-match.ts';
import { canonicalJson, type FeedbackOutcome, type PlannedRecord, planFeedback } from './feedback-plan.ts';
import * as store from './feedback-store.ts';
import type { ItemRate } from './item-rate.ts';

export type FeedbackReceipt = {
  /** Records written: first ones, corrections, and older revisions that came late. */
  readonly accepted: number;
  readonly revised: number;
  readonly superseded: number;
  readonly repeated: number;
  /** Written, and their prediction is in the log. */
  readonly matched: number;
  /** Written, and kept until their prediction is found, or given up. */
  readonly parked: number;
  /** Not written: the policy of the endpoint keeps nothing of it. */
  readonly dropped: number;
  /** Not written: another value stands under the revision they name. */
  readonly conflicts: readonly { readonly index: number; readonly message: string }[];
  /** Of a request with one value: its record. */
  readonly id: string | null;
  readonly revision: number | null;
};

export type FeedbackServiceDeps = {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly rate: ItemRate;
  /** How long feedback waits for its prediction, ms. */
  readonly parkedMs: number;
  /** Which of these predictions the log holds. */
  readonly lookUp: LookUpPredictions;
  /** What may be kept of feedback about an endpoint; null: about any of the project. */
  readonly guardOf: (project: Call['project'], endpoint: string | null) => Promise<FeedbackGuard>;
};

export type FeedbackService = ReturnType<typeof createFeedbackService>;

/** Feedback comes in with the right to predict: who gets answers may say what became of them. Reading it needs the right to read. */
export function createFeedbackService(deps: FeedbackServiceDeps) {
  const { database, clock, dataDir, rate, parkedMs, lookUp, guardOf } = deps;

  /** The right to the endpoint's model; without an endpoint, to all of the project. */
  const assertAllowed = async (db: Db, call: Call, verb: Verb, endpoint: string | null): Promise<void> => {
    const { principal, project } = call;
    if (endpoint === null) return assertCan(principal, verb, project.name);
    await assertLogAccess(db, call, verb, endpoint, { dataDir });
  };

  return {
    /**
     * Takes feedback: all of the request, or nothing of it where it is malformed. A repetition changes nothing, so a sender that is not sure
     * sends it again.
     * @param pointer of the list in the body; empty when the body is the one item
     */
    async send(
      call: Call,
      endpoint: string | null,
      items: readonly FeedbackInput[],
      pointer: string,
    ): Promise<FeedbackReceipt> {
      await assertAllowed(database.db, call, 'predict', endpoint);
      const source = call.principal.actor.replace(/^key:/, '');
      const given = parseFeedback(items, { endpoint, source, pointer });
      if (!call.dryRun) rate.take(call.principal.keyId, given.length);
      const guard = await guardOf(call.project, endpoint);
      const keyed = guardKeys(given, guard);
      const { records, found } = await keptOf(call, endpoint, keyed, guard);
      const dropped = given.length - records.length;
      return database.transaction(async (tx) => {
        const subjects = [...new Set(planFeedback(records, []).map((planned) => planned.subject))];
        const planned = planFeedback(records, await store.findRevisions(tx, call.project.id, subjects));
        const rows = await newRows(tx, call, endpoint, planned, found);
        if (!call.dryRun) await store.insertFeedback(tx, rows);
        return receiptOf(planned, rows, dropped);
      });
    },

    /** In the order they came; a page is resumed by the last `seq`. */
    async list(
      call: Call,
      page: { readonly after: string | null; readonly limit: number },
      filter: store.FeedbackFilter,
    ): Promise<store.FeedbackEvent[]> {
      await assertAllowed(database.db, call, 'read', filter.endpoint ?? null);
      const afterSeq = page.after === null ? 0 : Number(page.after);
      return store.readFeedback(database.db, call.project.id, { afterSeq, limit: page.limit }, filter);
    },
  };

  /** Feedback as the policy of what it is about lets it be kept, and where its predictions are. */
  async function keptOf(call: Call, endpoint: string | null, records: readonly FeedbackRecord[], guard: FeedbackGuard) {
    const found = await lookUp({
      projectId: call.project.id,
      endpoint,
      predictionIds: records.flatMap(({ subject }) => (subject.kind === 'prediction' ? [subject.predictionId] : [])),
      joinKeys: records.flatMap(({ subject }) => (subject.kind === 'join-key' ? [subject.joinKey] : [])),
    });
    const guards = new Map<string, FeedbackGuard>();
    if (endpoint === null) {
      for (const name of new Set(records.map((record) => found(record.subject)?.endpoint))) {
        if (name !== undefined) guards.set(name, await guardOf(call.project, name));
      }
    }
    const guardFor = ({ subject }: FeedbackRecord) => guards.get(found(subject)?.endpoint ?? '') ?? guard;
    return { records: guardRecords(records, guardFor), found };
  }

  async function newRows(
    db: Db,
    call: Call,
    endpoint: string | null,
    planned: readonly PlannedRecord[],
    found: FoundPrediction,
  ): Promise<store.FeedbackRow[]> {
    let seq = await store.lastSeq(db);
    const now = clock.now();
    const arrivedAt = now.toISOString();
    const expiresAt = new Date(now.getTime() + parkedMs).toISOString();
    return planned
      .filter(({ knownId, outcome }) => knownId === null && outcome !== 'conflict' && outcome !== 'repeated')
      .map(({ record, subject, revision }) => {
        const match = found(record.subject);
        const about = record.subject;
        const predictionId = match?.predictionId ?? (about.kind === 'prediction' ? about.predictionId : null);
        const madeAtMs = predictionId === null ? null : timeOfPredictionId(predictionId);
        return {
          seq: ++seq,
          id: uuidv7(now.getTime()),
          project_id: call.project.id,
          endpoint: match?.endpoint ?? endpoint,
          subject,
          prediction_id: predictionId,
          prediction_row: match?.row ?? (about.kind === 'prediction' ? about.row : null),
          join_key: about.kind === 'join-key' ? about.joinKey : null,
          kind: record.kind,
          value: canonicalJson(record.value),
          revision,
          source: record.source,
          weight: record.weight,
          occurred_at: record.occurredAt,
          arrived_at: arrivedAt,
          actor: call.principal.actor,
          matched_at: match === null ? null : arrivedAt,
          predicted_at: match?.predictedAt ?? (madeAtMs === null ? null : new Date(madeAtMs).toISOString()),
          expires_at: match === null ? expiresAt : null,
        };
      });
  }
}

function receiptOf(
  planned: readonly PlannedRecord[],
  rows: readonly store.FeedbackRow[],
  dropped: number,
): FeedbackReceipt {
  const count = (outcome: FeedbackOutcome): number => planned.filter((one) => one.outcome === outcome).length;
  const conflicts = planned
    .filter((one) => one.outcome === 'conflict')
    .map(({ record, revision }) => ({
      index: record.index,
      message: `revision ${revision} of its ${record.kind} says something else; send a higher revision to correct it`,
    }));
  if (planned.length === 1 && conflicts.length === 1) {
    throw new SlipwayError('already_exists', `The feedback was not taken: ${conflicts[0]!.message}`);
  }
  const only = planned.length === 1 ? planned[0]! : null;
  const matched = rows.filter((row) => row.matched_at !== null).length;
  return {
    accepted: rows.length,
    revised: count('revised'),
    superseded: count('superseded'),
    repeated: count('repeated'),
    matched,
    parked: rows.length - matched,
    dropped,
    conflicts,
    id: only === null ? null : (only.knownId ?? rows[0]?.id ?? null),
    revision: only?.revision ?? null,
  };
}
