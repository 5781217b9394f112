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
  /** Not written: the policy of the endpoint keeps nothing of it. */
  dropped: number;
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

/** One row of a logged prediction. Columns that the policy drops are missing. */
export type LoggedPrediction = {
  id: string;
  row: number;
  at: string;
  model: string | null;
  version: number | null;
  digest: string | null;
  arm: string | null;
  reason: string | null;
  unit: string | null;
  /** `answered`, or the code of the error. */
  status: string;
  latencyMs: number | null;
  requestId: string | null;
  protocol: string | null;
  /** The live prediction of which it is a shadow's copy. */
  shadowOf: string | null;
  joinKey: string | null;
  /** How many predictions it stands for. */
  weight: number | null;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
};

/** All rows of a prediction, and what was said of them. */
export type ShownPrediction = { endpoint: string; rows: LoggedPrediction[]; feedback: FeedbackEvent[] };

export type FieldAction =
  | { action: 'keep' | 'drop' | 'hash' }
  | { action: 'truncate'; chars: number }
  | { action: 'bucket'; width: number };

/** What may be kept of an endpoint's predictions, as people write it; what is left out is the default's. */
export type PolicyDocument = {
  /** Share of predictions that are logged with their values; 0 unless given. */
  sample?: number;
  /** Whether profiles are made; true unless given. */
  profile?: boolean;
  /** By column (`input.age`), side (`input.*`), or `unit`, `feedback.text`, `feedback.truth`, `feedback.correction`. */
  fields?: Record<string, 'keep' | 'drop' | 'hash' | { truncate: number } | { bucket: number } | FieldAction>;
  subject?: string | null;
  joinKey?: string | null;
  slices?: string[];
  retention?: { payloadDays?: number; feedbackDays?: number };
};

export type PrivacyPolicy = {
  sample: number;
  profile: boolean;
  fields: Record<string, FieldAction>;
  subject: string | null;
  joinKey: string | null;
  slices: string[];
  retention: { payloadDays: number; feedbackDays: number };
};

export type ShownPolicy = {
  endpoint: string;
  policy: PrivacyPolicy;
  /** 0: none was set, the default holds. */
  revision: number;
  updatedAt: string | null;
  updatedBy: string | null;
  /** What it means for each field of the version that is served now. */
  fields: { field: string; kind: string; action: FieldAction; by: string | null; uses: string[] }[];
};

/** A column in numbers: quantiles within 1 % of the value, distinct values within some 1.6 %. */
export type ColumnProfile = {
  column: string;
  values: number;
  missing: number;
  nan: number;
  infinite: number;
  /** Zeros, and texts of no characters; never missing ones. */
  zeros: number;
  kinds: { numbers: number; texts: number; booleans: number; vectors: number };
  /** Of numbers; of the lengths of texts and vectors. */
  mean: number | null;
  standardDeviation: number | null;
  min: number | null;
  max: number | null;
  /** `p1` to `p99`. */
  quantiles: Record<string, number>;
  distinct: number;
  /** Only values that at least ten predictions had. */
  top: { value: string; count: number }[];
  topError: number;
  histogram: { edges: number[]; counts: number[]; revision: number } | null;
  text: { chars: number; letters: number; digits: number; spaces: number; beyondAscii: number } | null;
  /** The covariance is that of a fixed random projection to eight dimensions. */
  vector: { dimensions: number; mean: number[]; covariance: number[][] | null } | null;
};

/** What the predictions of a version are compared with. */
export type Reference = {
  endpoint: string;
  model: string;
  version: number;
  /** `file`: it came with the version; `first`: made of its first predictions; null: there is none. */
  origin: 'file' | 'first' | null;
  rows: number;
  revision: number;
  madeAt: string | null;
  /** Of a reference of the first rows that was asked for. */
  awaitedRows: number | null;
};

export type Profile = {
  endpoint: string;
  from: string;
  to: string;
  slice: string;
  versions: { model: string; version: number; digest: string }[];
  predictions: number;
  failed: number;
  rows: number;
  /** Rows that the profiles saw; fewer than `rows` under much traffic. */
  profiled: number;
  unrecorded: number;
  /** Different rows of inputs, within some 1.6 %. */
  distinctRows: number | null;
  slices: string[];
  /** Null where the version has none, or several versions answered. */
  reference: { origin: 'file' | 'first'; rows: number; revision: number; madeAt: string } | null;
  columns: (ColumnProfile & { reference: ColumnProfile | null })[];
};

/** Another system's log, a part of it at a time. */
export type ImportRequest = {
  format: 'sagemaker' | 'cloudevents' | 'seldon' | 'csv';
  /** Whole lines of the file; of a CSV with its header before them. */
  text: string;
  /** Line of the file at which they begin. */
  firstLine?: number;
  /** Names of values that come without, in their order; of a CSV the columns that are outputs. */
  inputs?: string[];
  outputs?: string[];
  /** Columns of a CSV; `id` and `at` unless named. */
  id?: string;
  at?: string;
};

export type ImportReceipt = {
  accepted: number;
  /** Already there; nothing was written. */
  repeated: number;
  /** Requests or responses that wait for their other half, at most a minute. */
  waiting: number;
};

export type SubjectRecords = {
  /** Keyed hash by which the subject is known. */
  subject: string;
  endpoints: {
    endpoint: string;
    predictions: Record<string, unknown>[];
    feedback: FeedbackEvent[];
    /** Rows in the samples of profiles; one may be in that of a minute, an hour and a day. */
    samples: Record<string, unknown>[];
  }[];
  /** Such that names no endpoint. */
  feedback: FeedbackEvent[];
};

export type ErasureProof = {
  subject: string;
  rows: number;
  feedback: number;
  reservoirRows: number;
  files: { before: string; after: string | null; rows: number }[];
  openSegments: number;
  /** Rows that a look through all files found afterwards. */
  left: number;
};

/** What the values of an endpoint have to be like, as people write it. Shares are the most that is tolerated. */
export type QualityRulesDocument = {
  columns?: Record<
    string,
    {
      type?: 'number' | 'boolean' | 'text' | 'vector';
      missing?: number;
      nan?: number;
      range?: [number, number];
      outside?: number;
      values?: (string | number | boolean)[];
      new?: number;
      length?: [number, number];
      constant?: boolean;
    }
  >;
  unknownColumns?: 'allow' | 'tell';
  duplicates?: number;
  /** Such as `15m`. */
  freshness?: string;
  rowsPerHour?: [number, number];
};

export type ShownQualityRules = {
  endpoint: string;
  /** 0: none were set. */
  revision: number;
  setAt: string | null;
  setBy: string | null;
  /** A `QualityRulesDocument`. */
  rules: Record<string, unknown>;
};

export type QualityVerdict = {
  endpoint: string;
  from: string;
  to: string;
  rows: number;
  /** Of the rules; 0: none were set, and those that the reference suggests hold. */
  revision: number;
  outcome: 'passed' | 'failed' | 'unknown';
  findings: {
    rule:
      | 'schema'
      | 'type'
      | 'missing'
      | 'nan'
      | 'range'
      | 'values'
      | 'length'
      | 'constant'
      | 'duplicates'
      | 'freshness'
      | 'volume';
    /** null: of the whole endpoint. */
    column: string | null;
    /** `unknown`: too few rows, or the policy leaves nothing to look at. */
    outcome: 'passed' | 'failed' | 'unknown';
    seen: number | null;
    allowed: number | null;
    message: string;
  }[];
};
