/**
 * What the gateway counts, as Prometheus text. On the hot path a prediction costs a few additions on typed arrays that its version
 * holds; text is made only when it is asked for.
 */
import type { ErrorCode } from '../../base/errors.ts';
import { STAGES, StageHistograms } from './stage-histograms.ts';
import { tritonLines } from './triton-metrics.ts';
import { VersionStatistics } from './version-statistics.ts';

/** Upper bounds of the latency histogram. */
const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
/** Upper bounds of the histogram of rows in one run. */
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

export type Meter = {
  readonly statistics: VersionStatistics;
  /** Predictions being computed or waiting. */
  inFlight: number;
  /** One answer. `batchRows` is 0 when no run took place. */
  count(status: number, milliseconds: number, batchRows: number): void;
};

export type MeterLabels = { readonly project: string; readonly endpoint: string; readonly version: number };

export type GatewayMetrics = {
  /** The meter of a version behind an endpoint; the same one for the same labels. */
  meter(labels: MeterLabels): Meter;
  /** Requests that were refused before an endpoint was known, by status. */
  refused(status: number): void;
  /** Why a request was answered with an error; every one is told, besides its status. */
  because(code: ErrorCode): void;
  text(gauges: readonly Gauge[]): string;
};

export type Gauge = {
  readonly name: string;
  readonly help: string;
  /** Default gauge. */
  readonly type?: 'counter';
  readonly samples: readonly { readonly labels: Readonly<Record<string, string | number>>; readonly value: number }[];
};

class VersionMeter implements Meter {
  readonly labels: MeterLabels;
  readonly statistics = new VersionStatistics();
  readonly statuses = new Map<number, number>();
  readonly seconds = new Float64Array(SECONDS.length + 1);
  readonly rows = new Float64Array(ROWS.length + 1);
  secondsSum = 0;
  rowsSum = 0;
  inFlight = 0;

  constructor(labels: MeterLabels) {
    this.labels = labels;
  }

  count(status: number, milliseconds: number, batchRows: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    const seconds = milliseconds / 1000;
    this.secondsSum += seconds;
    this.seconds[placeOf(SECONDS, seconds)]! += 1;
    if (batchRows === 0) return;
    this.rowsSum += batchRows;
    this.rows[placeOf(ROWS, batchRows)]! += 1;
  }
}

function placeOf(bounds: readonly number[], value: number): number {
  let place = 0;
  while (place < bounds.length && value > bounds[place]!) place++;
  return place;
}

export function createGatewayMetrics(): GatewayMetrics {
  const meters = new Map<string, VersionMeter>();
  const refusals = new Map<number, number>();
  const reasons = new Map<ErrorCode, number>();

  return {
    meter(labels) {
      const key = `${labels.project}/${labels.endpoint}@${labels.version}`;
      let meter = meters.get(key);
      if (meter === undefined) {
        meter = new VersionMeter(labels);
        meters.set(key, meter);
      }
      return meter;
    },
    refused(status) {
      refusals.set(status, (refusals.get(status) ?? 0) + 1);
    },
    because(code) {
      reasons.set(code, (reasons.get(code) ?? 0) + 1);
    },
    text(gauges) {
      const lines: string[] = [];
      const all = [...meters.values()];
      head(lines, 'slipway_requests_total', 'counter', 'Predictions answered, by endpoint, version and HTTP status.');
      for (const { labels, statuses } of all) {
        for (const [status, value] of statuses) {
          lines.push(`slipway_requests_total{${labelText(labels)},status="${status}"} ${value}`);
        }
      }
      head(lines, 'slipway_requests_refused_total', 'counter', 'Requests refused before they reached an endpoint.');
      for (const [status, value] of refusals) lines.push(`slipway_requests_refused_total{status="${status}"} ${value}`);
      head(lines, 'slipway_errors_total', 'counter', 'Requests answered with an error, by its code.');
      for (const [reason, value] of reasons) lines.push(`slipway_errors_total{code="${reason}"} ${value}`);
      head(lines, 'slipway_requests_in_flight', 'gauge', 'Predictions waiting or being computed.');
      for (const { labels, inFlight } of all)
        lines.push(`slipway_requests_in_flight{${labelText(labels)}} ${inFlight}`);
      head(lines, 'slipway_request_seconds', 'histogram', 'From the first byte of a prediction request to its answer.');
      for (const { labels, seconds, secondsSum } of all) {
        histogram(lines, 'slipway_request_seconds', labelText(labels), SECONDS, seconds, secondsSum);
      }
      head(lines, 'slipway_batch_rows', 'histogram', 'Rows in the run that answered a prediction.');
      for (const { labels, rows, rowsSum } of all) {
        histogram(lines, 'slipway_batch_rows', labelText(labels), ROWS, rows, rowsSum);
      }
      head(lines, 'slipway_stage_seconds', 'histogram', 'Stages of answered predictions: parse, queue, run, write.');
      for (const { labels, statistics } of all) {
        for (const stage of STAGES) {
          const { stages } = statistics;
          histogram(
            lines,
            'slipway_stage_seconds',
            `${labelText(labels)},stage="${stage}"`,
            StageHistograms.boundsSeconds,
            stages.counts(stage),
            stages.sumSeconds(stage),
          );
        }
      }
      lines.push(
        ...tritonLines(
          all.map(({ labels: { project, endpoint, version }, statistics, statuses, inFlight }) => ({
            labels: labelText({ model: endpoint, version, project }),
            statistics: statistics.read(endpoint, version),
            statuses,
            inFlight,
          })),
        ),
      );
      for (const { name, help, type = 'gauge', samples } of gauges) {
        head(lines, name, type, help);
        for (const sample of samples) {
          const value = sample.value === Number.POSITIVE_INFINITY ? '+Inf' : sample.value;
          lines.push(`${name}${braces(labelText(sample.labels))} ${value}`);
        }
      }
      return `${lines.join('\n')}\n`;
    },
  };
}

function head(lines: string[], name: string, type: string, help: string): void {
  lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
}

function histogram(
  lines: string[],
  name: string,
  labels: string,
  bounds: readonly number[],
  counts: Float64Array,
  sum: number,
): void {
  let total = 0;
  for (let i = 0; i <= bounds.length; i++) {
    total += counts[i]!;
    lines.push(`${name}_bucket{${labels},le="${bounds[i] ?? '+Inf'}"} ${total}`);
  }
  lines.push(`${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${total}`);
}

function labelText(labels: Readonly<Record<string, string | number>>): string {
  return Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${`${value}`.replace(/["\\\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))}"`,
    )
    .join(',');
}

function braces(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}
