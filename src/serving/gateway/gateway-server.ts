import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { listenUntilFree, openOnce } from '../../base/http/listen.ts';
import { answerBare, connectionOf } from './exchange.ts';
import { createLargeAnswers } from './large-answers.ts';
import { createLargeBodies } from './large-bodies.ts';
import { createLeanHttp } from './lean-http.ts';
import { NodeWire } from './node-wire.ts';
import { cancelCalls } from './prediction.ts';
import { requestFault } from './request-fault.ts';
import { createRequestHandler, type RequestHandlerDeps } from './request-handler.ts';
import { createUnreadAnswers } from './unread-answers.ts';

/** Every limit of the listener, in milliseconds and bytes: Node's own are far wider or absent. Tests pass shorter ones. */
export const HTTP_LIMITS = {
  /** From the connection, or the last answer, until the header is whole. */
  headersMs: 10_000,
  /** Without a byte in either direction while a body is sent or an answer is read. */
  idleMs: 30_000,
  /** From the first byte of the header to the last byte of the body: bounds those who send one byte now and then. */
  requestMs: 120_000,
  /** Longer than the 60 s after which load balancers drop an idle connection, so that they are the ones to do it. */
  keepAliveMs: 75_000,
  headerBytes: 16 * 1024,
  /** How often these are checked. */
  checkMs: 1_000,
  /** Bodies being received, and bodies that wait to be parsed, at one time, as a multiple of the largest body. */
  bodiesAtOnce: 8,
  /** Answers, of all connections together, that are being written or were not read by their clients yet. */
  unreadBytes: 512 * 1024 * 1024,
};

/** A stopping gateway without anything to answer waits this long for requests that are on their way. */
const QUIET_MS = 100;

export type GatewayServer = {
  /** @returns the base URL. @throws SlipwayError `port_taken`, `invalid_setting` */
  listen(): Promise<string>;
  /** Answers what is under way, and what still comes, for at most `drainMs`; every answer closes its connection. */
  stop(drainMs: number): Promise<void>;
  connections(): Promise<number>;
};

export type GatewayServerDeps = Omit<
  RequestHandlerDeps,
  'limits' | 'stopping' | 'largeBodies' | 'largeAnswers' | 'unread'
> & {
  readonly limits?: Readonly<typeof HTTP_LIMITS>;
};

export function createGatewayServer(deps: GatewayServerDeps): GatewayServer {
  const { settings, metrics, limits = HTTP_LIMITS } = deps;
  let stopping = false;

  const maxWaitingBytes = settings.maxBodyBytes * limits.bodiesAtOnce;
  const largeBodies = createLargeBodies({ log: deps.log, maxWaitingBytes });
  const budget = { maxBytes: maxWaitingBytes, usedBytes: 0 };
  const sockets = new Set<Socket>();
  const largeAnswers = createLargeAnswers(deps);
  const unread = createUnreadAnswers({
    sockets,
    maxBytes: limits.unreadBytes,
    waitingBytes: () => largeAnswers.waitingBytes,
  });
  const handler = createRequestHandler({
    ...deps,
    limits: { maxBytes: settings.maxBodyBytes, budget },
    stopping: () => stopping,
    largeBodies,
    largeAnswers,
    unread,
  });

  const server: Server = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.checkMs,
    maxHeaderSize: limits.headerBytes,
    insecureHTTPParser: false,
    requireHostHeader: true,
    noDelay: true,
  });
  server.timeout = limits.idleMs;
  server.maxConnections = settings.maxConnections;

  // Connections start on the lean path; node:http gets them, with what was not answered yet, when something else than the usual comes.
  const [nodeHttp] = server.listeners('connection') as [(this: Server, socket: Socket) => void];
  server.off('connection', nodeHttp);
  const lean = createLeanHttp({
    limits: { ...limits, maxBodyBytes: settings.maxBodyBytes },
    budget,
    onRequest: handler.handleLean,
    wantsBody: handler.wantsBody,
    handOver(socket, rest) {
      nodeHttp.call(server, socket);
      socket.unshift(rest);
      socket.resume();
    },
  });

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      cancelCalls(connectionOf(socket));
    });
    lean.accept(socket);
  });
  const take = (request: IncomingMessage, response: ServerResponse, goAhead?: () => void): void => {
    // None of these is judged by the handler.
    const fault = requestFault(request);
    if (fault === null) {
      handler.handle(new NodeWire(request, response), goAhead);
      return;
    }
    metrics.refused(fault.status);
    response.writeHead(fault.status, ['Content-Type', 'text/plain', 'Connection', 'close']).end(`${fault.message}\n`);
  };
  server.on('request', (request, response) => take(request, response));
  server.on('checkContinue', (request, response) => take(request, response, () => response.writeContinue()));
  server.on('timeout', (socket) => {
    const { calls, latest } = connectionOf(socket);
    // Waiting for a model is not idleness: the call's own deadline ends it.
    if (calls.length > 0) socket.setTimeout(limits.idleMs);
    else if (latest !== null && !latest.answered && !latest.wire.complete) answerBare(latest, 408);
    else socket.destroy(); // between requests, or its answer is not read
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const status = STATUS_OF_FAULT[error.code ?? ''] ?? 400;
    metrics.refused(status);
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else endBroken(socket as Socket, status);
  });

  const open = (address: { host: string; port: number }): Promise<void> =>
    openOnce(server, { ...address, backlog: 1024, reusePort: settings.gateways > 1 });

  return {
    listen() {
      const { host, httpPort: port } = settings;
      return listenUntilFree(server, { host, port, portSetting: 'SLIPWAY_HTTP_PORT' }, open);
    },
    async stop(drainMs) {
      stopping = true;
      const untilMs = performance.now() + drainMs;
      let quietSinceMs = performance.now();
      while (performance.now() < untilMs) {
        let openRequests = 0;
        for (const socket of sockets) openRequests += connectionOf(socket).open;
        if (openRequests > 0) quietSinceMs = performance.now();
        else if (performance.now() - quietSinceMs >= QUIET_MS) break;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      lean.close();
      await closed;
      largeBodies.close();
      largeAnswers.close();
    },
    connections: () => new Promise((resolve) => server.getConnections((_error, count) => resolve(count ?? 0))),
  };
}

/** Faults of the HTTP framing, by the parser's code; others are 400. */
const STATUS_OF_FAULT: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/**
 * Ends a connection on which nothing more can be read. Earlier requests get their answers first; the request at fault gets one answer and
 * no second.
 */
function endBroken(socket: Socket, status: number): void {
  const { latest } = connectionOf(socket);
  if (latest === null || latest.wire.finished) {
    if (latest !== null && !latest.wire.complete) socket.destroy();
    else endWith(socket, status);
  } else if (!latest.wire.complete) {
    if (latest.answered) socket.destroy();
    else answerBare(latest, status);
  } else if (latest.wire instanceof NodeWire) {
    latest.wire.response.once('finish', () => endWith(socket, status));
  }
}

/** There is no request to answer in its protocol's form. */
function endWith(socket: Socket, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.destroySoon();
}
