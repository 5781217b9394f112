/**
 * What a protocol is: a way to write predictions over HTTP. One file per protocol in this folder; every protocol passes
 * `protocol-conformance.ts`. A protocol turns bytes into an InferRequest and tensors into an answer. It knows no sockets, queues,
 * runners or keys: the gateway reads the body, checks access, picks the version, keeps deadlines and counts.
 */
import type { ErrorCode, ErrorKind, SlipwayError } from '../../base/errors.ts';
import type { RunnerLimits } from '../../registry/limits.ts';
import type { Signature } from '../../registry/signature.ts';
import type { PlainBody } from '../../registry/validation.ts';
import type { EndpointChange, GivenFeedback } from '../endpoints/endpoint-change.ts';
import type { EndpointRef } from '../endpoints/routing.ts';
import type { Priority } from '../runner/runner.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { ModelStatistics } from './model-statistics.ts';
import type { SELDON_MODEL } from './seldon-model.ts';

export interface Protocol {
  readonly name: string;
  /**
   * Paths may hold parameters, each with a fixed text before or after it: `/v1/models/{endpoint}:predict`. `{endpoint}` (a name, or `name@version`), `{version}` and
   * `{label}` (an alias of the endpoint's model) are read by the gateway, `{project}` too, where a system's own paths have one; others are handed to the route as they are. Projects, and HEAD for GET, are added.
   */
  readonly routes: readonly Route[];
  /** How this protocol answers each kind of error, apart from what HTTP itself prescribes (`statusOf`). */
  readonly statuses: Readonly<Record<ErrorKind, number>>;
  /** The service for which its clients sign requests by AWS Signature Version 4, where they do; a key that is sent counts too. */
  readonly signedFor?: string;
  writeError(error: SlipwayError, about: ErrorContext): ErrorAnswer;
}

export type Route = InferRoute | ReadRoute | ActionRoute | AbsentRoute;

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';

type RoutePath = {
  /** A header that names the endpoint in place of the path, in requests that have it. */
  readonly routedBy?: typeof SELDON_MODEL;
  /** Also the name of the route in its protocol. */
  readonly path: string;
  /** Where it is found instead, without parameters: a path that a platform chose. */
  readonly at?: string;
  /** Whether capitals and small letters of the path's fixed texts are the same. */
  readonly anyCase?: boolean;
};

/** A prediction, answered with JSON unless `write` says otherwise (a binary form, or a stream of events). */
export type InferRoute = RoutePath & {
  readonly kind: 'infer';
  /** POST where none are named. */
  readonly methods?: readonly Method[];
  /**
   * Names the endpoint where the path does not, or not alone: from the head, and where that does not say it and `namedInBody` is set, from the body.
   * Null: nobody is named, so it is the endpoint of SLIPWAY_DEFAULT_ENDPOINT. Throws SlipwayError.
   */
  nameEndpoint?(head: WireHead, body: Uint8Array | null): EndpointName | null;
  readonly namedInBody?: boolean;
  /**
   * Whether a large body is parsed in next to no time, because its tensors are raw bytes. Such a body is not handed to the thread that
   * parses large ones.
   */
  parsesFast?(call: WireCall, target: InputTarget): boolean;
  /** Parses and checks a whole body. Throws SlipwayError, with the pointers of all faults when inputs do not fit. */
  parse(call: WireCall, target: InputTarget): InferRequest;
  /**
   * Makes tensors of the inputs that came as files, see `InferRequest.encoded`; asked only when there are some. The one step of a
   * request that may take time off the event loop before the model runs. Rejects with SlipwayError as `parse` throws it.
   * @param isWanted whether the caller is still there and the deadline has not passed
   */
  decode?(request: InferRequest, target: InputTarget, isWanted: () => boolean): Promise<InferRequest>;
  /** The answer. `outputs` are those of the signature, in its order; a request may have asked for some of them. */
  write(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string | WireAnswer;
  /**
   * About how long `write` takes, in microseconds; asked where there are many outputs. What takes long is written in a thread, to which
   * `request` (without its inputs) and `answered` are copied.
   */
  writeUs(request: InferRequest, outputs: readonly Tensor[]): number;
};

/** What a request names: an endpoint, as `name` or `name@version`, and perhaps one version of it. */
export type EndpointName = {
  /** Absent: that of SLIPWAY_DEFAULT_ENDPOINT. */
  readonly name?: string;
  readonly version?: string;
  /** An alias of the endpoint's model. */
  readonly label?: string;
};

/** A question about what is served, answered with a JSON value, or with what `written` was given. */
export type ReadRoute = RoutePath & {
  readonly kind: 'read';
  /** GET where none are named. */
  readonly methods?: readonly ('GET' | 'OPTIONS')[];
  /** Answered without a key, also where predictions need one: for probes. */
  readonly public?: boolean;
  /** As that of a prediction; there is no body. */
  nameEndpoint?(head: WireHead): EndpointName | null;
  read(server: ServerView, endpoint: EndpointView | null, head: WireHead): unknown;
};

/** A question or a deed that has a body but is no prediction, answered with a JSON value, or with what `written` was given. */
export type ActionRoute = RoutePath & {
  readonly kind: 'action';
  /** POST where none are named. */
  readonly methods?: readonly Method[];
  act(call: ActionCall): unknown | Promise<unknown>;
};

export type ActionCall = WireCall & {
  readonly server: ServerView;
  /** As the path names it, whether or not it exists; null where it names none. */
  readonly endpoint: EndpointRef | null;
  /**
   * Asks control for a change in the caller's name. Control looks at the key itself, as the management API would, and writes the audit log.
   * @throws SlipwayError what the management API would answer; `not_ready` when control is not there
   */
  changeEndpoint(name: string, change: EndpointChange): Promise<void>;
  /**
   * Hands on what became of predictions, of the endpoint that the path names or of any; control keeps it before this settles.
   * @throws SlipwayError as `changeEndpoint`
   */
  giveFeedback(given: readonly GivenFeedback[]): Promise<void>;
};

/** A part of the protocol that is not offered, whatever the method: 501 with the reason. A last segment `{rest}` stands for any more. */
export type AbsentRoute = RoutePath & { readonly kind: 'absent'; readonly reason: string };

/** What is known of a request before its body. */
export type WireHead = {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** What the parameters of the path stand for, decoded; absent where it has none. */
  readonly params?: Readonly<Record<string, string>>;
  /** As sent, without the question mark; absent where there is none. `URLSearchParams` reads it. */
  readonly query?: string;
  /** Absent where a route has one. */
  readonly method?: string;
};

export type WireCall = WireHead & {
  /** After decompression, within the size limit. */
  readonly body: Uint8Array;
};

export type WireAnswer = {
  readonly contentType: string;
  /** Chunks are sent one after the other without being joined. */
  readonly body: string | Uint8Array | readonly Uint8Array[];
  /** Further headers, name and value in turn. */
  readonly headers?: readonly string[];
  /** 200 where none is named. */
  readonly status?: number;
};

const WRITTEN: unique symbol = Symbol('written');
export type WrittenAnswer = WireAnswer & { readonly [WRITTEN]: true };

/** Marks an answer of a `read` or `act` that is to be sent as it is, rather than as JSON. */
export function written(answer: WireAnswer): WrittenAnswer {
  return { ...answer, [WRITTEN]: true };
}

export function isWritten(value: unknown): value is WrittenAnswer {
  return typeof value === 'object' && value !== null && WRITTEN in value;
}

export type InferRequest = {
  /** The caller's own id, given back where the protocol has a place for it. */
  readonly id: string | null;
  readonly inputs: readonly Tensor[];
  /** The first dimension of the inputs, 1 where they have none. */
  readonly rows: number;
  /** Names of the outputs asked for, in the order of the answer; null for all. */
  readonly outputs: readonly string[] | null;
  /** How soon it is wanted among what waits; absent: normal. */
  readonly priority?: Priority;
  /** The deadline that the body names, counted like that of X-Request-Timeout-Ms; the smaller of the two holds. */
  readonly timeoutMs?: number;
  /** How its protocol is to write the answer: that protocol's own business. Plain data, because it may cross threads. */
  readonly form?: unknown;
  /** Inputs that are files still, such as photos; absent for nearly all requests. */
  readonly encoded?: readonly EncodedInput[];
};

export type { Priority };

export type Answered = {
  readonly endpoint: string;
  readonly version: number;
  /** UUIDv7; row k of the request is prediction `<id>.k`. */
  readonly predictionId: string;
  readonly signature: Signature;
};

export type ErrorContext = {
  /** By the protocol's table. */
  readonly status: number;
  readonly requestId: string;
  readonly method: string;
  /** As sent, without the query. */
  readonly path: string;
  /** Of the request; absent: none. */
  readonly headers?: WireHead['headers'];
  /** The route that was found, and what its path names; absent where there is none. */
  readonly route?: Route;
  readonly params?: Readonly<Record<string, string>>;
};

export type ErrorAnswer = {
  readonly contentType: string;
  readonly body: string;
  /** Where it is another than that of the table. A client's mistake never becomes a 5xx, nor a fault of ours a 4xx. */
  readonly status?: number;
  /** Further headers, name and value in turn. */
  readonly headers?: readonly string[];
};

/** What a project's callers may know of the server. */
export type ServerView = {
  readonly release: string;
  readonly ready: boolean;
  /** One sentence, null when ready. */
  readonly reason: string | null;
  /** `http://host:port`, with the project's prefix. */
  readonly baseUrl: string;
  readonly keyNeeded: boolean;
  /** Names of the protocols on this port. */
  readonly spoken: readonly string[];
  readonly endpoints: () => readonly EndpointView[];
  /** Every version of every endpoint, also of those that have none to answer. */
  readonly held: () => readonly HeldVersion[];
};

/** A version that an endpoint holds, or should. */
export type HeldVersion = {
  readonly endpoint: string;
  /** Null for an endpoint without any. */
  readonly version: number | null;
  readonly state: 'ready' | 'loading' | 'unloading' | 'unavailable';
  /** Why it is not ready; null when it is. */
  readonly reason: string | null;
  readonly model?: string;
  /** Where a container's platform keeps it; absent for all others. */
  readonly folder?: string;
  /** What is observed of its runner; absent where it has none. */
  readonly runner?: HeldRunner;
};

export type HeldRunner = {
  readonly engine: string;
  readonly limits: RunnerLimits;
  /** RFC 3339: since when it is in its state. */
  readonly since: string;
  readonly memoryBytes: number | null;
  readonly waiting: number;
};

export type EndpointView = {
  readonly name: string;
  readonly model: string;
  readonly environment: string;
  /** The version this view is of: the pinned one, else the one that answers, else the one that will. */
  readonly version: number;
  /** All that can be pinned. */
  readonly versions: readonly number[];
  readonly digest: string;
  readonly engine: string;
  readonly canBatch: boolean;
  readonly limits: RunnerLimits;
  readonly signature: Signature;
  /** What was counted, of every version that can be pinned; of the pinned one only where one is pinned. */
  readonly statistics: () => readonly ModelStatistics[];
  readonly sampleRequest: PlainBody;
  readonly ready: boolean;
  /** Why it is not ready; null when it is. */
  readonly reason: string | null;
  /** Which other version is to answer next, how far it is, and what answers until then; null when nothing is to change. */
  readonly pending: string | null;
};

/** Kinds as HTTP's own statuses; protocols start from it. Overload of the server is 503; 429 is for a caller's own limit. */
export const HTTP_STATUSES: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  overloaded: 503,
  unavailable: 503,
  internal: 500,
};

/** The few errors for which HTTP has a status of its own, whatever the protocol. */
const PRESCRIBED: { readonly [code in ErrorCode]?: number } = {
  method_not_allowed: 405,
  unsupported_media: 415,
  not_offered: 501,
  rate_limited: 429,
  deadline_exceeded: 504,
};

/** The methods that a route answers. HEAD comes with GET; a part that is absent has none. */
export function methodsOf(route: Route): readonly Method[] {
  if (route.kind === 'absent') return [];
  return route.methods ?? (route.kind === 'read' ? ['GET'] : ['POST']);
}

export function statusOf(protocol: Protocol, error: SlipwayError): number {
  return PRESCRIBED[error.code] ?? protocol.statuses[error.kind];
}
