/** Rollouts, as they travel. */

export type RolloutVerdict = 'PASS' | 'FAIL' | 'CONTINUE' | 'INCONCLUSIVE' | 'INVALID';

export type RolloutGate = {
  name: string;
  kind: string;
  role: 'guardrail' | 'tripwire' | 'signal' | 'report';
  verdict: RolloutVerdict;
  measured: number | null;
  /** What it is held against. */
  bound: number | null;
  /** Predictions, pairs or readings looked at. */
  evidence: number;
  /** About how many more until it can decide. */
  remaining: number | null;
  /** The same in time, at today's traffic. */
  remainingMs: number | null;
  text: string;
};

export type RolloutStage = {
  index: number;
  name: string;
  kind: string;
  weight: number | null;
  state: 'done' | 'now' | 'next' | 'left';
  gates: RolloutGate[];
  needsCalls: number | null;
  needsMs: number | null;
};

export type Rollout = {
  id: string;
  project: string;
  endpoint: string;
  model: string;
  /** Null where there was no version before. */
  from: { version: number; digest: string } | null;
  to: { version: number; digest: string };
  strategy: string;
  /** Digest of the plan, logged with each prediction. */
  planVersion: string;
  phase: string;
  stage: number | null;
  since: string;
  isEnded: boolean;
  isPromoted: boolean;
  epoch: number;
  revision: number;
  startedBy: string;
  startedAt: string;
  weight: { asked: number; observed: number | null };
  approvals: string[];
  /** What happened or is waited for, in one sentence. */
  text: string;
  /** What to type next. */
  next: string | null;
  stages: RolloutStage[];
};

/** One transition: who or what, why, on which evidence. */
export type RolloutRecord = {
  revision: number;
  at: string;
  from: string;
  to: string;
  stage: number | null;
  by: string;
  reason: string;
  verdict: string | null;
  evidence: unknown[];
  planVersion: string;
};

/** A shadow's answers beside the live ones. */
export type RolloutShadow = {
  /** `candidate`, `noise-floor` (the current version against itself), or `version-N`. */
  name: string;
  /** Copies by what became of them. */
  statuses: Record<string, number>;
  pairs: number;
  /** Pairs whose decision differs. */
  flips: number;
  kappa: number | null;
  concordance: number | null;
  similarity: number | null;
  bias: number | null;
  otherForms: number;
  newErrors: Record<string, number>;
  p99Ms: { live: number | null; shadow: number | null };
  slices: { slice: string; pairs: number; flips: number }[];
  /** Pairs that differ, the most costly first. */
  worst: { predictionId: string; cost: number; live: string; shadow: string; slice: string | null }[];
};

export type ShownRollout = { rollout: Rollout; records: RolloutRecord[]; shadows: RolloutShadow[] };

export type StartRollout = {
  /** A version by number or alias, or `latest`. */
  to: string;
  strategy?: 'canary' | 'blue-green' | 'shadow';
  /** As YAML, or the same as an object. */
  plan?: string | object;
  /** Share of calls that a shadow gets, such as `20%`. */
  sample?: string;
  reason?: string;
  allowBreaking?: boolean;
  /** A rollout under way goes back first, and this one takes its place. */
  supersede?: boolean;
};

export type StartedRollout = {
  /** Null for a dry run. */
  rollout: Rollout | null;
  plan: unknown;
  estimates: {
    stage: string;
    gates: { gate: string; calls: number | null }[];
    calls: number | null;
    ms: number | null;
  }[];
};

type Live = { version: number; digest: string };

/** What answered an endpoint from a time on. */
export type LiveChange = {
  id: string;
  at: string;
  actor: string;
  reason: string | null;
  requestId: string | null;
  /** Null from when the endpoint was gone. */
  live: {
    model: string;
    target: Live | null;
    loaded: boolean;
    arms: (Live & { name: string; share: number })[] | null;
    shadows: (Live & { name: string; share: number })[];
    pins: Live[];
    rollout: { id: string; stage: number; planVersion: string } | null;
  } | null;
};
