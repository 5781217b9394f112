/** Traffic of endpoints as people look at it. */
import { sum } from './traffic-facts.ts';
import type { TrafficStep } from './traffic-series.ts';

export type TrafficFigures = {
  requestsPerS: number;
  /** Share of calls answered with a 5xx; null without calls. */
  errorShare: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
};

export type TrafficPoint = TrafficFigures & {
  at: string;
  refusedPerS: number;
  queueMs: number | null;
  batchRows: number | null;
  inFlight: number;
};

/** Over all these steps together. Percentiles are read off the histogram's buckets, see `quantileOf`. */
export function figuresOf(steps: readonly TrafficStep[], boundsS: readonly number[]): TrafficFigures {
  const calls = sum(steps, (step) => step.calls);
  const spanS = sum(steps, (step) => step.spanMs) / 1000;
  const latency = boundsS.map((_, i) => sum(steps, (step) => step.latency[i] ?? 0));
  const level = (q: number): number | null => {
    const seconds = quantileOf(latency, boundsS, q);
    return seconds === null ? null : seconds * 1000;
  };
  return {
    requestsPerS: spanS === 0 ? 0 : calls / spanS,
    errorShare: calls === 0 ? null : sum(steps, (step) => step.failed) / calls,
    p50Ms: level(0.5),
    p95Ms: level(0.95),
    p99Ms: level(0.99),
  };
}

/** @param perPoint steps that are taken together into one point */
export function pointsOf(steps: readonly TrafficStep[], boundsS: readonly number[], perPoint: number): TrafficPoint[] {
  const points: TrafficPoint[] = [];
  for (let from = 0; from < steps.length; from += perPoint) {
    const part = steps.slice(from, from + perPoint);
    const queued = sum(part, (step) => step.queued);
    const runs = sum(part, (step) => step.runs);
    points.push({
      at: new Date(part.at(-1)!.atMs).toISOString(),
      ...figuresOf(part, boundsS),
      refusedPerS: sum(part, (step) => step.refused) / (sum(part, (step) => step.spanMs) / 1000),
      queueMs: queued === 0 ? null : (sum(part, (step) => step.queueSeconds) / queued) * 1000,
      batchRows: runs === 0 ? null : sum(part, (step) => step.rows) / runs,
      inFlight: Math.max(...part.map((step) => step.inFlight)),
    });
  }
  return points;
}

/**
 * The value below which a share `q` of what a histogram counted lies, as Prometheus' `histogram_quantile` reads it: evenly spread within
 * a bucket, and the last finite bound where it lies beyond.
 */
export function quantileOf(counts: readonly number[], bounds: readonly number[], q: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let below = 0;
  for (const [i, count] of counts.entries()) {
    if (below + count >= q * total && count > 0) {
      const low = i === 0 ? 0 : bounds[i - 1]!;
      const high = bounds[i]!;
      return Number.isFinite(high) ? low + (high - low) * ((q * total - below) / count) : low;
    }
    below += count;
  }
  return bounds.at(-2) ?? null;
}
