import { Type } from 'typebox';
import { ERRORS, type ErrorCode, type ErrorKind, MAX_FIELD_ERRORS, SlipwayError, toSlipwayError } from '../errors.ts';

/** Kinds have a status each; a few codes have one of their own because HTTP names exactly that. */
const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  overloaded: 429,
  unavailable: 503,
  internal: 500,
};
const STATUS_OF_CODE: Partial<Record<ErrorCode, number>> = {
  method_not_allowed: 405,
  revision_conflict: 412,
  unsupported_media: 415,
};

export const PROBLEM_TYPE = 'application/problem+json';

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'Names the error for good: `urn:slipway:error:<code>`.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What failed here and now.' }),
    instance: Type.String({ description: 'The path that was asked.' }),
    code: Type.String({ description: 'Stable; see the table of errors.' }),
    pointer: Type.Optional(Type.String({ description: 'Where the first fault is (RFC 6901).' })),
    errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
    hint: Type.Optional(Type.String({ description: 'What to do next.' })),
    request_id: Type.String(),
    retryable: Type.Boolean({ description: 'Whether the same request may work later.' }),
    extra: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { description: 'RFC 9457 problem document.' },
);

export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  pointer?: string;
  errors?: { pointer: string; message: string }[];
  hint?: string;
  request_id: string;
  retryable: boolean;
  extra?: Record<string, unknown>;
};

/** @param path of the request, without its query, which may hold what is nobody else's business */
export function problemOf(error: SlipwayError, path: string, requestId: string): Problem {
  const fields = error.fields.slice(0, MAX_FIELD_ERRORS).map(({ pointer, message }) => ({ pointer, message }));
  return {
    type: `urn:slipway:error:${error.code}`,
    title: ERRORS[error.code].title,
    status: STATUS_OF_CODE[error.code] ?? STATUS_OF_KIND[error.kind],
    detail: error.message,
    instance: path.slice(0, 1024),
    code: error.code,
    ...(fields[0] ? { pointer: fields[0].pointer, errors: fields } : {}),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    request_id: requestId,
    retryable: error.kind === 'overloaded' || error.kind === 'unavailable',
    ...(error.extra === undefined ? {} : { extra: error.extra }),
  };
}

/** Whatever a route or the HTTP framework threw, as ours. The framework's own messages are not passed on. */
export function fromThrown(thrown: unknown): SlipwayError {
  if (thrown instanceof SlipwayError) return thrown;
  const { code, statusCode } = (thrown ?? {}) as { code?: unknown; statusCode?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new SlipwayError('too_large', 'The body is larger than this server accepts', {
      hint: 'Send less at once. SLIPWAY_MAX_BODY is the limit; files of models are uploaded in parts.',
    });
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_ERR_CTP_INVALID_TYPE') {
    return new SlipwayError('unsupported_media', 'The content type is missing or not accepted here', {
      hint: 'Send application/json.',
    });
  }
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR') {
    return new SlipwayError('client_closed', 'The connection broke before the request was complete', { cause: thrown });
  }
  if (typeof code === 'string' && code.startsWith('FST_') && typeof statusCode === 'number' && statusCode < 500) {
    return new SlipwayError('invalid_request', 'The request is malformed', { cause: thrown });
  }
  return toSlipwayError(thrown);
}
