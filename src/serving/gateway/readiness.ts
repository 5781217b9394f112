/** What a listener knows before it looks at a request, the same over HTTP and gRPC. */
import { SlipwayError } from '../../base/errors.ts';
import { observeEndpoint, type Readiness, type ServingState } from './serving-state.ts';

/**
 * A listener that stops is not ready, whatever the state; nor is a container's before its model answers.
 * @param expected the endpoint without which it is not ready; null where there is none
 */
export function assessListener(state: ServingState, stopping: boolean, expected: string | null = null): Readiness {
  if (stopping) return { ready: false, reason: 'The server is shutting down' };
  if (expected === null) return state.assess();
  const endpoint = state.find('default', expected);
  return endpoint === undefined
    ? { ready: false, reason: `The model ${expected} is not deployed yet` }
    : observeEndpoint(endpoint);
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
