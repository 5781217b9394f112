/** What a rollout is asked to do. `plan-file.ts` reads it, `plan-check.ts` refuses what cannot work, `strategies.ts` has the built-in ones. */
import type { Range, TrafficRule, UnitSpec } from '../serving/endpoints/traffic.ts';
import type { Gate } from './gates/gate.ts';

export type ControlMode =
  /** Latency is compared with an equally large arm of control, errors with everybody else. Weights up to 0.5. */
  | 'concurrent-equal'
  /** All is compared with everybody else. */
  | 'rest';

/** A person's consent. */
export type Approval = {
  /** Whoever made the version or started the rollout may not give it. */
  readonly separateDuties: boolean;
  /** Approvals by different people. */
  readonly count: number;
};

type StageBase = {
  readonly name: string;
  /** Time at the stage before it may pass. */
  readonly minDwellMs: number;
  /** After it passed its gates, a person must agree. */
  readonly approve: Approval | null;
  readonly gates: readonly Gate[];
};

export type ShadowStage = StageBase & {
  readonly kind: 'shadow';
  /** Share of calls that are copied. */
  readonly sampleShare: number;
  /** Share of calls that are also copied to a second run of the current version; 0: none. */
  readonly noiseFloorShare: number;
  /** Further versions that get the same copies: shown beside the candidate, and judged by nobody. */
  readonly also: readonly number[];
  readonly minPairs: number;
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly maxBytesInFlight: number;
};

export type CanaryStage = StageBase & {
  readonly kind: 'canary';
  /** Share of units, in (0, 1). */
  readonly weight: number;
  readonly control: ControlMode;
  /** Analysed calls of the canary before the stage may pass. */
  readonly minExposures: number;
};

/** The new version runs warm at weight 0 and is reached by the header `X-Slipway-Arm`; what follows switches at once. */
export type BlueGreenStage = StageBase & { readonly kind: 'blue-green' };

export type ApproveStage = {
  readonly kind: 'approve';
  readonly name: string;
  readonly approval: Approval;
};

/** The very version that was tested becomes the endpoint's own; it is watched, and the old one is kept warm. */
export type PromoteStage = {
  readonly kind: 'promote';
  readonly name: string;
  readonly soakMs: number;
  readonly keepWarmMs: number;
  /** There is no control any more: ceilings, external and golden gates only. */
  readonly gates: readonly Gate[];
};

export type Stage = ShadowStage | CanaryStage | BlueGreenStage | ApproveStage | PromoteStage;
export type StageKind = Stage['kind'];

export type OnInconclusive =
  | { readonly do: 'pause' }
  | { readonly do: 'rollback' }
  /** Another budget of the same size, at most so many times; then pause. */
  | { readonly do: 'extend'; readonly times: number }
  /** Wait for the named approver, who may promote. */
  | { readonly do: 'ask'; readonly approver: string };

export type Plan = {
  readonly strategy: 'canary' | 'blue-green' | 'shadow' | 'custom';
  readonly unit: UnitSpec;
  readonly rules: readonly TrafficRule[];
  readonly holdoutShare: number;
  /** Predictions younger than this are not looked at by gates on feedback: theirs may be on its way. */
  readonly labelDelayMs: number;
  /** Rollouts on layers of the same name never share units. */
  readonly layer: { readonly name: string; readonly slot: Range } | null;
  /** What counts are broken down by, e.g. the tenant. */
  readonly sliceBy: UnitSpec['from'] | null;
  readonly stages: readonly Stage[];
  readonly onFail: 'rollback' | 'pause';
  readonly onInconclusive: OnInconclusive;
  readonly onInvalid: 'pause' | 'rollback';
  readonly onTelemetryLoss: { readonly afterMs: number; readonly do: 'pause' | 'rollback' };
  /** How long loading and warming the new version may take. */
  readonly provisionTimeoutMs: number;
  /** Longest time at one stage without a decision; then its open gates are INCONCLUSIVE. */
  readonly stageBudgetMs: number;
  /** Of the whole rollout, from its start; time spent paused does not count. */
  readonly deadlineMs: number;
};
