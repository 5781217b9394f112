/** Which version answers a call. Pure: the gateway asks it for every prediction. */

/** What a caller names: an endpoint, and perhaps one version of it. */
export type EndpointRef = {
  readonly name: string;
  readonly pin: number | null;
  /** An alias of its model instead of a number; whether there is such a version is not known here. */
  readonly label?: string;
};

/** An endpoint as routing sees it; V is whatever stands for a version. */
export type Routable<V> = {
  /** The version that answers calls which pin none; null until one was ready for the first time. */
  readonly serving: V | null;
  /** All that may be pinned, by number. */
  readonly versions: ReadonlyMap<number, V>;
};

export type Pick<V> =
  | { readonly version: V; readonly reason: 'endpoint' | 'pin' }
  | { readonly version: null; readonly reason: 'not-ready' | 'not-loaded' };

const NOT_READY = { version: null, reason: 'not-ready' } as const;
const NOT_LOADED = { version: null, reason: 'not-loaded' } as const;

export function pickVersion<V>(endpoint: Routable<V>, pin: number | null): Pick<V> {
  if (pin === null) return endpoint.serving === null ? NOT_READY : { version: endpoint.serving, reason: 'endpoint' };
  const version = endpoint.versions.get(pin);
  return version === undefined ? NOT_LOADED : { version, reason: 'pin' };
}

/** Versions are whole numbers from 1; 16 digits would pass what a number holds exactly. */
const VERSION = /^[1-9]\d{0,14}$/;

export function parseVersion(text: string): number | null {
  return VERSION.test(text) ? Number(text) : null;
}

/**
 * Reads `name` or `name@version`.
 * @param version the version from a place of its own in the path, where the protocol has one
 * @returns null when a version is no number, or two are named that differ: there is no such endpoint or version
 */
export function parseEndpointRef(text: string, version: string | undefined): EndpointRef | null {
  const at = text.indexOf('@');
  const name = at === -1 ? text : text.slice(0, at);
  const fromName = at === -1 ? undefined : parseVersion(text.slice(at + 1));
  const fromPath = version === undefined ? undefined : parseVersion(version);
  if (fromName === null || fromPath === null) return null;
  if (fromName !== undefined && fromPath !== undefined && fromName !== fromPath) return null;
  return { name, pin: fromName ?? fromPath ?? null };
}
