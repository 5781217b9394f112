/**
 * Feedback: what turned out to be true of a prediction, or what somebody thinks of it, later. Records are immutable: a correction is a
 * further revision, and the highest revision of a subject, kind and source is the one that counts. Pure: no clock, no database.
 */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';

export const FEEDBACK_KINDS = ['truth', 'score', 'rating', 'correction', 'text'] as const;
/**
 * - truth: the outcome that came true, as the model would have had to give it
 * - score: a number, e.g. a reward or a loss
 * - rating: a number of somebody's opinion, e.g. 1 to 5, or 0 and 1 for thumbs
 * - correction: the output as a person would have given it
 * - text: free words
 */
export type FeedbackKind = (typeof FEEDBACK_KINDS)[number];

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** One subject of a request, with one or more values. */
export type FeedbackInput = {
  /** `<prediction id>` or `<prediction id>.<row>`. */
  readonly predictionId?: string;
  /** A key that the prediction's own inputs carry, such as an order number; needs an endpoint. */
  readonly joinKey?: string;
  readonly truth?: unknown;
  readonly score?: unknown;
  readonly rating?: unknown;
  readonly correction?: unknown;
  readonly text?: unknown;
  /** Grows with every correction of the same sender; the next one unless named. */
  readonly revision?: number;
  /** Who or what says it, e.g. `crm`; the key's name unless named. */
  readonly source?: string;
  /** How much it counts; 1 unless named. */
  readonly weight?: number;
  /** When it became true (RFC 3339). */
  readonly at?: string;
};

export type FeedbackSubject =
  | { readonly kind: 'prediction'; readonly predictionId: string; readonly row: number | null }
  | { readonly kind: 'join-key'; readonly endpoint: string; readonly joinKey: string };

/** One value about one subject, checked. */
export type FeedbackRecord = {
  /** Place in the request, for answers. */
  readonly index: number;
  readonly subject: FeedbackSubject;
  readonly kind: FeedbackKind;
  readonly value: JsonValue;
  /** null: the next. */
  readonly revision: number | null;
  readonly source: string;
  readonly weight: number;
  readonly occurredAt: string | null;
};

export const MAX_FEEDBACK_ITEMS = 10_000;
const MAX_VALUE_CHARS = 65_536;
const MAX_TEXT_CHARS = 10_000;
const MAX_REVISION = 2_147_483_647;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_ROW = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.(\d{1,9})$/;
/** Ids of predictions that other systems logged. */
const FOREIGN_ID = /^[A-Za-z0-9._:+/=-]{1,128}$/;

/**
 * Reads `<id>` or `<id>.<row>`. Only ids of the usual form (UUID, lower case) have rows; any other is taken whole.
 * @returns null when it cannot be an id
 */
export function parsePredictionRef(text: string): { predictionId: string; row: number | null } | null {
  const lower = text.toLowerCase();
  if (UUID.test(lower)) return { predictionId: lower, row: null };
  const withRow = UUID_ROW.exec(lower);
  if (withRow !== null) return { predictionId: withRow[1]!, row: Number(withRow[2]) };
  return FOREIGN_ID.test(text) ? { predictionId: text, row: null } : null;
}

/** The time in a UUIDv7 (RFC 9562 §5.7: its first 48 bits are Unix milliseconds); null for any other id. */
export function timeOfPredictionId(id: string): number | null {
  if (!UUID.test(id) || id[14] !== '7') return null;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** The subject as one text: equal for the same subject, different for others. */
export function subjectText(subject: FeedbackSubject): string {
  if (subject.kind === 'join-key') return `k:${subject.endpoint}:${subject.joinKey}`;
  return `p:${subject.predictionId}${subject.row === null ? '' : `.${subject.row}`}`;
}

/**
 * Checks a request's items and splits them into records, one a value. All faults are told at once.
 * @param options.endpoint the endpoint that the request names; null when it names none
 * @param options.source of items that name none
 * @param options.pointer of the list in the body, e.g. `/items`; empty when the body is the item itself
 * @throws SlipwayError `invalid_request`
 */
export function parseFeedback(
  items: readonly FeedbackInput[],
  options: { readonly endpoint: string | null; readonly source: string; readonly pointer: string },
): FeedbackRecord[] {
  const faults: FieldError[] = [];
  const records: FeedbackRecord[] = [];
  for (const [index, item] of items.entries()) {
    if (faults.length >= MAX_FIELD_ERRORS) break;
    const at = options.pointer === '' ? '' : `${options.pointer}/${index}`;
    const fault = (name: string, message: string): void => void faults.push({ pointer: `${at}${name}`, message });
    const subject = subjectOf(item, options.endpoint, fault);
    const before = records.length;
    for (const kind of FEEDBACK_KINDS) {
      const value = item[kind];
      if (value === undefined) continue;
      const wrong = faultOfValue(kind, value);
      if (wrong !== null) fault(`/${kind}`, wrong);
      else if (subject !== null) {
        records.push({
          index,
          subject,
          kind,
          value: value as JsonValue,
          revision: item.revision ?? null,
          source: item.source ?? options.source,
          weight: item.weight ?? 1,
          occurredAt: item.at === undefined ? null : new Date(item.at).toISOString(),
        });
      } else records.length = before;
    }
    if (FEEDBACK_KINDS.every((kind) => item[kind] === undefined)) {
      fault('', `says nothing: it needs one of ${FEEDBACK_KINDS.join(', ')}`);
    }
    const { revision, weight } = item;
    if (revision !== undefined && !(Number.isInteger(revision) && revision >= 1 && revision <= MAX_REVISION)) {
      fault('/revision', 'must be a whole number from 1');
    }
    if (weight !== undefined && !(Number.isFinite(weight) && weight > 0)) {
      fault('/weight', 'must be a number above 0');
    }
  }
  if (faults.length === 0) return records;
  const message =
    faults.length === 1
      ? `The feedback is not valid: ${faults[0]!.pointer || 'it'} ${faults[0]!.message}`
      : `The feedback has ${faults.length} faults`;
  throw new SlipwayError('invalid_request', message, {
    fields: faults.slice(0, MAX_FIELD_ERRORS),
    hint: 'Mend these; nothing of the request was taken.',
  });
}

function subjectOf(
  { predictionId, joinKey }: FeedbackInput,
  endpoint: string | null,
  fault: (name: string, message: string) => void,
): FeedbackSubject | null {
  if ((predictionId === undefined) === (joinKey === undefined)) {
    fault('', 'must name its prediction by either predictionId or joinKey');
    return null;
  }
  if (joinKey !== undefined) {
    if (endpoint === null) fault('/joinKey', 'needs an endpoint: send it to /endpoints/{endpoint}/feedback');
    else if (joinKey.length > 0 && joinKey.length <= 256) return { kind: 'join-key', endpoint, joinKey };
    else fault('/joinKey', 'must have from 1 to 256 characters');
    return null;
  }
  const ref = parsePredictionRef(predictionId!);
  if (ref !== null) return { kind: 'prediction', ...ref };
  fault('/predictionId', 'is no prediction id: take it from the answer (X-Prediction-Id, or id of a row)');
  return null;
}

function faultOfValue(kind: FeedbackKind, value: unknown): string | null {
  switch (kind) {
    case 'score':
    case 'rating':
      return typeof value === 'number' && Number.isFinite(value) ? null : 'must be a finite number';
    case 'text':
      if (typeof value !== 'string' || value === '') return 'must be text';
      return value.length > MAX_TEXT_CHARS ? `has more than ${MAX_TEXT_CHARS} characters` : null;
    default:
      if (value === null) return 'is null; leave it out while it is not known';
      return JSON.stringify(value).length > MAX_VALUE_CHARS
        ? `is longer than ${MAX_VALUE_CHARS} characters as JSON`
        : null;
  }
}
