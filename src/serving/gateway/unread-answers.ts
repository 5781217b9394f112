import type { Socket } from 'node:net';
import { SlipwayError } from '../../base/errors.ts';

/** Looked at anew after this long; until then what was sent since is added. */
const FRESH_MS = 20;
/** A connection with more than `LITTLE_BYTES` unread that took nothing for this long may be closed when there is no room. */
const STALLED_MS = 3000;
const LITTLE_BYTES = 64 * 1024;

export type UnreadAnswers = {
  /**
   * Makes sure that a large answer has room beside all that clients have not read. Connections whose clients read nothing make it.
   * @throws SlipwayError `overloaded`, `answer_too_large`
   */
  makeRoom(bytes: number): void;
};

export type UnreadAnswersDeps = {
  readonly sockets: Iterable<Socket>;
  readonly maxBytes: number;
  /** Bytes of answers that are being written. */
  readonly waitingBytes: () => number;
};

type Seen = { taken: number; sinceMs: number };

/** Keeps the answers in memory, of all connections together, within a bound: whoever asks for large ones and reads none would fill it. */
export function createUnreadAnswers({ sockets, maxBytes, waitingBytes }: UnreadAnswersDeps): UnreadAnswers {
  const seen = new WeakMap<Socket, Seen>();
  let measuredMs = Number.NEGATIVE_INFINITY;
  let unread = 0;

  const measure = (nowMs: number): void => {
    measuredMs = nowMs;
    unread = 0;
    for (const socket of sockets) {
      const waiting = socket.writableLength;
      unread += waiting;
      if (waiting <= LITTLE_BYTES) continue;
      const taken = takenOf(socket);
      const before = seen.get(socket);
      if (before === undefined) seen.set(socket, { taken, sinceMs: nowMs });
      else if (before.taken !== taken) {
        before.taken = taken;
        before.sinceMs = nowMs;
      }
    }
  };

  const isStalled = (socket: Socket, nowMs: number): boolean => {
    const before = seen.get(socket);
    return (
      before !== undefined &&
      socket.writableLength > LITTLE_BYTES &&
      before.taken === takenOf(socket) &&
      nowMs - before.sinceMs >= STALLED_MS
    );
  };

  return {
    makeRoom(bytes) {
      if (bytes > maxBytes) {
        throw new SlipwayError('answer_too_large', `The answer takes ${bytes} bytes; ${maxBytes} is the most`, {
          hint: 'Send fewer rows at once.',
        });
      }
      const nowMs = performance.now();
      const most = maxBytes - bytes - waitingBytes();
      if (unread > most || nowMs - measuredMs > FRESH_MS) measure(nowMs);
      if (unread > most) {
        for (const socket of [...sockets]) {
          if (!isStalled(socket, nowMs)) continue;
          unread -= socket.writableLength;
          socket.destroy();
          if (unread <= most) break;
        }
      }
      if (unread > most) {
        throw new SlipwayError('overloaded', 'Too many large answers wait for clients to read them', {
          retryAfterS: 1,
          hint: 'Retry later, or send fewer rows at once.',
        });
      }
      unread += bytes;
    },
  };
}

/**
 * Bytes that the system took. A large answer is one write, which counts as waiting until all of it is done; how far it is only the handle
 * knows, where Node's own timeouts look too.
 */
function takenOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return socket.bytesWritten - (handle?.writeQueueSize ?? socket.writableLength);
}
