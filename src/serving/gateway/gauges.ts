import type { Gauge } from './metrics.ts';
import type { ServingState } from './serving-state.ts';

/**
 * What is seen at the moment of asking, per version.
 * @param keepsRunners whether runners are this gateway's own: those of another are in that one's metrics, and counted once
 */
export function observeGauges(state: ServingState, keepsRunners = true): Gauge[] {
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
    gauge('slipway_version_ready', '1 while the version can answer.', (version) => (version.state === 'ready' ? 1 : 0)),
    ...(keepsRunners ? ofRunners : []),
    {
      name: 'slipway_desired_generation',
      help: 'Generation of the desired state that is served.',
      samples: [{ labels: {}, value: state.generation }],
    },
  ];
}
