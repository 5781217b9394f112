/** What the gateway's event loop hands to the recording thread: rows of one version's predictions, packed. */
import type { SignatureColumn } from '../../registry/signature-columns.ts';

/** Endpoint and version whose predictions are recorded together. */
export type Stream = {
  readonly id: number;
  readonly project: string;
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  readonly versionDigest: string;
  readonly columns: readonly SignatureColumn[];
  readonly rowWise: boolean;
  /** Columns beyond the bound, which are not recorded. */
  readonly unrecorded: number;
};

/** What is told of a prediction besides its values. */
export type EventMeta = {
  readonly id: string;
  readonly row: number;
  readonly requestId: string;
  readonly protocol: string;
  readonly arm: string | null;
  readonly reason: string;
  readonly propensity: number;
  readonly unit: string | null;
  readonly plan: string | null;
  readonly epoch: number;
  /** Of the rollout that shared the call out; null where none did. */
  readonly stage: number | null;
  /** `answered`, or the code of the error. */
  readonly status: string;
  readonly latencyMs: number;
  readonly queueMs: number;
  readonly runMs: number;
  readonly rows: number;
  readonly shadowOf: string | null;
};

export const TO_PROFILE = 1;
/** It failed: there are no outputs, which is not the same as missing ones. */
export const WITHOUT_OUTPUTS = 2;

export type RowBatch = {
  readonly stream: number;
  readonly rows: number;
  /** `TO_PROFILE` and `WITHOUT_OUTPUTS` of each row. */
  readonly flags: Uint8Array;
  /** When each row came, ms since 1970. */
  readonly at: Float64Array;
  /** Values of the numeric columns, row by row, in the order of the columns. */
  readonly numbers: Float64Array;
  /** Values of the other columns, likewise; undefined where there is none. */
  readonly others: readonly (string | Float64Array | undefined)[];
  /** Places in `numbers` where there is no value. */
  readonly missing: readonly number[];
  /** For rows that are logged; null for the others. */
  readonly metas: readonly (EventMeta | null)[];
  /** All that came since the batch before, recorded or not. */
  readonly counts: StreamCounts;
};

export type StreamCounts = { predictions: number; failed: number; rows: number; atMs: number };

/** To the thread. */
export type RecorderOrder =
  | { readonly kind: 'recording'; readonly text: string }
  | { readonly kind: 'stream'; readonly stream: Stream }
  /** It has no predictions for long. */
  | { readonly kind: 'end'; readonly stream: number }
  | { readonly kind: 'rows'; readonly batch: RowBatch }
  | { readonly kind: 'close' };

/** What the thread tells after each batch and every second. */
export type RecorderReport = {
  /** Batches done since the report before. */
  readonly done: number;
  readonly written: number;
  readonly droppedDisk: number;
  readonly droppedQuota: number;
  readonly panes: number;
  readonly fault: string | null;
  readonly closed: boolean;
};

export function isNumeric(column: SignatureColumn): boolean {
  return column.kind === 'number' || column.kind === 'integer' || column.kind === 'boolean';
}
