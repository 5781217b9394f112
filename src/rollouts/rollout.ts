/** A rollout and what moves it: the types of the pure step in `step.ts`. Nothing here has a clock, a database or an await. */
import type { Moments, StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { ComparisonSpec, EndpointTraffic, OutputMeasure } from '../serving/endpoints/traffic.ts';
import type { GateReading, Verdict } from './gates/gate.ts';
import type { Plan } from './plan.ts';

export type RolloutVersion = { readonly version: number; readonly digest: string };

/**
 * A time: by the wall clock, for people, and by the time during which the rollout was watched, for every decision. The second grows by at most
 * a minute with each step, so that neither a clock that jumps nor a controller that was down makes anything pass or expire.
 */
export type Moment = { readonly atMs: number; readonly watchedMs: number };

/** Where a rollout is. */
export type Phase =
  | { readonly kind: 'draft' }
  /** The new version is being loaded. */
  | { readonly kind: 'provisioning'; readonly since: Moment }
  /** It is ready; what it is compared with is being measured. */
  | { readonly kind: 'warming'; readonly since: Moment }
  /** Traffic was asked for, and not every gateway follows yet. */
  | { readonly kind: 'ramping'; readonly stage: number; readonly since: Moment; readonly extensions: number }
  /** Evidence gathers. */
  | { readonly kind: 'baking'; readonly stage: number; readonly since: Moment; readonly extensions: number }
  | { readonly kind: 'awaiting-approval'; readonly stage: number; readonly since: Moment }
  /** The endpoint's target was moved, and not every gateway follows yet. */
  | { readonly kind: 'promoting'; readonly stage: number; readonly since: Moment }
  | { readonly kind: 'soaking'; readonly stage: number; readonly since: Moment }
  /** The end of a plan; without a promote stage the endpoint's version stays. `isWarm`: the other version is still loaded. */
  | { readonly kind: 'completed'; readonly since: Moment; readonly isPromoted: boolean; readonly isWarm: boolean }
  /** Traffic stays as it is while the version can answer, and guardrails stay armed. */
  | {
      readonly kind: 'paused';
      readonly cause: PauseCause;
      readonly reason: string;
      readonly since: Moment;
      /** Where it goes on. */
      readonly was: ActivePhase;
      /** The version could not answer meanwhile, so its weight was taken away; it comes back with the rollout, not with the version. */
      readonly withoutWeight?: boolean;
    }
  /** Where the old version is not ready it is made so first; then it gets all traffic. */
  | {
      readonly kind: 'rolling-back';
      readonly reason: string;
      readonly since: Moment;
      readonly was: ActivePhase;
      readonly hasMoved: boolean;
      readonly endsAs: 'rolled-back' | 'superseded' | 'failed-infra';
    }
  | { readonly kind: 'rolled-back'; readonly reason: string; readonly since: Moment; readonly isWarm: boolean }
  | { readonly kind: 'superseded'; readonly reason: string; readonly since: Moment }
  | { readonly kind: 'failed-infra'; readonly reason: string; readonly since: Moment };

export type PhaseKind = Phase['kind'];
export type ActivePhase = Extract<
  Phase,
  { kind: 'provisioning' | 'warming' | 'ramping' | 'baking' | 'awaiting-approval' | 'promoting' | 'soaking' }
>;
export type PauseCause =
  | 'person'
  | 'fail'
  | 'signal'
  | 'inconclusive'
  | 'invalid'
  | 'telemetry'
  | 'deadline'
  | 'not-ready';

/** Phases that nothing leaves; the loop goes on stepping those that are warm until they are not. */
export const ENDED: readonly PhaseKind[] = ['completed', 'rolled-back', 'superseded', 'failed-infra'];

/** All that the e-process keeps of a finished stage: two counts of events and the canary's share of what was compared. */
export type Stratum = {
  readonly share: number;
  readonly canaryEvents: number;
  readonly events: number;
  readonly canaryExposures: number;
};

/** What finished stages left behind, by metric (`errors`, `latency.p95`, `output.score.3`, …). */
export type Strata = Readonly<Record<string, readonly Stratum[]>>;

/** Moments of one metric in a finished stage. */
export type MeanStratum = { readonly control: Moments; readonly canary: Moments };

export type Rollout = {
  readonly id: string;
  readonly project: string;
  readonly endpoint: string;
  readonly model: string;
  /** null: the endpoint's first version, so there is no control. */
  readonly from: RolloutVersion | null;
  readonly to: RolloutVersion;
  readonly plan: Plan;
  /** Digest of the plan. */
  readonly planVersion: string;
  /** Secret of this rollout, from which its salts are made. */
  readonly salt: string;
  /** Secret of the installation: salts of layers and holdouts, which rollouts share, are made from it. */
  readonly sharedSalt: string;
  /** 1, and one more with each retry: a new epoch has a new salt and no evidence. */
  readonly epoch: number;
  readonly startedBy: string;
  /** Who made the new version: may not approve where duties are separate. */
  readonly versionBy: string;
  readonly startedAtMs: number;
  /** Grows with every transition; what was decided on an older revision is never applied. */
  readonly revision: number;
  /** Of the endpoint's traffic as this rollout wants it; starts at what the endpoint had, and grows when something else is wanted. */
  readonly trafficRevision: number;
  readonly phase: Phase;
  /** Latency levels p50, p95, p99 of control, frozen before the current stage; null until measured. */
  readonly latencyLevelsMs: readonly [number, number, number] | null;
  /** What is counted of the answers; edges of numbers are frozen from control. */
  readonly outputs: readonly OutputMeasure[];
  /** How a shadow's answers are compared. */
  readonly compare: ComparisonSpec;
  readonly strata: Strata;
  readonly means: Readonly<Record<string, readonly MeanStratum[]>>;
  /** Given for the current stage. */
  readonly approvals: readonly { readonly by: string; readonly atMs: number }[];
  /** Gates that a person has looked at and overruled by resuming: they neither trip nor pause any more. */
  readonly overruled: readonly string[];
  /** The last readings, for those who watch. */
  readonly readings: readonly GateReading[];
  /** What it waits for, in one sentence. */
  readonly waitingFor: string | null;
  /** When the last step was taken. */
  readonly now: Moment;
  /** When gateways last reported evidence, in watched time. */
  readonly telemetryWatchedMs: number;
  /** The whole rollout's deadline, in watched time. */
  readonly deadlineWatchedMs: number;
};

/** A version as all connected gateways see it; the worst counts. */
export type VersionHealth = 'ready' | 'starting' | 'failed' | 'absent';

export type ExternalReading = {
  /** Newest first; at most 20. */
  readonly values: readonly ({ readonly atMs: number } & (
    | { readonly kind: 'value'; readonly value: number }
    | { readonly kind: 'outage'; readonly reason: string }
  ))[];
};

/** What people ask for. They are taken in the order of `COMMAND_RANK`, whatever the order in which they came. */
export type Command =
  | { readonly kind: 'supersede'; readonly by: string; readonly rollout: string }
  | { readonly kind: 'abort'; readonly by: string; readonly reason: string }
  | { readonly kind: 'pause'; readonly by: string; readonly reason: string }
  | { readonly kind: 'resume'; readonly by: string; readonly reason: string }
  /** Go to promotion now, whatever the gates say: recorded with who and why. */
  | { readonly kind: 'promote'; readonly by: string; readonly reason: string }
  | { readonly kind: 'approve'; readonly by: string; readonly stage: number };

export const COMMAND_RANK: readonly Command['kind'][] = ['supersede', 'abort', 'pause', 'promote', 'approve', 'resume'];

/** Joined feedback of one metric and stage of the current epoch by arm, of predictions old enough for their labels to have come. */
export type OutcomeEvidence = {
  readonly metric: string;
  readonly stage: number;
  readonly arms: Readonly<
    Record<
      string,
      {
        /** Mature predictions, labelled or not. */
        readonly eligible: number;
        readonly labelled: number;
        readonly bad: number;
        readonly mean: number;
        readonly m2: number;
      }
    >
  >;
};

/** Everything the step looks at, besides the rollout and the time. */
export type Observations = {
  readonly from: VersionHealth;
  readonly to: VersionHealth;
  /** Why the new version is not ready, where a gateway says so. */
  readonly toReason: string | null;
  /** Connected gateways, and how many of them follow the traffic revision that the rollout wants, or a later one. */
  readonly gateways: { readonly connected: number; readonly following: number };
  /** The endpoint's traffic as it stands in the desired state. */
  readonly traffic: DesiredTraffic;
  /** Merged evidence of the current epoch and stage; null before there is any. Evidence of another stage is not looked at. */
  readonly evidence: StageEvidence | null;
  /** Since a gateway last reported evidence, or that there was no traffic, by the monotonic clock; null: not since control started. */
  readonly evidenceAgeMs: number | null;
  readonly outcomes: readonly OutcomeEvidence[];
  readonly golden: { readonly cases: number; readonly passed: number } | null;
  readonly external: Readonly<Record<string, ExternalReading>>;
  readonly commands: readonly Command[];
};

/** All that an endpoint should serve on a rollout's behalf; the whole of it, so that applying it twice changes nothing. */
export type DesiredTraffic = {
  readonly target: number | null;
  /** Versions to be kept loaded besides. */
  readonly pins: readonly number[];
  readonly traffic: EndpointTraffic;
};

/** What is to be done, in this order. Recorded with the rollout in one transaction, then applied; each may be applied any number of times. */
export type Effect =
  | { readonly kind: 'set-traffic'; readonly desired: DesiredTraffic }
  /** Ask an external gate; its answer comes with later observations. */
  | { readonly kind: 'ask-external'; readonly gate: string }
  /** Tell people. */
  | { readonly kind: 'notify'; readonly event: PhaseKind; readonly text: string };

/** An append-only line of the ledger. */
export type TransitionRecord = {
  readonly revision: number;
  readonly atMs: number;
  readonly from: PhaseKind;
  readonly to: PhaseKind;
  readonly stage: number | null;
  /** A person, or `slipway`. */
  readonly by: string;
  readonly reason: string;
  readonly verdict: Verdict | null;
  readonly evidence: readonly GateReading[];
  readonly planVersion: string;
};

export type StepResult = {
  readonly rollout: Rollout;
  readonly effects: readonly Effect[];
  readonly records: readonly TransitionRecord[];
};
