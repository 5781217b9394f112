import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { AnswerBody } from './exchange.ts';

/** An answer as it goes out: all of it in one text or block where it is small; else the head, then the body. */
export type LeanAnswer = {
  readonly head: string | Buffer;
  /** Of the head; latin1 where every character is one byte, which the kernel gets without a conversion. */
  readonly encoding: 'latin1' | 'utf8';
  readonly body: readonly Uint8Array[];
};

const NOTHING: readonly Uint8Array[] = [];
/** Up to this size copying costs less than a second part of a write. */
const JOINED_BYTES = 16 * 1024;

/** @param head with its last empty line, in ASCII */
export function leanAnswer(head: string, body: AnswerBody): LeanAnswer {
  if (typeof body === 'string') {
    const isAscii = Buffer.byteLength(body) === body.length;
    return { head: head + body, encoding: isAscii ? 'latin1' : 'utf8', body: NOTHING };
  }
  const parts = body instanceof Uint8Array ? [body] : body;
  let at = head.length;
  for (let i = 0; i < parts.length; i++) at += parts[i]!.byteLength;
  if (at > JOINED_BYTES) return { head, encoding: 'latin1', body: parts };
  const all = Buffer.allocUnsafe(at);
  at = all.write(head, 0, 'latin1');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    all.set(part, at);
    at += part.byteLength;
  }
  return { head: all, encoding: 'latin1', body: NOTHING };
}

export function writeLeanAnswer(socket: Socket, { head, encoding, body }: LeanAnswer): void {
  if (body.length === 0) {
    if (typeof head === 'string') socket.write(head, encoding);
    else socket.write(head);
    return;
  }
  socket.cork();
  socket.write(head as string, encoding);
  for (let i = 0; i < body.length; i++) socket.write(body[i]!);
  socket.uncork();
}

let dateMs = 0;
let date = '';

/** The Date header (RFC 9110 §6.6.1), made once a second. */
export function httpDate(): string {
  const nowMs = Date.now();
  if (nowMs - dateMs >= 1000 || nowMs < dateMs) {
    dateMs = nowMs - (nowMs % 1000);
    date = new Date(nowMs).toUTCString();
  }
  return date;
}

export function statusLine(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? ''}`;
}
