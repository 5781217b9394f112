import type { Connection } from './connection.ts';
import { ERROR, FLAG, FRAME, FRAME_HEAD, writeHead } from './frames.ts';

/** What takes the body of a request, and is told when nobody waits for its answer any more. */
export type Receiver = {
  /** @param end whether it was the last of the body. The bytes are a view on what was read: keep copies only. */
  data(bytes: Buffer, end: boolean): void;
  /** The client cancelled, or its connection is gone. Called at most once, and not after the answer was finished. */
  gone(): void;
};

/** One request and its answer. A class for the hot path. */
export class Stream {
  readonly id: number;
  readonly connection: Connection;
  /** Its place among the connection's streams. */
  index = 0;
  receiver: Receiver | null = null;
  /** Bytes that the client may still be sent. */
  sendWindow: number;
  /** Bytes that the client may still send; and those that came since it was told so. */
  receiveWindow: number;
  unannounced = 0;
  /** While true, what comes in is not announced as read, so that the client stops when its window is used up. */
  holdsWindow = false;
  /** The client has sent everything. */
  endReceived = false;
  headersSent = false;
  endSent = false;
  closed = false;
  /** Bytes of the body still to come, where the client said how many; else -1. */
  bodyLeft: number;
  readonly openedMs: number;
  /** When the last byte of the body came. */
  receivedMs: number;
  /** Answer that waits for the client to open its window, and since when it has not. */
  waiting: Buffer[] = [];
  waitingBytes = 0;
  waitingTrailers: Buffer | null = null;
  stalledMs = 0;

  constructor(
    connection: Connection,
    id: number,
    sendWindow: number,
    receiveWindow: number,
    bodyLeft: number,
    nowMs: number,
  ) {
    this.connection = connection;
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.bodyLeft = bodyLeft;
    this.openedMs = nowMs;
    this.receivedMs = nowMs;
  }

  /** A whole answer: header block, body, trailer block. One write where the windows allow it. */
  answer(headers: Buffer, body: Buffer, trailers: Buffer): void {
    const { connection, id } = this;
    if (this.closed || this.endSent) return;
    const size = body.length;
    if (this.headersSent || size > connection.frameBytes || size > this.sendWindow || size > connection.sendWindow) {
      if (!this.headersSent) this.sendHeaders(headers, false);
      this.sendData(body);
      this.sendTrailers(trailers);
      return;
    }
    this.headersSent = true;
    this.sendWindow -= size;
    connection.sendWindow -= size;
    const frame = Buffer.allocUnsafe(3 * FRAME_HEAD + headers.length + size + trailers.length);
    let at = writeHead(frame, 0, headers.length, FRAME.headers, FLAG.endHeaders, id);
    at += headers.copy(frame, at);
    at = writeHead(frame, at, size, FRAME.data, 0, id);
    at += body.copy(frame, at);
    at = writeHead(frame, at, trailers.length, FRAME.headers, FLAG.endHeaders | FLAG.endStream, id);
    trailers.copy(frame, at);
    connection.writer.write(frame);
    this.finish();
  }

  /** @param last whether nothing follows */
  sendHeaders(block: Buffer, last: boolean): void {
    if (this.closed || this.endSent) return;
    this.headersSent = true;
    this.connection.writer.write(headersFrame(block, this.id, last));
    if (last) this.finish();
  }

  /** Sends as much as the windows allow, now; the rest when they open. Keeps the bytes until then. */
  sendData(bytes: Buffer): void {
    if (this.closed || this.endSent || bytes.length === 0) return;
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    this.connection.waitingBytes += bytes.length;
    this.pump();
  }

  sendTrailers(block: Buffer): void {
    if (this.closed || this.endSent) return;
    this.waitingTrailers = block;
    this.pump();
  }

  /** Ends the stream without an answer. */
  reset(code: number): void {
    if (this.closed) return;
    this.connection.writer.reset(this.id, code);
    this.close();
  }

  /** Sends what waits, as far as the windows allow. */
  pump(): void {
    const { connection, waiting } = this;
    while (waiting.length > 0) {
      const first = waiting[0]!;
      const size = Math.min(first.length, connection.frameBytes, this.sendWindow, connection.sendWindow);
      if (size <= 0) {
        if (this.stalledMs === 0) this.stalledMs = performance.now();
        return;
      }
      this.stalledMs = 0;
      this.sendWindow -= size;
      connection.sendWindow -= size;
      this.waitingBytes -= size;
      connection.waitingBytes -= size;
      const head = Buffer.allocUnsafe(FRAME_HEAD);
      writeHead(head, 0, size, FRAME.data, 0, this.id);
      connection.writer.write(head);
      connection.writer.write(size === first.length ? first : first.subarray(0, size));
      if (size === first.length) waiting.shift();
      else waiting[0] = first.subarray(size);
    }
    if (this.waitingTrailers === null) return;
    connection.writer.write(headersFrame(this.waitingTrailers, this.id, true));
    this.finish();
  }

  /** Whoever holds back may go on: the client is told that it may send as much again. */
  releaseWindow(): void {
    this.holdsWindow = false;
    this.connection.announce(this);
  }

  private finish(): void {
    this.endSent = true;
    // A client that is still sending is told that nobody reads it, after the answer.
    if (!this.endReceived) this.connection.writer.reset(this.id, ERROR.none);
    this.close();
  }

  /** Forgets the stream; tells the receiver unless the answer was finished. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.connection.waitingBytes -= this.waitingBytes;
    this.waiting = [];
    this.connection.forget(this);
    const { receiver } = this;
    this.receiver = null;
    if (!this.endSent) receiver?.gone();
  }
}

function headersFrame(block: Buffer, id: number, last: boolean): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD + block.length);
  const at = writeHead(frame, 0, block.length, FRAME.headers, FLAG.endHeaders | (last ? FLAG.endStream : 0), id);
  block.copy(frame, at);
  return frame;
}
