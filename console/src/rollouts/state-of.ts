import type { Rollout } from '@slipway/sdk';

/** In one word how it stands; a phase that is none of ours is shown as it is. */
export function stateOf({ isEnded, isPromoted, phase }: Rollout): string {
  if (isEnded && isPromoted) return 'promoted';
  return phase;
}
