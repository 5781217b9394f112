/**
 * What a gateway asks of control in a caller's name, over the control socket. A gateway never decides and never writes: it hands on the
 * key, and control looks at it as the management API would.
 */
import { ERRORS, type ErrorCode, type FieldError, SlipwayError, toSlipwayError } from '../../base/errors.ts';

export type EndpointChange = { readonly loaded: boolean };

export type ChangeAsked = {
  /** The caller's own API key. It is in no log. */
  readonly key: string;
  readonly project: string;
  readonly endpoint: string;
  readonly change: EndpointChange;
  readonly requestId: string;
};

/** A SlipwayError as it crosses the socket. */
export type WireError = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly fields: readonly FieldError[];
  readonly retryAfterS?: number;
};

export function toWireError(thrown: unknown): WireError {
  const { code, message, hint, fields, retryAfterS } = toSlipwayError(thrown);
  return {
    code,
    message,
    fields,
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  };
}

export function fromWireError({ code, message, hint, fields, retryAfterS }: WireError): SlipwayError {
  const known = Object.hasOwn(ERRORS, code) ? code : 'internal'; // control may be of a later release
  return new SlipwayError(known, message, {
    fields,
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  });
}
