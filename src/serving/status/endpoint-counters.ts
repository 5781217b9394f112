/** What a gateway's metrics say of each endpoint, summed over its versions. */
export type EndpointCounters = {
  calls: number;
  failed: number;
  refused: number;
  seconds: number;
  /** By bucket, not cumulative; the last one has no upper bound. */
  latency: number[];
  queueSeconds: number;
  queued: number;
  rows: number;
  runs: number;
  inFlight: number;
};

const LINE =
  /^slipway_(requests_total|requests_in_flight|request_seconds_\w+|stage_seconds_\w+|batch_rows_\w+)\{([^}]*)\} (\S+)$/gm;
const LABEL = /(\w+)="([^"]*)"/g;

/** Upper bounds of the buckets of latency, in seconds, as the text names them; the last is infinite. */
export function latencyBounds(text: string): number[] {
  const bounds = new Set<number>();
  for (const [, bound] of text.matchAll(/^slipway_request_seconds_bucket\{[^}]*le="([^"]+)"/gm)) {
    bounds.add(bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound));
  }
  return [...bounds].sort((a, b) => a - b);
}

/** @returns by `<project>/<endpoint>` */
export function readEndpointCounters(text: string): Map<string, EndpointCounters> {
  const found = new Map<string, EndpointCounters>();
  const cumulative = new Map<string, { last: number; place: number }>();
  for (const [, name, labels, value] of text.matchAll(LINE)) {
    const of: Record<string, string> = {};
    for (const [, label, word] of labels!.matchAll(LABEL)) of[label!] = word!;
    if (of['endpoint'] === undefined) continue;
    const key = `${of['project'] ?? 'default'}/${of['endpoint']}`;
    let counts = found.get(key);
    if (counts === undefined) {
      counts = {
        calls: 0,
        failed: 0,
        refused: 0,
        seconds: 0,
        latency: [],
        queueSeconds: 0,
        queued: 0,
        rows: 0,
        runs: 0,
        inFlight: 0,
      };
      found.set(key, counts);
    }
    const amount = Number(value);
    if (name === 'requests_total') {
      counts.calls += amount;
      if (of['status']!.startsWith('5')) counts.failed += amount;
      if (of['status']!.startsWith('4')) counts.refused += amount;
    } else if (name === 'requests_in_flight') counts.inFlight += amount;
    else if (name === 'request_seconds_sum') counts.seconds += amount;
    else if (name === 'request_seconds_bucket') {
      // Buckets of one version follow each other, each with all below it.
      const version = `${key}@${of['version']}`;
      const { last, place } = cumulative.get(version) ?? { last: 0, place: 0 };
      counts.latency[place] = (counts.latency[place] ?? 0) + amount - last;
      cumulative.set(version, { last: amount, place: place + 1 });
    } else if (name === 'stage_seconds_sum' && of['stage'] === 'queue') counts.queueSeconds += amount;
    else if (name === 'stage_seconds_count' && of['stage'] === 'queue') counts.queued += amount;
    else if (name === 'batch_rows_sum') counts.rows += amount;
    else if (name === 'batch_rows_count') counts.runs += amount;
  }
  return found;
}
