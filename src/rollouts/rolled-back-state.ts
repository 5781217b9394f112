/** A rollback made on what gateways serve, where the database cannot be asked: only to a version that they have loaded. Pure. */
import { SlipwayError } from '../base/errors.ts';
import type { DesiredEndpoint, DesiredState } from '../serving/endpoints/desired-state.ts';
import { CANARY } from './strata.ts';

export function endpointOfState(state: DesiredState, project: string, name: string): DesiredEndpoint | null {
  return state.endpoints.find((one) => one.project === project && one.name === name) ?? null;
}

/**
 * The version to go back to: the one that is named, that of control while a rollout shares calls out, else the one that is kept warm besides.
 * @throws SlipwayError `rollout_refused` when it is not loaded, or cannot be told
 */
export function versionToGoBackTo(state: DesiredState, endpoint: DesiredEndpoint, asked: number | undefined): number {
  const { project, model, name, version, pins, traffic } = endpoint;
  const loaded = state.versions.filter((one) => one.project === project && one.model === model);
  const warm = loaded.map((one) => one.version);
  const split = traffic?.split ?? null;
  const spare = pins.filter((pin) => pin !== version);
  const own = split !== null && split.fallback !== CANARY ? version : spare.length === 1 ? spare[0]! : null;
  const to = asked ?? own;
  if (to !== null && warm.includes(to)) return to;
  const others = warm.filter((one) => one !== version);
  const which = others.length === 0 ? 'none is' : `version ${others.join(', ')}`;
  throw new SlipwayError(
    'rollout_refused',
    to === null
      ? `The database is down, and which version ${name} served before cannot be told without it`
      : `The database is down, and version ${to} is not loaded`,
    { hint: `Loaded besides version ${version}: ${which}. Name it: slipway rollback ${name} --to VERSION` },
  );
}

/** The state with all calls of an endpoint on one version; the other one stays loaded. Its generation is the caller's to raise. */
export function rolledBackState(state: DesiredState, endpoint: DesiredEndpoint, version: number): DesiredState {
  const pins = new Set([...endpoint.pins, endpoint.version]);
  for (const arm of endpoint.traffic?.split?.arms ?? []) pins.add(arm.version);
  pins.delete(version);
  const moved: DesiredEndpoint = {
    ...endpoint,
    version,
    pins: [...pins].sort((a, b) => a - b),
    traffic: { revision: (endpoint.traffic?.revision ?? 0) + 1, split: null, shadows: [] },
  };
  return { ...state, endpoints: state.endpoints.map((one) => (one === endpoint ? moved : one)) };
}
