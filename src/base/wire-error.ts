import { ERRORS, type ErrorCode, type FieldError, SlipwayError, toSlipwayError } from './errors.ts';

/** A SlipwayError as it crosses to another process or thread, where classes do not go; without its cause. */
export type WireError = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly fields: readonly FieldError[];
  readonly retryAfterS?: number;
  readonly extra?: Record<string, unknown>;
};

export function toWireError(thrown: unknown): WireError {
  const { code, message, hint, fields, retryAfterS, extra } = toSlipwayError(thrown);
  return {
    code,
    message,
    fields,
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...(extra === undefined ? {} : { extra }),
  };
}

export function fromWireError({ code, message, hint, fields, retryAfterS, extra }: WireError): SlipwayError {
  const known = Object.hasOwn(ERRORS, code) ? code : 'internal'; // the sender may be of a later release
  return new SlipwayError(known, message, {
    fields,
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...(extra === undefined ? {} : { extra }),
  });
}
