import { Worker } from 'node:worker_threads';
import { SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { fromWireError, type WireError } from '../../base/wire-error.ts';
import type { InferRequest, WireCall } from '../protocols/protocol.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { type PackedTensor, unpackTensor } from '../tensors/packed-text.ts';

/**
 * From this size on a body is parsed in a thread of its own: 64 MiB of numbers take up to two seconds, in which nobody else would be
 * answered. Below it, handing over costs more than it saves others (1 MiB: about 20 ms).
 */
export const LARGE_BODY_BYTES = 1024 * 1024;

/** Bodies below this size are parsed at once whatever is in them: some 10 ms at the worst. */
export const SMALL_BODY_BYTES = 64 * 1024;

/**
 * Between the two it depends on what a body is made of. A number costs a twentieth of a microsecond; a string, an object, a list or a
 * line up to half of one. So many of these together have a body parsed in a thread.
 */
const COSTLY_MARKS = 40_000;
const MARKS = [...'"{[\n'].map((mark) => mark.charCodeAt(0));

/** Whether the loop would stand still for longer than handing the body over takes. */
export function isCostly(body: Buffer): boolean {
  if (body.length < SMALL_BODY_BYTES) return false;
  if (body.length >= LARGE_BODY_BYTES) return true;
  let marks = 0;
  for (const mark of MARKS) {
    for (let at = body.indexOf(mark); at !== -1; at = body.indexOf(mark, at + 1)) {
      marks += 1;
      if (marks > COSTLY_MARKS) return true;
    }
  }
  return false;
}

export type ParseJob = {
  /** Name of the protocol and the route's own path, by which the thread finds it. */
  readonly protocol: string;
  readonly path: string;
  /** Its body has its memory to itself: it moves to the thread and back. */
  readonly call: WireCall;
  readonly target: InputTarget;
};

export type ParseOutcome = {
  readonly body: Uint8Array;
  readonly request: (Omit<InferRequest, 'inputs'> & { readonly inputs: readonly PackedTensor[] }) | null;
  readonly error: WireError | null;
};

/** `body` is given back, for the rare case that it has to be parsed again for another version. */
export type Parsed = (error: SlipwayError | null, request: InferRequest | null, body: Buffer) => void;

export type LargeBodies = {
  /** @param isWanted whether the caller is still there and the deadline has not passed; a body that is not wanted any more is given up */
  parse(
    route: Pick<ParseJob, 'protocol' | 'path'>,
    call: WireCall,
    target: InputTarget,
    isWanted: () => boolean,
    done: Parsed,
  ): void;
  close(): void;
};

/** Two, on one core as well: one that takes long does not hold up all others. */
const MOST_THREADS = 2;

/** Bodies from this size on, which may take seconds, have one of the threads at most. */
const VERY_LARGE_BYTES = 8 * 1024 * 1024;

/** Threads end when there was nothing to do for this long; their memory goes with them. */
const IDLE_MS = 10_000;

/** How often it is seen whether callers are still there. */
const CHECK_MS = 50;

type Job = {
  readonly message: ParseJob;
  readonly bytes: number;
  readonly isWanted: () => boolean;
  readonly done: Parsed;
};

type Thread = { readonly worker: Worker; job: Job | null };

/** @param maxWaitingBytes of bodies that wait for a thread */
export function createLargeBodies({ log, maxWaitingBytes }: { log: Logger; maxWaitingBytes: number }): LargeBodies {
  let threads: Thread[] = [];
  let waiting: Job[] = [];
  let waitingBytes = 0;
  let idle: NodeJS.Timeout | null = null;
  let checks: NodeJS.Timeout | null = null;

  const end = (thread: Thread): void => {
    threads = threads.filter((one) => one !== thread);
    thread.job = null;
    void thread.worker.terminate();
  };

  const stop = (): void => {
    for (const thread of threads) end(thread);
  };

  const start = (): Thread => {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./large-body-worker.${extension}`, import.meta.url));
    worker.unref();
    const thread: Thread = { worker, job: null };
    worker.on('message', ({ body, request, error }: ParseOutcome) => {
      const { job } = thread;
      if (job === null) return; // given up a moment ago
      thread.job = null;
      next();
      job.done(
        error === null ? null : fromWireError(error),
        request === null ? null : { ...request, inputs: request.inputs.map(unpackTensor) },
        Buffer.from(body.buffer, body.byteOffset, body.byteLength),
      );
    });
    worker.on('error', (error) => {
      const { job } = thread;
      if (!threads.includes(thread)) return;
      log.error({ err: error }, 'a thread that parses large bodies ended; the body in it is refused');
      end(thread);
      next();
      job?.done(noMemory(), null, NOTHING);
    });
    threads.push(thread);
    return thread;
  };

  /** Gives what waits to threads that have nothing to do. */
  const next = (): void => {
    while (waiting.length > 0) {
      const isTaken = threads.some(({ job }) => job !== null && job.bytes >= VERY_LARGE_BYTES);
      const at = isTaken ? waiting.findIndex(({ bytes }) => bytes < VERY_LARGE_BYTES) : 0;
      if (at === -1) break;
      const thread = threads.find(({ job }) => job === null) ?? (threads.length < MOST_THREADS ? start() : null);
      if (thread === null) break;
      const job = waiting.splice(at, 1)[0]!;
      waitingBytes -= job.bytes;
      thread.job = job;
      thread.worker.postMessage(job.message, [job.message.call.body.buffer as ArrayBuffer]);
    }
    if (threads.some(({ job }) => job !== null)) checks ??= setInterval(check, CHECK_MS).unref();
    else {
      if (checks !== null) clearInterval(checks);
      checks = null;
      if (idle !== null) clearTimeout(idle);
      idle = setTimeout(stop, IDLE_MS).unref();
    }
  };

  /** Nobody waits for the answer to a body that is not wanted any more, but others do for the thread that it is in. */
  const check = (): void => {
    const dropped = waiting.filter(({ isWanted }) => !isWanted());
    if (dropped.length > 0) {
      waiting = waiting.filter((job) => !dropped.includes(job));
      waitingBytes = waiting.reduce((sum, { bytes }) => sum + bytes, 0);
    }
    for (const thread of threads) {
      const { job } = thread;
      if (job === null || job.isWanted()) continue;
      end(thread);
      dropped.push(job);
    }
    if (dropped.length === 0) return;
    next();
    for (const { done } of dropped) done(tooLate(), null, NOTHING);
  };

  return {
    parse({ protocol, path }, call, target, isWanted, done) {
      const { body } = call;
      if (waitingBytes + body.byteLength > maxWaitingBytes) throw noMemory();
      if (idle !== null) clearTimeout(idle);
      idle = null;
      const owned =
        body.byteLength === body.buffer.byteLength ? new Uint8Array(body.buffer as ArrayBuffer) : new Uint8Array(body);
      const bytes = owned.byteLength;
      waiting.push({ message: { protocol, path, call: { ...call, body: owned }, target }, bytes, isWanted, done });
      waitingBytes += bytes;
      next();
    },
    close: stop,
  };
}

const NOTHING = Buffer.alloc(0);

function tooLate(): SlipwayError {
  return new SlipwayError('deadline_exceeded', 'The deadline passed while the body was read', {
    hint: 'Send fewer rows at once, or a larger X-Request-Timeout-Ms.',
  });
}

function noMemory(): SlipwayError {
  return new SlipwayError('overloaded', 'The server has no memory to parse this body now', {
    retryAfterS: 1,
    hint: 'Retry later, or send fewer rows at once.',
  });
}
