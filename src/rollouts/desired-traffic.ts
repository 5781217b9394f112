/** What an endpoint should serve on a rollout's behalf: a function of the rollout's state alone, so that after any crash it is found again. */
import type { Arm, ShadowSpec, TrafficSplit } from '../serving/endpoints/traffic.ts';
import { CANDIDATE, NOISE_FLOOR } from './gates/shadow-gates.ts';
import type { ControlMode, Plan, ShadowStage } from './plan.ts';
import type { ActivePhase, DesiredTraffic, Phase, Rollout } from './rollout.ts';
import { CANARY, CONTROL, REST } from './strata.ts';

/** Stage under which evidence gathers while nobody is on the canary: before the first stage, and while the new version is not ready. */
export const BASELINE = -1;

/** First calls of each arm and gateway that are not timed. */
const WARM_UP_CALLS = 20;
/** Values that counts are broken down by at most. */
export const MAX_SLICES = 20;
/** Larger bodies are not copied to shadows. */
const MAX_SHADOW_BODY_BYTES = 8 * 1024 * 1024;

/** What is wanted, without its revision. */
type Wanted = {
  readonly target: number | null;
  readonly pins: readonly number[];
  readonly split: TrafficSplit | null;
  readonly shadows: readonly ShadowSpec[];
};

/** @returns null for a draft: nothing is wanted of the endpoint yet */
export function desiredTraffic(rollout: Rollout): DesiredTraffic | null {
  const wanted = wantedTraffic(rollout);
  if (wanted === null) return null;
  const { target, pins, split, shadows } = wanted;
  return { target, pins, traffic: { revision: rollout.trafficRevision, split, shadows } };
}

export function wantedTraffic(rollout: Rollout): Wanted | null {
  const { phase } = rollout;
  const from = rollout.from?.version ?? null;
  const to = rollout.to.version;
  const plain = (target: number | null, pins: readonly number[]): Wanted => ({
    target,
    pins,
    split: null,
    shadows: [],
  });
  switch (phase.kind) {
    case 'draft':
      return null;
    case 'completed': {
      const spare = phase.isPromoted ? from : to;
      return plain(phase.isPromoted ? to : from, phase.isWarm && spare !== null ? [spare] : []);
    }
    case 'rolled-back':
      return plain(from, phase.isWarm ? [to] : []);
    case 'superseded':
    case 'failed-infra':
      return plain(from, []);
    case 'rolling-back':
      return phase.hasMoved
        ? plain(from, phase.endsAs === 'rolled-back' ? [to] : [])
        : activeTraffic(rollout, phase.was);
    case 'paused':
      // An arm that cannot answer has no weight; everything else stays as it is.
      return hasLostWeight(phase) && !isPromoted(phase.was)
        ? splitTraffic(rollout, BASELINE, 0, 'rest', [])
        : activeTraffic(rollout, phase.was);
    default:
      return activeTraffic(rollout, phase);
  }
}

/** Whether the version's weight was taken away because it could not answer. */
export function hasLostWeight(phase: Phase): boolean {
  return phase.kind === 'paused' && (phase.cause === 'not-ready' || phase.withoutWeight === true);
}

/** Whether the endpoint's own version is, or is about to be, the new one. */
export function isPromoted(phase: ActivePhase): boolean {
  return phase.kind === 'promoting' || phase.kind === 'soaking';
}

/** Index of the stage that a phase is at; BASELINE before the first. */
export function stageOf(phase: Phase): number {
  if (phase.kind === 'paused' || phase.kind === 'rolling-back') return stageOf(phase.was);
  return 'stage' in phase ? phase.stage : BASELINE;
}

function activeTraffic(rollout: Rollout, phase: ActivePhase): Wanted {
  const { plan } = rollout;
  if (phase.kind === 'provisioning' || phase.kind === 'warming') return splitTraffic(rollout, BASELINE, 0, 'rest', []);
  if (isPromoted(phase)) {
    const { version } = rollout.to;
    const pins = rollout.from === null ? [] : [rollout.from.version];
    const arms = [{ name: CANARY, version, ranges: [[0, 1]] as const, isAnalysed: true }];
    return {
      target: version,
      pins,
      split: { ...splitWith(rollout, phase.stage, arms), fallback: CANARY },
      shadows: [],
    };
  }
  const stage = plan.stages[phase.stage]!;
  const { weight, control } = weightAt(plan, phase.stage);
  return splitTraffic(rollout, phase.stage, weight, control, stage.kind === 'shadow' ? shadowsOf(rollout, stage) : []);
}

/** The canary's share at a stage; while a person is asked that of the stage before. */
export function weightAt(plan: Plan, index: number): { readonly weight: number; readonly control: ControlMode } {
  for (let at = index; at >= 0; at--) {
    const stage = plan.stages[at];
    if (stage?.kind === 'canary') return stage;
    if (stage?.kind !== 'approve') break;
  }
  return { weight: 0, control: 'rest' };
}

function splitTraffic(
  rollout: Rollout,
  stage: number,
  weight: number,
  control: ControlMode,
  shadows: readonly ShadowSpec[],
): Wanted {
  const { from, to } = rollout;
  if (from === null) return { target: null, pins: [to.version], split: null, shadows: [] };
  return {
    target: from.version,
    pins: [to.version],
    split: splitWith(rollout, stage, canaryArms(weight, control, from.version, to.version)),
    shadows,
  };
}

/**
 * Arms of a canary: enrolled is who lies below the weight, so that nobody goes back while it rises. An equally large control lies from one
 * half on, where a canary of at most one half never comes.
 */
export function canaryArms(weight: number, control: ControlMode, from: number, to: number): Arm[] {
  const canary: Arm = { name: CANARY, version: to, ranges: weight > 0 ? [[0, weight]] : [], isAnalysed: true };
  if (control === 'rest' || weight === 0 || weight >= 0.5)
    return [canary, { name: CONTROL, version: from, ranges: [[weight, 1]], isAnalysed: true }];
  return [
    canary,
    { name: CONTROL, version: from, ranges: [[0.5, 0.5 + weight]], isAnalysed: true },
    {
      name: REST,
      version: from,
      ranges: [
        [weight, 0.5],
        [0.5 + weight, 1],
      ],
      isAnalysed: true,
    },
  ];
}

function splitWith(rollout: Rollout, stage: number, arms: readonly Arm[]): TrafficSplit {
  const { plan, salt, sharedSalt, epoch } = rollout;
  return {
    id: rollout.id,
    planVersion: rollout.planVersion,
    epoch,
    stage,
    hashVersion: 1,
    unit: plan.unit,
    salts: {
      layer: `${sharedSalt}.layer.${plan.layer?.name ?? ''}`,
      holdout: `${sharedSalt}.holdout.${rollout.project}`,
      enrolment: `${salt}.${epoch}.enrolment`,
      arm: `${salt}.${epoch}.arm`,
    },
    isKilled: false,
    rules: plan.rules,
    holdoutShare: plan.holdoutShare,
    layerSlot: plan.layer?.slot ?? [0, 1],
    enrolmentShare: 1,
    fallback: CONTROL,
    arms,
    measure: {
      latencyLevelsMs: rollout.latencyLevelsMs ?? [],
      warmUpCalls: WARM_UP_CALLS,
      outputs: rollout.outputs,
      sliceBy: plan.sliceBy,
      maxSlices: MAX_SLICES,
    },
  };
}

function shadowsOf(rollout: Rollout, stage: ShadowStage): ShadowSpec[] {
  const { salt, epoch, compare } = rollout;
  const spec = {
    salt: `${salt}.${epoch}.shadow`,
    timeoutMs: stage.timeoutMs,
    maxInFlight: stage.maxInFlight,
    maxBytesInFlight: stage.maxBytesInFlight,
    maxBodyBytes: Math.min(MAX_SHADOW_BODY_BYTES, stage.maxBytesInFlight),
    compare,
  };
  const candidate: ShadowSpec = {
    ...spec,
    name: CANDIDATE,
    role: 'candidate',
    version: rollout.to.version,
    sampleShare: stage.sampleShare,
  };
  const others = stage.also.map((version): ShadowSpec => ({ ...candidate, name: `version-${version}`, version }));
  if (stage.noiseFloorShare === 0 || rollout.from === null) return [candidate, ...others];
  return [
    candidate,
    ...others,
    {
      ...spec,
      name: NOISE_FLOOR,
      role: 'noise-floor',
      version: rollout.from.version,
      sampleShare: stage.noiseFloorShare,
    },
  ];
}
