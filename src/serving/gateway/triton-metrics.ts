import type { ModelStatistics } from '../protocols/model-statistics.ts';
import { CLIENT_CLOSED } from './client-closed.ts';

/** One version behind one endpoint, as it is counted. */
export type Counted = {
  /** Project, endpoint and version as Triton's labels. */
  readonly labels: string;
  readonly statistics: ModelStatistics;
  readonly statuses: ReadonlyMap<number, number>;
  readonly inFlight: number;
};

/** Failures by HTTP status in Triton's words. */
function reasonOf(status: number): string {
  if (status === CLIENT_CLOSED) return 'CANCELED';
  if (status === 429 || status === 503) return 'REJECTED';
  return status >= 500 ? 'BACKEND' : 'OTHER';
}

/**
 * The same counts under the names that Triton gives them, so that its dashboards and autoscalers go on. Durations are sums in microseconds, of
 * answered requests.
 */
export function tritonLines(all: readonly Counted[]): string[] {
  const lines: string[] = [];
  const family = (name: string, help: string, type: 'counter' | 'gauge', of: (one: Counted) => number): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const one of all) lines.push(`${name}{${one.labels}} ${of(one)}`);
  };
  const micros = (part: { readonly ns: number }): number => Math.round(part.ns / 1000);
  family(
    'nv_inference_request_success',
    'Requests answered.',
    'counter',
    (one) => one.statistics.requests.success.count,
  );
  lines.push(
    '# HELP nv_inference_request_failure Requests that failed, by reason.',
    '# TYPE nv_inference_request_failure counter',
  );
  for (const { labels, statuses } of all) {
    const reasons = new Map<string, number>();
    for (const [status, count] of statuses) {
      if (status < 400) continue;
      reasons.set(reasonOf(status), (reasons.get(reasonOf(status)) ?? 0) + count);
    }
    for (const [reason, count] of reasons)
      lines.push(`nv_inference_request_failure{${labels},reason="${reason}"} ${count}`);
  }
  family('nv_inference_count', 'Rows computed.', 'counter', (one) => one.statistics.inferenceCount);
  family('nv_inference_exec_count', 'Runs of the model.', 'counter', (one) => one.statistics.executionCount);
  family('nv_inference_pending_request_count', 'Requests waiting or being computed.', 'gauge', (one) => one.inFlight);
  family('nv_inference_request_duration_us', 'Whole time.', 'counter', (one) =>
    micros(one.statistics.requests.success),
  );
  family('nv_inference_queue_duration_us', 'Waiting.', 'counter', (one) => micros(one.statistics.requests.queue));
  family('nv_inference_compute_input_duration_us', 'Reading inputs.', 'counter', (one) =>
    micros(one.statistics.requests.computeInput),
  );
  family('nv_inference_compute_infer_duration_us', 'Running the model.', 'counter', (one) =>
    micros(one.statistics.requests.computeInfer),
  );
  family('nv_inference_compute_output_duration_us', 'Writing answers.', 'counter', (one) =>
    micros(one.statistics.requests.computeOutput),
  );
  return lines;
}
