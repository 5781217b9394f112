/** How a version that takes no calls says so, whatever computes for it. */
import { SlipwayError } from '../../base/errors.ts';
import type { VersionState } from '../endpoints/desired-state.ts';
import type { CallDone, CallHandle } from './runner.ts';

const QUARANTINE_HINT =
  'Look at `slipway why` and `slipway versions show`, then deploy another version; a restart of the server tries this one again.';

export function shuttingDown(retryAfterS: number): SlipwayError {
  return new SlipwayError('shutting_down', 'This version is being stopped', { retryAfterS });
}

export function quarantined(reason: string): SlipwayError {
  return new SlipwayError('version_quarantined', reason, { hint: QUARANTINE_HINT });
}

/** Why a version in this state takes no calls; null when it does, now or after it is ready again. */
export function refusalIn(state: VersionState, reason: string | null, retryAfterS: number): SlipwayError | null {
  if (state === 'quarantined') return quarantined(reason!);
  if (state === 'failed') return new SlipwayError('not_ready', reason!);
  return state === 'draining' ? shuttingDown(retryAfterS) : null;
}

/** A call that is refused: told after its caller has the handle, as every other. */
export function refusedCall(error: SlipwayError, done: CallDone): CallHandle {
  let cancelled = false;
  queueMicrotask(() => {
    if (!cancelled) done(error, null, { queueMs: 0, runMs: 0, batchRows: 0 });
  });
  return {
    cancel: () => {
      cancelled = true;
    },
  };
}
