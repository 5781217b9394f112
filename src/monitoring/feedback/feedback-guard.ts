/** The policy, done to feedback before any of it touches a disk: what is said in words or values, and the keys by which predictions are named. Pure. */
import { applyAction, type Tokens } from '../predictions/apply-policy.ts';
import { actionOf, type FieldAction, type PrivacyPolicy } from '../predictions/privacy-policy.ts';
import type { FeedbackKind, FeedbackRecord, JsonValue } from './feedback.ts';
import { canonicalJson } from './feedback-plan.ts';

/** Kinds that a policy can say something of; a score and a rating are bare numbers. */
const GUARDED = ['text', 'truth', 'correction'] as const satisfies readonly FeedbackKind[];

export type FeedbackGuard = {
  /** A join key as the log has it. */
  joinKey(key: string): string | null;
  /** What is kept of a value; undefined: nothing. */
  value(kind: FeedbackKind, value: JsonValue): JsonValue | undefined;
};

/**
 * @param policies of the endpoint that the feedback is about; where that is not known those of the whole project, of which the strictest
 *   counts for each kind
 */
export function createFeedbackGuard(policies: readonly PrivacyPolicy[], tokens: Tokens): FeedbackGuard {
  const actions = new Map<FeedbackKind, FieldAction>(
    GUARDED.map((kind) => [kind, strictest(policies.map((policy) => actionOf(policy, `feedback.${kind}`).action))]),
  );
  const only = policies.length === 1 ? policies[0]! : null;
  const keyAction = only?.joinKey == null ? KEEP : actionOf(only, only.joinKey).action;
  return {
    joinKey(key) {
      // A number is put into its interval as a number, and is a text again as the log has it.
      const value =
        keyAction.action === 'bucket' && key.trim() !== '' && !Number.isNaN(Number(key)) ? Number(key) : key;
      const kept = applyAction(keyAction, value, tokens);
      return kept === null ? null : String(kept);
    },
    value(kind, value) {
      const action = actions.get(kind) ?? KEEP;
      if (action.action === 'keep') return value;
      if (action.action === 'hash' && typeof value === 'object') return tokens(canonicalJson(value));
      if (typeof value === 'object') return undefined;
      return (applyAction(action, value, tokens) as JsonValue | null) ?? undefined;
    },
  };
}

/** Records as they may be kept. */
export function guardRecords(
  records: readonly FeedbackRecord[],
  guardOf: (record: FeedbackRecord) => FeedbackGuard,
): FeedbackRecord[] {
  return records.flatMap((record): FeedbackRecord[] => {
    const value = guardOf(record).value(record.kind, record.value);
    return value === undefined ? [] : [{ ...record, value }];
  });
}

/** Records that name their predictions by the keys that the log has. */
export function guardKeys(records: readonly FeedbackRecord[], guard: FeedbackGuard): FeedbackRecord[] {
  return records.flatMap((record): FeedbackRecord[] => {
    if (record.subject.kind !== 'join-key') return [record];
    const joinKey = guard.joinKey(record.subject.joinKey);
    return joinKey === null ? [] : [{ ...record, subject: { ...record.subject, joinKey } }];
  });
}

const KEEP: FieldAction = { action: 'keep' };
/** From the mildest. */
const STRICTNESS = ['keep', 'bucket', 'truncate', 'hash', 'drop'] as const;

function strictest(actions: readonly FieldAction[]): FieldAction {
  const sizeOf = (action: FieldAction): number =>
    action.action === 'bucket' ? action.width : action.action === 'truncate' ? -action.chars : 0;
  return actions.reduce((a, b) => {
    const difference = STRICTNESS.indexOf(a.action) - STRICTNESS.indexOf(b.action) || sizeOf(a) - sizeOf(b);
    return difference < 0 ? b : a;
  }, KEEP);
}
