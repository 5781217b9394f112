import type { IncomingHttpHeaders } from 'node:http';
import { SlipwayError } from '../../base/errors.ts';
import { allowedHostsOf, isAllowedHost, isAllowedOrigin } from '../../base/http/origin.ts';
import type { Settings } from '../../base/settings.ts';
import { shown } from './shown-text.ts';

/** Hosts that passed are few and repeat: one look instead of a parse. */
const REMEMBERED_HOSTS = 64;

/** @throws SlipwayError `foreign_origin` */
export type AssertOrigin = (method: string | undefined, headers: IncomingHttpHeaders) => void;

/** Where a request may come from: hosts that this server goes by, and pages of such hosts. */
export function createInferenceOrigin(settings: Pick<Settings, 'host' | 'allowedHosts'>): AssertOrigin {
  const allowedHosts = allowedHostsOf(settings);
  const goodHosts = new Set<string>();
  return (method, headers) => {
    const { host, origin, 'sec-fetch-site': site } = headers;
    if (origin === undefined && site === undefined && goodHosts.has(host!)) return;
    if (!isAllowedHost(host, allowedHosts)) throw foreign('Host', host);
    if (!isAllowedOrigin(origin, allowedHosts)) throw foreign('Origin', origin);
    // A browser names no origin with some requests of foreign pages, but says that they are.
    const isVisit = (method === 'GET' || method === 'HEAD') && headers['sec-fetch-mode'] === 'navigate';
    if (origin === undefined && site === 'cross-site' && !isVisit) throw foreign('Sec-Fetch-Site', site);
    if (goodHosts.size < REMEMBERED_HOSTS) goodHosts.add(host!);
  };
}

function foreign(header: 'Host' | 'Origin' | 'Sec-Fetch-Site', value: string | undefined): SlipwayError {
  return new SlipwayError('foreign_origin', `The ${header} ${shown(value ?? '(none)')} is not allowed`, {
    hint: 'If this name is yours, add it to SLIPWAY_ALLOWED_HOSTS.',
  });
}
