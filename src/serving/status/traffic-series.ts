/** How much comes to endpoints and how it is answered, over the last hour, from the counters that gateways report. */
import type { Clock } from '../../base/clock.ts';
import type { DesiredStatePublisher } from '../endpoints/desired-state-publisher.ts';
import { readEndpointCounters } from './endpoint-counters.ts';

/** What came in one step of time; sums over all gateways and versions. */
export type TrafficStep = {
  /** End of the step, milliseconds since 1970. */
  readonly atMs: number;
  readonly spanMs: number;
  calls: number;
  /** Answered with a 5xx; what callers did wrong says nothing of the version. */
  failed: number;
  /** Answered with a 4xx. */
  refused: number;
  seconds: number;
  /** Calls by the buckets of latency, the last one without an upper bound. */
  latency: Float64Array;
  queueSeconds: number;
  queued: number;
  rows: number;
  runs: number;
  inFlight: number;
};

export type TrafficSeries = {
  /** The steps of the last hour in which the endpoint was known, oldest first. */
  steps(project: string, endpoint: string): readonly TrafficStep[];
  /** Takes one step now. */
  sample(): void;
  stop(): void;
};

/** Gateways report every 5 s; a finer step would be nothing but noise. */
export const STEP_MS = 5_000;
const STEPS = 720;
/** A step is about 250 bytes: at most 45 MB. Of more endpoints, those are kept that are called. */
const MOST_ENDPOINTS = 256;

export function createTrafficSeries(deps: { publisher: DesiredStatePublisher; clock: Clock }): TrafficSeries {
  const { publisher, clock } = deps;
  const series = new Map<string, TrafficStep[]>();
  /** The counters of each gateway as they were last. */
  let before = new Map<string, ReturnType<typeof readEndpointCounters>>();
  let beforeMs = clock.monotonicMs();

  const sample = (): void => {
    const nowMs = clock.monotonicMs();
    const spanMs = nowMs - beforeMs;
    if (spanMs <= 0) return;
    const atMs = clock.now().getTime();
    const next: typeof before = new Map();
    const steps = new Map<string, TrafficStep>();
    for (const { instance, metricsText } of publisher.gateways()) {
      const counters = readEndpointCounters(metricsText);
      next.set(instance, counters);
      const last = before.get(instance);
      // What a gateway counted before it was known here belongs to no step.
      if (last === undefined) continue;
      for (const [key, now] of counters) {
        const step = steps.get(key) ?? emptyStep(atMs, spanMs, now.latency.length);
        steps.set(key, step);
        const then = last.get(key);
        for (const field of [
          'calls',
          'failed',
          'refused',
          'seconds',
          'queueSeconds',
          'queued',
          'rows',
          'runs',
        ] as const)
          step[field] += Math.max(0, now[field] - (then?.[field] ?? 0));
        for (let i = 0; i < now.latency.length; i++)
          step.latency[i]! += Math.max(0, now.latency[i]! - (then?.latency[i] ?? 0));
        step.inFlight += now.inFlight;
      }
    }
    before = next;
    beforeMs = nowMs;
    for (const [key, step] of steps) {
      const known = series.get(key) ?? [];
      known.push(step);
      if (known.length > STEPS) known.shift();
      series.set(key, known);
    }
    for (const [key, known] of series) if (atMs - known.at(-1)!.atMs > STEPS * STEP_MS) series.delete(key);
    if (series.size > MOST_ENDPOINTS) dropQuietest(series);
  };
  const timer = setInterval(sample, STEP_MS).unref();
  return {
    sample,
    steps: (project, endpoint) => series.get(`${project}/${endpoint}`) ?? [],
    stop: () => clearInterval(timer),
  };
}

function emptyStep(atMs: number, spanMs: number, buckets: number): TrafficStep {
  const latency = new Float64Array(buckets);
  return {
    atMs,
    spanMs,
    calls: 0,
    failed: 0,
    refused: 0,
    seconds: 0,
    latency,
    queueSeconds: 0,
    queued: 0,
    rows: 0,
    runs: 0,
    inFlight: 0,
  };
}

function dropQuietest(series: Map<string, TrafficStep[]>): void {
  const calls = (steps: TrafficStep[]): number => steps.slice(-60).reduce((sum, step) => sum + step.calls, 0);
  const quietest = [...series].map(([key, steps]) => ({ key, calls: calls(steps) })).sort((a, b) => a.calls - b.calls);
  for (const { key } of quietest.slice(0, series.size - MOST_ENDPOINTS)) series.delete(key);
}
