import type { Socket } from 'node:net';
import { FRAME, FRAME_HEAD, numbersFrame, writeHead } from './frames.ts';

/** Bytes that the socket did not take yet, at which nothing more is read. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** Frames up to this size together are joined into one write. */
const JOIN_BYTES = 64 * 1024;

let joined = Buffer.allocUnsafeSlow(JOIN_BYTES);

/** Collects the frames of one turn of the loop and writes them together. */
export class FrameWriter {
  /** While true, whoever set it flushes. */
  held = false;
  private readonly socket: Socket;
  private out: Buffer[] = [];
  private outBytes = 0;
  private flushIsDue = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** A frame, or a part of one. */
  write(bytes: Buffer): void {
    this.out.push(bytes);
    this.outBytes += bytes.length;
    if (this.held || this.flushIsDue) return;
    this.flushIsDue = true;
    queueMicrotask(() => this.flush());
  }

  reset(id: number, code: number): void {
    this.write(numbersFrame(FRAME.reset, id, code));
  }

  ping(flags: number, payload: Buffer): void {
    const frame = Buffer.allocUnsafe(FRAME_HEAD + 8);
    payload.copy(frame, writeHead(frame, 0, 8, FRAME.ping, flags, 0));
    this.write(frame);
  }

  goaway(lastId: number, code: number, message: string): void {
    const text = Buffer.from(message, 'latin1');
    const frame = Buffer.allocUnsafe(FRAME_HEAD + 8 + text.length);
    let at = writeHead(frame, 0, 8 + text.length, FRAME.goaway, 0, 0);
    at = frame.writeUInt32BE(lastId, at);
    at = frame.writeUInt32BE(code, at);
    text.copy(frame, at);
    this.write(frame);
  }

  flush(): void {
    this.flushIsDue = false;
    const { out, outBytes, socket } = this;
    if (out.length === 0) return;
    this.out = [];
    this.outBytes = 0;
    if (socket.destroyed) return;
    if (out.length === 1) socket.write(out[0]!);
    else if (outBytes <= JOIN_BYTES) {
      let at = 0;
      for (let i = 0; i < out.length; i++) at += out[i]!.copy(joined, at);
      socket.write(joined.subarray(0, at));
      // The system usually takes it at once, and the memory can be used again.
      if (socket.writableLength > 0) joined = Buffer.allocUnsafeSlow(JOIN_BYTES);
    } else {
      socket.cork();
      for (const bytes of out) socket.write(bytes);
      socket.uncork();
    }
    if (socket.writableLength <= HIGH_WATER_BYTES || socket.isPaused()) return;
    // A client that does not read its answers is not read either.
    socket.pause();
    socket.once('drain', () => socket.resume());
  }
}
