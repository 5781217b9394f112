/** A rollout as API, CLI and console show it: where it is, what each gate measured against what, how much is missing, and what to do next. */
import type { StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import { gatesAt } from './assess-stage.ts';
import { approvalAsked } from './commands.ts';
import { hasLostWeight, stageOf, wantedTraffic, weightAt } from './desired-traffic.ts';
import type { GateReading } from './gates/gate.ts';
import { estimatePlan, type TrafficFacts } from './plan-estimate.ts';
import { ENDED, type Phase, type Rollout } from './rollout.ts';

export type GateView = {
  readonly name: string;
  readonly kind: string;
  readonly role: string;
  readonly verdict: string;
  readonly measured: number | null;
  readonly bound: number | null;
  readonly evidence: number;
  /** Further predictions until it can decide, and how long that is at today's traffic; null when that cannot be said. */
  readonly remaining: number | null;
  readonly remainingMs: number | null;
  readonly text: string;
};

export type StageView = {
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  readonly weight: number | null;
  readonly state: 'done' | 'now' | 'next' | 'left';
  readonly gates: readonly GateView[];
  /** About how many calls and how long it needs in all, for stages to come. */
  readonly needsCalls: number | null;
  readonly needsMs: number | null;
};

export type RolloutView = {
  readonly id: string;
  readonly project: string;
  readonly endpoint: string;
  readonly model: string;
  readonly from: Rollout['from'];
  readonly to: Rollout['to'];
  readonly strategy: string;
  readonly planVersion: string;
  readonly phase: string;
  readonly stage: number | null;
  readonly since: string;
  readonly isEnded: boolean;
  readonly isPromoted: boolean;
  readonly epoch: number;
  readonly revision: number;
  readonly startedBy: string;
  readonly startedAt: string;
  /** Share of units that should get the new version, and the share of those counted that did; null where nothing was counted. */
  readonly weight: { readonly asked: number; readonly observed: number | null };
  readonly approvals: readonly string[];
  /** What happened or is waited for, in one sentence. */
  readonly text: string;
  /** What to type next; null when there is nothing to do. */
  readonly next: string | null;
  readonly stages: readonly StageView[];
};

export type ViewFacts = { readonly evidence: StageEvidence | null; readonly traffic: TrafficFacts };

export function viewOf(rollout: Rollout, { evidence, traffic }: ViewFacts): RolloutView {
  const { phase, plan } = rollout;
  const at = stageOf(phase);
  const isEnded = ENDED.includes(phase.kind);
  // what an ended one would still need is nothing that anybody waits for
  const estimates = isEnded ? [] : estimatePlan(plan, traffic);
  return {
    id: rollout.id,
    project: rollout.project,
    endpoint: rollout.endpoint,
    model: rollout.model,
    from: rollout.from,
    to: rollout.to,
    strategy: plan.strategy,
    planVersion: rollout.planVersion,
    phase: phase.kind,
    stage: at < 0 ? null : at,
    since: new Date('since' in phase ? phase.since.atMs : rollout.startedAtMs).toISOString(),
    isEnded,
    isPromoted: phase.kind === 'completed' && phase.isPromoted,
    epoch: rollout.epoch,
    revision: rollout.revision,
    startedBy: rollout.startedBy,
    startedAt: new Date(rollout.startedAtMs).toISOString(),
    weight: { asked: askedWeight(rollout), observed: observedWeight(evidence) },
    approvals: rollout.approvals.map((one) => one.by),
    text: sentenceOf(rollout),
    next: nextOf(rollout),
    stages: plan.stages.map((stage, index) => ({
      index,
      name: stage.name,
      kind: stage.kind,
      weight: stage.kind === 'canary' ? stage.weight : null,
      state: stateOf(phase, index, at, isEnded),
      gates: index === at ? rollout.readings.map((one) => gateView(one, traffic)) : gatesLeft(rollout, index),
      needsCalls: estimates[index]?.calls ?? null,
      needsMs: estimates[index]?.ms ?? null,
    })),
  };
}

function stateOf(phase: Phase, index: number, at: number, isEnded: boolean): StageView['state'] {
  if (phase.kind === 'completed' || index < at) return 'done';
  if (isEnded) return 'left';
  return index === at ? 'now' : 'next';
}

function gateView(reading: GateReading, { callsPerS }: TrafficFacts): GateView {
  const { gate, remaining, measured } = reading;
  const isKnown = remaining !== null && callsPerS !== null && callsPerS > 0;
  return {
    name: gate,
    kind: reading.kind,
    role: reading.role,
    verdict: reading.verdict,
    // JSON has no infinity
    measured: measured !== null && Number.isFinite(measured) ? measured : null,
    bound: reading.bound,
    evidence: reading.evidence,
    remaining,
    remainingMs: isKnown ? Math.round((remaining / callsPerS) * 1000) : null,
    text: reading.text,
  };
}

/** Gates of a stage that is not at work: what will be, or was, asked. */
function gatesLeft(rollout: Rollout, index: number): GateView[] {
  const stage = rollout.plan.stages[index];
  if (stage === undefined || stage.kind === 'approve') return [];
  return gatesAt(rollout.plan, index).map((gate) => ({
    name: gate.name,
    kind: gate.kind,
    role: gate.role,
    verdict: 'CONTINUE',
    measured: null,
    bound: null,
    evidence: 0,
    remaining: null,
    remainingMs: null,
    text: '',
  }));
}

function askedWeight(rollout: Rollout): number {
  const wanted = wantedTraffic(rollout);
  if (wanted === null) return 0;
  if (wanted.split === null) return wanted.target === rollout.to.version ? 1 : 0;
  const at = stageOf(rollout.phase);
  if (rollout.plan.stages[at]?.kind === 'promote') return 1;
  return hasLostWeight(rollout.phase) ? 0 : weightAt(rollout.plan, at).weight;
}

function observedWeight(evidence: StageEvidence | null): number | null {
  const arms = Object.entries(evidence?.arms ?? {});
  const total = arms.reduce((sum, [, arm]) => sum + arm.assigned, 0);
  return total === 0 ? null : (evidence?.arms['canary']?.assigned ?? 0) / total;
}

function sentenceOf(rollout: Rollout): string {
  const { phase, to, from, endpoint } = rollout;
  const name = `${endpoint} version ${to.version}`;
  const stage = rollout.plan.stages[stageOf(phase)]?.name;
  const waiting = rollout.waitingFor === null ? '' : `: waiting for ${lowerFirst(rollout.waitingFor)}`;
  switch (phase.kind) {
    case 'completed':
      return phase.isPromoted
        ? `${name} serves all traffic${phase.isWarm && from ? `; version ${from.version} is kept warm` : ''}`
        : `The plan is done; version ${from?.version} goes on serving`;
    case 'rolled-back':
      return `Rolled back to version ${from?.version}: ${phase.reason}`;
    case 'rolling-back':
      return `Rolling back to version ${from?.version}: ${phase.reason}`;
    case 'superseded':
      return phase.reason;
    case 'failed-infra':
      return `Ended: ${phase.reason}`;
    case 'paused':
      return `Paused at ${stage ?? 'its start'}: ${phase.reason}`;
    case 'awaiting-approval':
      return `Stage ${stage} waits for approval (${rollout.approvals.length} of ${approvalAsked(rollout)?.count ?? 1})`;
    case 'baking':
    case 'ramping':
      return `Stage ${stage}${waiting}`;
    default:
      return `${phase.kind[0]!.toUpperCase()}${phase.kind.slice(1)} ${name}${waiting}`;
  }
}

function lowerFirst(text: string): string {
  return `${text.slice(0, 1).toLowerCase()}${text.slice(1)}`;
}

function nextOf(rollout: Rollout): string | null {
  const { phase, endpoint } = rollout;
  switch (phase.kind) {
    case 'awaiting-approval':
      return `slipway rollouts approve ${endpoint}`;
    case 'paused':
      return phase.cause === 'person' || phase.cause === 'fail' || phase.cause === 'signal'
        ? `slipway rollouts resume ${endpoint}, or slipway rollouts abort ${endpoint}`
        : `slipway rollouts show ${endpoint}, then resume or abort`;
    case 'completed':
      return phase.isPromoted && phase.isWarm ? `slipway rollback ${endpoint}` : null;
    case 'rolled-back':
    case 'failed-infra':
      return `slipway rollouts show ${endpoint}`;
    default:
      return null;
  }
}
