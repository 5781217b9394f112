import { isLoopback } from '../settings.ts';
import { hostnameOf, isUnspecified } from './origin.ts';

const AUTHORITY = /^(https?:\/\/)(\[[^\]]+\]|[^/:?#]+)/;

/**
 * A URL as this caller can use it. A server on all addresses of its machine announces the one by which the machine reaches itself;
 * callers elsewhere reach it by the name that they have just used.
 * @param announced an absolute URL of the server
 * @param boundHost the setting `host`
 * @param requestHost the Host header of the request that is being answered
 */
export function reachableUrl(announced: string, boundHost: string, requestHost: string | undefined): string {
  const used = requestHost === undefined ? null : hostnameOf(requestHost);
  const said = AUTHORITY.exec(announced)?.[2];
  if (used === null || said === undefined || !isUnspecified(boundHost)) return announced;
  if (!isLoopback(said) && !isUnspecified(said)) return announced;
  return announced.replace(AUTHORITY, (_, scheme: string) => `${scheme}${used.includes(':') ? `[${used}]` : used}`);
}
