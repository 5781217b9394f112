/** How much comes to an endpoint now: what a plan of a rollout is checked against. */
import type { TrafficSeries, TrafficStep } from './traffic-series.ts';

export type EndpointTrafficFacts = {
  readonly callsPerS: number | null;
  readonly errorRate: number | null;
  readonly latencyMs: number | null;
  readonly bodyBytes: number | null;
  readonly capacityPerS: number | null;
};

const UNKNOWN: EndpointTrafficFacts = {
  callsPerS: null,
  errorRate: null,
  latencyMs: null,
  bodyBytes: null,
  capacityPerS: null,
};

/** Steps looked at: what is told is of the last five minutes. */
const RECENT_STEPS = 60;

/** What is known of an endpoint. In the first seconds nothing is: a rate needs two looks at a counter. */
export function trafficFactsOf(series: TrafficSeries, project: string, endpoint: string): EndpointTrafficFacts {
  const steps = series.steps(project, endpoint).slice(-RECENT_STEPS);
  if (steps.length === 0) return UNKNOWN;
  const calls = sum(steps, (step) => step.calls);
  return {
    ...UNKNOWN,
    callsPerS: calls / (sum(steps, (step) => step.spanMs) / 1000),
    errorRate: calls === 0 ? null : sum(steps, (step) => step.failed) / calls,
    latencyMs: calls === 0 ? null : (sum(steps, (step) => step.seconds) / calls) * 1000,
  };
}

export function sum(steps: readonly TrafficStep[], of: (step: TrafficStep) => number): number {
  return steps.reduce((total, step) => total + of(step), 0);
}
