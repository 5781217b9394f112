import { errorOfAnswer, SlipwayApiError } from './api-error.ts';
import { parseJson, stringifyJson } from './json.ts';

export type Fetch = typeof fetch;

export type TransportOptions = {
  readonly apiKey?: string;
  readonly fetch?: Fetch;
  /** Further attempts of a call that may be repeated without harm. Default 3. */
  readonly retries?: number;
  /** Longest time one attempt may take. Default 60 s. */
  readonly timeoutMs?: number;
  /** Sent as User-Agent where the runtime allows it. */
  readonly userAgent?: string;
};

export type Query = Record<string, string | number | boolean | null | undefined>;

export type CallOptions = {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
};

export type TransportRequest = CallOptions & {
  readonly method: string;
  readonly url: string;
  readonly query?: Query;
  readonly headers?: Record<string, string | undefined>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: Blob | Uint8Array<ArrayBuffer> | string;
  /** Whether a repetition has the effect of one call. Default: GET, HEAD and calls with an Idempotency-Key. */
  readonly idempotent?: boolean;
};

export type Answer<T> = { readonly status: number; readonly headers: Headers; readonly body: T };

export type Transport = {
  /** Calls and reads a JSON answer. Throws SlipwayApiError, nothing else. */
  call<T>(request: TransportRequest): Promise<Answer<T>>;
  /** Calls and gives the body as it comes; null where there is none. No time limit but the caller's signal. */
  stream(request: TransportRequest): Promise<Answer<ReadableStream<Uint8Array> | null>>;
  /** Calls and gives the body line by line as it comes. No time limit but the caller's signal. */
  lines(request: TransportRequest): AsyncGenerator<string>;
};

const RETRY_STATUSES = new Set([429, 502, 503, 504]);
const LONGEST_WAIT_MS = 10_000;

export function createTransport(options: TransportOptions): Transport {
  const doFetch = options.fetch ?? fetch;
  const retries = options.retries ?? 3;
  const defaultTimeoutMs = options.timeoutMs ?? 60_000;

  async function attempt(request: TransportRequest, timeoutMs: number | null): Promise<Response> {
    const url = withQuery(request.url, request.query);
    const headers: Record<string, string> = { accept: 'application/json' };
    if (options.apiKey) headers['authorization'] = `Bearer ${options.apiKey}`;
    if (options.userAgent) headers['user-agent'] = options.userAgent;
    if (request.json !== undefined) headers['content-type'] = 'application/json';
    for (const [name, value] of Object.entries(request.headers ?? {})) if (value !== undefined) headers[name] = value;
    const limits = [request.signal, timeoutMs === null ? undefined : AbortSignal.timeout(timeoutMs)];
    const signals = limits.filter((signal) => signal !== undefined);
    const body = request.json !== undefined ? stringifyJson(request.json) : request.body;
    try {
      return await doFetch(url, {
        method: request.method,
        headers,
        // An API never sends us elsewhere; following would carry the key to another host.
        redirect: 'error',
        ...(body === undefined ? {} : { body }),
        ...(signals.length > 0 ? { signal: AbortSignal.any(signals) } : {}),
      });
    } catch (error) {
      throw transportError(error, request, timeoutMs);
    }
  }

  async function call<T>(request: TransportRequest): Promise<Answer<T>> {
    const repeatable =
      request.idempotent ??
      (request.method === 'GET' || request.method === 'HEAD' || request.headers?.['idempotency-key'] !== undefined);
    const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
    for (let tried = 0; ; tried++) {
      let failure: SlipwayApiError;
      try {
        const response = await attempt(request, timeoutMs);
        const body = await readBody(response, request, timeoutMs);
        if (response.ok) return { status: response.status, headers: response.headers, body: body as T };
        failure = errorOfAnswer(response.status, response.headers, body);
      } catch (error) {
        failure = error as SlipwayApiError;
        if (!(error instanceof SlipwayApiError)) throw error;
      }
      const again = failure.code === 'unreachable' || RETRY_STATUSES.has(failure.status);
      if (!repeatable || !again || tried >= retries || failure.problem?.retryable === false) throw failure;
      await pause(waitMs(tried, failure.retryAfterS), request.signal);
    }
  }

  async function stream(request: TransportRequest): Promise<Answer<ReadableStream<Uint8Array> | null>> {
    const response = await attempt(request, null);
    const { status, headers } = response;
    if (response.ok) return { status, headers, body: response.body };
    throw errorOfAnswer(status, headers, await readBody(response, request, null));
  }

  async function* lines(request: TransportRequest): AsyncGenerator<string> {
    const { body } = await stream(request);
    if (body === null) return;
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let rest = '';
    try {
      for (;;) {
        const { value, done } = await reader.read();
        rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
        const parts = rest.split('\n');
        rest = done ? '' : parts.pop()!;
        for (const line of parts) if (line !== '') yield line;
        if (done) return;
      }
    } catch (error) {
      throw transportError(error, request, null);
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  return { call, stream, lines };
}

function withQuery(url: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  if (given.length === 0) return url;
  return `${url}?${new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]))}`;
}

async function readBody(response: Response, request: TransportRequest, timeoutMs: number | null): Promise<unknown> {
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw transportError(error, request, timeoutMs);
  }
  if (text === '') return undefined;
  try {
    return parseJson(text);
  } catch {
    if (!response.ok) return text;
    throw new SlipwayApiError(`${new URL(request.url).origin} did not answer with JSON`, {
      status: response.status,
      code: 'unexpected_answer',
      hint: 'Is this the address of a Slipway server?',
    });
  }
}

function transportError(error: unknown, request: TransportRequest, timeoutMs: number | null): SlipwayApiError {
  if (error instanceof SlipwayApiError) return error;
  const where = new URL(request.url).origin;
  const name = (error as { name?: unknown } | null)?.name;
  if (request.signal?.aborted) {
    return new SlipwayApiError('The call was stopped by its caller', { status: 0, code: 'aborted', cause: error });
  }
  if (name === 'TimeoutError') {
    return new SlipwayApiError(`${where} did not answer within ${(timeoutMs ?? 0) / 1000} s`, {
      status: 0,
      code: 'timeout',
      hint: 'Try again, or allow more time.',
      cause: error,
    });
  }
  const reason = reasonOf(error);
  return new SlipwayApiError(`${where} cannot be reached${reason ? ` (${reason})` : ''}`, {
    status: 0,
    code: 'unreachable',
    hint: 'Is the server running, and is this its address?',
    cause: error,
  });
}

/** The cause below fetch's own "fetch failed", e.g. `ECONNREFUSED`. */
function reasonOf(error: unknown): string {
  let at: unknown = error;
  for (let depth = 0; depth < 4 && typeof at === 'object' && at !== null; depth++) {
    const code = (at as { code?: unknown }).code;
    if (typeof code === 'string') return code;
    at = (at as { cause?: unknown }).cause;
  }
  return '';
}

/** Exponential with full jitter, so that clients cut off together do not come back together. */
function waitMs(tried: number, retryAfterS: number | undefined): number {
  if (retryAfterS !== undefined) return Math.min(LONGEST_WAIT_MS, retryAfterS * 1000 * (1 + Math.random() / 4));
  return Math.random() * Math.min(LONGEST_WAIT_MS, 200 * 2 ** tried);
}

/** Waits; ends at once with `aborted` when the signal says so. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(new SlipwayApiError('The call was stopped by its caller', { status: 0, code: 'aborted' }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
