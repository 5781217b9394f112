import { SlipwayError } from '../../base/errors.ts';
import { sizeText } from '../gateway/received-bytes.ts';
import type { BodyBudget } from '../gateway/request-body.ts';
import { PREFIX_BYTES } from './message-frame.ts';

export type MessageLimits = {
  /** Of one message, also after decompression. */
  readonly maxBytes: number;
  /** Bytes of all messages being received at one time. */
  readonly budget: BodyBudget;
};

export type MessageTaker = {
  /** The bytes may be a view on what was read. */
  message(bytes: Buffer, compressed: boolean): void;
  fault(error: SlipwayError): void;
};

/** A message that comes in parts gets memory as it comes, not as it says; at first this much. */
const FIRST_BYTES = 64 * 1024;
const EMPTY = Buffer.alloc(0);

/** Cuts a stream of bytes into gRPC messages: a flag, a length, the message. */
export class MessageReader {
  /** While true, what comes is kept as it is. Whoever sets it sees to it that not much comes. */
  private paused = false;
  private kept: Buffer[] = [];
  private readonly taker: MessageTaker;
  private readonly limits: MessageLimits;
  private prefix: Buffer | null = null;
  private prefixBytes = 0;
  /** The length of the message being received; -1 between messages. */
  private needed = -1;
  private compressed = false;
  private target: Buffer = EMPTY;
  private have = 0;
  private reserved = 0;
  private failed = false;

  constructor(taker: MessageTaker, limits: MessageLimits) {
    this.taker = taker;
    this.limits = limits;
  }

  /** Whether the bytes so far are whole messages, all of them taken. */
  get isBetween(): boolean {
    return this.needed === -1 && this.prefixBytes === 0 && this.kept.length === 0;
  }

  push(bytes: Buffer): void {
    if (this.failed || bytes.length === 0) return;
    if (this.paused) {
      this.kept.push(bytes);
      return;
    }
    let at = 0;
    while (at < bytes.length) {
      if (this.needed === -1) {
        at = this.readPrefix(bytes, at);
        if (this.failed) return;
        if (this.paused && at < bytes.length) {
          this.kept.push(bytes.subarray(at));
          return;
        }
        continue;
      }
      const size = Math.min(this.needed - this.have, bytes.length - at);
      if (this.have === 0 && size === this.needed) {
        at += size;
        this.deliver(bytes.subarray(at - size, at));
      } else {
        this.collect(bytes.subarray(at, at + size));
        at += size;
        if (this.failed) return;
        if (this.have === this.needed) this.deliver(this.target.subarray(0, this.have));
      }
      if (this.failed) return;
      if (this.paused && at < bytes.length) {
        this.kept.push(bytes.subarray(at));
        return;
      }
    }
  }

  pause(): void {
    this.paused = true;
  }

  /** Goes on with what was kept; may be paused again on the way. */
  resume(): void {
    this.paused = false;
    while (this.kept.length > 0 && !this.paused && !this.failed) {
      const next = this.kept.shift()!;
      // `push` keeps the rest at the end of the list, but it belongs to the front.
      const others = this.kept;
      this.kept = [];
      this.push(next);
      this.kept = [...this.kept, ...others];
    }
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.failed = true;
    this.kept = [];
    this.target = EMPTY;
    this.release();
  }

  private readPrefix(bytes: Buffer, start: number): number {
    let source = bytes;
    let from = start;
    let at = start + PREFIX_BYTES;
    if (this.prefixBytes > 0 || bytes.length - start < PREFIX_BYTES) {
      this.prefix ??= Buffer.allocUnsafe(PREFIX_BYTES);
      const part = Math.min(PREFIX_BYTES - this.prefixBytes, bytes.length - start);
      bytes.copy(this.prefix, this.prefixBytes, start, start + part);
      this.prefixBytes += part;
      at = start + part;
      if (this.prefixBytes < PREFIX_BYTES) return at;
      source = this.prefix;
      from = 0;
      this.prefixBytes = 0;
    }
    const flag = source[from]!;
    const length = source.readUInt32BE(from + 1);
    if (flag > 1)
      this.fail(new SlipwayError('invalid_request', 'A message begins with a flag that is neither 0 nor 1'));
    else if (length > this.limits.maxBytes)
      this.fail(tooLarge(`A message of ${length} bytes`, sizeText(this.limits.maxBytes)));
    else {
      this.compressed = flag === 1;
      this.needed = length;
      if (length === 0) this.deliver(EMPTY);
    }
    return at;
  }

  private deliver(message: Buffer): void {
    this.needed = -1;
    this.have = 0;
    this.target = EMPTY;
    this.release();
    this.taker.message(message, this.compressed);
  }

  private collect(part: Buffer): void {
    const wanted = this.have + part.length;
    if (wanted > this.target.length) {
      const size = Math.min(this.needed, Math.max(FIRST_BYTES, wanted, this.target.length * 4));
      // Small messages are not counted, so that the usual one costs nothing.
      if (size > FIRST_BYTES) {
        this.limits.budget.usedBytes += size - this.reserved;
        this.reserved = size;
        if (this.limits.budget.usedBytes > this.limits.budget.maxBytes) {
          this.fail(
            new SlipwayError('overloaded', 'The server is receiving too many large messages at once', {
              retryAfterS: 1,
              hint: 'Retry later, or send smaller messages.',
            }),
          );
          return;
        }
      }
      const larger = Buffer.allocUnsafeSlow(size);
      this.target.copy(larger, 0, 0, this.have);
      this.target = larger;
    }
    part.copy(this.target, this.have);
    this.have = wanted;
  }

  private release(): void {
    this.limits.budget.usedBytes -= this.reserved;
    this.reserved = 0;
  }

  private fail(error: SlipwayError): void {
    this.stop();
    this.taker.fault(error);
  }
}

export function tooLarge(what: string, bound: string): SlipwayError {
  return new SlipwayError('too_large', `${what} is larger than ${bound}`, {
    hint: 'Send fewer rows at once. SLIPWAY_MAX_BODY is the limit.',
  });
}
