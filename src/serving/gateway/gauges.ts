import type { Admission } from './admission.ts';
import type { Gauge } from './metrics.ts';
import type { ServingState } from './serving-state.ts';

/** Keys of which is told at most, those that asked most: labels cost memory wherever metrics are kept. */
const MOST_KEYS = 100;

/**
 * What is seen at the moment of asking, per version and key.
 * @param keepsRunners whether runners are this gateway's own: those of another are in that one's metrics, and counted once
 */
export function observeGauges(state: ServingState, admission: Admission, keepsRunners = true): Gauge[] {
  const versions = state.observe().versions.map((version) => ({
    labels: { project: version.project, model: version.model, version: version.version },
    version,
  }));
  const gauge = (name: string, help: string, of: (version: (typeof versions)[number]['version']) => number): Gauge => ({
    name,
    help,
    samples: versions.map(({ labels, version }) => ({ labels, value: of(version) })),
  });
  const ofRunners = [
    gauge('slipway_runner_restarts', 'Times the runner was started again.', (version) => version.restarts),
    gauge('slipway_runner_memory_bytes', 'Resident size of the runner.', (version) => version.memoryBytes ?? 0),
  ];
  return [
    gauge('slipway_queue_depth', 'Calls waiting for a runner.', (version) => version.waiting),
    gauge(
      'slipway_concurrency_limit',
      'Calls that may be open at once; infinite while there is no overload.',
      (version) => version.openLimit ?? Number.POSITIVE_INFINITY,
    ),
    gauge('slipway_version_ready', '1 while the version can answer.', (version) => (version.state === 'ready' ? 1 : 0)),
    ...(keepsRunners ? ofRunners : []),
    {
      name: 'slipway_desired_generation',
      help: 'Generation of the desired state that is served.',
      samples: [{ labels: {}, value: state.generation }],
    },
    ...observeAccounts(admission),
  ];
}

function observeAccounts(admission: Admission): Gauge[] {
  const accounts = [...admission.accounts()]
    .map(([keyId, account]) => ({ labels: { key: keyId ?? '' }, account }))
    .filter(({ account }) => account.admitted + account.refusedByRate + account.refusedByConcurrency > 0)
    .sort((a, b) => b.account.admitted - a.account.admitted)
    .slice(0, MOST_KEYS);
  return [
    {
      name: 'slipway_key_requests_total',
      type: 'counter',
      help: 'Predictions asked with a key (empty: without one), by what its quota said.',
      samples: accounts.flatMap(({ labels, account }) => [
        { labels: { ...labels, quota: 'within' }, value: account.admitted },
        { labels: { ...labels, quota: 'rate' }, value: account.refusedByRate },
        { labels: { ...labels, quota: 'concurrency' }, value: account.refusedByConcurrency },
      ]),
    },
    {
      name: 'slipway_key_in_flight',
      help: 'Predictions of a key waiting or being computed.',
      samples: accounts.map(({ labels, account }) => ({ labels, value: account.running })),
    },
  ];
}
