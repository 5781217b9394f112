import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { SlipwayError } from '../../base/errors.ts';
import { isRequestId, uuidv7 } from '../../base/ids.ts';
import { type Protocol, statusOf, type WireAnswer } from '../protocols/protocol.ts';
import type { CallHandle } from '../runner/runner.ts';
import type { Account } from './account.ts';
import type { Meter } from './metrics.ts';
import { lastWords } from './request-fault.ts';
import type { Found, Match } from './route-table.ts';
import { totalTiming } from './server-timing.ts';

/** What the gateway knows of a connection. */
export type Connection = {
  /** Requests without an answer yet. */
  open: number;
  /** The request that came last. */
  latest: Exchange | null;
  /**
   * Calls in runners: cancelled when the connection goes away. An array, usually of one: a Set that lives long grows a new table
   * every few calls, and the dead old table keeps the new one, and all requests in it, alive until the next full collection.
   */
  readonly calls: OpenCall[];
};

/** A call in a runner. */
export type OpenCall = {
  readonly handle: CallHandle;
  readonly meter: Meter;
  readonly account: Account;
  readonly startedMs: number;
  /** Told, with how long it took until then, when its connection goes away; null where nobody observes. */
  readonly onCancel: ((latencyMs: number) => void) | null;
};

export type AnswerBody = WireAnswer['body'];

/** How one request came and its answer goes: by node:http (node-wire.ts) or on the lean path (lean-http.ts). */
export interface Wire {
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
  /** Whether the whole request is here. */
  readonly complete: boolean;
  /** Whether the answer was handed to the socket. */
  readonly finished: boolean;
  /**
   * Sends the answer.
   * @param headers names and values in turn; without those of the connection
   * @param last whether the connection is to be closed after it
   */
  send(status: number, headers: readonly string[], body: AnswerBody, last: boolean): void;
  /** Reads what is left of a body that nobody wants. */
  discardRest(): void;
}

/** One request and its one answer. */
export type Exchange = {
  readonly wire: Wire;
  readonly connection: Connection;
  /** By `performance.now()`. */
  readonly startedMs: number;
  /** Wall clock at arrival. */
  readonly atMs: number;
  readonly method: string;
  readonly path: string;
  readonly protocol: Protocol;
  /** What was found for it; null where nothing was. */
  readonly match: Match | null;
  /** The caller's, or the prediction's id. */
  readonly requestId: string;
  /** UUIDv7, also of requests that are refused: what a caller reports can be found in the log. Sent when `predicts`. */
  readonly predictionId: string;
  /** Whether a version was found that is asked for a prediction. */
  predicts: boolean;
  /** The version that was picked, as text; empty before. */
  version: string;
  /** Whose quota its answer tells; null before it is known who asks. */
  account: Account | null;
  /** Stages as `Server-Timing` shows them; empty when it was not computed. */
  stages: string;
  answered: boolean;
};

const CONNECTION = Symbol('connection');
export function connectionOf(socket: Socket): Connection {
  const holder = socket as Socket & { [CONNECTION]?: Connection };
  const known = holder[CONNECTION];
  if (known !== undefined) return known;
  const connection: Connection = { open: 0, latest: null, calls: [] };
  holder[CONNECTION] = connection;
  return connection;
}

export function openExchange(wire: Wire, method: string, { path, protocol, methods }: Found): Exchange {
  const match = methods.get(method) ?? null;
  const atMs = Date.now();
  const predictionId = uuidv7(atMs);
  const given = wire.headers['x-request-id'];
  const requestId = given !== undefined && isRequestId(given) ? given : predictionId;
  const connection = connectionOf(wire.socket);
  connection.open += 1;
  const startedMs = performance.now();
  const exchange: Exchange = {
    wire,
    connection,
    startedMs,
    atMs,
    method,
    path,
    protocol: match?.protocol ?? protocol,
    match,
    requestId,
    predictionId,
    predicts: false,
    version: '',
    account: null,
    stages: '',
    answered: false,
  };
  connection.latest = exchange;
  return exchange;
}

/**
 * Answers with what was asked for.
 * @param last whether the connection is to be closed after it
 */
export function answer(exchange: Exchange, content: string | WireAnswer, last: boolean): void {
  const { predictionId, requestId, version } = exchange;
  const isText = typeof content === 'string';
  const body = isText ? content : content.body;
  const headers = [
    'Content-Type',
    isText ? 'application/json' : content.contentType,
    'Content-Length',
    `${sizeOf(body)}`,
    'X-Request-Id',
    requestId,
  ];
  if (exchange.predicts) headers.push('X-Prediction-Id', predictionId);
  if (version !== '') headers.push('X-Slipway-Version', version);
  addAccount(exchange, headers);
  if (!isText && content.headers !== undefined) headers.push(...content.headers);
  send(exchange, (isText ? undefined : content.status) ?? 200, headers, body, last);
}

/** Answers with an error in the protocol's form. Gives the status. */
export function refuse(exchange: Exchange, error: SlipwayError, last: boolean, extra: readonly string[] = []): number {
  const { wire, protocol, predictionId, requestId, version, method, path, match } = exchange;
  const { headers: given } = wire;
  const about = { status: statusOf(protocol, error), requestId, method, path, headers: given, ...(match ?? {}) };
  const { contentType, body, status = about.status, headers: own } = protocol.writeError(error, about);
  const headers = [
    'Content-Type',
    contentType,
    'Content-Length',
    `${Buffer.byteLength(body)}`,
    'X-Request-Id',
    requestId,
    'Cache-Control',
    'no-store',
    ...extra,
  ];
  if (exchange.predicts) headers.push('X-Prediction-Id', predictionId);
  if (version !== '') headers.push('X-Slipway-Version', version);
  addAccount(exchange, headers);
  if (error.retryAfterS !== undefined) headers.push('Retry-After', `${error.retryAfterS}`);
  if (error.kind === 'unauthorized') headers.push('WWW-Authenticate', 'Bearer');
  if (own !== undefined) headers.push(...own);
  send(exchange, status, headers, body, last);
  if (!wire.complete) wire.discardRest();
  return status;
}

/** What every answer tells: how long it took, and what is left of the caller's quota. */
function addAccount({ account, stages, startedMs }: Exchange, headers: string[]): void {
  const nowMs = performance.now();
  headers.push('Server-Timing', stages === '' ? totalTiming(nowMs - startedMs) : stages);
  const quota = account?.headers(nowMs);
  if (quota != null) headers.push(...quota);
}

/** Answers with a sentence, and closes: for requests whose rest cannot be read. */
export function answerLast(exchange: Exchange, status: number): void {
  const text = lastWords(status);
  const headers = [
    'Content-Type',
    'text/plain',
    'Content-Length',
    `${text.length}`,
    'X-Request-Id',
    exchange.requestId,
  ];
  send(exchange, status, headers, text, true);
}

function sizeOf(body: WireAnswer['body']): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  if (body instanceof Uint8Array) return body.byteLength;
  return body.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}

function send(exchange: Exchange, status: number, headers: string[], body: AnswerBody, last: boolean): void {
  if (exchange.answered) return; // never two answers to one request
  exchange.answered = true;
  exchange.connection.open -= 1;
  exchange.wire.send(status, headers, body, last);
}
