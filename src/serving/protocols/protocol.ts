/**
 * What a protocol is: a way to write predictions over HTTP. One file per protocol in this folder; every protocol passes
 * `protocol-conformance.ts`. A protocol turns bytes into an InferRequest and tensors into an answer. It knows no sockets, queues,
 * runners or keys: the gateway reads the body, checks access, picks the version, keeps deadlines and counts.
 */
import type { ErrorCode, ErrorKind, SlipwayError } from '../../base/errors.ts';
import type { RunnerLimits } from '../../registry/limits.ts';
import type { Signature } from '../../registry/signature.ts';
import type { PlainBody } from '../../registry/validation.ts';
import type { EndpointChange } from '../endpoints/endpoint-change.ts';
import type { EndpointRef } from '../endpoints/routing.ts';
import type { Priority } from '../runner/runner.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { ModelStatistics } from './model-statistics.ts';

export interface Protocol {
  readonly name: string;
  /** Paths may hold `{endpoint}` (a name, or `name@version`) and `{version}`. Projects and HEAD are added by the gateway. */
  readonly routes: readonly Route[];
  /** How this protocol answers each kind of error, apart from what HTTP itself prescribes (`statusOf`). */
  readonly statuses: Readonly<Record<ErrorKind, number>>;
  writeError(error: SlipwayError, about: ErrorContext): { readonly contentType: string; readonly body: string };
}

export type Route = InferRoute | ReadRoute | ActionRoute | AbsentRoute;

/** A prediction: POST, answered with JSON unless `write` says otherwise (a binary form, or a stream of events). */
export type InferRoute = {
  readonly kind: 'infer';
  readonly path: string;
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

/** A question about what is served: GET, answered with a JSON value. */
export type ReadRoute = {
  readonly kind: 'read';
  readonly path: string;
  /** Answered without a key, also where predictions need one: for probes. */
  readonly public?: boolean;
  read(server: ServerView, endpoint: EndpointView | null): unknown;
};

/** A question or a deed that has a body but is no prediction: POST, answered with a JSON value. */
export type ActionRoute = {
  readonly kind: 'action';
  readonly path: string;
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
};

/** A part of the protocol that is not offered, whatever the method: 501 with the reason. A last segment `{rest}` stands for any more. */
export type AbsentRoute = { readonly kind: 'absent'; readonly path: string; readonly reason: string };

export type WireCall = {
  /** After decompression, within the size limit. */
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
};

export type WireAnswer = {
  readonly contentType: string;
  /** Chunks are sent one after the other without being joined. */
  readonly body: string | Uint8Array | readonly Uint8Array[];
  /** Further headers, name and value in turn. */
  readonly headers?: readonly string[];
};

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

export type ErrorContext = { readonly status: number; readonly requestId: string; readonly path: string };

/** What a project's callers may know of the server. */
export type ServerView = {
  readonly release: string;
  readonly ready: boolean;
  /** One sentence, null when ready. */
  readonly reason: string | null;
  /** `http://host:port`, with the project's prefix. */
  readonly baseUrl: string;
  readonly keyNeeded: boolean;
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

export function statusOf(protocol: Protocol, error: SlipwayError): number {
  return PRESCRIBED[error.code] ?? protocol.statuses[error.kind];
}
