import type { TrafficPoint, TrafficSeries } from '@slipway/sdk';
import { Chart } from '../parts/chart.tsx';
import { count, duration, figure, share } from '../parts/figures.ts';
import { Empty } from '../parts/page.tsx';

const perS = (value: number | null) => (value === null ? '–' : `${count(value)}/s`);

/** What callers saw, step by step. Percentiles are read off the buckets of a histogram. */
export function TrafficCharts({ series }: { series: TrafficSeries }) {
  const { points } = series;
  const last = points.at(-1);
  if (last === undefined) {
    return (
      <Empty command={`bin/slipway predict ${series.endpoint} --json '{…}'`}>
        Nobody has called since the server started. The form below makes a call, or:
      </Empty>
    );
  }
  const at = points.map((point) => Date.parse(point.at));
  const of = (field: Exclude<keyof TrafficPoint, 'at'>) => points.map((point) => point[field]);
  const errors = points.map((point) => (point.errorShare === null ? null : point.errorShare * point.requestsPerS));
  const calm = points.every((point) => (point.errorShare ?? 0) === 0);
  return (
    <div className="charts">
      <Chart
        title="Requests"
        sentence={`${perS(last.requestsPerS)} now, at most ${perS(Math.max(...points.map((point) => point.requestsPerS)))} in the time shown.`}
        at={at}
        format={perS}
        lines={[
          { name: 'answered', values: of('requestsPerS'), colour: '--chart-1' },
          { name: 'refused (4xx)', values: of('refusedPerS'), colour: '--chart-3', dash: [2, 3] },
        ]}
      />
      <Chart
        title="Errors"
        sentence={
          calm ? 'No call failed on the server in the time shown.' : `${share(last.errorShare)} of calls fail now.`
        }
        at={at}
        format={perS}
        lines={[{ name: 'failed (5xx)', values: errors, colour: '--chart-4', dash: [6, 2] }]}
      />
      <Chart
        title="Latency"
        sentence={`Half of the calls take less than ${duration(last.p50Ms)} now, and one in a hundred more than ${duration(last.p99Ms)}.`}
        at={at}
        format={duration}
        lines={[
          { name: 'p50', values: of('p50Ms'), colour: '--chart-1' },
          { name: 'p95', values: of('p95Ms'), colour: '--chart-2', dash: [6, 3] },
          { name: 'p99', values: of('p99Ms'), colour: '--chart-4', dash: [2, 3] },
        ]}
      />
      <Chart
        title="Queue"
        sentence={`A call waits ${duration(last.queueMs)} on average before its run; ${count(last.inFlight)} are under way.`}
        at={at}
        format={duration}
        lines={[{ name: 'mean wait', values: of('queueMs'), colour: '--chart-2' }]}
      />
      <Chart
        title="Batch size"
        sentence={`A run answers ${figure(last.batchRows)} rows on average now.`}
        at={at}
        format={figure}
        lines={[{ name: 'rows in a run', values: of('batchRows'), colour: '--chart-3' }]}
      />
    </div>
  );
}
