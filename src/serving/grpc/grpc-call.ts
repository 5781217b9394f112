import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import { isRequestId, uuidv7 } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import type { GatewayMetrics } from '../gateway/metrics.ts';
import { withRetryAfter } from '../gateway/retry-after.ts';
import { answerHeaders, type CallNames, errorHeaders, errorTrailers, OK_TRAILERS } from './answer-headers.ts';
import { httpStatusOf } from './grpc-status.ts';
import { ERROR } from './http2/frames.ts';
import type { RequestHeaders } from './http2/request-headers.ts';
import type { Receiver, Stream } from './http2/stream.ts';
import { answerEncoding, compress, decompress, encodingOf, isWorthCompressing } from './message-encoding.ts';
import { type MessageLimits, MessageReader, type MessageTaker } from './message-reader.ts';

export type Method = UnaryMethod | StreamingMethod;

/** One message, one answer. */
export type UnaryMethod = {
  readonly kind: 'unary';
  /** `/package.Service/Method` */
  readonly path: string;
  /** Looks at who asks, before any message is read. @throws SlipwayError */
  readonly admit: (call: GrpcCall) => void;
  /** Answers by `call.reply`, now or later. What it throws, or rejects with, is answered. */
  readonly answer: (call: GrpcCall, message: Buffer) => void | Promise<void>;
};

/** Messages both ways. */
export type StreamingMethod = {
  readonly kind: 'streaming';
  readonly path: string;
  readonly admit: (call: GrpcCall) => void;
  readonly open: (call: GrpcCall) => MessageHandler;
};

export type MessageHandler = {
  /** What it throws ends the call. */
  message(bytes: Buffer): void;
  /** The client has sent everything. What it throws ends the call. */
  end(): void;
};

/** Longer ones would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export type CallDeps = {
  readonly limits: MessageLimits;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly retryAfterS: number;
};

/** One call: takes its messages from a stream and writes its answer to it. A class for the hot path. */
export class GrpcCall implements Receiver, MessageTaker, CallNames {
  readonly headers: RequestHeaders;
  readonly method: Method;
  /** By `performance.now()`. */
  readonly startedMs: number;
  /** The caller's, or the prediction's id. */
  readonly requestId: string;
  /** UUIDv7, also of calls that are refused: what a caller reports can be found in the log. */
  readonly ownId: string;
  /** Empty until a version is asked for a prediction; then our own id. */
  predictionId = '';
  version = '';
  /** Time that the caller gives, from `startedMs`; Infinity where it names none. */
  readonly timeoutMs: number;
  /** Told when the client went away before its answer. */
  onGone: (() => void) | null = null;
  /** Whether it was answered, or nobody waits for its answer. */
  over = false;
  /** Whether a refusal is counted by whoever holds a meter. */
  counted = false;

  private readonly stream: Stream;
  private readonly deps: CallDeps;
  private readonly reader: MessageReader;
  private readonly encoding: string | null;
  private handler: MessageHandler | null = null;
  /** The one message of a unary call. */
  private only: Buffer | null = null;
  private ended = false;
  private decompressing = false;
  private headersSent = false;
  private timer: NodeJS.Timeout | null = null;

  /** @throws SlipwayError */
  constructor(stream: Stream, headers: RequestHeaders, method: Method, deps: CallDeps) {
    this.stream = stream;
    this.headers = headers;
    this.method = method;
    this.deps = deps;
    this.startedMs = stream.openedMs;
    this.ownId = uuidv7();
    const given = headers['x-request-id'];
    this.requestId = isRequestId(given) ? given : this.ownId;
    this.reader = new MessageReader(this, deps.limits);
    this.timeoutMs = Number.POSITIVE_INFINITY;
    this.encoding = null;
    try {
      this.timeoutMs = timeoutOf(headers['grpc-timeout']);
      this.encoding = encodingOf(headers['grpc-encoding']);
      method.admit(this);
      if (method.kind === 'streaming') this.open(method);
    } catch (thrown) {
      this.fail(toSlipwayError(thrown));
    }
  }

  private open(method: StreamingMethod): void {
    if (this.timeoutMs < Number.POSITIVE_INFINITY) {
      const late = (): void => this.fail(new SlipwayError('deadline_exceeded', 'The deadline of the stream passed'));
      this.timer = setTimeout(late, Math.min(this.timeoutMs, LONGEST_TIMER_MS)).unref();
    }
    this.handler = method.open(this);
  }

  // ---- what comes in

  data(bytes: Buffer, end: boolean): void {
    if (this.over) return;
    this.reader.push(bytes);
    if (this.over || !end) return;
    this.ended = true;
    this.assessEnd();
  }

  /** The client is done: the call is whole, when no message is still to be read. */
  private assessEnd(): void {
    if (this.decompressing || this.stream.holdsWindow) return;
    if (!this.reader.isBetween) {
      this.fail(new SlipwayError('invalid_request', 'The call ends in the middle of a message'));
      return;
    }
    if (this.handler !== null) {
      try {
        this.handler.end();
      } catch (thrown) {
        this.fail(toSlipwayError(thrown));
      }
      return;
    }
    const { only } = this;
    if (only === null) {
      this.fail(new SlipwayError('invalid_request', 'The call has no message'));
      return;
    }
    this.only = null;
    this.run(only);
  }

  private run(message: Buffer): void {
    try {
      const later = (this.method as UnaryMethod).answer(this, message);
      if (later instanceof Promise) later.catch((thrown: unknown) => this.fail(toSlipwayError(thrown)));
    } catch (thrown) {
      this.fail(toSlipwayError(thrown));
    }
  }

  message(bytes: Buffer, compressed: boolean): void {
    if (!compressed) {
      this.take(bytes);
      return;
    }
    this.decompressing = true;
    this.reader.pause();
    this.stream.holdsWindow = true;
    decompress(bytes, this.encoding, this.deps.limits)
      .then((whole) => {
        this.decompressing = false;
        if (this.over) return;
        this.take(whole);
        if (!this.over && !this.isHeld) this.goOn();
      })
      .catch((thrown: unknown) => this.fail(toSlipwayError(thrown)));
  }

  private take(bytes: Buffer): void {
    if (this.handler === null) {
      if (this.only !== null) {
        this.fail(new SlipwayError('invalid_request', 'The call has more than one message'));
        return;
      }
      this.only = bytes;
      return;
    }
    try {
      this.handler.message(bytes);
    } catch (thrown) {
      this.fail(toSlipwayError(thrown));
    }
  }

  fault(error: SlipwayError): void {
    this.fail(error);
  }

  private isHeld = false;

  /** No further messages for now. */
  hold(): void {
    this.isHeld = true;
    this.reader.pause();
    this.stream.holdsWindow = true;
  }

  /** The next messages, please. */
  release(): void {
    if (!this.isHeld) return;
    this.isHeld = false;
    if (!this.decompressing && !this.over) this.goOn();
  }

  private goOn(): void {
    this.stream.releaseWindow();
    this.reader.resume();
    if (this.decompressing || this.isHeld || this.over) return;
    if (this.ended) this.assessEnd();
  }

  /** Bytes of the answer that the client does not take yet. */
  get unsentBytes(): number {
    return this.stream.waitingBytes;
  }

  gone(): void {
    if (this.over) return;
    this.close();
    this.onGone?.();
  }

  // ---- what goes out

  /** The whole answer of a unary call. @param framed the message behind five bytes for its prefix, filled */
  reply(framed: Buffer): void {
    if (this.over) return;
    const encoding = answerEncoding(this.encoding, this.headers['grpc-accept-encoding']);
    if (encoding !== null && isWorthCompressing(framed)) {
      compress(framed, encoding)
        .then((packed) => this.finishWith(packed, encoding))
        .catch((thrown: unknown) => this.fail(toSlipwayError(thrown)));
    } else this.finishWith(framed, null);
  }

  private finishWith(framed: Buffer, encoding: string | null): void {
    if (this.over) return;
    this.close();
    this.stream.answer(answerHeaders(this, encoding), framed, OK_TRAILERS);
  }

  /** One message of a stream. */
  send(framed: Buffer): void {
    if (this.over) return;
    this.sendHeaders();
    this.stream.sendData(framed);
  }

  /** Headers by themselves, for streams whose first message may be long in coming. */
  sendHeaders(): void {
    if (this.headersSent || this.over) return;
    this.headersSent = true;
    this.stream.sendHeaders(answerHeaders(this, null), false);
  }

  /** Ends a stream that went well. */
  finish(): void {
    if (this.over) return;
    this.sendHeaders();
    this.close();
    this.stream.sendTrailers(OK_TRAILERS);
  }

  /** Answers with an error, unless it was answered before. Whoever holds a meter for the call counts it. */
  fail(error: SlipwayError): void {
    if (this.over) return;
    const wasOpen = this.onGone;
    this.close();
    const told = withRetryAfter(error, this.deps.retryAfterS);
    const { requestId, ownId, predictionId, version, method } = this;
    if (error.kind === 'internal') {
      this.deps.log.error({ err: error, requestId, predictionId: ownId, path: method.path }, 'a call failed');
    }
    this.deps.metrics.because(error.code);
    if (!this.counted) this.countRefusal(error);
    if (this.headersSent) this.stream.sendTrailers(errorTrailers(told));
    else this.stream.sendHeaders(errorHeaders(told, { requestId, predictionId, version }), true);
    wasOpen?.();
  }

  /** Counts a refusal that no version was picked for. */
  countRefusal(error: SlipwayError): void {
    this.deps.metrics.refused(httpStatusOf(error));
  }

  private close(): void {
    this.over = true;
    this.reader.stop();
    if (this.timer !== null) clearTimeout(this.timer);
  }

  /** Gives up a call whose client neither sends nor reads. */
  abandon(): void {
    this.stream.reset(ERROR.cancel);
  }
}

/** Milliseconds of the units of `grpc-timeout`. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * @param header grpc-timeout: up to eight digits and a unit
 * @returns milliseconds; Infinity where none is named
 * @throws SlipwayError `invalid_request`
 */
export function timeoutOf(header: string | undefined): number {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  const match = /^(\d{1,8})([HMSmun])$/.exec(header);
  if (match !== null) return Number(match[1]) * UNITS[match[2]!]!;
  throw new SlipwayError('invalid_request', `The grpc-timeout ${JSON.stringify(header.slice(0, 20))} cannot be read`);
}
