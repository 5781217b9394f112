import type { ChangeOptions, GuardedOptions, ListOptions } from './client.ts';
import type { Listing } from './listing.ts';
import type {
  ErasureProof,
  FeedbackEvent,
  FeedbackItem,
  FeedbackKind,
  FeedbackReceipt,
  ImportReceipt,
  ImportRequest,
  LoggedPrediction,
  PolicyDocument,
  Profile,
  QualityRulesDocument,
  QualityVerdict,
  Reference,
  ShownPolicy,
  ShownPrediction,
  ShownQualityRules,
  SubjectRecords,
} from './monitoring-types.ts';
import type { CallOptions, Query } from './transport.ts';
import type { Page } from './types.ts';

/** How the client speaks to its server. */
export type Speak = {
  /** Of the project's things. */
  readonly base: string;
  get<T>(url: string, query: Query, call?: CallOptions): Promise<T>;
  change<T>(method: string, url: string, json: unknown, call?: GuardedOptions & { query?: Query }): Promise<T>;
  /** A file, as it comes; null where there is nothing. */
  file(url: string, query: Query, call?: CallOptions): Promise<DownloadedFile | null>;
  list<T, P extends Page<T> = Page<T>>(url: string, call?: ListOptions, query?: Query): Listing<T, P>;
};

export type FeedbackFilter = ListOptions & {
  readonly endpoint?: string;
  readonly predictionId?: string;
  readonly kind?: FeedbackKind;
  readonly state?: 'parked' | 'matched';
};

export type DownloadedFile = {
  readonly body: ReadableStream<Uint8Array>;
  readonly rows: number;
  /** Rows that may belong to it but lie in files of the server that are damaged. */
  readonly leftOut: number;
};

/** `leftOut`: of the time that was asked for, but in files that are damaged. */
export type PredictionPage = Page<LoggedPrediction> & { leftOut: { files: number; rows: number } | null };

/** Times as RFC 3339; `where` as `output.score > 0.9 and input.country = 'DE'`. */
export type PredictionFilter = { readonly since?: string; readonly until?: string; readonly where?: string };

export type ProfileFilter = CallOptions & {
  /** A day ago unless given. */
  readonly since?: string;
  readonly until?: string;
  /** The last so many rows instead, in whole minutes or hours. */
  readonly last?: number;
  readonly column?: string;
  /** As `input.country=DE`. */
  readonly slice?: string;
  readonly version?: number;
};

const segment = encodeURIComponent;

/** The part of the client that remembers predictions. */
export function createMonitoringClient({ base, get, change, list, file }: Speak) {
  const of = (endpoint: string | undefined): string =>
    endpoint === undefined ? base : `${base}/endpoints/${segment(endpoint)}`;
  const rangeOf = ({ since, until, where }: PredictionFilter): Query => ({ since, until, where });
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
    predictions: {
      /** The youngest first. */
      list: (endpoint: string, filter: ListOptions & PredictionFilter = {}) =>
        list<LoggedPrediction, PredictionPage>(`${of(endpoint)}/predictions`, filter, rangeOf(filter)),
      /** One prediction, wherever in the project it was made. */
      show: (id: string, call?: CallOptions) => get<ShownPrediction>(`${base}/predictions/${segment(id)}`, {}, call),
      /** All that match as one file; null where nothing does. */
      export: (
        endpoint: string,
        filter: CallOptions & PredictionFilter & { format?: 'parquet' | 'csv' | 'ndjson'; feedback?: boolean } = {},
      ) =>
        file(
          `${of(endpoint)}/predictions-export`,
          { ...rangeOf(filter), format: filter.format, feedback: filter.feedback },
          filter,
        ),
      /** Takes predictions of another system's log. What was taken before is recognised, so a call may be repeated. */
      import: (endpoint: string, part: ImportRequest, call?: ChangeOptions) =>
        change<ImportReceipt>('POST', `${of(endpoint)}/predictions-import`, part, call),
      /** Legal hold: nothing of the endpoint's log goes while it is set. */
      hold: (endpoint: string, reason: string, call?: ChangeOptions) =>
        change<void>('PUT', `${of(endpoint)}/hold`, { reason }, call),
      release: (endpoint: string, call?: ChangeOptions) =>
        change<void>('DELETE', `${of(endpoint)}/hold`, undefined, call),
    },
    /** What the values of an endpoint were over a time, by column. */
    profile: (endpoint: string, filter: ProfileFilter = {}) => {
      const { since, until, last, column, slice, version } = filter;
      return get<Profile>(`${of(endpoint)}/profile`, { since, until, last, column, slice, version }, filter);
    },
    references: {
      /** Of the version that the endpoint serves. */
      show: (endpoint: string, call?: CallOptions) => get<Reference>(`${of(endpoint)}/reference`, {}, call),
      /** Asks for one of the first rows that it predicts. */
      ofFirst: (endpoint: string, rows: number, call?: ChangeOptions) =>
        change<Reference>('PUT', `${of(endpoint)}/reference`, { first: rows }, call),
    },
    quality: {
      /** Whether the values of a time are as the rules say. */
      check: (endpoint: string, filter: Omit<ProfileFilter, 'column' | 'version'> = {}) => {
        const { since, until, last, slice } = filter;
        return get<QualityVerdict>(`${of(endpoint)}/quality`, { since, until, last, slice }, filter);
      },
      rules: (endpoint: string, call?: CallOptions) =>
        get<ShownQualityRules>(`${of(endpoint)}/quality/rules`, {}, call),
      /** Rules that the reference keeps, to be edited. */
      suggest: (endpoint: string, call?: CallOptions) =>
        get<ShownQualityRules>(`${of(endpoint)}/quality/suggestion`, {}, call),
      set: (endpoint: string, rules: QualityRulesDocument, call?: GuardedOptions) =>
        change<ShownQualityRules>('PUT', `${of(endpoint)}/quality/rules`, rules, call),
      /** Every revision, the newest first. */
      history: (endpoint: string, call?: ListOptions) =>
        list<ShownQualityRules>(`${of(endpoint)}/quality/rules/history`, call),
    },
    policy: {
      show: (endpoint: string, call?: CallOptions) => get<ShownPolicy>(`${of(endpoint)}/policy`, {}, call),
      /**
       * With `dryRun` it says what the policy would mean for each field.
       * @param call.elsewhere the model is served elsewhere, and its predictions will be imported under this name
       */
      set: (endpoint: string, policy: PolicyDocument, call: GuardedOptions & { elsewhere?: boolean } = {}) =>
        change<ShownPolicy>('PUT', `${of(endpoint)}/policy`, policy, { ...call, query: { elsewhere: call.elsewhere } }),
    },
    subjects: {
      /** All that is kept of a subject, by the text that is the subject's. */
      find: (subject: string, call?: CallOptions) =>
        get<SubjectRecords>(`${base}/subjects/${segment(subject)}`, {}, call),
      erase: (subject: string, call: ChangeOptions & { reason?: string } = {}) =>
        change<ErasureProof>('DELETE', `${base}/subjects/${segment(subject)}`, undefined, {
          ...call,
          query: { reason: call.reason },
        }),
    },
  };
}
