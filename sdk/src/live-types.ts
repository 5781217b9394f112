/** What is seen of a running server, as it travels; see `types.ts`. */

export type TrafficFigures = {
  requestsPerS: number;
  /** Share of calls answered with a 5xx; null without calls. */
  errorShare: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
};

export type EndpointTraffic = {
  endpoint: string;
  /** Of the last minute; null where nothing came since the server started. */
  now: TrafficFigures | null;
  /** Of the last hour. */
  hour: TrafficFigures | null;
  observedAt: string | null;
};

export type TrafficPoint = TrafficFigures & {
  at: string;
  refusedPerS: number;
  queueMs: number | null;
  batchRows: number | null;
  inFlight: number;
};

export type TrafficSeries = { endpoint: string; stepMs: number; points: TrafficPoint[] };

/** A prediction that was asked by way of control. */
export type Tried = {
  status: number;
  /** What the gateway answered, as it came. */
  body: string;
  version: string | null;
  predictionId: string | null;
  requestId: string | null;
  timings: { stage: string; ms: number }[];
  tookMs: number;
};

export type ShownSetting = {
  name: string;
  env: string;
  value: string;
  default: string;
  origin: 'default' | 'file' | 'env' | 'flag';
  help: string;
};

export type Session = {
  me: { actor: string; keyId: string; project: string | null; scopes: string[] };
  endsAt: string;
  idleMs: number;
};

export type ChangeKind = 'registry' | 'validation' | 'rollouts' | 'observed' | 'traffic';
