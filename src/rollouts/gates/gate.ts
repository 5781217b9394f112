/** What a gate is: a condition with evidence. Its kinds are judged in the files beside this one; `stage-verdict.ts` folds them. */

/**
 * What a gate says. No evidence is never PASS: a gate without data is CONTINUE while it can still decide, INCONCLUSIVE when its
 * budget is spent, INVALID when what was measured cannot be trusted.
 */
export type Verdict = 'PASS' | 'FAIL' | 'CONTINUE' | 'INCONCLUSIVE' | 'INVALID';

/**
 * guardrail: FAIL ends the stage, and the stage passes only when it has passed · tripwire: FAIL ends the stage, a pass is not asked
 * for · signal: FAIL pauses, and the rollout goes on by itself when it recovers · report: shown, never counted.
 */
export type GateRole = 'guardrail' | 'tripwire' | 'signal' | 'report';

type GateBase = {
  /** Unique in its stage. */
  readonly name: string;
  readonly role: GateRole;
};

/** Rare events: the stratified rate-ratio e-process of canary against control. */
export type RateRatioGate = GateBase & {
  readonly kind: 'rate-ratio';
  /** `errors`, or a yes-or-no outcome that comes as feedback. */
  readonly metric: string;
  /** FAIL when the ratio is surely above it. */
  readonly failMargin: number;
  /** PASS when the ratio is surely below it; null: this gate only trips. */
  readonly passMargin: number | null;
  /** PASS also when the canary's rate is surely below it, however rare the control's events are; null: no such way. */
  readonly passBelow: number | null;
  readonly alpha: number;
  /** Whether each slice is tested too; the error probability is shared among them. */
  readonly bySlice: boolean;
};

/** Latency: calls above a level frozen from control before the stage, by the same e-process. */
export type ExceedanceGate = GateBase & {
  readonly kind: 'exceedance';
  readonly level: 'p50' | 'p95' | 'p99';
  readonly failMargin: number;
  readonly passMargin: number | null;
  readonly alpha: number;
  readonly bySlice: boolean;
};

/** Difference of means (canary minus control) by asymptotic confidence sequence. */
export type MeanDifferenceGate = GateBase & {
  readonly kind: 'mean-difference';
  /** An output of numbers, or a number that comes as feedback. */
  readonly metric: string;
  readonly harm: 'increase' | 'decrease' | 'either';
  /** FAIL when the harm is surely above it. In units of the metric. */
  readonly failMargin: number;
  /** PASS when the harm is surely below it. */
  readonly passMargin: number | null;
  readonly alpha: number;
  /** Total observations of both arms at which a decision is expected; fixed when the plan is made. */
  readonly expectedTotal: number;
};

/** Whether the outputs are spread alike: e-processes over the counts of each bin, averaged. Proxies may pause, never pass. */
export type OutputShiftGate = GateBase & {
  readonly kind: 'output-shift';
  readonly output: string;
  /** FAIL when some bin is surely more than this many times as frequent, or as rare. */
  readonly margin: number;
  readonly alpha: number;
};

/** Hard limits, judged at once. */
export type CeilingGate = GateBase & {
  readonly kind: 'ceiling';
  readonly consecutiveErrors: number | null;
  /** Share of failed calls in the last seconds, judged from `minCalls` on. */
  readonly errorRate: number | null;
  readonly minCalls: number;
};

/** Sequential sample-ratio test; validity, so it says INVALID or CONTINUE and nothing else. Every stage with a split has it. */
export type SampleRatioGate = GateBase & {
  readonly kind: 'sample-ratio';
  readonly of: 'assignments' | 'outcomes';
  readonly alpha: number;
};

/** Answers of a shadow beside the live ones. */
export type ShadowGate = GateBase & {
  readonly kind: 'shadow';
  /** Excess share of differing decisions over the noise floor that is surely too much. */
  readonly maxExcessFlips: number;
  /** Surely above it, in units of the output: pause. null: not judged. */
  readonly maxBias: number | null;
  readonly minPairs: number;
  /** Least share of the intended copies that were compared. */
  readonly minCoverage: number;
  /** Most that shadow p99 may be of live p99. */
  readonly maxLatencyRatio: number;
  readonly alpha: number;
};

/** Which of two models was right, on calls that both answered and whose truth is known: discordant pairs. */
export type PairedAccuracyGate = GateBase & {
  readonly kind: 'paired-accuracy';
  readonly failMargin: number;
  readonly passMargin: number | null;
  readonly alpha: number;
};

/** The golden set that came with the version: the gate of first versions, which have no control. */
export type GoldenGate = GateBase & { readonly kind: 'golden'; readonly minCases: number };

/** A number from elsewhere. It can pause and fail; when it cannot be read it is INVALID. */
export type ExternalGate = GateBase & {
  readonly kind: 'external';
  readonly source:
    | { readonly kind: 'prometheus'; readonly url: string; readonly query: string }
    | { readonly kind: 'webhook'; readonly url: string };
  readonly timeoutMs: number;
  readonly everyMs: number;
  readonly failAbove: number | null;
  readonly failBelow: number | null;
  /** Readings in a row that must be good before it passes. */
  readonly passAfter: number;
  /** Readings in a row that must be bad before it fails. */
  readonly failAfter: number;
};

/** Quantiles with their confidence sequences, for display. */
export type QuantileGate = GateBase & {
  readonly kind: 'quantile';
  readonly levels: readonly number[];
  readonly alpha: number;
};

export type Gate =
  | RateRatioGate
  | ExceedanceGate
  | MeanDifferenceGate
  | OutputShiftGate
  | CeilingGate
  | SampleRatioGate
  | ShadowGate
  | PairedAccuracyGate
  | GoldenGate
  | ExternalGate
  | QuantileGate;

/** What a gate said, with the numbers to show. */
export type GateReading = {
  readonly gate: string;
  readonly kind: Gate['kind'];
  readonly role: GateRole;
  readonly verdict: Verdict;
  /** FAIL of a proxy or of a shadow's comparison pauses rather than rolls back. */
  readonly pauses: boolean;
  /** What was measured, e.g. the rate ratio; null without data. */
  readonly measured: number | null;
  /** What it is held against. */
  readonly bound: number | null;
  /** ln E of the side nearer to a decision; null where the gate has none. */
  readonly lnE: number | null;
  /** Predictions, pairs or readings that were looked at. */
  readonly evidence: number;
  /** One sentence: what was measured, against what, on how many predictions. */
  readonly text: string;
  /** Further predictions until it can decide, at what was seen so far; null when that cannot be said. */
  readonly remaining: number | null;
};
