/** What an endpoint is, and the rules that need neither clock nor database. */
import type { Signature } from '../../registry/signature.ts';
import type { ObservedEndpoint, ObservedState, ObservedVersion } from './desired-state.ts';
import type { EndpointTraffic } from './traffic.ts';

/** What answers an endpoint's calls: a fixed version, or whichever version an alias names. */
export type Target = { readonly version: number } | { readonly alias: string };

/** An endpoint as asked for. */
export type EndpointSpec = {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly environment: string;
  readonly model: string;
  readonly modelId: string;
  readonly target: Target;
  /** The version the target names now; null when its alias was removed. */
  readonly targetVersion: number | null;
  readonly pins: number[];
  /** Whether its versions are kept running. Unloaded it is known, and calls are told how to load it. */
  readonly loaded: boolean;
  /** How its calls are shared out, as a rollout asked for it last; null where none ever did. */
  readonly traffic: EndpointTraffic | null;
  readonly revision: number;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly updatedAt: string;
};

/** A version as endpoints need to know it. */
export type ServableVersion = {
  readonly version: number;
  readonly status: string;
  readonly statusReason: string | null;
  readonly signature: Signature;
};

export type EndpointState = 'ready' | 'starting' | 'updating' | 'failed' | 'unloaded' | 'unknown';

/** What was observed of an endpoint. */
export type EndpointStatus = {
  readonly state: EndpointState;
  readonly reason: string | null;
  readonly fix: string | null;
  readonly servingVersion: number | null;
  readonly versions: Omit<ObservedVersion, 'project' | 'model'>[];
  readonly observedAt: string | null;
};

/** Versions that its arms and shadows name; gateways load them besides target and pins. */
export function trafficVersions(traffic: EndpointTraffic | null): number[] {
  if (traffic === null) return [];
  return [...(traffic.split?.arms ?? []), ...traffic.shadows].map((one) => one.version);
}

/** Whether a rollout shares its calls out now. */
export function isSharedOut(traffic: EndpointTraffic | null): boolean {
  return traffic !== null && (traffic.split !== null || traffic.shadows.length > 0);
}

/** A gateway reports every 2 s; after this it counts as silent. */
export const OBSERVATION_FRESH_MS = 10_000;

export const DEFAULT_ENVIRONMENT = 'production';

/** Whether a version may answer calls; the reason and what to do when it may not. */
export function assessServable(model: string, version: ServableVersion): { reason: string; fix: string } | null {
  const name = `${model}@${version.version}`;
  if (version.status === 'ready') return null;
  if (version.status === 'failed') {
    return {
      reason: `${name} did not pass validation: ${version.statusReason ?? 'no reason was kept'}`,
      fix: `See \`slipway versions show ${name}\`, then push a mended version.`,
    };
  }
  return {
    reason: `${name} is still being validated`,
    fix: `Wait for it: \`slipway versions show ${name}\` says how it went.`,
  };
}

/**
 * The status of an endpoint from what gateways report; the worst of them counts. It is observed, never remembered: without a
 * fresh report the state is `unknown`.
 * @param generation of the state that control wants; a gateway may be behind it for another endpoint's sake
 */
export function assessEndpoint(
  spec: EndpointSpec,
  generation: number,
  gateways: readonly ObservedState[],
  now: Date,
): EndpointStatus {
  if (spec.targetVersion === null) {
    const alias = 'alias' in spec.target ? spec.target.alias : '';
    return {
      ...silent,
      state: 'failed',
      reason: `It follows the alias ${alias}, which names no version`,
      fix: `Set it again: slipway aliases set ${spec.model} ${alias} <version>`,
    };
  }
  if (gateways.length === 0) {
    return {
      ...silent,
      state: 'unknown',
      reason: 'No gateway is connected to control, so nobody can say',
      fix: 'It reconnects by itself within seconds; if it does not, see `slipway logs`.',
    };
  }
  const ranks: readonly EndpointState[] = ['unloaded', 'ready', 'updating', 'starting', 'unknown', 'failed'];
  return gateways
    .map((gateway) => assessAtGateway(spec, generation, gateway, now))
    .reduce((worst, one) => (ranks.indexOf(one.state) > ranks.indexOf(worst.state) ? one : worst));
}

const silent: Omit<EndpointStatus, 'state' | 'reason' | 'fix'> = {
  servingVersion: null,
  versions: [],
  observedAt: null,
};

function assessAtGateway(spec: EndpointSpec, generation: number, gateway: ObservedState, now: Date): EndpointStatus {
  const mine = (of: { project: string }) => of.project === spec.project;
  const endpoint = gateway.endpoints.find((one) => mine(one) && one.name === spec.name);
  const wanted = new Set([spec.targetVersion, ...spec.pins, endpoint?.servingVersion]);
  const versions = gateway.versions
    .filter((one) => mine(one) && one.model === spec.model && wanted.has(one.version) && one.shadow === undefined)
    .map(({ project: _project, model: _model, ...rest }) => rest);
  const seen = { servingVersion: endpoint?.servingVersion ?? null, versions, observedAt: gateway.observedAt };
  const ageMs = now.getTime() - Date.parse(gateway.observedAt);
  if (ageMs > OBSERVATION_FRESH_MS) {
    return {
      ...seen,
      state: 'unknown',
      reason: `The gateway last reported ${Math.round(ageMs / 1000)} s ago`,
      fix: 'Predictions may well be served; see `slipway logs` for why it is silent.',
    };
  }
  if (!spec.loaded && gateway.generation >= generation) {
    return {
      ...seen,
      state: 'unloaded',
      reason: 'It was unloaded, so calls are answered with 503',
      fix: `slipway endpoints load ${spec.name}`,
    };
  }
  const target = versions.find((one) => one.version === spec.targetVersion);
  if (spec.loaded && endpoint?.ready && endpoint.servingVersion === spec.targetVersion && target?.state === 'ready') {
    return { ...seen, state: 'ready', reason: null, fix: null };
  }
  if (gateway.generation < generation || endpoint === undefined) {
    return { ...seen, state: 'starting', reason: 'The gateway is taking over the last change', fix: 'Wait a moment.' };
  }
  return { ...seen, ...explain(spec, endpoint, target) };
}

function explain(
  spec: EndpointSpec,
  endpoint: ObservedEndpoint,
  target: EndpointStatus['versions'][number] | undefined,
): Pick<EndpointStatus, 'state' | 'reason' | 'fix'> {
  const version = `Version ${spec.targetVersion}`;
  const older = endpoint.servingVersion;
  const still = older !== null && older !== spec.targetVersion ? `; version ${older} still answers` : '';
  const back =
    older !== null && older !== spec.targetVersion
      ? `To stay with it: slipway endpoints update ${spec.name} --version ${older}`
      : `See \`slipway versions show ${spec.model}@${spec.targetVersion}\` and \`slipway logs\`, then deploy a mended version.`;
  const reason = target?.reason ?? endpoint.reason;
  switch (target?.state) {
    case 'quarantined':
      return {
        state: 'failed',
        reason: `${version} is quarantined: ${reason ?? 'it crashed too often'}${still}`,
        fix: back,
      };
    case 'failed':
      return {
        state: 'failed',
        reason: `${version} could not be loaded: ${reason ?? 'no reason was kept'}${still}`,
        fix: back,
      };
    case 'restarting':
      return {
        state: still ? 'updating' : 'starting',
        reason: `${version} is starting again${reason ? `: ${reason}` : ''}${still}`,
        fix: 'It is retried by itself; `slipway logs` has the details.',
      };
    default:
      return {
        state: still ? 'updating' : 'starting',
        reason: `${version} is ${target?.state ?? 'about to load'}${reason ? ` (${reason})` : ''}${still}`,
        fix: 'Wait a moment; `slipway status` shows it.',
      };
  }
}
