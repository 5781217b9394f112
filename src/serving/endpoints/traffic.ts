/**
 * How an endpoint's calls are shared out while a rollout or an experiment runs: arms with their ranges, shadows, and what gateways
 * measure of each. Part of the desired state, so plain data only. Rollouts write it (`rollouts/desired-traffic.ts`), `assignment.ts` reads it.
 */

/** Who or what stays on one arm. `request`: each call by itself, unless the caller names a unit. */
export const UNIT_KEYS = ['user', 'tenant', 'entity', 'session', 'request'] as const;
export type UnitKey = (typeof UNIT_KEYS)[number];

/** Where a call carries a value: a header (lower case), an input by its name (its first row), or a JSON pointer into the body. */
export type ValueSource =
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'pointer'; readonly pointer: string };

export type UnitSpec = { readonly key: UnitKey; readonly from: ValueSource };

/** The header that names the unit unless an endpoint names another place for it. */
export const UNIT_HEADER = 'x-slipway-unit';

/** The header by which an authenticated operator names the arm, e.g. to try the version that waits at weight 0. */
export const ARM_HEADER = 'x-slipway-arm';

/** Half open: `from` belongs to it, `to` does not. Both are shares of 1. */
export type Range = readonly [from: number, to: number];

export type Arm = {
  readonly name: string;
  readonly version: number;
  /** Of the unit's fraction in [0, 1). Ranges of all arms are disjoint and together [0, 1). Empty: reached by pins and rules only. */
  readonly ranges: readonly Range[];
  /** False for traffic that is served by this arm but belongs to no comparison. */
  readonly isAnalysed: boolean;
};

/** Applied in their order; the first that decides wins. Whoever a rule decides is served and not analysed. */
export type TrafficRule =
  /** Calls whose value is not listed stay on the fallback arm; so do calls without the value (data residency: unknown is not allowed). */
  | { readonly kind: 'only'; readonly name: string; readonly of: ValueSource; readonly values: readonly string[] }
  /** Calls whose value is listed stay on the fallback arm. */
  | { readonly kind: 'never'; readonly name: string; readonly of: ValueSource; readonly values: readonly string[] }
  /** Calls whose value is listed go to that arm. */
  | {
      readonly kind: 'arm';
      readonly name: string;
      readonly of: ValueSource;
      readonly values: readonly string[];
      readonly arm: string;
    };

/** Separate salts, so that being held out, enrolled and given an arm are independent of one another. */
export type Salts = {
  readonly layer: string;
  readonly holdout: string;
  readonly enrolment: string;
  readonly arm: string;
};

export type TrafficSplit = {
  /** Of the rollout or experiment. */
  readonly id: string;
  /** Digest of its plan: logged with each prediction. */
  readonly planVersion: string;
  /** Grows when units may move between arms other than by a ramp; evidence of epochs is never joined. */
  readonly epoch: number;
  /** Index of the plan's stage, -1 before the first; evidence is kept by epoch and stage. */
  readonly stage: number;
  /** 1: SHA-256, top 52 bits. 2: murmur3_x86_32. */
  readonly hashVersion: 1 | 2;
  readonly unit: UnitSpec;
  readonly salts: Salts;
  /** Kill switch: everybody, pins included, gets the fallback arm. */
  readonly isKilled: boolean;
  readonly rules: readonly TrafficRule[];
  /** Share of units kept out of every change; its salt is shared by all rollouts of a quarter. */
  readonly holdoutShare: number;
  /** Slot in a mutual-exclusion layer: units outside it take no part. Whole layer: [0, 1). */
  readonly layerSlot: Range;
  /** Share of the remaining units that take part at all. */
  readonly enrolmentShare: number;
  /** Name of the arm that serves whoever takes no part: control. */
  readonly fallback: string;
  readonly arms: readonly Arm[];
  readonly measure: MeasureSpec;
};

/** What gateways count for each arm, frozen when the stage starts so that all arms are measured alike. */
export type MeasureSpec = {
  /** Latency levels, frozen from control before the stage; calls above each are counted. Empty: none yet. */
  readonly latencyLevelsMs: readonly number[];
  /** Calls of each arm and gateway that are not timed, because caches are cold. */
  readonly warmUpCalls: number;
  readonly outputs: readonly OutputMeasure[];
  /** What to break counts down by; at most `maxSlices` values are kept, the rest is counted as `other`. */
  readonly sliceBy: ValueSource | null;
  readonly maxSlices: number;
};

/** How one output is counted: by the first row of each call, because rows of one call are no independent observations. */
export type OutputMeasure =
  /** The class: position of the largest value of a row, or the value itself where the output is a label. `classes` in the order of counts; one more count for any other. */
  | { readonly kind: 'class'; readonly output: string; readonly classes: readonly string[] }
  /**
   * A number of each row (`column` of it, where it has several): counts between ascending edges, below the first and above the last;
   * one more count for NaN and infinities. Edges may be empty.
   */
  | {
      readonly kind: 'number';
      readonly output: string;
      readonly column: number | null;
      readonly edges: readonly number[];
    };

/** A version that gets copies of live calls; its answers are compared and thrown away. */
export type ShadowSpec = {
  readonly name: string;
  readonly version: number;
  /** `noise-floor`: a second run of the current version, against which differences are judged. */
  readonly role: 'candidate' | 'noise-floor';
  /** Share of calls, picked by the hash of salt and request id, so that pairs can be drawn again. */
  readonly sampleShare: number;
  readonly salt: string;
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly maxBytesInFlight: number;
  /** Bodies above are counted as oversize and not copied. */
  readonly maxBodyBytes: number;
  readonly compare: ComparisonSpec;
};

/** How answers of two versions are compared, by the task of the model. */
export type ComparisonSpec =
  | { readonly kind: 'classification'; readonly output: string; readonly threshold: number | null }
  | {
      readonly kind: 'regression';
      readonly output: string;
      /** A difference counts when it is above `absolute` and above `relative` times the live value. */
      readonly absolute: number;
      readonly relative: number;
    }
  | { readonly kind: 'ranking'; readonly output: string; readonly k: number }
  | { readonly kind: 'text'; readonly output: string }
  | { readonly kind: 'exact' };

/** What an endpoint's document adds to its target and pins. */
export type EndpointTraffic = {
  /** Grows with every change of an endpoint's traffic. Gateways report the one they follow; a lower one is never applied. */
  readonly revision: number;
  readonly split: TrafficSplit | null;
  readonly shadows: readonly ShadowSpec[];
};
