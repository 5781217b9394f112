import { Http2Fault } from './fault.ts';
import { DEFAULT_FRAME, ERROR, FLAG, FRAME, FRAME_HEAD, PREFACE } from './frames.ts';
import { MAX_HEADER_BYTES } from './header-decoder.ts';

/** What takes the frames of one connection. All bytes are views on what was read: keep copies only. */
export type FrameTaker = {
  /** The client has said that it speaks HTTP/2. */
  preface(): void;
  /** @param block whole, its CONTINUATION frames joined */
  headers(id: number, block: Buffer, start: number, end: number, ends: boolean): void;
  /** @param flowBytes what the frame takes of the windows, padding included */
  dataBegins(id: number, flowBytes: number, size: number, ends: boolean): void;
  /** A part of the frame that began last. @param ends whether it is the last of the whole body */
  dataBytes(bytes: Buffer, ends: boolean): void;
  /** Any other frame. */
  control(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void;
  /** A frame that does nothing. */
  nuisance(): void;
};

/** Largest header block as sent; compressed ones are smaller than what they say. */
const MAX_BLOCK_BYTES = 2 * MAX_HEADER_BYTES;
const EMPTY = Buffer.alloc(0);

/** Cuts the bytes of a connection into frames. Bodies are passed on as they come; of all others at most one frame is held. */
export class FrameReader {
  prefaceSeen = false;
  settingsSeen = false;
  /** Since when a preface, first settings or a header block is being received, by `performance.now()`; 0 when none is. */
  headerSinceMs: number;

  private readonly taker: FrameTaker;
  /** What was read but is no whole frame yet. */
  private parts: Buffer[] = [];
  private partsBytes = 0;
  private neededBytes = 0;
  /** Inside the payload of a DATA frame. */
  private dataLeft = 0;
  private dataEnds = false;
  /** A header block that goes on in CONTINUATION frames. */
  private blockParts: Buffer[] | null = null;
  private blockBytes = 0;
  private blockId = 0;
  private blockEnds = false;
  private stopped = false;

  constructor(taker: FrameTaker, nowMs: number) {
    this.taker = taker;
    this.headerSinceMs = nowMs;
  }

  /** Takes nothing any more. */
  stop(): void {
    this.stopped = true;
    this.parts = [];
    this.partsBytes = 0;
    this.blockParts = null;
  }

  /** @throws Http2Fault, HpackFault */
  read(chunk: Buffer, nowMs: number): void {
    let bytes = chunk;
    if (this.partsBytes > 0) {
      this.parts.push(chunk);
      this.partsBytes += chunk.length;
      if (this.partsBytes < this.neededBytes) return;
      bytes = Buffer.concat(this.parts, this.partsBytes);
      this.parts = [];
      this.partsBytes = 0;
    }
    let at = 0;
    if (!this.prefaceSeen) {
      if (bytes.length < PREFACE.length) {
        this.keep(bytes, 0, PREFACE.length);
        return;
      }
      if (PREFACE.compare(bytes, 0, PREFACE.length) !== 0) throw new Http2Fault(ERROR.protocol, 'this is no HTTP/2');
      this.prefaceSeen = true;
      at = PREFACE.length;
      this.taker.preface();
    }
    const { length } = bytes;
    while (at < length && !this.stopped) {
      if (this.dataLeft > 0) {
        const size = Math.min(this.dataLeft, length - at);
        this.dataLeft -= size;
        this.taker.dataBytes(bytes.subarray(at, at + size), this.dataLeft === 0 && this.dataEnds);
        at += size;
        continue;
      }
      if (length - at < FRAME_HEAD) {
        this.keep(bytes, at, FRAME_HEAD);
        return;
      }
      const size = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      const type = bytes[at + 3]!;
      const flags = bytes[at + 4]!;
      const id = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      this.assess(type, id, size);
      if (type === FRAME.data && (flags & FLAG.padded) === 0) {
        at += FRAME_HEAD;
        this.dataLeft = size;
        this.dataEnds = (flags & FLAG.endStream) !== 0;
        this.taker.dataBegins(id, size, size, this.dataEnds);
        continue;
      }
      if (length - at - FRAME_HEAD < size) {
        this.keep(bytes, at, FRAME_HEAD + size);
        return;
      }
      at += FRAME_HEAD;
      this.frame(type, flags, id, bytes, at, at + size, nowMs);
      at += size;
    }
  }

  private assess(type: number, id: number, size: number): void {
    if (size > DEFAULT_FRAME) throw new Http2Fault(ERROR.frameSize, 'a frame is larger than was allowed');
    if (!this.settingsSeen) {
      if (type !== FRAME.settings) throw new Http2Fault(ERROR.protocol, 'the first frame is no SETTINGS');
      this.settingsSeen = true;
      this.headerSinceMs = 0;
    }
    if (this.blockParts !== null && (type !== FRAME.continuation || id !== this.blockId)) {
      throw new Http2Fault(ERROR.protocol, 'a header block is interrupted');
    }
  }

  private keep(bytes: Buffer, at: number, needed: number): void {
    this.partsBytes = bytes.length - at;
    if (this.partsBytes > 0) this.parts = [at === 0 ? bytes : bytes.subarray(at)];
    this.neededBytes = needed;
  }

  private frame(type: number, flags: number, id: number, bytes: Buffer, at: number, end: number, nowMs: number): void {
    const endHeaders = (flags & FLAG.endHeaders) !== 0;
    if (type === FRAME.headers) {
      const start = this.headersStart(flags, id, bytes, at, end);
      const last = (flags & FLAG.padded) === 0 ? end : end - bytes[at]!;
      const ends = (flags & FLAG.endStream) !== 0;
      if (endHeaders) {
        this.taker.headers(id, bytes, start, last, ends);
        return;
      }
      this.blockParts = [];
      this.blockBytes = 0;
      this.blockId = id;
      this.blockEnds = ends;
      this.headerSinceMs = nowMs;
      this.addBlock(bytes, start, last);
    } else if (type === FRAME.continuation) {
      if (this.blockParts === null) throw new Http2Fault(ERROR.protocol, 'CONTINUATION without HEADERS');
      // Empty ones would never reach the limit of bytes.
      if (at === end && !endHeaders) this.taker.nuisance();
      this.addBlock(bytes, at, end);
      if (!endHeaders) return;
      const block = Buffer.concat(this.blockParts, this.blockBytes);
      this.blockParts = null;
      this.headerSinceMs = 0;
      this.taker.headers(id, block, 0, block.length, this.blockEnds);
    } else if (type === FRAME.data) {
      const start = unpaddedStart(bytes, at, end);
      const last = end - bytes[at]!;
      const ends = (flags & FLAG.endStream) !== 0;
      this.taker.dataBegins(id, end - at, last - start, ends);
      if (last > start) this.taker.dataBytes(bytes.subarray(start, last), ends);
    } else this.taker.control(type, flags, id, bytes, at, end);
  }

  private headersStart(flags: number, id: number, bytes: Buffer, at: number, end: number): number {
    if (id === 0) throw new Http2Fault(ERROR.protocol, 'HEADERS without a stream');
    let start = at;
    let last = end;
    if ((flags & FLAG.padded) !== 0) {
      start = unpaddedStart(bytes, at, end);
      last = end - bytes[at]!;
    }
    if ((flags & FLAG.priority) === 0) return start;
    if (last - start < 5) throw new Http2Fault(ERROR.frameSize, 'HEADERS have no priority');
    if ((bytes.readUInt32BE(start) & 0x7fffffff) === id) {
      throw new Http2Fault(ERROR.protocol, 'a stream depends on itself');
    }
    return start + 5;
  }

  private addBlock(bytes: Buffer, start: number, end: number): void {
    this.blockBytes += end - start;
    if (this.blockBytes > MAX_BLOCK_BYTES) throw new Http2Fault(ERROR.calm, 'a header block is too large');
    this.blockParts!.push(end > start ? bytes.subarray(start, end) : EMPTY);
  }
}

function unpaddedStart(bytes: Buffer, at: number, end: number): number {
  if (at === end) throw new Http2Fault(ERROR.frameSize, 'a padded frame has no padding');
  if (bytes[at]! > end - at - 1) throw new Http2Fault(ERROR.protocol, 'the padding is longer than the frame');
  return at + 1;
}
