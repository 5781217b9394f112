import { expect, test } from 'vitest';
import { createGatewayMetrics } from '../gateway/metrics.ts';
import { joinGatewayMetrics } from './gateway-metrics.ts';

function textOf(status: number): string {
  const metrics = createGatewayMetrics();
  metrics.meter({ project: 'default', endpoint: 'churn', version: 1 }).count(status, 3, 1);
  return metrics.text([
    { name: 'slipway_desired_generation', help: 'Of the state.', samples: [{ labels: {}, value: 7 }] },
  ]);
}

test('two gateways give one text in which nothing stands twice and every name is described once', () => {
  const text = joinGatewayMetrics([
    { instance: 'a', metricsText: textOf(200) },
    { instance: 'b', metricsText: textOf(200) },
    { instance: 'starting', metricsText: '' },
  ]);
  const lines = text.trimEnd().split('\n');
  const series = lines.map((line) => (line.startsWith('#') ? line : line.slice(0, line.lastIndexOf(' '))));
  expect(new Set(series).size).toBe(series.length);
  expect(lines).toContain('slipway_desired_generation{gateway="a"} 7');
  expect(lines).toContain(
    'slipway_requests_total{gateway="b",project="default",endpoint="churn",version="1",status="200"} 1',
  );
  // All samples of a name follow its description, without another name between them.
  let name = '';
  for (const line of lines) {
    if (line.startsWith('# HELP ')) name = line.split(' ')[2]!;
    else expect(line.replace('# TYPE ', '')).toMatch(new RegExp(`^${name}(_bucket|_sum|_count)?[{ ]`));
  }
});
