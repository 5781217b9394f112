import type { ErrorKind } from '../base/errors.ts';
import { EXIT_CODES, type ExitReason, exitReasonOf } from './exit-code.ts';

export type CliErrorDetails = {
  readonly code?: string;
  /** What to do next. */
  readonly hint?: string;
  readonly fields?: readonly { pointer: string; message: string }[];
  readonly requestId?: string | null;
  readonly cause?: unknown;
};

/** A failure of a command with its exit code. */
export class CliError extends Error {
  readonly reason: ExitReason;
  readonly code: string;
  readonly hint: string | null;
  readonly fields: readonly { pointer: string; message: string }[];
  readonly requestId: string | null;

  constructor(reason: ExitReason, message: string, details: CliErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'CliError';
    this.reason = reason;
    this.code = details.code ?? reason;
    this.hint = details.hint ?? null;
    this.fields = details.fields ?? [];
    this.requestId = details.requestId ?? null;
  }

  get exitCode(): number {
    return EXIT_CODES[this.reason].code;
  }
}

/** What mends most failures to reach a server. */
export const START_ADVICE =
  'Start the server with `slipway serve` (in a checkout also `npm start`). If it runs elsewhere, name its data folder with --data, or its address with --url.';

const BY_KIND: Record<ErrorKind, ExitReason> = {
  invalid: 'validation',
  unauthorized: 'auth',
  forbidden: 'auth',
  not_found: 'notFound',
  conflict: 'conflict',
  too_large: 'validation',
  overloaded: 'unavailable',
  unavailable: 'unavailable',
  internal: 'unexpected',
};

/** Anything thrown, as a CliError. Looks at shapes, so that neither the SDK nor the server's code is loaded for it. */
export function toCliError(thrown: unknown): CliError {
  if (thrown instanceof CliError) return thrown;
  const error = thrown as {
    name?: unknown;
    message?: unknown;
    status?: unknown;
    code?: unknown;
    kind?: unknown;
    hint?: unknown;
    fields?: { pointer: string; message: string }[];
    requestId?: unknown;
    syscall?: unknown;
    path?: unknown;
  };
  const details: CliErrorDetails & { code: string; hint?: string } = {
    code: typeof error?.code === 'string' ? error.code : 'unexpected',
    ...(typeof error?.hint === 'string' ? { hint: error.hint } : {}),
    ...(Array.isArray(error?.fields) ? { fields: error.fields } : {}),
    ...(typeof error?.requestId === 'string' ? { requestId: error.requestId } : {}),
    cause: thrown,
  };
  const message = typeof error?.message === 'string' ? error.message : String(thrown);
  if (error?.name === 'SlipwayApiError') {
    if (details.code === 'unreachable') details.hint = START_ADVICE;
    return new CliError(exitReasonOf(Number(error.status), details.code), message, details);
  }
  if (error?.name === 'SlipwayError') {
    const reason = details.code === 'invalid_setting' ? 'usage' : BY_KIND[error.kind as ErrorKind];
    return new CliError(reason ?? 'unexpected', message, details);
  }
  if (typeof error?.syscall === 'string') return fileError(details.code, String(error.path ?? ''), thrown);
  return new CliError('unexpected', message, {
    ...details,
    hint: 'Repeat the command with --debug to see where it failed.',
  });
}

function fileError(code: string, path: string, cause: unknown): CliError {
  if (code === 'ENOENT') {
    return new CliError('notFound', `There is no file ${path}`, { code, hint: 'Check the path.', cause });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new CliError('unexpected', `${path} may not be read or written`, {
      code,
      hint: 'Check its permissions.',
      cause,
    });
  }
  if (code === 'ENOSPC') {
    return new CliError('unavailable', 'The disk is full', {
      code,
      hint: 'Free some space, then repeat the command.',
      cause,
    });
  }
  return new CliError('unexpected', `${path || 'A file'} could not be used (${code})`, { code, cause });
}
