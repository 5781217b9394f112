import { createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import { listenUntilFree, openOnce } from '../../base/http/listen.ts';
import { uuidv7 } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import type { Settings } from '../../base/settings.ts';
import { errorHeaders, plainHeaders } from './answer-headers.ts';
import { GrpcCall } from './grpc-call.ts';
import { createGrpcService, type GrpcServiceDeps } from './grpc-service.ts';
import { httpStatusOf } from './grpc-status.ts';
import { Connection } from './http2/connection.ts';
import { ERROR, PREFACE } from './http2/frames.ts';
import { MAX_HEADER_BYTES } from './http2/header-decoder.ts';
import type { RequestHeaders } from './http2/request-headers.ts';
import type { Receiver, Stream } from './http2/stream.ts';

/** Every limit of the listener, in milliseconds, bytes and numbers. Tests pass other ones. */
export const GRPC_LIMITS = {
  /** From the connection until it has said what HTTP/2 begins with; and for one header block. */
  headersMs: 10_000,
  /** Without a byte of a message that is being sent, and without the client taking a byte of its answer. */
  idleMs: 30_000,
  /** From the headers of a unary call to the last byte of its message: bounds those who send one byte now and then. */
  requestMs: 120_000,
  /** Silence after which a client is asked whether it is still there, and how long it may take to say so. */
  pingMs: 60_000,
  pongMs: 20_000,
  /** For a client to read why its connection ends. */
  lingerMs: 1_000,
  /** How often these are checked. */
  checkMs: 1_000,
  /** Calls that one connection may have open. */
  maxStreams: 256,
  streamWindow: 1024 * 1024,
  connectionWindow: 16 * 1024 * 1024,
  maxWaitingBytes: 64 * 1024 * 1024,
  /** Resets and frames that do nothing: so many at once, and so many a second. Clients whose deadlines pass reset calls too. */
  nuisances: 2_000,
  nuisancesPerS: 200,
  /** Messages being received at one time, as a multiple of the largest. */
  messagesAtOnce: 8,
};

/** A stopping server without anything to answer waits this long for calls that are on their way. */
const QUIET_MS = 100;
const POLL_MS = 10;

export type GrpcServer = {
  /** @returns the address as `host:port`. @throws SlipwayError `port_taken`, `invalid_setting` */
  listen(): Promise<string>;
  /** To be called when endpoints may have become ready, or no longer be. */
  changed(): void;
  /** Answers what is under way, and what still comes, for at most `drainMs`. */
  stop(drainMs: number): Promise<void>;
  connections(): number;
};

export type GrpcServerDeps = Omit<GrpcServiceDeps, 'settings' | 'stopping'> & {
  readonly settings: Settings;
  readonly log: Logger;
  readonly limits?: Readonly<typeof GRPC_LIMITS>;
  /** Another port than SLIPWAY_GRPC_PORT, from SLIPWAY_PROTOCOL_PORTS. */
  readonly port?: number;
};

/** A connection with what is watched of it. */
type Watched = {
  readonly connection: Connection;
  bytesWritten: number;
  /** Since when the client has not taken a byte of what was written; 0 while it does. */
  stalledMs: number;
  pingSentMs: number;
};

/** gRPC over HTTP/2 without TLS. */
export function createGrpcServer(deps: GrpcServerDeps): GrpcServer {
  const { settings, metrics, log, limits = GRPC_LIMITS } = deps;
  let stopping = false;
  const service = createGrpcService({ ...deps, stopping: () => stopping });
  const sockets = new Map<Socket, Watched>();
  const callDeps = {
    metrics,
    log,
    retryAfterS: settings.retryAfterS,
    limits: {
      maxBytes: settings.maxBodyBytes,
      budget: { maxBytes: settings.maxBodyBytes * limits.messagesAtOnce, usedBytes: 0 },
    },
  };

  const accept = (stream: Stream, headers: RequestHeaders): Receiver | null => {
    if (headers.bytes > MAX_HEADER_BYTES) return refusePlainly(stream, 431);
    if (headers[':method'] !== 'POST') return refusePlainly(stream, 405);
    if (!isGrpc(headers['content-type'])) return refusePlainly(stream, 415);
    try {
      const call = new GrpcCall(stream, headers, service.methodOf(headers[':path']), callDeps);
      return call.over ? null : call;
    } catch (thrown) {
      const error = toSlipwayError(thrown);
      metrics.because(error.code);
      metrics.refused(httpStatusOf(error));
      stream.sendHeaders(errorHeaders(error, { requestId: uuidv7(), predictionId: '', version: '' }), true);
      return null;
    }
  };

  const refusePlainly = (stream: Stream, status: number): null => {
    metrics.refused(status);
    stream.sendHeaders(plainHeaders(status), true);
    return null;
  };

  const server = createServer({ noDelay: true });
  server.maxConnections = settings.maxConnections;
  server.on('connection', (socket) => {
    const connection = new Connection(socket, limits, accept);
    sockets.set(socket, { connection, bytesWritten: 0, stalledMs: 0, pingSentMs: 0 });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      sockets.delete(socket);
      connection.gone();
    });
    socket.on('data', (bytes: Buffer) => {
      try {
        if (connection.reader.prefaceSeen || startsLikeHttp2(bytes)) connection.read(bytes);
        else turnAway(socket, bytes);
      } catch (error) {
        // A mistake of ours costs one connection, not the gateway.
        log.error({ err: error }, 'a gRPC connection failed');
        socket.destroy();
      }
    });
  });

  /** Another protocol, told in its own words where it is one of those that get lost here. */
  const turnAway = (socket: Socket, bytes: Buffer): void => {
    metrics.refused(400);
    if (/^[A-Z]{3,10} /.test(bytes.toString('latin1', 0, 16))) socket.end(WRONG_PORT);
    socket.destroySoon();
  };

  const check = (): void => {
    const nowMs = performance.now();
    for (const [socket, watched] of sockets) {
      const { connection } = watched;
      const { headerSinceMs } = connection.reader;
      const moved = socket.bytesWritten - socket.writableLength;
      if (socket.writableLength === 0 || moved !== watched.bytesWritten) watched.stalledMs = 0;
      else if (watched.stalledMs === 0) watched.stalledMs = nowMs;
      watched.bytesWritten = moved;
      const isStalled = watched.stalledMs > 0 && nowMs - watched.stalledMs > limits.idleMs;
      const isOver = connection.endedMs > 0 && nowMs - connection.endedMs > limits.lingerMs;
      if (isOver || isStalled || (headerSinceMs > 0 && nowMs - headerSinceMs > limits.headersMs)) socket.destroy();
      else if (!isAlive(watched, nowMs)) socket.destroy();
      else for (const stream of [...connection.streams]) checkStream(stream, nowMs);
    }
  };

  const isAlive = (watched: Watched, nowMs: number): boolean => {
    const { connection } = watched;
    if (connection.heardMs > watched.pingSentMs) watched.pingSentMs = 0;
    if (watched.pingSentMs > 0) return nowMs - watched.pingSentMs <= limits.pongMs;
    if (nowMs - connection.heardMs > limits.pingMs) {
      watched.pingSentMs = nowMs;
      connection.writer.ping(0, Buffer.alloc(8));
    }
    return true;
  };

  const checkStream = (stream: Stream, nowMs: number): void => {
    const { receiver, stalledMs, endReceived, receivedMs, openedMs } = stream;
    if (stalledMs > 0 && nowMs - stalledMs > limits.idleMs) {
      stream.reset(ERROR.cancel);
      return;
    }
    if (endReceived || !(receiver instanceof GrpcCall) || receiver.method.kind !== 'unary') return;
    if (nowMs - receivedMs <= limits.idleMs && nowMs - openedMs <= limits.requestMs) return;
    receiver.fail(
      new SlipwayError('deadline_exceeded', 'The message did not arrive in time', {
        hint: `Send it without pauses of ${limits.idleMs / 1000} s, and within ${limits.requestMs / 1000} s.`,
      }),
    );
  };

  const open = (address: { host: string; port: number }): Promise<void> =>
    openOnce(server, { ...address, backlog: 1024, reusePort: settings.gateways > 1 });
  let timer: NodeJS.Timeout | undefined;

  /** Until no call was open for a while, at most until then. */
  const quiet = async (untilMs: number): Promise<void> => {
    let sinceMs = performance.now();
    while (performance.now() < untilMs) {
      const isBusy = [...sockets.values()].some(({ connection }) => connection.streams.length > 0);
      if (isBusy) sinceMs = performance.now();
      else if (performance.now() - sinceMs >= QUIET_MS) return;
      await pause(POLL_MS);
    }
  };

  return {
    async listen() {
      const { host, grpcPort: port } = settings;
      const url = await listenUntilFree(
        server,
        deps.port === undefined
          ? { host, port: port === 'off' ? 0 : port, portSetting: 'SLIPWAY_GRPC_PORT' }
          : { host, port: deps.port, portSetting: 'SLIPWAY_PROTOCOL_PORTS' },
        open,
      );
      timer = setInterval(check, limits.checkMs).unref();
      return new URL(url).host;
    },
    changed: () => service.health.changed(),
    async stop(drainMs) {
      stopping = true;
      const untilMs = performance.now() + drainMs;
      service.health.stop();
      for (const { connection } of sockets.values()) connection.announceEnd();
      // Whoever has not heard of it yet may connect and call still, until nobody does, or the time is nearly over.
      await quiet(untilMs - drainMs / 5);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const { connection } of [...sockets.values()]) connection.refuseNew();
      while (sockets.size > 0 && performance.now() < untilMs) await pause(POLL_MS);
      clearInterval(timer);
      for (const [socket, { connection }] of [...sockets]) {
        connection.gone();
        socket.destroy();
      }
      await closed;
    },
    connections: () => sockets.size,
  };
}

/** `application/grpc`, alone or with its encoding of messages, which can only be protobuf. */
function isGrpc(contentType: string): boolean {
  return contentType === 'application/grpc' || /^application\/grpc(\+proto)?(;|$)/.test(contentType);
}

function startsLikeHttp2(bytes: Buffer): boolean {
  const size = Math.min(bytes.length, PREFACE.length);
  return PREFACE.compare(bytes, 0, size, 0, size) === 0;
}

const TEXT =
  'This port speaks gRPC, over HTTP/2 without TLS. Inference over HTTP/1 has a port of its own: SLIPWAY_HTTP_PORT.\n';
const WRONG_PORT = `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${TEXT.length}\r\nConnection: close\r\n\r\n${TEXT}`;
