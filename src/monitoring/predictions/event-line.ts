/** A logged prediction as the line of a segment, and the segment's first line, which says which columns there are. Pure. */
import { singleText } from '../../serving/tensors/single-text.ts';
import { applyAction, type Tokens, tokenText } from './apply-policy.ts';
import type { CellValue } from './cells.ts';
import type { FieldAction, PrivacyPolicy } from './privacy-policy.ts';
import { jsonOf, round } from './recorded-pane.ts';
import type { EventMeta, Stream } from './recorded-rows.ts';

/** Version of the form of logged lines. */
export const EVENT_SCHEMA = 1;

/** What the policy means for a stream. */
export type StreamPolicy = {
  readonly stream: Stream;
  policy: PrivacyPolicy;
  tokens: Tokens;
  /** By column. */
  actions: readonly FieldAction[];
  unitAction: FieldAction;
  /** Place of the column, or -1. */
  subjectAt: number;
  joinAt: number;
  /** By column: its name in JSON, with the signs around it. */
  keys: readonly string[];
};

/** A row as it came, and as the policy leaves it: null is dropped, undefined was not there. */
export type RawRow = readonly (CellValue | undefined)[];
export type KeptRow = readonly (CellValue | null | undefined)[];

export function eventLine(of: StreamPolicy, meta: EventMeta, atMs: number, values: KeptRow, raw: RawRow): string {
  const { stream, policy, tokens, unitAction } = of;
  const unit = meta.unit === null ? null : applyAction(unitAction, meta.unit, tokens);
  const join = policy.joinKey === 'unit' ? unit : of.joinAt < 0 ? null : (values[of.joinAt] ?? null);
  const event = {
    id: meta.id,
    row: meta.row,
    at: atMs,
    model: stream.model,
    version: stream.version,
    digest: stream.versionDigest,
    requestId: meta.requestId,
    protocol: meta.protocol,
    arm: meta.arm,
    reason: meta.reason,
    propensity: meta.propensity,
    unit,
    plan: meta.plan,
    epoch: meta.epoch,
    stage: meta.stage,
    status: meta.status,
    latencyMs: round(meta.latencyMs),
    queueMs: round(meta.queueMs),
    runMs: round(meta.runMs),
    rows: meta.rows,
    weight: policy.sample > 0 ? 1 / policy.sample : 1,
    shadowOf: meta.shadowOf,
    subject: policy.subject === 'unit' ? (meta.unit === null ? null : tokens(meta.unit)) : subjectOf(of, raw),
    joinKey: join === null ? null : tokenText(join),
    schema: EVENT_SCHEMA,
  };
  let line = JSON.stringify(event).slice(0, -1);
  const { columns } = stream;
  for (let at = 0; at < columns.length; at++) {
    const value = values[at];
    if (value === null || value === undefined) continue;
    line += of.keys[at];
    // Numbers of FP32 as people read them: a third of the characters, and 0.1 is found as 0.1.
    if (typeof value === 'number' && Number.isFinite(value))
      line += columns[at]!.isSingle && of.actions[at]!.action === 'keep' ? singleText(value) : `${value}`;
    else line += JSON.stringify(jsonOf(value));
  }
  return `${line}}`;
}

export function headerLine(of: StreamPolicy): string {
  const columns = of.stream.columns.flatMap(({ name, kind }, at) =>
    isDropped(of, at) ? [] : [[name, of.actions[at]!.action === 'hash' ? 'text' : kind] as const],
  );
  return JSON.stringify({ slipway: 'predictions', schema: EVENT_SCHEMA, columns: Object.fromEntries(columns) });
}

/** A field that is dropped now is not written either where it was kept a moment ago. */
export function isDropped({ actions }: StreamPolicy, at: number): boolean {
  return actions[at]!.action === 'drop';
}

/** Keyed hash of the column that says whose row it is; null where there is none. */
export function subjectOf({ subjectAt, tokens }: StreamPolicy, raw: RawRow): string | null {
  const value = subjectAt < 0 ? undefined : raw[subjectAt];
  return value === undefined || value instanceof Float64Array ? null : tokens(tokenText(value));
}
