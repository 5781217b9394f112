import { Worker } from 'node:worker_threads';
import { SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { fromWireError, type WireError } from '../../base/wire-error.ts';
import type { InferRequest, WireCall } from '../protocols/protocol.ts';
import type { InputTarget } from '../tensors/input-check.ts';

/**
 * From this size on a body is parsed in a thread of its own: 64 MiB of numbers take up to two seconds, in which nobody else would be
 * answered. Below it, handing over costs more than it saves others (1 MiB: about 20 ms).
 */
export const LARGE_BODY_BYTES = 1024 * 1024;

/** The thread ends when it had nothing to do for this long; its memory goes with it. */
const IDLE_MS = 10_000;

export type ParseJob = {
  readonly id: number;
  /** The route's own path, by which the thread finds it. */
  readonly path: string;
  /** Has its memory to itself: it moves to the thread and back. */
  readonly body: Uint8Array;
  readonly headers: WireCall['headers'];
  readonly target: InputTarget;
};

export type ParseOutcome = {
  readonly id: number;
  readonly body: Uint8Array;
  readonly request: InferRequest | null;
  readonly error: WireError | null;
};

/** `body` is given back, for the rare case that it has to be parsed again for another version. */
export type Parsed = (error: SlipwayError | null, request: InferRequest | null, body: Buffer) => void;

export type LargeBodies = {
  parse(path: string, call: WireCall, target: InputTarget, done: Parsed): void;
  close(): void;
};

export function createLargeBodies({ log }: { log: Logger }): LargeBodies {
  const waiting = new Map<number, Parsed>();
  let worker: Worker | null = null;
  let nextId = 1;
  let idle: NodeJS.Timeout | null = null;

  const stop = (): void => {
    const ending = worker;
    worker = null;
    void ending?.terminate();
  };

  const start = (): Worker => {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const started = new Worker(new URL(`./large-body-worker.${extension}`, import.meta.url));
    started.unref();
    started.on('message', ({ id, body, request, error }: ParseOutcome) => {
      const done = waiting.get(id);
      waiting.delete(id);
      if (waiting.size === 0) idle = setTimeout(stop, IDLE_MS).unref();
      done?.(
        error === null ? null : fromWireError(error),
        request,
        Buffer.from(body.buffer, body.byteOffset, body.byteLength),
      );
    });
    started.on('error', (error) => {
      log.error({ err: error }, 'the thread that parses large bodies ended; those in it are refused');
      if (worker === started) worker = null;
      const lost = [...waiting.values()];
      waiting.clear();
      const refusal = new SlipwayError('overloaded', 'The server has no memory to parse this body now', {
        retryAfterS: 1,
        hint: 'Retry later, or send fewer rows at once.',
      });
      for (const done of lost) done(refusal, null, Buffer.alloc(0));
    });
    return started;
  };

  return {
    parse(path, { body, headers }, target, done) {
      if (idle !== null) clearTimeout(idle);
      worker ??= start();
      const id = nextId++;
      waiting.set(id, done);
      const owned =
        body.byteLength === body.buffer.byteLength ? new Uint8Array(body.buffer as ArrayBuffer) : new Uint8Array(body);
      const job: ParseJob = { id, path, body: owned, headers, target };
      worker.postMessage(job, [owned.buffer]);
    },
    close: stop,
  };
}
