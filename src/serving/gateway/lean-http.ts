/**
 * HTTP/1.1 for the requests that nearly all callers send: a whole, plain POST or GET on a connection that stays. node:http takes 18 us
 * for such a request before anybody looked at its body; this takes about 8. It reads only heads that are beyond doubt (lean-head.ts). With the
 * first request of a connection that is anything else, the connection goes over to node:http for good, with all bytes that were not answered yet: so
 * there is one judge of everything unusual, and it is a well-known one.
 */
import type { Socket } from 'node:net';
import { type Connection, connectionOf } from './exchange.ts';
import { writeLeanAnswer } from './lean-answer.ts';
import { HeadMemory, type LeanHead, type ParsedHead } from './lean-head.ts';
import { LeanWire } from './lean-wire.ts';
import { bodyOf, type PartialBody } from './partial-body.ts';
import type { BodyBudget } from './request-body.ts';
import { lastAnswer } from './request-fault.ts';

export type LeanHttpDeps = {
  readonly limits: LeanLimits;
  /** Bytes of bodies being received, shared with node:http's. */
  readonly budget: BodyBudget;
  /** Answers a whole request, now or later. `body` lies in memory that nobody else writes to. */
  readonly onRequest: (wire: LeanWire, body: Buffer) => void;
  /** Whether a request whose body is still on its way would get as far as its body. */
  readonly wantsBody: (head: LeanHead) => boolean;
  /** Takes the connection for good. `rest` is to be read before what the socket brings. */
  readonly handOver: (socket: Socket, rest: Buffer) => void;
};

export type LeanLimits = {
  /** From the connection until something comes; a head that comes in parts is node:http's. */
  readonly headersMs: number;
  readonly idleMs: number;
  readonly requestMs: number;
  readonly keepAliveMs: number;
  readonly headerBytes: number;
  readonly checkMs: number;
  /** Larger bodies are node:http's to refuse. */
  readonly maxBodyBytes: number;
};

export type LeanHttp = {
  accept(socket: Socket): void;
  /** Closes what is open and stops the clock. */
  close(): void;
};

/** Requests of one connection that may wait for their answers; then nothing more is read from it. */
const MAX_OPEN = 32;
/** Bytes of answers that a client has not read; then nothing more is read from it. */
const MAX_UNREAD_BYTES = 1024 * 1024;
const END_OF_HEAD = Buffer.from('\r\n\r\n');

export function createLeanHttp(deps: LeanHttpDeps): LeanHttp {
  const connections = new Set<LeanConnection>();
  let answering: LeanConnection[] = [];
  const flushAll = (): void => {
    const all = answering;
    answering = [];
    for (let i = 0; i < all.length; i++) all[i]!.flush();
  };
  const house: House = {
    forget(connection) {
      connections.delete(connection);
    },
    flushLater(connection) {
      // A client that is answered at once asks again at once, while others still wait to be read: two wake-ups for each request. In turns
      // of reading all, then answering all, both sides find many at a time (measured: README of bench).
      if (answering.push(connection) === 1) setImmediate(flushAll);
    },
  };
  const clock = setInterval(() => {
    const nowMs = performance.now();
    for (const connection of connections) connection.check(nowMs);
  }, deps.limits.checkMs).unref();

  return {
    accept(socket) {
      connections.add(new LeanConnection(socket, deps, house));
    },
    close() {
      clearInterval(clock);
      for (const connection of connections) connection.destroy();
    },
  };
}

/** What connections ask of all of them. */
type House = {
  readonly forget: (connection: LeanConnection) => void;
  /** Calls `flush` at the end of this turn of the event loop. */
  readonly flushLater: (connection: LeanConnection) => void;
};

class LeanConnection {
  readonly #socket: Socket;
  readonly #deps: LeanHttpDeps;
  readonly #forget: House['forget'];
  readonly #flushLater: House['flushLater'];
  readonly #state: Connection;
  /** The headers of an answer after which the connection stays. */
  readonly keepAlive: string;
  readonly #memory = new HeadMemory();
  /** Requests without an answer, in their order. */
  #first: LeanWire | null = null;
  #last: LeanWire | null = null;
  #partial: PartialBody | null = null;
  /** The beginning of a head that goes on, so far, like the one before; and since when, by `performance.now()`. */
  #headPart: Buffer | null = null;
  #headSinceMs = 0;
  /** Bytes that wait until earlier requests are answered; read again from their first byte. */
  #held: Buffer | null = null;
  /** Since when it is without a request. */
  #idleSinceMs = performance.now();
  /** Nothing was asked yet. */
  #isNew = true;
  /** The last answer is given, or there will be none. */
  #closing = false;
  #reading = false;
  #flushing = false;

  constructor(socket: Socket, deps: LeanHttpDeps, house: House) {
    this.#socket = socket;
    this.#deps = deps;
    this.#forget = house.forget;
    this.#flushLater = house.flushLater;
    this.#state = connectionOf(socket);
    this.keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(deps.limits.keepAliveMs / 1000)}`;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.on('drain', this.#onDrain);
    socket.on('timeout', this.#onTimeout);
    socket.on('error', ignore);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Ends what takes too long. */
  check(nowMs: number): void {
    const { headersMs, idleMs, requestMs, keepAliveMs } = this.#deps.limits;
    const partial = this.#partial;
    if (partial !== null) {
      if (nowMs - partial.movedMs > idleMs || nowMs - partial.sinceMs > requestMs) this.#refuse(408);
    } else if (this.#headPart !== null) {
      if (this.#first === null && nowMs - this.#headSinceMs > headersMs) this.#refuse(408);
    } else if (this.#first === null && this.#held === null) {
      const idleSoFarMs = nowMs - this.#idleSinceMs;
      if (this.#isNew && idleSoFarMs > headersMs) this.#refuse(408);
      else if (idleSoFarMs > keepAliveMs) this.#socket.destroy();
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    const partial = this.#partial;
    if (partial !== null) this.#more(partial, chunk);
    else if (this.#headPart !== null) {
      const all = Buffer.concat([this.#headPart, chunk]);
      this.#headPart = null;
      this.#read(all);
    } else if (this.#held !== null) this.#hold(Buffer.concat([this.#held, chunk]));
    else this.#read(chunk);
  };

  /** Answers the requests of a chunk that begins with one. */
  #read(chunk: Buffer): void {
    const { limits } = this.#deps;
    let at = 0;
    this.#reading = true;
    while (at < chunk.length) {
      if (this.#state.open >= MAX_OPEN || this.#socket.writableLength > MAX_UNREAD_BYTES) break;
      const end = chunk.indexOf(END_OF_HEAD, at);
      if (
        end === -1 &&
        chunk.length - at < limits.headerBytes &&
        this.#memory.continues(chunk.toString('latin1', at))
      ) {
        this.#reading = false;
        this.#headPart = at === 0 ? chunk : chunk.subarray(at);
        this.#headSinceMs ||= performance.now();
        return;
      }
      const parsed: ParsedHead | null =
        end === -1 || end - at > limits.headerBytes ? null : this.#memory.read(chunk.toString('latin1', at, end));
      if (parsed === null || parsed.contentLength > limits.maxBodyBytes) {
        this.#goOver(chunk, at);
        return;
      }
      this.#headSinceMs = 0;
      const bodyAt = end + END_OF_HEAD.length;
      const next = bodyAt + parsed.contentLength;
      if (next > chunk.length) {
        if (this.#deps.wantsBody(parsed.head)) this.#begin(parsed.head, chunk.subarray(at), bodyAt - at, next - at);
        else this.#goOver(chunk, at);
        return;
      }
      this.#ask(parsed.head, chunk.subarray(bodyAt, next));
      if (this.#socket.destroyed || this.#closing) break;
      at = next;
    }
    this.#reading = false;
    if (at < chunk.length && !this.#socket.destroyed && !this.#closing) this.#hold(chunk.subarray(at));
  }

  /** What cannot be read here; earlier requests are answered here first. */
  #goOver(chunk: Buffer, at: number): void {
    this.#reading = false;
    const rest = at === 0 ? chunk : chunk.subarray(at);
    if (this.#first !== null) this.#hold(rest);
    else this.#handOver(rest);
  }

  #handOver(rest: Buffer): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    socket.off('drain', this.#onDrain);
    socket.off('timeout', this.#onTimeout);
    socket.off('error', ignore);
    socket.setTimeout(0);
    this.#forget(this);
    this.#deps.handOver(socket, rest);
  }

  #hold(bytes: Buffer): void {
    this.#held = bytes;
    this.#socket.pause();
  }

  /** Reads on where answers were waited for. */
  #goOn(): void {
    const held = this.#held;
    if (held === null || this.#reading || this.#socket.writableLength > MAX_UNREAD_BYTES) return;
    this.#held = null;
    this.#socket.resume();
    this.#read(held);
    this.#finish();
  }

  #begin(head: LeanHead, bytes: Buffer, bodyAt: number, need: number): void {
    this.#reading = false;
    const nowMs = performance.now();
    this.#partial = { head, bytes: [bytes], have: bytes.length, bodyAt, need, sinceMs: nowMs, movedMs: nowMs };
    this.#count(bytes.length);
  }

  /** Keeps the sum of all unfinished bodies within its bound; node:http's side says so to whom it refuses. */
  #count(bytes: number): void {
    const { budget } = this.#deps;
    budget.usedBytes += bytes;
    if (budget.usedBytes > budget.maxBytes) this.#giveOver();
  }

  #more(partial: PartialBody, chunk: Buffer): void {
    partial.bytes.push(chunk);
    partial.have += chunk.length;
    partial.movedMs = performance.now();
    this.#count(chunk.length);
    // Many tiny chunks cost far more than their bytes; node:http's side counts them and says so.
    if (this.#partial === partial && partial.bytes.length > MAX_CHUNKS) this.#giveOver();
    if (partial.have < partial.need || this.#partial !== partial) return;
    const body = bodyOf(partial);
    // Copied, because a large body's memory moves to the thread that reads it.
    const rest =
      partial.have > partial.need ? Buffer.from(chunk.subarray(chunk.length - (partial.have - partial.need))) : null;
    this.#dropPartial();
    this.#reading = true;
    this.#ask(partial.head, body);
    this.#reading = false;
    if (rest !== null) this.#onData(rest);
  }

  /** The rest of a body that came so far goes to node:http, which knows how to refuse it. */
  #giveOver(): void {
    const partial = this.#partial!;
    this.#dropPartial();
    this.#goOver(Buffer.concat(partial.bytes, partial.have), 0);
  }

  #dropPartial(): void {
    if (this.#partial === null) return;
    this.#deps.budget.usedBytes -= this.#partial.have;
    this.#partial = null;
  }

  #ask(head: LeanHead, body: Buffer): void {
    const wire = new LeanWire(this, this.#socket, head);
    if (this.#last === null) this.#first = wire;
    else this.#last.next = wire;
    this.#last = wire;
    this.#isNew = false;
    this.#deps.onRequest(wire, body);
  }

  /** An answer is ready. It goes out with all others of this turn of the event loop. */
  answered(wire: LeanWire): void {
    if (wire !== this.#first || this.#flushing) return;
    this.#flushing = true;
    this.#flushLater(this);
  }

  /** Sends the answers whose turn it is. */
  flush(): void {
    this.#flushing = false;
    const socket = this.#socket;
    let one = this.#first;
    while (one !== null && one.out !== null) {
      this.#first = one.next;
      if (one.next === null) this.#last = null;
      if (one.isLast) {
        this.#closing = true;
        this.#first = null;
        this.#last = null;
      }
      writeLeanAnswer(socket, one.out);
      one.out = null;
      one.finished = true;
      one = this.#first;
    }
    if (socket.writableLength > 0) socket.setTimeout(this.#deps.limits.idleMs);
    if (this.#first !== null) return;
    this.#idleSinceMs = performance.now();
    if (this.#held !== null && !this.#closing) this.#goOn();
    else this.#finish();
  }

  #refuse(status: number): void {
    this.#dropPartial();
    this.#closing = true;
    this.#socket.end(lastAnswer(status));
    this.#socket.destroySoon();
  }

  #finish(): void {
    if (this.#closing && this.#first === null) this.#socket.destroySoon();
  }

  /** As with node:http, a client that ends its side is gone: nearly all of them are, and what they waited for is not to be computed. */
  readonly #onEnd = (): void => {
    if (this.#flushing) this.flush();
    if (this.#partial !== null || this.#headPart !== null) this.#refuse(400);
    else if (this.#first !== null || this.#held !== null) this.#socket.destroy();
    else this.#socket.destroySoon();
  };

  readonly #onClose = (): void => {
    this.#dropPartial();
    this.#held = null;
    this.#forget(this);
  };

  readonly #onDrain = (): void => {
    this.#socket.setTimeout(0);
    this.#goOn();
  };

  /** Nothing was read of an answer for too long. */
  readonly #onTimeout = (): void => {
    if (this.#socket.writableLength > 0) this.#socket.destroy();
    else this.#socket.setTimeout(0); // all was taken without a word of it
  };
}

const MAX_CHUNKS = 4096;

function ignore(): void {}
