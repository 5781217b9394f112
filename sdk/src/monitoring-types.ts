/** What is remembered of predictions, as it travels; see `types.ts`. */

export type FeedbackKind = 'truth' | 'score' | 'rating' | 'correction' | 'text';

/** One prediction, named by its id or by a key it carries, and what became of it. */
export type FeedbackItem = {
  /** The id of the answer, or `<id>.<row>` of one row. */
  predictionId?: string;
  /** A key that the prediction carries itself; needs the endpoint. */
  joinKey?: string;
  truth?: unknown;
  score?: number;
  rating?: number;
  correction?: unknown;
  text?: string;
  /** Grows with every correction; the next one unless named. */
  revision?: number;
  /** Who says it; the key's name unless named. */
  source?: string;
  weight?: number;
  /** When it became true. */
  at?: string;
};

export type FeedbackReceipt = {
  accepted: number;
  revised: number;
  superseded: number;
  repeated: number;
  matched: number;
  parked: number;
  conflicts: { index: number; message: string }[];
  /** Of a request with one value. */
  id: string | null;
  revision: number | null;
};

export type FeedbackEvent = {
  seq: number;
  id: string;
  endpoint: string | null;
  predictionId: string | null;
  row: number | null;
  joinKey: string | null;
  kind: FeedbackKind;
  value: unknown;
  revision: number;
  source: string;
  weight: number;
  occurredAt: string | null;
  arrivedAt: string;
  actor: string;
  state: 'parked' | 'matched';
  predictedAt: string | null;
  expiresAt: string | null;
};
