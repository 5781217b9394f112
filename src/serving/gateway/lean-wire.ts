import type { Socket } from 'node:net';
import type { AnswerBody, Wire } from './exchange.ts';
import { httpDate, type LeanAnswer, leanAnswer, statusLine } from './lean-answer.ts';
import type { LeanHead } from './lean-head.ts';

/** The connection, as one of its requests knows it. */
export type Answering = {
  /** The headers of an answer after which the connection stays. */
  readonly keepAlive: string;
  answered(wire: LeanWire): void;
};

/** One request and its answer on the lean path. */
export class LeanWire implements Wire {
  readonly socket: Socket;
  readonly head: LeanHead;
  readonly complete = true;
  next: LeanWire | null = null;
  out: LeanAnswer | null = null;
  isLast = false;
  finished = false;
  readonly #connection: Answering;

  constructor(connection: Answering, socket: Socket, head: LeanHead) {
    this.#connection = connection;
    this.socket = socket;
    this.head = head;
  }

  get headers(): LeanHead['headers'] {
    return this.head.headers;
  }

  send(status: number, headers: readonly string[], body: AnswerBody, last: boolean): void {
    let text = `HTTP/1.1 ${status === 200 ? '200 OK' : statusLine(status)}\r\n`;
    for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
    text += `Date: ${httpDate()}\r\n${last ? 'Connection: close' : this.#connection.keepAlive}\r\n\r\n`;
    this.isLast = last;
    this.out = leanAnswer(text, body);
    this.#connection.answered(this);
  }

  discardRest(): void {} // it was read before it was looked at
}
