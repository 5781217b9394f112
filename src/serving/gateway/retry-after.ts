import { SlipwayError } from '../../base/errors.ts';

/** Errors that may pass say after how many seconds a retry makes sense: those that do not know say this. */
export function withRetryAfter(error: SlipwayError, retryAfterS: number): SlipwayError {
  const mayPass = error.kind === 'overloaded' || error.kind === 'unavailable';
  if (!mayPass || error.retryAfterS !== undefined) return error;
  return new SlipwayError(error.code, error.message, {
    retryAfterS,
    fields: error.fields,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}
