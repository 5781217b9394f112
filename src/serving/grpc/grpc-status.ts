/** How errors look in gRPC: a status code, and a text in the trailers. */
import type { ErrorCode, ErrorKind, SlipwayError } from '../../base/errors.ts';
import { errorText, openInference } from '../protocols/open-inference.ts';
import { statusOf } from '../protocols/protocol.ts';

export const STATUS = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

const BY_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: STATUS.invalidArgument,
  unauthorized: STATUS.unauthenticated,
  forbidden: STATUS.permissionDenied,
  not_found: STATUS.notFound,
  conflict: STATUS.aborted,
  too_large: STATUS.resourceExhausted,
  // What clients' retry policies retry by default. The server has no room now; a caller's own limit is below.
  overloaded: STATUS.unavailable,
  unavailable: STATUS.unavailable,
  internal: STATUS.internal,
};

/** The few errors for which gRPC has a status of its own. */
const BY_CODE: { readonly [code in ErrorCode]?: number } = {
  already_exists: STATUS.alreadyExists,
  rate_limited: STATUS.resourceExhausted,
  deadline_exceeded: STATUS.deadlineExceeded,
  client_closed: STATUS.cancelled,
  unsupported_media: STATUS.unimplemented,
  route_not_found: STATUS.unimplemented,
  not_offered: STATUS.unimplemented,
};

/** In `extra` of an error that another system tells by a status of its own choice: that status. */
export const OWN_STATUS = 'grpcStatus';

export function grpcStatusOf(error: SlipwayError): number {
  const own = error.extra?.[OWN_STATUS];
  if (typeof own === 'number') return own;
  return BY_CODE[error.code] ?? BY_KIND[error.kind];
}

/** Metrics count every protocol by the statuses of its REST form, so that one query finds all refusals. */
export function httpStatusOf(error: SlipwayError): number {
  return statusOf(openInference, error);
}

/** The most that is told: trailers have limits too. */
const MAX_TEXT = 2000;

/** As the protocol's REST form has it, but bounded. */
export function errorMessage(error: SlipwayError): string {
  const text = errorText(error);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** As `grpc-message` wants it: visible ASCII, the rest as percent-encoded UTF-8. */
export function percentEncode(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
