/** How much comes to an endpoint, from the counters that gateways report: what a plan of a rollout is checked against. */
import type { Clock } from '../../base/clock.ts';
import type { DesiredStatePublisher } from '../endpoints/desired-state-publisher.ts';

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

type Sample = { readonly atMs: number; readonly calls: number; readonly failed: number; readonly seconds: number };

const SAMPLE_MS = 10_000;
/** Samples kept of each endpoint: what is told is of the last minutes. */
const SAMPLES = 30;

/**
 * Samples the counters now and then. A rate needs two samples, so nothing is known in the first seconds.
 * @returns what is known of an endpoint, and how to stop
 */
export function createTrafficFacts(deps: { publisher: DesiredStatePublisher; clock: Clock }): {
  readonly factsOf: (project: string, endpoint: string) => EndpointTrafficFacts;
  readonly sample: () => void;
  readonly stop: () => void;
} {
  const { publisher, clock } = deps;
  const samples = new Map<string, Sample[]>();

  const sample = (): void => {
    const atMs = clock.monotonicMs();
    const now = new Map<string, { calls: number; failed: number; seconds: number }>();
    for (const gateway of publisher.gateways()) readCounters(gateway.metricsText, now);
    for (const key of samples.keys()) if (!now.has(key)) samples.delete(key);
    for (const [key, counts] of now) {
      const known = samples.get(key) ?? [];
      // A gateway that started again counts from nothing: what was before cannot be compared.
      const isReset = (known.at(-1)?.calls ?? 0) > counts.calls;
      samples.set(key, [...(isReset ? [] : known), { atMs, ...counts }].slice(-SAMPLES));
    }
  };
  const timer = setInterval(sample, SAMPLE_MS).unref();

  return {
    sample,
    factsOf(project, endpoint) {
      const known = samples.get(keyOf(project, endpoint)) ?? [];
      const [first, last] = [known[0], known.at(-1)];
      if (first === undefined || last === undefined || first === last) return UNKNOWN;
      const calls = last.calls - first.calls;
      const seconds = (last.atMs - first.atMs) / 1000;
      return {
        ...UNKNOWN,
        callsPerS: calls / seconds,
        errorRate: calls === 0 ? null : (last.failed - first.failed) / calls,
        latencyMs: calls === 0 ? null : ((last.seconds - first.seconds) / calls) * 1000,
      };
    },
    stop: () => clearInterval(timer),
  };
}

const LINE = /^slipway_request(s_total|_seconds_sum)\{([^}]*)\} ([\d.eE+-]+)$/gm;
const LABEL = /(\w+)="([^"]*)"/g;

function readCounters(text: string, into: Map<string, { calls: number; failed: number; seconds: number }>): void {
  for (const [, counter, labels, value] of text.matchAll(LINE)) {
    const of = Object.fromEntries([...labels!.matchAll(LABEL)].map((match) => [match[1]!, match[2]!]));
    if (of['endpoint'] === undefined) continue;
    const key = keyOf(of['project'] ?? 'default', of['endpoint']);
    const counts = into.get(key) ?? { calls: 0, failed: 0, seconds: 0 };
    into.set(key, counts);
    const amount = Number(value);
    if (counter === '_seconds_sum') counts.seconds += amount;
    else {
      counts.calls += amount;
      // failures of the server or the model; what callers did wrong says nothing of the version
      if (of['status']?.startsWith('5')) counts.failed += amount;
    }
  }
}

function keyOf(project: string, endpoint: string): string {
  return `${project}/${endpoint}`;
}
