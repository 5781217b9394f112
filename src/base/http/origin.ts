import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { SlipwayError } from '../errors.ts';
import { isLoopback, type Settings } from '../settings.ts';

/**
 * Keeps web pages away from a server on the same machine. A page may send requests to localhost, and by DNS rebinding under a name
 * of its own; browsers then tell the page's origin, or the name, and both are checked, on every method and before anything else.
 */
export type AllowedHosts = {
  /** The bound address and the names from the settings. */
  readonly names: ReadonlySet<string>;
  /** A listener on all addresses may be called by any of them: a literal address cannot be rebound. */
  readonly anyAddress: boolean;
};

export function allowedHostsOf(settings: Pick<Settings, 'host' | 'allowedHosts'>): AllowedHosts {
  const bound = normalise(settings.host);
  const names = settings.allowedHosts.map((host) => hostnameOf(host) ?? normalise(host));
  return { names: new Set([bound, ...names]), anyAddress: isUnspecified(bound) };
}

/** Whether a listener on this host listens on all addresses of its machine. */
export function isUnspecified(host: string): boolean {
  return /^(0\.0\.0\.0|\[?::\]?)$/.test(host);
}

/** Whether a Host header names this server. Names below `localhost` always lead to the machine itself (RFC 6761). */
export function isAllowedHost(header: string | undefined, allowed: AllowedHosts): boolean {
  const name = header === undefined ? null : hostnameOf(header);
  if (name === null) return false;
  if (isLoopback(name) || name.endsWith('.localhost') || allowed.names.has(name)) return true;
  return allowed.anyAddress && isIP(name) !== 0;
}

/** Whether an Origin header, if there is one, is a page of this machine or of an allowed host, at whatever port. */
export function isAllowedOrigin(origin: string | undefined, allowed: AllowedHosts): boolean {
  if (origin === undefined) return true;
  const host = hostOfOrigin(origin);
  return host !== null && isAllowedHost(host, allowed);
}

export type OriginCheck = (request: {
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}) => SlipwayError | null;

/** The check of the management API: an Origin must be the server's own, port included, or a host from the settings. */
export function createOriginCheck(settings: Pick<Settings, 'host' | 'allowedHosts'>): OriginCheck {
  const allowed = allowedHostsOf(settings);
  const configured = new Set(settings.allowedHosts.map((host) => hostnameOf(host) ?? normalise(host)));

  return ({ method, headers, rawHeaders }) => {
    const { host, origin } = headers;
    if (host === undefined || !isAllowedHost(host, allowed) || countHosts(rawHeaders) !== 1) {
      return refusal(
        'The Host header names no host of this server',
        'Add the name to SLIPWAY_ALLOWED_HOSTS if it is yours.',
      );
    }
    if (origin !== undefined) {
      const from = hostOfOrigin(origin);
      const isOurs =
        from !== null && (from === withoutDefaultPort(host, origin) || configured.has(hostnameOf(from) ?? 'no host'));
      if (!isOurs) {
        return refusal(
          'The Origin header names a foreign page',
          'Add its host to SLIPWAY_ALLOWED_HOSTS if the page is yours.',
        );
      }
    }
    const site = headers['sec-fetch-site'];
    const isVisit = (method === 'GET' || method === 'HEAD') && headers['sec-fetch-mode'] === 'navigate';
    if (origin === undefined && site !== undefined && site !== 'same-origin' && site !== 'none' && !isVisit) {
      return refusal('A foreign page made this request', 'Pages of other sites cannot call this server.');
    }
    return null;
  };
}

function refusal(message: string, hint: string): SlipwayError {
  return new SlipwayError('foreign_origin', message, { hint });
}

/** Node keeps the first of several Host headers; a proxy in front may have looked at the other. */
export function countHosts(rawHeaders: readonly string[]): number {
  let found = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === 'host') found += 1;
  }
  return found;
}

/** The name of `name`, `name:port` or `[::1]:port`, in lower case and without brackets; null when it is none of these. */
export function hostnameOf(host: string): string | null {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/.exec(host.trim());
  return match ? normalise(match[1]!) : null;
}

function normalise(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
}

/** Host and port of an origin; null for `null` and whatever is no web origin. */
function hostOfOrigin(origin: string): string | null {
  if (!/^https?:\/\/[^/?#@\s]+$/i.test(origin)) return null;
  return URL.canParse(origin) ? new URL(origin).host : null;
}

function withoutDefaultPort(host: string, origin: string): string {
  const scheme = origin.slice(0, origin.indexOf(':'));
  return URL.canParse(`${scheme}://${host}`) ? new URL(`${scheme}://${host}`).host : host;
}
