import type { RunnerStep } from './runner.ts';

/** Why the parent ended a runner. */
export type KillCause =
  | { readonly kind: 'asked' }
  | { readonly kind: 'load-timeout'; readonly limitMs: number }
  | { readonly kind: 'run-timeout'; readonly limitMs: number }
  | { readonly kind: 'memory'; readonly limitBytes: number }
  | { readonly kind: 'violation'; readonly what: string }
  | { readonly kind: 'failed'; readonly message: string };

export type EndOfProcess = {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stderr: string;
  readonly lastStep: RunnerStep;
  readonly cause: KillCause | null;
  readonly memoryLimitBytes: number;
};

const DOING: Record<RunnerStep, string> = {
  spawned: 'starting',
  verifying: 'checking the files',
  loading: 'loading',
  warming: 'computing its first answer',
  running: 'serving',
};

/** One sentence without its subject and full stop, as in "The runner …". */
export function exitReason({ code, signal, stderr, lastStep, cause, memoryLimitBytes }: EndOfProcess): string {
  switch (cause?.kind) {
    case 'asked':
      return 'was stopped';
    case 'load-timeout':
      return `was killed after ${seconds(cause.limitMs)} of ${DOING[lastStep]}`;
    case 'run-timeout':
      return `was killed after a run of more than ${seconds(cause.limitMs)}`;
    case 'memory':
      return `ran out of its ${mebibytes(cause.limitBytes)} of memory while ${DOING[lastStep]}`;
    case 'violation':
      return `was killed because ${cause.what}`;
    case 'failed':
      return `did not load: ${cause.message}`;
  }
  // V8 and libstdc++ end the process when memory is refused; only their last words tell.
  if (/out of memory|bad_alloc|Cannot allocate memory|allocation failed/i.test(stderr)) {
    return `ran out of its ${mebibytes(memoryLimitBytes)} of memory while ${DOING[lastStep]}`;
  }
  if (signal !== null) return `ended by signal ${signal} while ${DOING[lastStep]}`;
  return `ended with code ${code} while ${DOING[lastStep]}`;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
