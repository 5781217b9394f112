/** What becomes of records that arrive, given what is known of their subjects. Pure. */
import { type FeedbackKind, type FeedbackRecord, type JsonValue, subjectText } from './feedback.ts';

export type KnownRevision = {
  readonly id: string;
  readonly subject: string;
  readonly kind: string;
  readonly source: string;
  readonly revision: number;
  /** JSON. */
  readonly value: string;
  readonly weight: number;
};

export type FeedbackOutcome =
  /** The first of its subject, kind and source. */
  | 'accepted'
  /** Counts instead of an earlier revision from now on. */
  | 'revised'
  /** The same as one that is there; nothing was written. */
  | 'repeated'
  /** An older revision that came after a newer one; kept, but it does not count. */
  | 'superseded'
  /** Another value under a revision that is taken; not written. */
  | 'conflict';

export type PlannedRecord = {
  readonly record: FeedbackRecord;
  readonly subject: string;
  readonly outcome: FeedbackOutcome;
  readonly revision: number;
  /** Of the record that is there, for `repeated` and `conflict`; null for one to be written. */
  readonly knownId: string | null;
};

/** JSON with the keys of every object in order: equal for equal values. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

/**
 * Records in the order they stand in the request; a later one sees the earlier ones.
 * @param known every revision of their subjects
 */
export function planFeedback(records: readonly FeedbackRecord[], known: readonly KnownRevision[]): PlannedRecord[] {
  type Entry = { readonly id: string | null; readonly value: string; readonly weight: number };
  const series = new Map<string, { highest: number; readonly byRevision: Map<number, Entry> }>();
  const seriesOf = (key: string) => {
    const found = series.get(key) ?? { highest: 0, byRevision: new Map<number, Entry>() };
    series.set(key, found);
    return found;
  };
  const add = (key: string, revision: number, entry: Entry): void => {
    const one = seriesOf(key);
    one.byRevision.set(revision, entry);
    one.highest = Math.max(one.highest, revision);
  };
  for (const { subject, kind, source, revision, ...entry } of known) {
    add(keyOf(subject, kind as FeedbackKind, source), revision, entry);
  }
  return records.map((record): PlannedRecord => {
    const subject = subjectText(record.subject);
    const key = keyOf(subject, record.kind, record.source);
    const { highest, byRevision } = seriesOf(key);
    const value = canonicalJson(record.value);
    const asked = record.revision ?? highest;
    const same = byRevision.get(asked);
    const isSame = same !== undefined && same.value === value && same.weight === record.weight;
    if (isSame) return { record, subject, outcome: 'repeated', revision: asked, knownId: same.id };
    if (record.revision !== null && same !== undefined) {
      return { record, subject, outcome: 'conflict', revision: asked, knownId: same.id };
    }
    const revision = record.revision ?? highest + 1;
    add(key, revision, { id: null, value, weight: record.weight });
    const outcome = highest === 0 ? 'accepted' : revision > highest ? 'revised' : 'superseded';
    return { record, subject, outcome, revision, knownId: null };
  });
}

function keyOf(subject: string, kind: FeedbackKind, source: string): string {
  return `${kind}\n${source}\n${subject}`;
}
