import type { Principal } from '../../base/access/permission.ts';
import { SlipwayError } from '../../base/errors.ts';
import { RELEASE } from '../../base/release.ts';
import type { ObservedVersion, VersionState } from '../endpoints/desired-state.ts';
import { pickVersion } from '../endpoints/routing.ts';
import type { ModelStatistics } from '../protocols/model-statistics.ts';
import type { EndpointView, HeldVersion, ServerView } from '../protocols/protocol.ts';
import { mayUse } from './inference-access.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { ServedVersion } from './served-version.ts';
import { isLoaded, observeEndpoint, type Readiness, type ServedEndpoint, type ServingState } from './serving-state.ts';

export type ServerViewDeps = {
  readonly state: ServingState;
  readonly keyNeeded: boolean;
  readonly spoken: readonly string[];
  readonly assess: () => Readiness;
  readonly metrics: GatewayMetrics;
};

/** What one caller may know of the server. */
export function viewServer(
  deps: ServerViewDeps,
  caller: {
    readonly project: string;
    readonly principal: Principal | null;
    readonly host: string;
    readonly prefix: string;
  },
): ServerView {
  const { ready, reason } = deps.assess();
  const seen = (): ServedEndpoint[] =>
    [...(deps.state.endpointsOf(caller.project)?.values() ?? [])]
      .filter((endpoint) => mayUse(caller.principal, 'read', caller.project, endpoint.spec.model))
      .sort((a, b) => (a.spec.name < b.spec.name ? -1 : 1));
  return {
    release: RELEASE,
    ready,
    reason,
    baseUrl: `http://${caller.host}${caller.prefix}`,
    keyNeeded: deps.keyNeeded,
    spoken: deps.spoken,
    endpoints: () =>
      seen()
        .filter((endpoint) => (endpoint.serving ?? endpoint.desired) !== null)
        .map((endpoint) => viewEndpoint(endpoint, null, deps.metrics)),
    held: () => {
      const { versions } = deps.state.observe();
      return seen().flatMap((endpoint) => holdings(endpoint, versions));
    },
  };
}

/**
 * @param pin a version that the endpoint must hold, else null
 * @throws SlipwayError `version_not_found`, `not_ready`
 */
export function viewEndpoint(
  endpoint: ServedEndpoint,
  pin: number | null,
  metrics: Pick<GatewayMetrics, 'meter'>,
): EndpointView {
  const { spec } = endpoint;
  if (!isLoaded(spec)) throw unloaded(spec.name);
  const picked = pickVersion(endpoint, pin);
  if (picked.reason === 'not-loaded') throw notLoaded(endpoint, pin!);
  const version = picked.version ?? endpoint.desired;
  if (version === null) throw notReady(endpoint, null, 1);
  const { ready, reason } = pin === null ? observeEndpoint(endpoint) : observePinned(version);
  return {
    name: spec.name,
    model: spec.model,
    environment: spec.environment,
    version: version.spec.version,
    versions: [...endpoint.versions.keys()].sort((a, b) => a - b),
    digest: version.spec.digest,
    engine: version.spec.engine,
    canBatch: version.spec.canBatch,
    limits: version.spec.limits,
    statistics: () => statisticsOf(endpoint, pin, metrics),
    signature: version.spec.signature,
    sampleRequest: version.spec.sampleRequest,
    ready,
    reason: ready ? null : reason,
    pending: pin === null ? pendingOf(endpoint) : null,
  };
}

/** Versions without a single prediction have zeros, rather than none. */
function statisticsOf(
  { spec, versions }: ServedEndpoint,
  pin: number | null,
  metrics: Pick<GatewayMetrics, 'meter'>,
): ModelStatistics[] {
  const { project, name } = spec;
  return [...versions.keys()]
    .filter((version) => pin === null || version === pin)
    .sort((a, b) => a - b)
    .map((version) => metrics.meter({ project, endpoint: name, version }).statistics.read(name, version));
}

const HELD_STATES: Readonly<Record<VersionState, HeldVersion['state']>> = {
  ready: 'ready',
  loading: 'loading',
  warming: 'loading',
  restarting: 'loading',
  draining: 'unloading',
  quarantined: 'unavailable',
  failed: 'unavailable',
};

function holdings({ spec, versions }: ServedEndpoint, observed: readonly ObservedVersion[]): HeldVersion[] {
  if (!isLoaded(spec)) {
    const { project, model, version } = spec;
    const ending = observed.some(
      (one) =>
        one.project === project &&
        one.model === model &&
        one.version === version &&
        one.shadow === undefined &&
        one.state === 'draining',
    );
    return [{ endpoint: spec.name, version, state: ending ? 'unloading' : 'unavailable', reason: 'unloaded', model }];
  }
  if (versions.size === 0) {
    const reason = 'The version it names is not there.';
    return [{ endpoint: spec.name, version: spec.version, state: 'unavailable', reason }];
  }
  return [...versions.values()]
    .sort((a, b) => a.spec.version - b.spec.version)
    .map((version) => {
      const { state, reason, since, memoryBytes, waiting } = version.observe();
      const held = HELD_STATES[state];
      const { engine, limits } = version.spec;
      const runner = { engine, limits, since, memoryBytes, waiting };
      const { folder } = version.spec;
      const about = { model: spec.model, runner, ...(folder === undefined ? {} : { folder }) };
      return { endpoint: spec.name, version: version.spec.version, state: held, reason, ...about };
    });
}

function pendingOf({ spec, serving, desired }: ServedEndpoint): string | null {
  if (serving === null || desired === serving) return null;
  const state = desired?.observe().reason ?? 'It is not available.';
  return `Version ${spec.version} is to answer next: ${state} Version ${serving.spec.version} answers until then.`;
}

function observePinned(version: ServedVersion): Readiness {
  const { state, reason } = version.observe();
  return { ready: state === 'ready', reason };
}

export function unloaded(name: string): SlipwayError {
  return new SlipwayError('not_ready', `The endpoint ${name} is unloaded`, {
    retryAfterS: 1,
    hint: `\`slipway endpoints load ${name}\` loads it (POST /v2/repository/models/${name}/load).`,
  });
}

export function notLoaded({ spec, versions }: ServedEndpoint, pin: number): SlipwayError {
  const loaded = [...versions.keys()].sort((a, b) => a - b).join(', ');
  const pins = [...spec.pins, pin].map((version) => `--pin ${version}`).join(' ');
  return new SlipwayError('version_not_found', `The endpoint ${spec.name} has no version ${pin} loaded`, {
    hint: `Loaded: ${loaded || 'none'}. \`slipway endpoints update ${spec.name} ${pins}\` loads it beside them.`,
  });
}

/**
 * @param pinned the version that was asked for, where one was
 * @param retryAfterS named where a later attempt may work
 */
export function notReady(endpoint: ServedEndpoint, pinned: ServedVersion | null, retryAfterS: number): SlipwayError {
  const { name } = endpoint.spec;
  const { reason } = pinned === null ? observeEndpoint(endpoint) : pinned.observe();
  const what = pinned === null ? name : `${name}@${pinned.spec.version}`;
  return new SlipwayError('not_ready', `The endpoint ${what} is not ready: ${reason ?? 'it is starting.'}`, {
    retryAfterS,
    hint: `\`slipway why ${name}\` says what to do.`,
  });
}
