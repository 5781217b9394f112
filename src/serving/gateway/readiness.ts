/** What a listener knows before it looks at a request, the same over HTTP and gRPC. */
import { SlipwayError } from '../../base/errors.ts';
import type { Readiness, ServingState } from './serving-state.ts';

/** A listener that stops is not ready, whatever the state. */
export function assessListener(state: ServingState, stopping: boolean): Readiness {
  return stopping ? { ready: false, reason: 'The server is shutting down' } : state.assess();
}

/**
 * Before it knows keys and endpoints, a gateway cannot say that one is wrong or missing.
 * @throws SlipwayError `not_ready`
 */
export function assertTold(state: ServingState, retryAfterS: number): void {
  if (state.generation > 0) return;
  throw new SlipwayError('not_ready', 'The gateway is starting and has not been told what to serve yet', {
    retryAfterS,
    hint: 'Retry in a moment.',
  });
}
