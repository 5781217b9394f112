import type { Socket } from 'node:net';
import { Http2Fault } from './fault.ts';
import { FrameReader, type FrameTaker } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import {
  DEFAULT_FRAME,
  DEFAULT_WINDOW,
  ERROR,
  FLAG,
  FRAME,
  LARGEST_WINDOW,
  numbersFrame,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
} from './frames.ts';
import { HeaderDecoder, HpackFault, MAX_HEADER_BYTES } from './header-decoder.ts';
import type { ConnectionLimits } from './limits.ts';
import type { RequestHeaders } from './request-headers.ts';
import { type Receiver, Stream } from './stream.ts';

/** What takes requests. `accept` may answer at once, through the stream; null means that it did. */
export type Acceptor = (stream: Stream, headers: RequestHeaders) => Receiver | null;

const EMPTY = Buffer.alloc(0);

/** The server's end of one HTTP/2 connection. A class for the hot path: what is read in one go is answered in one write. */
export class Connection implements FrameTaker {
  readonly streams: Stream[] = [];
  readonly reader: FrameReader;
  readonly writer: FrameWriter;
  /** The largest payload that the client takes in one frame. */
  frameBytes = DEFAULT_FRAME;
  sendWindow = DEFAULT_WINDOW;
  /** Bytes of answers that wait for windows. */
  waitingBytes = 0;
  /** When anything came last, by `performance.now()`. */
  heardMs: number;
  closed = false;
  /** When it sent its last byte; 0 before. */
  endedMs = 0;

  private readonly socket: Socket;
  private readonly limits: ConnectionLimits;
  private readonly accept: Acceptor;
  private readonly decoder = new HeaderDecoder();
  private initialSendWindow = DEFAULT_WINDOW;
  private receiveWindow = 0;
  private unannounced = 0;
  private lastStreamId = 0;
  /** The stream that was looked for last, and the one whose body is being received. */
  private latest: Stream | null = null;
  private dataStream: Stream | null = null;
  private refusesAfter = LARGEST_WINDOW;
  private onDrained: (() => void) | null = null;
  private nuisancesLeft: number;
  private nuisancesSinceMs: number;

  constructor(socket: Socket, limits: ConnectionLimits, accept: Acceptor) {
    const nowMs = performance.now();
    this.socket = socket;
    this.limits = limits;
    this.accept = accept;
    this.reader = new FrameReader(this, nowMs);
    this.writer = new FrameWriter(socket);
    this.heardMs = nowMs;
    this.nuisancesLeft = limits.nuisances;
    this.nuisancesSinceMs = nowMs;
  }

  /** Takes what was read. Whatever it answers at once goes out as one write. */
  read(chunk: Buffer): void {
    if (this.closed) return;
    this.heardMs = performance.now();
    this.writer.held = true;
    try {
      this.reader.read(chunk, this.heardMs);
    } catch (error) {
      if (error instanceof Http2Fault) this.fail(error.code, error.message);
      else if (error instanceof HpackFault) this.fail(ERROR.compression, error.message);
      else throw error;
    } finally {
      this.writer.held = false;
    }
    this.writer.flush();
  }

  preface(): void {
    const { maxStreams, streamWindow, connectionWindow } = this.limits;
    this.writer.write(
      settingsFrame([
        [SETTING.maxStreams, maxStreams],
        [SETTING.initialWindow, streamWindow],
        [SETTING.maxHeaderBytes, MAX_HEADER_BYTES],
      ]),
    );
    this.writer.write(numbersFrame(FRAME.windowUpdate, 0, connectionWindow - DEFAULT_WINDOW));
    this.receiveWindow = connectionWindow;
  }

  // ---- requests

  headers(id: number, block: Buffer, start: number, end: number, ends: boolean): void {
    if (id % 2 === 0) throw new Http2Fault(ERROR.protocol, 'HEADERS with a number that clients do not use');
    // Also of streams that are refused: later blocks build on it.
    const headers = this.decoder.decode(block, start, end);
    if (id <= this.lastStreamId) {
      this.trailers(id, ends);
      return;
    }
    this.lastStreamId = id;
    if (id > this.refusesAfter) return; // the client was told, and tries elsewhere
    if (this.streams.length >= this.limits.maxStreams || this.waitingBytes > this.limits.maxWaitingBytes) {
      this.refuse(id, ERROR.refused);
      return;
    }
    const bodyLeft = bodyLength(headers, ends);
    if (headers.fault !== '' || bodyLeft === null) {
      this.refuse(id, ERROR.protocol);
      return;
    }
    const stream = new Stream(this, id, this.initialSendWindow, this.limits.streamWindow, bodyLeft, this.heardMs);
    stream.index = this.streams.length;
    this.streams.push(stream);
    this.latest = stream;
    stream.endReceived = ends;
    const receiver = this.accept(stream, headers);
    if (stream.closed) return;
    stream.receiver = receiver;
    if (ends) receiver?.data(EMPTY, true);
  }

  private refuse(id: number, code: number): void {
    this.nuisance();
    this.writer.reset(id, code);
  }

  private trailers(id: number, ends: boolean): void {
    const stream = this.find(id);
    if (stream === null) throw new Http2Fault(ERROR.streamClosed, 'HEADERS for a stream that was closed');
    if (stream.endReceived) {
      stream.reset(ERROR.streamClosed);
      return;
    }
    if (!ends || stream.bodyLeft > 0) {
      stream.reset(ERROR.protocol);
      return;
    }
    stream.endReceived = true;
    stream.receiver?.data(EMPTY, true);
  }

  dataBegins(id: number, flowBytes: number, size: number, ends: boolean): void {
    const stream = this.find(id);
    if (stream === null && (id === 0 || id > this.lastStreamId)) {
      throw new Http2Fault(ERROR.protocol, 'DATA without a stream');
    }
    this.receiveWindow -= flowBytes;
    if (this.receiveWindow < 0) throw new Http2Fault(ERROR.flowControl, 'more was sent than was allowed');
    this.unannounced += flowBytes;
    if (this.unannounced >= this.limits.connectionWindow / 2) {
      this.writer.write(numbersFrame(FRAME.windowUpdate, 0, this.unannounced));
      this.receiveWindow += this.unannounced;
      this.unannounced = 0;
    }
    if (size === 0 && !ends) this.nuisance();
    this.dataStream = stream;
    if (stream === null) {
      // It may have been on its way when the stream was closed; then the client knows by the time it reads this.
      this.writer.reset(id, ERROR.streamClosed);
      return;
    }
    stream.receiveWindow -= flowBytes;
    stream.unannounced += flowBytes;
    if (stream.endReceived) stream.reset(ERROR.streamClosed);
    else if (stream.receiveWindow < 0) stream.reset(ERROR.flowControl);
    else if (size === 0 && ends) this.dataBytes(EMPTY, true);
  }

  dataBytes(bytes: Buffer, ends: boolean): void {
    const stream = this.dataStream;
    if (stream === null || stream.closed) return;
    if (stream.bodyLeft >= 0) {
      stream.bodyLeft -= bytes.length;
      if (stream.bodyLeft < 0 || (ends && stream.bodyLeft > 0)) {
        stream.reset(ERROR.protocol);
        return;
      }
    }
    stream.receivedMs = this.heardMs;
    if (ends) stream.endReceived = true;
    stream.receiver?.data(bytes, ends);
    if (!ends && !stream.holdsWindow) this.announce(stream);
  }

  /** Tells the client that it may send more, when it has used up half of what it may. */
  announce(stream: Stream): void {
    if (stream.closed || stream.endReceived || stream.unannounced < this.limits.streamWindow / 2) return;
    this.writer.write(numbersFrame(FRAME.windowUpdate, stream.id, stream.unannounced));
    stream.receiveWindow += stream.unannounced;
    stream.unannounced = 0;
  }

  // ---- control

  control(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const size = end - start;
    switch (type) {
      case FRAME.priority:
        if (id === 0) throw new Http2Fault(ERROR.protocol, 'PRIORITY without a stream');
        if (size !== 5) throw new Http2Fault(ERROR.frameSize, 'PRIORITY has a wrong size');
        if ((bytes.readUInt32BE(start) & 0x7fffffff) === id) {
          throw new Http2Fault(ERROR.protocol, 'a stream depends on itself');
        }
        this.nuisance();
        return;
      case FRAME.reset:
        if (size !== 4) throw new Http2Fault(ERROR.frameSize, 'RST_STREAM has a wrong size');
        if (id === 0 || id > this.lastStreamId) throw new Http2Fault(ERROR.protocol, 'RST_STREAM without a stream');
        this.nuisance();
        this.find(id)?.close();
        return;
      case FRAME.settings:
        this.settings(flags, id, bytes, start, end);
        return;
      case FRAME.ping:
        if (id !== 0) throw new Http2Fault(ERROR.protocol, 'PING with a stream');
        if (size !== 8) throw new Http2Fault(ERROR.frameSize, 'PING has a wrong size');
        if ((flags & FLAG.ack) === 0) this.writer.ping(FLAG.ack, bytes.subarray(start, end));
        return;
      case FRAME.goaway:
        if (id !== 0) throw new Http2Fault(ERROR.protocol, 'GOAWAY with a stream');
        return; // it opens no more streams; those that are open are answered
      case FRAME.windowUpdate:
        this.windowUpdate(id, bytes, start, size);
        return;
      case FRAME.push:
        throw new Http2Fault(ERROR.protocol, 'clients do not push');
      default:
        this.nuisance();
        return;
    }
  }

  private settings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw new Http2Fault(ERROR.protocol, 'SETTINGS with a stream');
    if ((flags & FLAG.ack) !== 0) {
      if (end !== start) throw new Http2Fault(ERROR.frameSize, 'an acknowledgement has a payload');
      return;
    }
    if ((end - start) % 6 !== 0) throw new Http2Fault(ERROR.frameSize, 'SETTINGS have a wrong size');
    this.nuisance();
    this.writer.write(SETTINGS_ACK);
    for (let at = start; at < end; at += 6) this.setting(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
  }

  private setting(name: number, value: number): void {
    if (name === SETTING.enablePush && value > 1) throw new Http2Fault(ERROR.protocol, 'ENABLE_PUSH is out of range');
    if (name === SETTING.maxFrame) {
      if (value < DEFAULT_FRAME || value > 0xffffff) {
        throw new Http2Fault(ERROR.protocol, 'MAX_FRAME_SIZE is out of range');
      }
      this.frameBytes = value;
    }
    if (name !== SETTING.initialWindow) return;
    if (value > LARGEST_WINDOW) throw new Http2Fault(ERROR.flowControl, 'INITIAL_WINDOW_SIZE is out of range');
    const more = value - this.initialSendWindow;
    this.initialSendWindow = value;
    for (const stream of [...this.streams]) {
      stream.sendWindow += more;
      if (stream.sendWindow > LARGEST_WINDOW) throw new Http2Fault(ERROR.flowControl, 'a window is out of range');
      stream.pump();
    }
  }

  private windowUpdate(id: number, bytes: Buffer, start: number, size: number): void {
    if (size !== 4) throw new Http2Fault(ERROR.frameSize, 'WINDOW_UPDATE has a wrong size');
    const more = bytes.readUInt32BE(start) & 0x7fffffff;
    if (id === 0) {
      if (more === 0) throw new Http2Fault(ERROR.protocol, 'WINDOW_UPDATE by nothing');
      this.sendWindow += more;
      if (this.sendWindow > LARGEST_WINDOW) throw new Http2Fault(ERROR.flowControl, 'the window is out of range');
      if (this.waitingBytes > 0) for (const stream of [...this.streams]) stream.pump();
      return;
    }
    if (id > this.lastStreamId) throw new Http2Fault(ERROR.protocol, 'WINDOW_UPDATE without a stream');
    const stream = this.find(id);
    if (stream === null) return;
    if (more === 0) {
      stream.reset(ERROR.protocol);
      return;
    }
    stream.sendWindow += more;
    if (stream.sendWindow > LARGEST_WINDOW) {
      stream.reset(ERROR.flowControl);
      return;
    }
    stream.pump();
  }

  /** One more of what costs us more than the client. @throws Http2Fault when there were too many lately */
  nuisance(): void {
    if (this.nuisancesLeft === 0) {
      const { nuisances, nuisancesPerS } = this.limits;
      const seconds = (this.heardMs - this.nuisancesSinceMs) / 1000;
      this.nuisancesLeft = Math.min(nuisances, Math.floor(seconds * nuisancesPerS));
      if (this.nuisancesLeft === 0) throw new Http2Fault(ERROR.calm, 'too many resets and empty frames');
      this.nuisancesSinceMs = this.heardMs;
    }
    this.nuisancesLeft -= 1;
  }

  // ---- streams

  private find(id: number): Stream | null {
    const { latest, streams } = this;
    if (latest !== null && latest.id === id) return latest;
    for (let i = streams.length - 1; i >= 0; i--) {
      const stream = streams[i]!;
      if (stream.id !== id) continue;
      this.latest = stream;
      return stream;
    }
    return null;
  }

  /** Called by a stream that is over. */
  forget(stream: Stream): void {
    const { streams } = this;
    const last = streams.pop()!;
    if (last !== stream) {
      streams[stream.index] = last;
      last.index = stream.index;
    }
    if (this.latest === stream) this.latest = null;
    if (streams.length === 0) this.onDrained?.();
  }

  // ---- ending

  /** Tells the client to open no more streams here. Those on their way are still taken until `refuseNew`. */
  announceEnd(): void {
    if (this.reader.settingsSeen) this.writer.goaway(LARGEST_WINDOW, ERROR.none, '');
  }

  /** From now on new streams are left alone: the client knows that none after the last one was begun. Ends with the last. */
  refuseNew(): void {
    if (this.closed) return;
    this.refusesAfter = this.lastStreamId;
    if (this.reader.settingsSeen) this.writer.goaway(this.lastStreamId, ERROR.none, '');
    this.onDrained = () => this.end();
    if (this.streams.length === 0) this.end();
  }

  /** Ends the connection for a fault of the client; says which. */
  fail(code: number, message: string): void {
    if (this.closed) return;
    if (this.reader.prefaceSeen) this.writer.goaway(this.lastStreamId, code, message);
    this.end();
  }

  /** Sends what is to be sent, then ends. */
  end(): void {
    if (this.closed) return;
    this.writer.flush();
    this.gone();
    // What still comes is read and dropped: closing with bytes unread would take back what was just sent. Whoever owns the socket
    // destroys it when the client does not close it soon.
    this.endedMs = performance.now();
    this.socket.end();
  }

  /** The socket is closed, or about to be: nobody waits for answers any more. */
  gone(): void {
    if (this.closed) return;
    this.closed = true;
    this.onDrained = null;
    this.reader.stop();
    for (const stream of [...this.streams]) stream.close();
  }
}

/** @returns -1 where the client does not say; null for nonsense */
function bodyLength(headers: RequestHeaders, ends: boolean): number | null {
  const given = headers['content-length'];
  if (given === undefined) return ends ? 0 : -1;
  if (!/^\d{1,15}$/.test(given)) return null;
  const bytes = Number(given);
  return ends && bytes > 0 ? null : bytes;
}
