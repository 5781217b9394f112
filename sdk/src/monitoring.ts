import type { ChangeOptions, ListOptions } from './client.ts';
import type { Listing } from './listing.ts';
import type { FeedbackEvent, FeedbackItem, FeedbackKind, FeedbackReceipt } from './monitoring-types.ts';
import type { CallOptions, Query } from './transport.ts';

/** How the client speaks to its server. */
export type Speak = {
  /** Of the project's things. */
  readonly base: string;
  get<T>(url: string, query: Query, call?: CallOptions): Promise<T>;
  change<T>(method: string, url: string, json: unknown, call?: ChangeOptions & { query?: Query }): Promise<T>;
  list<T>(url: string, call?: ListOptions, query?: Query): Listing<T>;
};

export type FeedbackFilter = ListOptions & {
  readonly endpoint?: string;
  readonly predictionId?: string;
  readonly kind?: FeedbackKind;
  readonly state?: 'parked' | 'matched';
};

const segment = encodeURIComponent;

/** The part of the client that remembers predictions. */
export function createMonitoringClient({ base, change, list }: Speak) {
  const of = (endpoint: string | undefined): string =>
    endpoint === undefined ? base : `${base}/endpoints/${segment(endpoint)}`;
  return {
    feedback: {
      /** Sends up to 10,000 items. What was sent before is recognised, so a call may be repeated. */
      send: (items: readonly FeedbackItem[], call: ChangeOptions & { endpoint?: string } = {}) =>
        change<FeedbackReceipt>('POST', `${of(call.endpoint)}/feedback`, { items }, call),
      /** Every revision, in the order it came. */
      list: (filter: FeedbackFilter = {}) =>
        list<FeedbackEvent>(`${of(filter.endpoint)}/feedback`, filter, {
          kind: filter.kind,
          state: filter.state,
          predictionId: filter.predictionId,
        }),
    },
  };
}
