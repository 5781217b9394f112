/** What the CLI's exit codes mean; `docs/reference/cli.md` lists them. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done' },
  unexpected: { code: 1, meaning: 'an unexpected failure' },
  usage: { code: 2, meaning: 'the command line is wrong' },
  notFound: { code: 3, meaning: 'what was named does not exist' },
  conflict: {
    code: 4,
    meaning: 'something stands in the way: a conflict, a precondition, a breaking signature, a taken port',
  },
  auth: { code: 5, meaning: 'no key, a wrong key, or one that does not permit this' },
  validation: { code: 6, meaning: 'what was sent is not valid, or the version did not pass validation' },
  unavailable: { code: 7, meaning: 'not reachable, not ready, overloaded, or too slow' },
  gate: { code: 8, meaning: 'a check failed: doctor, audit verify, a rollout gate' },
  interrupted: { code: 130, meaning: 'interrupted by Ctrl-C' },
} as const;

export type ExitReason = keyof typeof EXIT_CODES;

/** The exit reason for an HTTP status of the API; 0 is "no answer came". */
export function exitReasonOf(status: number, code: string): ExitReason {
  if (code === 'aborted') return 'interrupted';
  if (code === 'timeout' || code === 'unreachable') return 'unavailable';
  if (status === 404) return 'notFound';
  if (status === 409 || status === 412) return 'conflict';
  if (status === 401 || status === 403) return 'auth';
  if (status === 0 || status === 408 || status === 429 || (status > 500 && status < 600)) return 'unavailable';
  if (status >= 400 && status < 500) return 'validation';
  return 'unexpected';
}
