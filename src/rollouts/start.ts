/** A new rollout, at its beginning. */
import type { ComparisonSpec, OutputMeasure } from '../serving/endpoints/traffic.ts';
import type { Plan } from './plan.ts';
import type { Rollout, RolloutVersion } from './rollout.ts';

export type StartRollout = {
  readonly id: string;
  readonly project: string;
  readonly endpoint: string;
  readonly model: string;
  readonly from: RolloutVersion | null;
  readonly to: RolloutVersion;
  readonly plan: Plan;
  readonly planVersion: string;
  readonly salt: string;
  readonly sharedSalt: string;
  readonly startedBy: string;
  readonly versionBy: string;
  readonly startedAtMs: number;
  /** The revision that the endpoint's traffic has now. */
  readonly trafficRevision: number;
  readonly outputs: readonly OutputMeasure[];
  readonly compare: ComparisonSpec;
};

/** It is provisioning: its first step wants the new version loaded, at weight 0. */
export function startRollout(given: StartRollout): Rollout {
  const now = { atMs: given.startedAtMs, watchedMs: 0 };
  return {
    ...given,
    epoch: 1,
    revision: 1,
    trafficRevision: given.trafficRevision + 1,
    phase: { kind: 'provisioning', since: now },
    latencyLevelsMs: null,
    strata: {},
    means: {},
    approvals: [],
    overruled: [],
    readings: [],
    waitingFor: null,
    now,
    telemetryWatchedMs: 0,
    deadlineWatchedMs: given.plan.deadlineMs,
  };
}
