/** The headers of one call: the few that mean something here, each in a field of its own, and the others. */

export class RequestHeaders {
  ':method' = '';
  ':scheme' = '';
  ':authority' = '';
  ':path' = '';
  'content-type' = '';
  te = '';
  'content-length': string | undefined = undefined;
  'grpc-timeout': string | undefined = undefined;
  'grpc-encoding': string | undefined = undefined;
  'grpc-accept-encoding': string | undefined = undefined;
  authorization: string | undefined = undefined;
  'x-api-key': string | undefined = undefined;
  'x-request-id': string | undefined = undefined;
  'x-slipway-priority': string | undefined = undefined;
  'x-slipway-unit': string | undefined = undefined;
  'x-slipway-arm': string | undefined = undefined;
  /** The others, of which an endpoint may ask for some; null while there are none. Of one that is given twice, the first. */
  more: Map<string, string> | null = null;
  /** Why they are no valid headers of a request; empty when they are. */
  fault = '';
  /** Bytes as RFC 9113 counts them: names, values, and 32 for each. */
  bytes = 0;
  /** Bits of the pseudo headers seen. */
  pseudo = 0;
  regularSeen = false;
}

const PSEUDO: Readonly<Record<string, number>> = { ':method': 1, ':scheme': 2, ':authority': 4, ':path': 8 };
const REQUIRED_PSEUDO = 1 | 2 | 8;

/** What to do with a header, found once for each name in a table. */
export type HeaderKind = 'pseudo' | 'known' | 'te' | 'other' | 'connection' | 'invalid';

const KNOWN: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
  'authorization',
  'x-api-key',
  'x-request-id',
  'x-slipway-priority',
  'x-slipway-unit',
  'x-slipway-arm',
]);
/** Of HTTP/1 connections; HTTP/2 forbids them. */
const OF_CONNECTIONS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);
/** Lower-case tokens of RFC 9110. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const BAD_VALUE = /[\x00\r\n]|^[ \t]|[ \t]$/;

export function kindOfHeader(name: string): HeaderKind {
  if (KNOWN.has(name)) return 'known';
  if (name === 'te') return 'te';
  if (name.startsWith(':')) return Object.hasOwn(PSEUDO, name) ? 'pseudo' : 'invalid';
  if (OF_CONNECTIONS.has(name)) return 'connection';
  return NAME.test(name) ? 'other' : 'invalid';
}

export function isHeaderValue(value: string): boolean {
  return !BAD_VALUE.test(value);
}

export function addHeader(headers: RequestHeaders, kind: HeaderKind, name: string, value: string): void {
  switch (kind) {
    case 'known': {
      headers.regularSeen = true;
      const key = name as 'x-request-id';
      if (headers[key] !== undefined && headers[key] !== '') headers.fault = `${name} is given twice`;
      headers[key] = value;
      return;
    }
    case 'other':
      headers.regularSeen = true;
      headers.more ??= new Map();
      if (!headers.more.has(name)) headers.more.set(name, value);
      return;
    case 'te':
      headers.regularSeen = true;
      headers.te = value;
      if (value !== 'trailers') headers.fault = 'te is not trailers';
      return;
    case 'pseudo': {
      const bit = PSEUDO[name]!;
      if (headers.regularSeen || (headers.pseudo & bit) !== 0) headers.fault = `${name} is out of place`;
      headers.pseudo |= bit;
      headers[name as ':path'] = value;
      return;
    }
    case 'connection':
      headers.fault = `${name} is a header of HTTP/1 connections`;
      return;
    default:
      headers.fault = 'a header has a name that is not allowed';
  }
}

/** To be called when all were added. */
export function finishHeaders(headers: RequestHeaders): void {
  if (headers.fault !== '') return;
  if ((headers.pseudo & REQUIRED_PSEUDO) !== REQUIRED_PSEUDO) headers.fault = 'a pseudo header is missing';
  else if (headers[':path'] === '') headers.fault = ':path is empty';
}
