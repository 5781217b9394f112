import type { CallOptions, ChangeOptions, ListOptions } from './client.ts';
import type { Speak } from './monitoring.ts';
import type { LiveChange, Rollout, ShownRollout, StartedRollout, StartRollout } from './rollout-types.ts';

export type RolloutCommand = 'pause' | 'resume' | 'promote' | 'abort' | 'approve';

/** The verbs on rollouts. */
export function createRolloutsClient({ base, get, change, list }: Speak) {
  const of = (endpoint: string): string => `${base}/endpoints/${encodeURIComponent(endpoint)}`;
  return {
    rollouts: {
      /** The newest first. */
      list: (call?: ListOptions & { endpoint?: string }) =>
        list<Rollout>(`${base}/rollouts`, call, { endpoint: call?.endpoint }),
      /** With `dryRun` the plan and what it needs; nothing moves. */
      start: (endpoint: string, input: StartRollout, call?: ChangeOptions) =>
        change<StartedRollout>('POST', `${of(endpoint)}/rollouts`, input, call),
      /** The last rollout of an endpoint, with every transition. */
      show: (endpoint: string, call?: CallOptions) => get<ShownRollout>(`${of(endpoint)}/rollout`, {}, call),
      command: (
        endpoint: string,
        command: RolloutCommand,
        input: { reason?: string; stage?: number } = {},
        call?: ChangeOptions,
      ) => change<Rollout>('POST', `${of(endpoint)}/rollout/${command}`, input, call),
    },
    /** Back to the version before, or to one that is named. */
    rollback: (endpoint: string, input: { to?: number; reason?: string } = {}, call?: ChangeOptions) =>
      change<{ version: number; isEntered: boolean }>('POST', `${of(endpoint)}/rollback`, input, call),
    /** What was live when; with `at` what held then. */
    history: (endpoint: string, call?: ListOptions & { at?: string }) =>
      list<LiveChange>(`${of(endpoint)}/history`, call, { at: call?.at }),
  };
}
