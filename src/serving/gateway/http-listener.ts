/** One port of inference over HTTP: connections, and what becomes of those that are at fault. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Contract } from '../../base/contract.ts';
import { listenUntilFree, openOnce, type PortSetting } from '../../base/http/listen.ts';
import type { Settings } from '../../base/settings.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { answerLast, connectionOf } from './exchange.ts';
import type { HTTP_LIMITS } from './http-limits.ts';
import { createLeanHttp } from './lean-http.ts';
import type { GatewayMetrics } from './metrics.ts';
import { NodeWire } from './node-wire.ts';
import { cancelCalls } from './prediction.ts';
import type { BodyBudget } from './request-body.ts';
import { lastAnswer, requestFault } from './request-fault.ts';
import type { RequestHandler } from './request-handler-deps.ts';

/** What a port speaks. */
export type ListenerSpec = {
  readonly port: number;
  readonly portSetting: PortSetting;
  /** Of two that claim a path the first has it. */
  readonly protocols: readonly Protocol[];
  /** In whose form errors are told where a path belongs to none of them. */
  readonly fallback: Protocol;
  /** Where the platform of a container asks. */
  readonly contract?: Contract;
};

/** A platform asks at an address of its own choosing. */
const ANY_ADDRESS = '0.0.0.0';

export type HttpListenerDeps = {
  readonly settings: Settings;
  readonly spec: ListenerSpec;
  readonly limits: Readonly<typeof HTTP_LIMITS>;
  readonly handler: RequestHandler;
  readonly metrics: GatewayMetrics;
  /** Of bodies being received on all ports. */
  readonly budget: BodyBudget;
  /** Open connections of all ports. */
  readonly sockets: Set<Socket>;
};

export type HttpListener = {
  /** @returns the base URL. @throws SlipwayError `port_taken`, `invalid_setting` */
  listen(): Promise<string>;
  /** Takes no more connections, and drops those that are open. */
  close(): Promise<void>;
};

export function createHttpListener(deps: HttpListenerDeps): HttpListener {
  const { settings, spec, limits, handler, metrics, budget, sockets } = deps;
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
    else if (latest !== null && !latest.answered && !latest.wire.complete) answerLast(latest, 408);
    else socket.destroy(); // between requests, or its answer is not read
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const isVersion = (error as { reason?: string }).reason === 'Invalid HTTP version'; // its code is that of a bad line end too
    const status = isVersion ? 505 : (STATUS_OF_FAULT[error.code ?? ''] ?? 400);
    metrics.refused(status);
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else endBroken(socket as Socket, status);
  });

  const open = (address: { host: string; port: number }): Promise<void> =>
    openOnce(server, { ...address, backlog: 1024, reusePort: settings.gateways > 1 });

  return {
    listen() {
      const { port, portSetting, contract } = spec;
      const host = contract === undefined ? settings.host : ANY_ADDRESS;
      return listenUntilFree(server, { host, port, portSetting }, open);
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      lean.close();
      await closed;
    },
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
    else answerLast(latest, status);
  } else if (latest.wire instanceof NodeWire) {
    latest.wire.response.once('finish', () => endWith(socket, status));
  }
}

function endWith(socket: Socket, status: number): void {
  socket.end(lastAnswer(status));
  socket.destroySoon();
}
