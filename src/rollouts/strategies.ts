/** The built-in plans, with gates that suit the model's task. Why these numbers: docs/decisions/0022-how-rollouts-decide.md. */
import { UNIT_HEADER } from '../serving/endpoints/traffic.ts';
import type { CeilingGate, Gate, SampleRatioGate, ShadowGate } from './gates/gate.ts';
import type { CanaryStage, Plan, PromoteStage, Stage } from './plan.ts';
import type { Task } from './task.ts';

export const STRATEGIES = ['canary', 'blue-green', 'shadow'] as const;
export type Strategy = (typeof STRATEGIES)[number];

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const DEFAULT_ALPHA = 0.05;
/** Steps of the default canary; promotion is the last, to everybody. */
export const CANARY_WEIGHTS = [0.01, 0.05, 0.25, 0.5] as const;

/** All of a plan but its stages. */
export const PLAN_DEFAULTS: Omit<Plan, 'strategy' | 'stages'> = {
  unit: { key: 'request', from: { kind: 'header', name: UNIT_HEADER } },
  rules: [],
  holdoutShare: 0,
  labelDelayMs: MINUTE_MS,
  layer: null,
  sliceBy: null,
  onFail: 'rollback',
  onInconclusive: { do: 'pause' },
  onInvalid: 'pause',
  onTelemetryLoss: { afterMs: 10 * MINUTE_MS, do: 'pause' },
  provisionTimeoutMs: 10 * MINUTE_MS,
  stageBudgetMs: DAY_MS,
  deadlineMs: 3 * DAY_MS,
};

export const SHADOW_DEFAULTS = {
  sampleShare: 0.2,
  noiseFloorShare: 0.01,
  also: [] as readonly number[],
  minPairs: 1000,
  timeoutMs: 5 * SECOND_MS,
  maxInFlight: 32,
  maxBytesInFlight: 64 * 1024 * 1024,
} as const;

export const PROMOTE_DEFAULTS = { soakMs: 10 * MINUTE_MS, keepWarmMs: DAY_MS } as const;
export const CANARY_DEFAULTS = { minDwellMs: 5 * MINUTE_MS, minExposures: 100 } as const;

/**
 * What a stage must be sure of before more traffic comes. The less traffic is at risk, the less has to be proven: at 1 % a wide margin is
 * decided by some hundred predictions, where a narrow one would take days.
 */
function marginsAt(weight: number): { readonly errors: number; readonly below: number; readonly slow: number } {
  if (weight <= 0.01) return { errors: 4, below: 0.05, slow: 4 };
  if (weight <= 0.05) return { errors: 3, below: 0.02, slow: 3 };
  if (weight <= 0.25) return { errors: 2, below: 0.01, slow: 2.5 };
  return { errors: 1.5, below: 0.01, slow: 2 };
}

export const CEILING: CeilingGate = {
  kind: 'ceiling',
  name: 'ceiling',
  role: 'tripwire',
  consecutiveErrors: 20,
  errorRate: 0.25,
  minCalls: 50,
};

/** Added to every stage with a split: without it nothing that is compared there can be believed. */
export const SHARES: SampleRatioGate = {
  kind: 'sample-ratio',
  name: 'shares',
  role: 'tripwire',
  of: 'assignments',
  alpha: 0.001,
};

/** The same of feedback: added where a gate looks at it, because truths of one arm only say nothing of both. */
export const LABEL_SHARES: SampleRatioGate = { ...SHARES, name: 'feedback-shares', of: 'outcomes' };

/** The gates of a canary stage for this weight and task. */
export function canaryGates(weight: number, task: Task): Gate[] {
  const { errors, below, slow } = marginsAt(weight);
  const alpha = DEFAULT_ALPHA;
  const gates: Gate[] = [
    {
      kind: 'rate-ratio',
      name: 'errors',
      role: 'guardrail',
      metric: 'errors',
      failMargin: 1.25,
      passMargin: errors,
      passBelow: below,
      alpha,
      bySlice: true,
    },
    {
      kind: 'exceedance',
      name: 'latency-p95',
      role: 'guardrail',
      level: 'p95',
      failMargin: 1.5,
      passMargin: slow,
      alpha,
      bySlice: false,
    },
    {
      kind: 'exceedance',
      name: 'latency-p99',
      role: 'tripwire',
      level: 'p99',
      failMargin: 1.5,
      passMargin: null,
      alpha,
      bySlice: true,
    },
    CEILING,
    SHARES,
  ];
  for (const { output } of task.outputs)
    gates.push({ kind: 'output-shift', name: `spread-of-${output}`, role: 'signal', output, margin: 3, alpha: 0.01 });
  gates.push({ kind: 'quantile', name: 'latency', role: 'report', levels: [0.5, 0.95, 0.99], alpha });
  return gates;
}

/** The gate of a shadow stage: answers beside the live ones. */
export function shadowGates(): Gate[] {
  const gate: ShadowGate = {
    kind: 'shadow',
    name: 'agreement',
    role: 'guardrail',
    maxExcessFlips: 0.005,
    maxBias: null,
    minPairs: SHADOW_DEFAULTS.minPairs,
    minCoverage: 0.8,
    maxLatencyRatio: 1.5,
    alpha: DEFAULT_ALPHA,
  };
  return [gate];
}

export function builtInPlan(strategy: Strategy, task: Task): Plan {
  return { ...PLAN_DEFAULTS, strategy, stages: stagesOf(strategy, task) };
}

function stagesOf(strategy: Strategy, task: Task): Stage[] {
  const promote: PromoteStage = { kind: 'promote', name: 'promote', ...PROMOTE_DEFAULTS, gates: [CEILING] };
  switch (strategy) {
    case 'canary':
      return [
        ...CANARY_WEIGHTS.map(
          (weight): CanaryStage => ({
            kind: 'canary',
            name: weightName(weight),
            weight,
            control: 'concurrent-equal',
            ...CANARY_DEFAULTS,
            approve: null,
            gates: canaryGates(weight, task),
          }),
        ),
        promote,
      ];
    case 'blue-green':
      return [
        {
          kind: 'blue-green',
          name: 'preview',
          minDwellMs: 0,
          approve: { separateDuties: false, count: 1 },
          gates: [],
        },
        promote,
      ];
    case 'shadow':
      return [
        {
          kind: 'shadow',
          name: 'shadow',
          ...SHADOW_DEFAULTS,
          minDwellMs: CANARY_DEFAULTS.minDwellMs,
          approve: null,
          gates: shadowGates(),
        },
      ];
  }
}

/** As in `5%`. */
export function weightName(weight: number): string {
  return `${Number((weight * 100).toPrecision(6))}%`;
}
