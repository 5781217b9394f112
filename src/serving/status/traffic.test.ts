import { expect, test } from 'vitest';
import { createGatewayMetrics } from '../gateway/metrics.ts';
import { latencyBounds } from './endpoint-counters.ts';
import { trafficFactsOf } from './traffic-facts.ts';
import { createTrafficSeries } from './traffic-series.ts';
import { figuresOf, pointsOf, quantileOf } from './traffic-view.ts';

let nowMs = Date.parse('2026-05-01T08:00:00Z');
const clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs };

function world() {
  let metrics = createGatewayMetrics();
  const gateways: { instance: string; metricsText: string }[] = [{ instance: 'a', metricsText: '' }];
  const series = createTrafficSeries({ publisher: { gateways: () => gateways } as never, clock });
  return {
    series,
    answer: (version: number, status: number, ms: number, times = 1) => {
      const meter = metrics.meter({ project: 'default', endpoint: 'churn', version });
      for (let i = 0; i < times; i++) meter.count(status, ms, 2);
    },
    step: () => {
      gateways[0]!.metricsText = metrics.text([]);
      nowMs += 5000;
      series.sample();
    },
    restart: () => {
      metrics = createGatewayMetrics();
      gateways[0] = { instance: 'b', metricsText: '' };
    },
    bounds: () => latencyBounds(gateways[0]!.metricsText),
  };
}

test('steps hold what came in them, over all versions', () => {
  const { series, answer, step, bounds } = world();
  step();
  answer(1, 200, 3, 90);
  answer(2, 503, 40, 10);
  step();
  const [first] = series.steps('default', 'churn');
  expect(first).toMatchObject({ calls: 100, failed: 10, refused: 0, spanMs: 5000, rows: 200, runs: 100 });
  step();
  expect(series.steps('default', 'churn')[1]).toMatchObject({ calls: 0, failed: 0 });
  expect(figuresOf(series.steps('default', 'churn'), bounds())).toMatchObject({ requestsPerS: 10, errorShare: 0.1 });
  expect(trafficFactsOf(series, 'default', 'churn')).toMatchObject({ callsPerS: 10, errorRate: 0.1 });
  expect(trafficFactsOf(series, 'default', 'absent')).toMatchObject({ callsPerS: null });
  series.stop();
});

test('what was counted before control looked belongs to no step, and a gateway that starts again subtracts nothing', () => {
  const { series, answer, step, restart } = world();
  answer(1, 200, 3, 1000);
  step();
  expect(series.steps('default', 'churn')).toEqual([]);
  answer(1, 200, 3, 5);
  step();
  restart();
  answer(1, 200, 3, 7);
  step();
  answer(1, 200, 3, 2);
  step();
  expect(series.steps('default', 'churn').map((one) => one.calls)).toEqual([5, 2]);
  series.stop();
});

test('an hour is kept and no more', () => {
  const { series, answer, step } = world();
  for (let i = 0; i < 800; i++) {
    answer(1, 200, 3);
    step();
  }
  expect(series.steps('default', 'churn').length).toBe(720);
  series.stop();
});

test('several steps make one point, and without calls there is no percentile', () => {
  const { series, answer, step, bounds } = world();
  step();
  answer(1, 200, 3, 60);
  for (let i = 0; i < 4; i++) step();
  const points = pointsOf(series.steps('default', 'churn'), bounds(), 2);
  expect(points.map((one) => one.requestsPerS)).toEqual([6, 0]);
  expect(points[0]!.p99Ms).toBeGreaterThan(2);
  expect(points[1]).toMatchObject({ p50Ms: null, errorShare: null, batchRows: null });
  series.stop();
});

// The reference: histogram_quantile of Prometheus 2.42 over buckets 1, 2, 4, +Inf.
test.each([
  [[10, 10, 0, 0], 0.5, 1],
  [[10, 10, 0, 0], 0.75, 1.5],
  [[0, 10, 10, 0], 0.95, 3.8],
  [[1, 1, 1, 1], 0.99, 4],
  [[4, 0, 0, 0], 0.5, 0.5],
])('quantiles of %j at %d are those of Prometheus', (counts, q, value) => {
  expect(quantileOf(counts, [1, 2, 4, Number.POSITIVE_INFINITY], q)).toBeCloseTo(value, 10);
  expect(quantileOf([0, 0], [1, Number.POSITIVE_INFINITY], q)).toBeNull();
});
