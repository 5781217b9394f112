import { availableParallelism } from 'node:os';
import type { DesiredEndpoint, DesiredState, ObservedEndpoint, ObservedVersion } from '../endpoints/desired-state.ts';
import type { Routable } from '../endpoints/routing.ts';
import type { ShadowSpec, TrafficSplit } from '../endpoints/traffic.ts';
import {
  identityOf,
  type ServedVersion,
  type ServedVersionDeps,
  shadowKey,
  startVersion,
  versionKey,
} from './served-version.ts';
import { createStartTurns } from './start-turns.ts';

export type ServedEndpoint = Routable<ServedVersion> & {
  readonly spec: DesiredEndpoint;
  /** What should answer; null when the state names a version that it does not hold. */
  readonly desired: ServedVersion | null;
  /** How its calls are shared out; null: all to `serving`. */
  readonly split: ServedSplit | null;
  readonly shadows: readonly ServedShadow[];
};

export type ServedSplit = {
  readonly spec: TrafficSplit;
  /** By the name of the arm; without those whose version the state does not hold. */
  readonly arms: ReadonlyMap<string, ServedVersion>;
};

export type ServedShadow = { readonly spec: ShadowSpec; readonly version: ServedVersion };

/** Of the gateway, or of one version in it. A reason where it is not ready. */
export type Readiness = { readonly ready: boolean; readonly reason: string | null };

export type ServingState = {
  /** Generation of the state applied last; 0 before the first. */
  readonly generation: number;
  apply(state: DesiredState): void;
  find(project: string, name: string): ServedEndpoint | undefined;
  /** Endpoints of a project by name, or undefined when it has none. */
  endpointsOf(project: string): ReadonlyMap<string, ServedEndpoint> | undefined;
  endpoints(): readonly ServedEndpoint[];
  observe(): { versions: ObservedVersion[]; endpoints: ObservedEndpoint[] };
  /** Whether the server as a whole can take traffic, and if not, why. */
  assess(): Readiness;
  /**
   * Keeps a running version of exactly this identity until it is released as often, also when no endpoint needs it any more: for guests, whose
   * own state may be a moment behind. Null when there is none.
   */
  hold(key: string, identity: string): ServedVersion | null;
  release(version: ServedVersion): void;
  /** Lets every version answer what it has, then ends them all. */
  close(): Promise<void>;
};

/** Versions that load at one time: loading is work for a core, and each has its own limit of time. */
const LOADS_AT_ONCE = Math.max(2, availableParallelism());

export type ServingStateDeps = Omit<ServedVersionDeps, 'onChange' | 'turns'> & {
  readonly onObservable: () => void;
  /** Versions that may load at one time. */
  readonly loadsAtOnce?: number;
};

/**
 * Makes what runs equal to what is desired. An endpoint goes on with its last ready version until its desired one has answered a
 * real request; only then is it switched, between two calls, and the old version drains its calls and ends.
 */
export function createServingState(deps: ServingStateDeps): ServingState {
  const { log } = deps;
  const turns = createStartTurns(deps.loadsAtOnce ?? LOADS_AT_ONCE);
  /** By identity's key: the versions that the state asks for. */
  let wanted = new Map<string, ServedVersion>();
  const running = new Set<ServedVersion>();
  const draining = new Map<ServedVersion, Promise<void>>();
  const holds = new Map<ServedVersion, number>();
  let projects = new Map<string, Map<string, ServedEndpoint>>();
  let generation = 0;
  let wasSettled = false;

  const start = (spec: DesiredState['versions'][number], shadow: string | null = null): ServedVersion => {
    const version = startVersion(spec, { ...deps, turns, onChange: settle }, shadow);
    running.add(version);
    return version;
  };

  /** A version of exactly this identity; of two, the one that is asked for. */
  const runningVersion = (key: string, identity: string): ServedVersion | null => {
    const known = wanted.get(key);
    if (known?.identity === identity) return known;
    for (const version of running) if (version.key === key && version.identity === identity) return version;
    return null;
  };

  const apply = (state: DesiredState): void => {
    const next = new Map<string, ServedVersion>();
    for (const spec of state.versions) {
      const key = versionKey(spec);
      next.set(key, runningVersion(key, identityOf(spec)) ?? start(spec));
    }
    for (const endpoint of state.endpoints) {
      if (!isLoaded(endpoint)) continue;
      for (const { name, version } of endpoint.traffic?.shadows ?? []) {
        const spec = next.get(versionKey({ ...endpoint, version }))?.spec;
        if (spec === undefined) continue;
        // Of two endpoints of one model each has its own.
        const shadow = `${endpoint.name}/${name}`;
        const key = shadowKey(spec, shadow);
        next.set(key, runningVersion(key, identityOf(spec)) ?? start(spec, shadow));
      }
    }
    wanted = next;
    const endpoints = new Map<string, Map<string, ServedEndpoint>>();
    for (const spec of state.endpoints) {
      const before = projects.get(spec.project)?.get(spec.name);
      const ofProject = endpoints.get(spec.project) ?? new Map<string, ServedEndpoint>();
      ofProject.set(spec.name, plan(spec, before));
      endpoints.set(spec.project, ofProject);
    }
    projects = endpoints;
    generation = state.generation;
    log.info(
      { generation, endpoints: state.endpoints.length, versions: state.versions.length },
      'desired state applied',
    );
    settle();
  };

  const plan = (spec: DesiredEndpoint, before: ServedEndpoint | undefined): ServedEndpoint => {
    if (!isLoaded(spec)) {
      return { spec, desired: null, serving: null, versions: new Map(), split: null, shadows: [] };
    }
    const at = (version: number): ServedVersion | null => wanted.get(versionKey({ ...spec, version })) ?? null;
    const arms = new Map<string, ServedVersion>();
    for (const arm of spec.traffic?.split?.arms ?? []) {
      const version = at(arm.version);
      if (version !== null) arms.set(arm.name, version);
    }
    const shadows = (spec.traffic?.shadows ?? []).flatMap((shadow): ServedShadow[] => {
      const version = wanted.get(shadowKey({ ...spec, version: shadow.version }, `${spec.name}/${shadow.name}`));
      return version === undefined ? [] : [{ spec: shadow, version }];
    });
    const desired = at(spec.version);
    // An endpoint that now serves another model has nothing to go on with: its callers asked for something else.
    const last = before?.spec.model === spec.model ? before.serving : null;
    const serving = desired?.wasReady ? desired : last;
    const versions = new Map<number, ServedVersion>();
    for (const one of [...spec.pins.map(at), ...arms.values(), serving, desired]) {
      if (one !== null) versions.set(one.spec.version, one);
    }
    const split = spec.traffic?.split ? { spec: spec.traffic.split, arms } : null;
    return { spec, desired, serving, versions, split, shadows };
  };

  /** After every change: switches endpoints whose desired version became ready, ends versions that nobody needs any more. */
  const settle = (): void => {
    for (const ofProject of projects.values()) {
      for (const [name, endpoint] of ofProject) {
        const { desired, serving, spec } = endpoint;
        if (desired === null || desired === serving || !desired.wasReady) continue;
        ofProject.set(name, plan(spec, endpoint));
        const from = serving?.spec.version ?? null;
        log.info({ endpoint: `${spec.project}/${name}`, from, to: spec.version }, 'endpoint switched');
      }
    }
    const needed = new Set([...wanted.values(), ...holds.keys()]);
    for (const endpoint of allEndpoints()) if (endpoint.serving !== null) needed.add(endpoint.serving);
    for (const version of running) if (!needed.has(version)) retire(version);
    wasSettled ||= generation > 0 && allEndpoints().every((endpoint) => unsettledVersion(endpoint) === undefined);
    deps.onObservable();
  };

  const retire = (version: ServedVersion): void => {
    running.delete(version);
    const closing = version
      .close()
      .catch((error: unknown) => log.error({ err: error, version: version.key }, 'a version did not end cleanly'))
      .then(() => {
        draining.delete(version);
        deps.onObservable();
      });
    draining.set(version, closing);
  };

  const allEndpoints = (): ServedEndpoint[] => [...projects.values()].flatMap((ofProject) => [...ofProject.values()]);

  const observeVersion = (version: ServedVersion): ObservedVersion => {
    const { project, model, version: number } = version.spec;
    const { shadow } = version;
    return { project, model, version: number, ...version.observe(), ...(shadow === null ? {} : { shadow }) };
  };

  return {
    get generation() {
      return generation;
    },
    apply,
    find: (project, name) => projects.get(project)?.get(name),
    endpointsOf: (project) => projects.get(project),
    endpoints: allEndpoints,
    observe() {
      const shown = new Map<string, ServedVersion>();
      // Two may go by one name while limits change; the one that is asked for counts.
      for (const version of [...draining.keys(), ...running, ...wanted.values()]) shown.set(version.key, version);
      return { versions: [...shown.values()].map(observeVersion), endpoints: allEndpoints().map(observeEndpoint) };
    },
    assess() {
      if (generation === 0) return { ready: false, reason: 'The gateway has not been told what to serve yet' };
      const endpoints = allEndpoints().filter(({ spec }) => isLoaded(spec));
      if (!wasSettled) {
        const [first] = endpoints.flatMap((endpoint) => unsettledVersion(endpoint) ?? []);
        return { ready: false, reason: `${first?.target.name}: ${first?.observe().reason}` };
      }
      if (endpoints.length === 0 || endpoints.some((endpoint) => observeEndpoint(endpoint).ready)) {
        return { ready: true, reason: null };
      }
      return { ready: false, reason: `No endpoint is ready; ${observeEndpoint(endpoints[0]!).reason}` };
    },
    hold(key, identity) {
      const version = runningVersion(key, identity);
      if (version !== null) holds.set(version, (holds.get(version) ?? 0) + 1);
      return version;
    },
    release(version) {
      const left = (holds.get(version) ?? 0) - 1;
      if (left > 0) {
        holds.set(version, left);
        return;
      }
      holds.delete(version);
      settle();
    },
    async close() {
      for (const version of running) retire(version);
      await Promise.all(draining.values());
    },
  };
}

/** Versions of an endpoint that may still become ready by themselves: neither were they ever, nor were they given up. */
function unsettledVersion(endpoint: ServedEndpoint): ServedVersion | undefined {
  const { desired, serving, split, versions } = endpoint;
  const arms = new Set(split?.arms.values());
  return [...versions.values()].find((version) => {
    // An arm that is only being tried takes no calls until it can, and keeps nobody waiting.
    if (version.wasReady || (arms.has(version) && version !== desired && version !== serving)) return false;
    const { state } = version.observe();
    return state !== 'failed' && state !== 'quarantined';
  });
}

const UNLOADED = 'It was unloaded.';

export function isLoaded(spec: DesiredEndpoint): boolean {
  return spec.loaded !== false;
}

/** An endpoint is ready when the version that answers it is. */
export function observeEndpoint(endpoint: ServedEndpoint): ObservedEndpoint {
  const { spec, serving, desired } = endpoint;
  const { project, name } = spec;
  if (serving === null) {
    const missing = isLoaded(spec) ? `Version ${spec.version} is not available.` : UNLOADED;
    const reason = desired === null ? missing : desired.observe().reason;
    return { project, name, servingVersion: null, ready: false, reason, trafficRevision: null };
  }
  const now = serving.observe();
  const ready = now.state === 'ready';
  const waitsFor =
    desired !== serving ? (desired?.observe().reason ?? `Version ${spec.version} is not available.`) : null;
  return {
    project,
    name,
    servingVersion: serving.spec.version,
    ready,
    reason: ready ? waitsFor : now.reason,
    trafficRevision: followedRevision(endpoint),
  };
}

/** Null until what the traffic asks for can be done: the target answers, and every arm with a share and every shadow is up. */
function followedRevision({ spec, desired, serving, split, shadows }: ServedEndpoint): number | null {
  const { traffic } = spec;
  if (traffic === undefined || serving !== desired) return null;
  const arms = split?.spec.arms.every((arm) => arm.ranges.length === 0 || split.arms.get(arm.name)?.isUp === true);
  if (arms === false || shadows.length < traffic.shadows.length) return null;
  return shadows.every(({ version }) => version.wasReady) ? traffic.revision : null;
}
