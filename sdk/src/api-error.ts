import type { Problem } from './types.ts';

export type ApiErrorDetails = {
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  readonly code: string;
  readonly problem?: Problem;
  readonly requestId?: string;
  readonly hint?: string;
  readonly retryAfterS?: number;
  readonly cause?: unknown;
};

/**
 * The one error of the SDK. `code` is the server's error code, or one of the client's own, for which `status` is 0:
 * `unreachable` (no connection), `timeout`, `aborted` (by the caller's signal), `unexpected_answer` (not Slipway's form).
 */
export class SlipwayApiError extends Error {
  readonly status: number;
  readonly code: string;
  /** The server's problem document, when it sent one. */
  readonly problem: Problem | undefined;
  readonly requestId: string | undefined;
  /** What to do next. */
  readonly hint: string | undefined;
  readonly retryAfterS: number | undefined;

  constructor(message: string, details: ApiErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'SlipwayApiError';
    this.status = details.status;
    this.code = details.code;
    this.problem = details.problem;
    this.requestId = details.requestId;
    this.hint = details.hint;
    this.retryAfterS = details.retryAfterS;
  }

  /** All faults in what was sent, each with a JSON pointer. */
  get fields(): readonly { pointer: string; message: string }[] {
    return this.problem?.errors ?? [];
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** The error for an answer that is not 2xx: problem+json, the Open Inference Protocol's `{"error"}`, or anything else. */
export function errorOfAnswer(status: number, headers: Headers, body: unknown): SlipwayApiError {
  const retryAfter = Number(headers.get('retry-after'));
  const common = {
    status,
    requestId: headers.get('x-request-id') ?? undefined,
    ...(Number.isFinite(retryAfter) && retryAfter > 0 ? { retryAfterS: retryAfter } : {}),
  };
  if (isObject(body) && text(body['code']) !== undefined) {
    const problem = body as unknown as Problem;
    return new SlipwayApiError(text(body['detail']) ?? text(body['title']) ?? `The server answered ${status}`, {
      ...common,
      code: problem.code,
      problem,
      requestId: text(body['request_id']) ?? common.requestId,
      hint: text(body['hint']),
    } as ApiErrorDetails);
  }
  const said = isObject(body) ? (text(body['error']) ?? text(body['message'])) : undefined;
  return new SlipwayApiError(said ?? `The server answered ${status} in a form that is not Slipway's`, {
    ...common,
    code: 'unexpected_answer',
    hint: said === undefined ? 'Is this the address of a Slipway server?' : undefined,
  } as ApiErrorDetails);
}
