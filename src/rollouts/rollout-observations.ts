/** What the step looks at, from what gateways report and the endpoint's row says. */
import type { ObservedState } from '../serving/endpoints/desired-state.ts';
import { type EndpointSpec, OBSERVATION_FRESH_MS } from '../serving/endpoints/endpoint.ts';
import { desiredTraffic } from './desired-traffic.ts';
import type { DesiredTraffic, Observations, Rollout, VersionHealth } from './rollout.ts';

/** The endpoint's traffic as a rollout sees it: pins of other versions are not its business. */
export function trafficOf(spec: EndpointSpec, rollout: Rollout): DesiredTraffic {
  const own = [rollout.from?.version, rollout.to.version];
  return {
    target: spec.targetVersion,
    pins: spec.pins.filter((pin) => own.includes(pin)),
    traffic: spec.traffic ?? { revision: 0, split: null, shadows: [] },
  };
}

/** All pins after a rollout wants its own: those of others stay. */
export function pinsWith(spec: EndpointSpec, rollout: Rollout, wanted: readonly number[]): number[] {
  const own = [rollout.from?.version, rollout.to.version];
  const others = spec.pins.filter((pin) => !own.includes(pin));
  return [...new Set([...others, ...wanted])].sort((a, b) => a - b);
}

type Seen = Pick<Observations, 'from' | 'to' | 'toReason' | 'gateways'>;

/**
 * @param generation of the state that control sent last
 * @param now by the wall clock; gateways that have been silent are not counted as connected
 */
export function observeGateways(
  rollout: Rollout,
  spec: EndpointSpec,
  gateways: readonly ObservedState[],
  generation: number,
  now: Date,
): Seen {
  const fresh = gateways.filter((one) => Math.abs(now.getTime() - Date.parse(one.observedAt)) <= OBSERVATION_FRESH_MS);
  const from = rollout.from === null ? 'absent' : healthOf(spec, fresh, rollout.from.version).health;
  const to = healthOf(spec, fresh, rollout.to.version);
  return {
    from,
    to: to.health,
    toReason: to.reason,
    gateways: {
      connected: fresh.length,
      following: fresh.filter((one) => isFollowing(rollout, spec, one, generation)).length,
    },
  };
}

/** The worst that any gateway says counts. */
const RANK: readonly VersionHealth[] = ['ready', 'absent', 'starting', 'failed'];

function healthOf(
  spec: EndpointSpec,
  gateways: readonly ObservedState[],
  version: number,
): { health: VersionHealth; reason: string | null } {
  if (gateways.length === 0) return { health: 'absent', reason: null };
  return gateways
    .map((gateway): { health: VersionHealth; reason: string | null } => {
      const found = gateway.versions.find(
        (one) =>
          one.project === spec.project &&
          one.model === spec.model &&
          one.version === version &&
          one.shadow === undefined,
      );
      switch (found?.state) {
        case 'ready':
          return { health: 'ready', reason: null };
        case 'quarantined':
        case 'failed':
          return { health: 'failed', reason: found.reason };
        case undefined:
        case 'draining':
          return { health: 'absent', reason: null };
        default:
          return { health: 'starting', reason: found?.reason ?? null };
      }
    })
    .reduce((worst, one) => (RANK.indexOf(one.health) > RANK.indexOf(worst.health) ? one : worst));
}

/** Whether a gateway does what the rollout wants now: by the revision of its split, or, where all calls go to one version, by who answers. */
function isFollowing(rollout: Rollout, spec: EndpointSpec, gateway: ObservedState, generation: number): boolean {
  const wanted = desiredTraffic(rollout);
  const observed = gateway.endpoints.find((one) => one.project === spec.project && one.name === spec.name);
  if (wanted === null || observed === undefined || gateway.generation < generation) return false;
  // until the endpoint has what is wanted, nobody can follow it
  if (spec.traffic?.revision !== wanted.traffic.revision) return false;
  if (wanted.traffic.split !== null) return (observed.trafficRevision ?? -1) >= wanted.traffic.revision;
  return wanted.target === null || observed.servingVersion === wanted.target;
}
