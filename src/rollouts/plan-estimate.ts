/** How much traffic and time a plan needs, told before anything moves. */
import type { Gate } from './gates/gate.ts';
import { callsUntil, FIRST_PASSAGE, lnPassE } from './gates/rate-gates.ts';
import { pairsToPass } from './gates/shadow-gates.ts';
import type { CanaryStage, Plan, ShadowStage, Stage } from './plan.ts';
import type { Stratum } from './rollout.ts';

/** What is known of an endpoint's traffic; null where nothing is known yet. */
export type TrafficFacts = {
  readonly callsPerS: number | null;
  /** Share of calls that fail with the current version. */
  readonly errorRate: number | null;
  readonly latencyMs: number | null;
  readonly bodyBytes: number | null;
  /** Calls a second that one version can answer here, as far as that was seen. */
  readonly capacityPerS: number | null;
};

export type GateEstimate = {
  readonly gate: string;
  /** Calls of the endpoint until it can pass an equal version (about the median); null: it cannot be said, or more than a billion. */
  readonly calls: number | null;
};

export type StageEstimate = {
  readonly stage: string;
  readonly gates: readonly GateEstimate[];
  /** Calls of the endpoint that the stage needs; null where one of its gates cannot be told. */
  readonly calls: number | null;
  /** At today's traffic, dwell time included; null without traffic. */
  readonly ms: number | null;
};

/** Shares of calls above each level, by what a level is. */
const LEVEL_RATES = { p50: 0.5, p95: 0.05, p99: 0.01 } as const;

export function estimatePlan(plan: Plan, facts: TrafficFacts): StageEstimate[] {
  return plan.stages.map((stage) => estimateStage(stage, facts));
}

function estimateStage(stage: Stage, facts: TrafficFacts): StageEstimate {
  if (stage.kind === 'approve') return { stage: stage.name, gates: [], calls: 0, ms: 0 };
  if (stage.kind === 'promote') return { stage: stage.name, gates: [], calls: 0, ms: stage.soakMs };
  if (stage.kind === 'blue-green') return { stage: stage.name, gates: [], calls: 0, ms: stage.minDwellMs };
  const gates = stage.gates.filter((gate) => gate.role === 'guardrail').map((gate) => estimateGate(gate, stage, facts));
  const least = stage.kind === 'canary' ? stage.minExposures / stage.weight : stage.minPairs / stage.sampleShare;
  const unknown = gates.some((one) => one.calls === null);
  const calls = unknown ? null : Math.ceil(Math.max(least, ...gates.map((one) => one.calls ?? 0)));
  const { callsPerS } = facts;
  const ms =
    callsPerS === null || callsPerS <= 0 || calls === null
      ? null
      : Math.max(stage.minDwellMs, (calls / callsPerS) * 1000);
  return { stage: stage.name, gates, calls, ms };
}

function estimateGate(gate: Gate, stage: CanaryStage | ShadowStage, facts: TrafficFacts): GateEstimate {
  const none = { gate: gate.name, calls: null };
  const passAt = (alpha: number): number => -Math.log(alpha);
  if (stage.kind === 'shadow') {
    if (gate.kind !== 'shadow') return { gate: gate.name, calls: 0 };
    const pairs = pairsToPass(gate, stage.noiseFloorShare > 0);
    return { gate: gate.name, calls: pairs === null ? null : Math.ceil(pairs / stage.sampleShare) };
  }
  const isEqual = stage.control === 'concurrent-equal';
  switch (gate.kind) {
    case 'rate-ratio': {
      if (gate.metric !== 'errors') return { gate: gate.name, calls: 0 };
      const rate = facts.errorRate ?? 0;
      const { weight } = stage;
      const calls = callsUntil((n) => (lnPassE(gate, [expected(weight, rate, n)]) ?? 0) >= passAt(gate.alpha));
      return { gate: gate.name, calls: calls === null ? null : Math.ceil(calls * (rate > 0 ? FIRST_PASSAGE : 1)) };
    }
    case 'exceedance': {
      // compared are the canary and a control as large, or everybody else
      const share = isEqual ? 0.5 : stage.weight;
      const compared = isEqual ? 2 * stage.weight : 1;
      const rule = { passMargin: gate.passMargin, passBelow: null };
      const rate = LEVEL_RATES[gate.level];
      const calls = callsUntil((n) => (lnPassE(rule, [expected(share, rate, n)]) ?? 0) >= passAt(gate.alpha));
      return { gate: gate.name, calls: calls === null ? null : Math.ceil((calls * FIRST_PASSAGE) / compared) };
    }
    case 'mean-difference':
      return { gate: gate.name, calls: Math.ceil(gate.expectedTotal) };
    case 'golden':
    case 'external':
      return { gate: gate.name, calls: 0 };
    default:
      return none;
  }
}

/** A stage of n compared calls in which both arms have the same rate. */
function expected(share: number, rate: number, n: number): Stratum {
  return { share, canaryEvents: share * rate * n, events: rate * n, canaryExposures: share * n };
}
