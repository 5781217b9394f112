/**
 * Every error that leaves Slipway has a code from this table. A code never changes its meaning; what failed here and now
 * is in the message, what to do next in the hint. `docs/reference/errors.md` is generated from it and from `error-help.ts`.
 */

/** The nine kinds. Each protocol maps kinds, never codes, to its own statuses. */
export type ErrorKind =
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'too_large'
  | 'overloaded'
  | 'unavailable'
  | 'internal';

export type ErrorRow = { readonly kind: ErrorKind; readonly title: string };

export const ERRORS = {
  // what was sent
  invalid_request: { kind: 'invalid', title: 'The request is not valid' },
  invalid_json: { kind: 'invalid', title: 'The body is not valid JSON' },
  invalid_name: { kind: 'invalid', title: 'The name is not allowed' },
  invalid_setting: { kind: 'invalid', title: 'A setting has a value that is not allowed' },
  invalid_input: { kind: 'invalid', title: "The inputs do not match the model's signature" },
  invalid_digest: { kind: 'invalid', title: 'The bytes received do not have the digest that was announced' },
  invalid_cursor: { kind: 'invalid', title: 'The page cursor is not one of ours' },
  unsupported_media: { kind: 'invalid', title: 'The content type or encoding is not supported here' },
  unsupported_option: { kind: 'invalid', title: 'The option is not supported here' },
  not_offered: { kind: 'invalid', title: 'This part of the protocol is not offered' },
  too_large: { kind: 'too_large', title: 'The body is larger than allowed' },
  answer_too_large: { kind: 'too_large', title: 'The answer would be larger than allowed' },
  // who asks
  key_missing: { kind: 'unauthorized', title: 'An API key is needed' },
  key_invalid: { kind: 'unauthorized', title: 'The API key is unknown, expired or revoked' },
  session_ended: { kind: 'unauthorized', title: 'The session is over' },
  signature_invalid: { kind: 'unauthorized', title: 'The signature of the request does not hold' },
  not_permitted: { kind: 'forbidden', title: 'The API key does not permit this' },
  foreign_origin: { kind: 'forbidden', title: 'The Host or Origin header is not allowed' },
  // what it is about
  route_not_found: { kind: 'not_found', title: 'There is nothing at this address' },
  project_not_found: { kind: 'not_found', title: 'No such project' },
  model_not_found: { kind: 'not_found', title: 'No such model' },
  version_not_found: { kind: 'not_found', title: 'No such version' },
  conversion_not_found: { kind: 'not_found', title: 'No such conversion' },
  reference_not_found: { kind: 'not_found', title: 'There is no reference' },
  alias_not_found: { kind: 'not_found', title: 'No such alias' },
  endpoint_not_found: { kind: 'not_found', title: 'No such endpoint' },
  upload_not_found: { kind: 'not_found', title: 'No such upload' },
  blob_not_found: { kind: 'not_found', title: 'No such file' },
  rollout_not_found: { kind: 'not_found', title: 'No such rollout' },
  key_not_found: { kind: 'not_found', title: 'No such API key' },
  prediction_not_found: { kind: 'not_found', title: 'No such prediction in the log' },
  method_not_allowed: { kind: 'invalid', title: 'The method is not allowed here' },
  // what stands in the way
  already_exists: { kind: 'conflict', title: 'It exists already' },
  in_use: { kind: 'conflict', title: 'It is in use' },
  revision_conflict: { kind: 'conflict', title: 'It was changed by someone else in the meantime' },
  offset_conflict: { kind: 'conflict', title: 'The upload continues at another offset' },
  key_revoked: { kind: 'conflict', title: 'The API key is revoked already' },
  signature_breaking: { kind: 'conflict', title: "The new signature would break the endpoint's callers" },
  rollout_refused: { kind: 'conflict', title: 'The rollout cannot do this now' },
  version_not_servable: { kind: 'conflict', title: 'The version cannot be served' },
  // the model file
  model_refused: { kind: 'invalid', title: 'The model file is refused' },
  model_invalid: { kind: 'invalid', title: 'The model file cannot be read' },
  model_unsupported: { kind: 'invalid', title: 'The model needs something that no engine here has' },
  environment_failed: { kind: 'invalid', title: 'The Python environment could not be made' },
  // load and faults
  queue_full: { kind: 'overloaded', title: 'Too many requests are waiting for this version' },
  overloaded: { kind: 'overloaded', title: 'More comes than can be answered in good time' },
  rate_limited: { kind: 'overloaded', title: 'The limit of this key is reached' },
  deadline_exceeded: { kind: 'unavailable', title: 'The deadline passed before there was an answer' },
  client_closed: { kind: 'unavailable', title: 'The client went away' },
  not_ready: { kind: 'unavailable', title: 'The endpoint is not ready' },
  version_quarantined: { kind: 'unavailable', title: 'The version crashed too often and is quarantined' },
  run_failed: { kind: 'invalid', title: 'The model could not compute these inputs' },
  run_timeout: { kind: 'unavailable', title: 'The model ran longer than allowed and was stopped' },
  runner_crashed: { kind: 'unavailable', title: 'The process running the model ended' },
  artifact_corrupt: { kind: 'unavailable', title: 'The stored bytes of the model were altered' },
  disk_full: { kind: 'unavailable', title: 'The disk is full' },
  data_unwritable: { kind: 'unavailable', title: 'The data folder cannot be written' },
  database_down: { kind: 'unavailable', title: 'The database cannot be used now' },
  shutting_down: { kind: 'unavailable', title: 'The server is shutting down' },
  // start-up
  port_taken: { kind: 'conflict', title: 'The port is taken' },
  data_locked: { kind: 'conflict', title: 'The data folder is used by another process' },
  data_newer: { kind: 'conflict', title: 'The data folder was written by a newer release' },
  data_corrupt: { kind: 'internal', title: 'The database file is damaged' },
  data_unsafe: { kind: 'internal', title: 'The database does not keep the durability promised' },
  unsafe_bind: { kind: 'invalid', title: 'A public address without authentication is refused' },
  internal: { kind: 'internal', title: 'Something failed inside Slipway' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** One fault in what was sent. `pointer` is a JSON pointer (RFC 6901) into the body. */
export type FieldError = { readonly pointer: string; readonly message: string };

export type ErrorDetails = {
  /** What to do next, as an instruction. */
  readonly hint?: string;
  readonly fields?: readonly FieldError[];
  /** Seconds after which a retry makes sense. */
  readonly retryAfterS?: number;
  /** Machine-readable extras that are safe to show, e.g. a signature diff. */
  readonly extra?: Record<string, unknown>;
  /** The raw cause: logged, never sent. */
  readonly cause?: unknown;
};

/** The one error class. The message says what failed, where and why, without internal paths, pids or stacks. */
export class SlipwayError extends Error {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  readonly fields: readonly FieldError[];
  readonly retryAfterS: number | undefined;
  readonly extra: Record<string, unknown> | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'SlipwayError';
    this.code = code;
    this.kind = ERRORS[code].kind;
    this.hint = details.hint;
    this.fields = details.fields ?? [];
    this.retryAfterS = details.retryAfterS;
    this.extra = details.extra;
  }
}

/** Field errors listed at most in one answer; more than that helps nobody. */
export const MAX_FIELD_ERRORS = 50;

/** Anything thrown, as a SlipwayError. An unexpected one becomes `internal` with its cause kept for the log only. */
export function toSlipwayError(thrown: unknown): SlipwayError {
  if (thrown instanceof SlipwayError) return thrown;
  const code = (thrown as { code?: unknown } | null)?.code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SlipwayError('disk_full', 'There is no space left in the data folder', {
      hint: 'Free some space or move SLIPWAY_DATA to a larger disk, then repeat the request.',
      cause: thrown,
    });
  }
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
    return new SlipwayError('data_unwritable', 'The data folder does not let the server write', {
      hint: 'Mend its owner, mode or mount; the server goes on by itself. `slipway doctor` looks at it.',
      cause: thrown,
    });
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new SlipwayError('data_unwritable', 'The server may not open any more files', {
      hint: 'Raise the limit of open files (ulimit -n) and start it again, or send less at once.',
      retryAfterS: 1,
      cause: thrown,
    });
  }
  return new SlipwayError('internal', 'An unexpected error happened', {
    hint: 'The server log has the details under this request id.',
    cause: thrown,
  });
}
