import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { AnswerBody, Wire } from './exchange.ts';

/** Bytes and time spent on the rest of a body that nobody wants, so that the client gets to read its answer. */
const DISCARD_BYTES = 64 * 1024 * 1024;
const DISCARD_MS = 10_000;

/** A request and its answer as node:http has them. */
export class NodeWire implements Wire {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
  }

  get headers(): IncomingHttpHeaders {
    return this.request.headers;
  }

  get socket(): Socket {
    return this.request.socket;
  }

  get complete(): boolean {
    return this.request.complete;
  }

  get finished(): boolean {
    return this.response.writableFinished;
  }

  send(status: number, headers: readonly string[], body: AnswerBody, last: boolean): void {
    const { response } = this;
    response.writeHead(status, last ? [...headers, 'Connection', 'close'] : (headers as string[]));
    if (typeof body === 'string' || body instanceof Uint8Array) {
      response.end(body);
      return;
    }
    response.cork();
    for (const chunk of body) response.write(chunk);
    response.end();
    response.uncork();
  }

  /** Many clients read the answer only when they have sent everything. They may, within bounds; then the connection goes on. */
  discardRest(): void {
    const { request } = this;
    const { headers } = request;
    if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) return;
    let left = DISCARD_BYTES;
    const timer = setTimeout(() => request.destroy(), DISCARD_MS).unref();
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) request.destroy();
    });
    request.on('close', () => clearTimeout(timer));
    request.resume();
  }
}
