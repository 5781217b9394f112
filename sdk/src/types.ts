/**
 * The management API's resources, as they travel. The server validates with schemas of its own; a test holds the two equal.
 * All times are RFC 3339 in UTC, all sizes bytes.
 */

import type { ConversionReport } from './conversion-types.ts';
import type { Datatype } from './datatypes.ts';
import type { Runtime, Validation } from './validation-types.ts';

export type { Datatype } from './datatypes.ts';

export type { Runtime, Validation, ValidationStep } from './validation-types.ts';

/** How an input that comes as a file becomes a tensor. */
export type InputDecoder =
  | {
      kind: 'image';
      width: number;
      height: number;
      channels: number;
      layout: 'NCHW' | 'NHWC';
      color: 'rgb' | 'bgr' | 'gray';
      resize: 'stretch' | 'cover' | 'contain';
      filter: 'nearest' | 'linear' | 'cubic' | 'lanczos3';
      /** An element is (pixel × scale - mean) / std, with pixels from 0 to 255, mean and std by channel. */
      scale: number;
      mean: number[];
      std: number[];
    }
  /** The bytes of the elements, little-endian. */
  | { kind: 'raw' };

export type InputPadding = { axis: number; value: number | string };

export type TensorSpec = {
  name: string;
  datatype: Datatype;
  /** -1 is a free dimension. */
  shape: number[];
  symbols?: (string | null)[];
  optional?: boolean;
  features?: string[];
  /** Inputs that may be sent as a file. */
  decoder?: InputDecoder;
  /** Calls of different sizes may share a run: the shorter are filled up at the end of this dimension. */
  pad?: InputPadding;
  labels?: string[];
};

export type Signature = { inputs: TensorSpec[]; outputs: TensorSpec[] };

/** One difference between two signatures. */
export type SignatureChange = {
  /** Where, e.g. `inputs/age/datatype`. */
  path: string;
  change: 'added' | 'removed' | 'changed';
  from: string | null;
  to: string | null;
  /** Whether a caller of the old signature would fail or be answered differently. */
  breaking: boolean;
  reason: string;
};

export type SignatureDiff = { breaking: boolean; changes: SignatureChange[] };

export type Page<T> = { items: T[]; nextCursor: string | null };

export type Tags = Record<string, string>;

export type Project = { name: string; createdAt: string };

export type Model = {
  project: string;
  name: string;
  description: string | null;
  card: string | null;
  tags: Tags;
  latestVersion: number | null;
  aliases: Record<string, number>;
  revision: number;
  createdAt: string;
  createdBy: string;
};

export type VersionStatus = 'pending' | 'validating' | 'ready' | 'failed';

export type Lineage = {
  /** Reference to the training data: a URI, a digest, a query. */
  data?: string;
  codeCommit?: string;
  parentVersion?: number;
  trainedBy?: string;
  /** Of versions that the server made of another one: what was done, compared and measured. */
  conversion?: ConversionReport;
};

export type ArtifactFile = { path: string; digest: string; sizeBytes: number };

/** A body of the plain form `POST /endpoints/{name}/predict`. */
export type PredictRequest = { records: Record<string, unknown>[] } | { inputs: Record<string, unknown> };

export type RunnerLimits = {
  memoryBytes: number;
  loadTimeoutMs: number;
  runTimeoutMs: number;
  threads: number;
  maxBatchRows: number;
  maxDelayMs: number;
  queueLimit: number;
};

export type Version = {
  project: string;
  model: string;
  version: number;
  /** `sha256:…` of the manifest. */
  digest: string;
  status: VersionStatus;
  statusReason: string | null;
  format: string;
  engine: string;
  entry: string;
  files: ArtifactFile[];
  signature: Signature;
  /** null where an engine loads its files as data. */
  runtime: Runtime | null;
  /** The Python environment it runs in. */
  environment: string | null;
  sampleRequest: PredictRequest;
  /** Whether rows of different callers may share a run. */
  canBatch: boolean;
  /** Whether calls of different sizes may share one, padded as the signature declares it. */
  canPad: boolean;
  limits: RunnerLimits;
  validation: Validation | null;
  estimatedMemoryBytes: number;
  measuredMemoryBytes: number | null;
  lineage: Lineage;
  tags: Tags;
  card: string | null;
  aliases: string[];
  revision: number;
  createdAt: string;
  createdBy: string;
  /** Only in the answer to creation: the newest earlier version of the model with the same files. */
  sameBytesAs?: number;
};

export type CreateVersion = {
  /** Files by their path inside the artifact; their bytes were uploaded before. */
  files: { path: string; digest: string }[];
  lineage?: Omit<Lineage, 'conversion'>;
  tags?: Tags;
  card?: string;
  /** `auto`, or an engine's name. */
  engine?: string;
  limits?: Partial<RunnerLimits>;
  /** The endpoint this version is meant for: refused with `signature_breaking` when it would break that endpoint's callers. */
  endpoint?: string;
  allowBreaking?: boolean;
  /** Whether the model's own code may run; needs the scope `code`. */
  allowCode?: boolean;
};

export type Alias = { model: string; name: string; version: number; revision: number; updatedAt: string };

export type AliasChange = {
  name: string;
  from: number | null;
  to: number | null;
  actor: string;
  reason: string | null;
  at: string;
};

export type Upload = {
  id: string;
  digest: string;
  sizeBytes: number;
  /** Bytes received and on disk: where to continue. */
  offsetBytes: number;
  state: 'open' | 'complete';
  expiresAt: string;
};

export type Target = { version: number } | { alias: string };

export type EndpointState = 'ready' | 'starting' | 'updating' | 'failed' | 'unloaded' | 'unknown';

export type LoadedVersionStatus = {
  version: number;
  state: 'loading' | 'warming' | 'ready' | 'restarting' | 'quarantined' | 'failed' | 'draining';
  reason: string | null;
  since: string;
  memoryBytes: number | null;
  restarts: number;
  waiting: number;
};

export type EndpointStatus = {
  state: EndpointState;
  /** One sentence, null when ready. */
  reason: string | null;
  /** What to do about it, null when ready. */
  fix: string | null;
  /** The version that answers now. */
  servingVersion: number | null;
  versions: LoadedVersionStatus[];
  /** When a gateway last said so; null when none ever did. */
  observedAt: string | null;
};

export type Endpoint = {
  project: string;
  name: string;
  environment: string;
  model: string;
  target: Target;
  /** The version the target names now; null when its alias was removed. */
  targetVersion: number | null;
  pins: number[];
  /** Whether its versions are kept running; unloaded, calls are answered with 503. */
  loaded: boolean;
  /** Where clients send predictions, when a gateway is connected. */
  url: string | null;
  status: EndpointStatus;
  revision: number;
  createdAt: string;
  createdBy: string;
  updatedAt: string;
};

export type CreateEndpoint = {
  name: string;
  model: string;
  target: Target;
  environment?: string;
  pins?: number[];
};

export type ChangeEndpoint = {
  target?: Target;
  environment?: string;
  pins?: number[];
  loaded?: boolean;
  allowBreaking?: boolean;
  reason?: string;
};

export type Why = { endpoint: string; ready: boolean; reason: string; fix: string | null; observedAt: string | null };

export type Scope = string;

export type ApiKey = {
  id: string;
  name: string;
  /** null: every project. */
  project: string | null;
  scopes: Scope[];
  createdAt: string;
  createdBy: string;
  expiresAt: string | null;
  revokedAt: string | null;
  lastUsedAt: string | null;
  rotatedFrom: string | null;
  limits: KeyLimits;
  /** Under which id it signs requests, as clients of AWS do; null: it signs none. */
  accessKeyId: string | null;
};

/** Per gateway. Null: no limit; for `burst` as many as one second's. */
export type KeyLimits = { rate: number | null; burst: number | null; concurrency: number | null; weight: number };
/** What is not named stays as it is; null takes a limit away. */
export type KeyLimitsChange = {
  rate?: number | null;
  burst?: number | null;
  concurrency?: number | null;
  weight?: number | null;
};

/** The only answer that carries a key's secret: it cannot be shown again. */
export type NewApiKey = ApiKey & { key: string; signingPair: SigningPair | null };
export type SigningPair = { accessKeyId: string; secretAccessKey: string };

export type CreateKey = {
  name: string;
  scopes: Scope[];
  project?: string | null;
  expiresAt?: string | null;
  limits?: KeyLimitsChange;
  signing?: boolean;
};

export type AuditRecord = {
  seq: number;
  at: string;
  project: string | null;
  actor: string;
  action: string;
  resource: string;
  detail: unknown;
  reason: string | null;
  requestId: string | null;
  hash: string;
};

export type AuditVerdict = { intact: boolean; records: number; lastHash: string; brokenAt: number | null };

export type ServerStatus = {
  release: string;
  startedAt: string;
  generation: number;
  inferenceUrl: string | null;
  gateways: {
    instance: string;
    httpUrl: string;
    /** `host:port` of its gRPC listener; null when it has none. */
    grpcAddress: string | null;
    generation: number;
    observedAt: string;
  }[];
  counts: { models: number; versions: number; endpoints: number; endpointsReady: number };
};

export type Check = { name: string; outcome: 'pass' | 'warn' | 'fail'; detail: string; fix: string | null };

/** What a collection of unused artifacts removed. */
export type Collected = { blobs: number; bytes: number; uploads: number };

/** RFC 9457 problem document. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  pointer?: string;
  errors?: { pointer: string; message: string }[];
  hint?: string;
  request_id: string;
  retryable: boolean;
  extra?: Record<string, unknown>;
};

/** Answer of the plain form. */
export type PredictResponse = {
  endpoint: string;
  version: number;
  predictions: ({ id: string } & Record<string, unknown>)[];
};

/** What a gateway says of an endpoint: `GET /endpoints/{name}`. */
export type EndpointDescription = {
  endpoint: string;
  environment: string;
  model: string;
  version: number | null;
  ready: boolean;
  reason: string | null;
  url: string;
  /** Versions that answer `name@version`. */
  versions: number[];
  digest: string;
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  example: { request: PredictRequest; curl: string };
};
