import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { fromWireError, type WireError } from '../../base/wire-error.ts';
import type { Answered, InferRequest, InferRoute, WireAnswer } from '../protocols/protocol.ts';
import { charactersOf } from '../protocols/writing-time.ts';
import type { CallHandle } from '../runner/runner.ts';
import { type PackedTensor, packTensor } from '../tensors/packed-text.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { bytesOf, withOwnMemory } from './answer-memory.ts';

/** Outputs up to here are written at once, without a thought; a kilobyte of text counts as 16 elements. */
const FEW_ELEMENTS = 1024;
const CHARACTERS_OF_ELEMENT = 64;
/** What takes longer is written in a thread: as long nobody else would be answered. Handing over takes some 0.2 ms. */
const LONG_US = 3000;

/** A thread ends when it had nothing to do for this long; its memory goes with it. */
const IDLE_MS = 10_000;
const MOST_THREADS = Math.max(1, Math.min(4, availableParallelism() - 1));

/** Whether an answer has to be looked at more closely. On the way of every answer. */
export function isFew(outputs: readonly Tensor[]): boolean {
  let elements = 0;
  for (let i = 0; i < outputs.length; i++) {
    const { datatype, data } = outputs[i]!;
    elements += data.length;
    if (datatype === 'BYTES' && data.length <= FEW_ELEMENTS)
      elements += charactersOf(data as readonly string[]) / CHARACTERS_OF_ELEMENT;
  }
  return elements <= FEW_ELEMENTS;
}

export function takesLong(route: InferRoute, request: InferRequest, outputs: readonly Tensor[]): boolean {
  return route.writeUs(request, outputs) > LONG_US;
}

export type AnswerWork = {
  /** Name of the protocol and the route's own path, by which the thread finds it. */
  readonly protocol: string;
  readonly path: string;
  readonly request: InferRequest;
  readonly outputs: readonly Tensor[];
  readonly answered: Answered;
};

export type WriteJob = Omit<AnswerWork, 'outputs'> & { readonly id: number; readonly outputs: readonly PackedTensor[] };

export type WriteOutcome = {
  readonly id: number;
  readonly content: WireAnswer | null;
  readonly error: WireError | null;
};

/** Called once, after `write` returned, unless it is cancelled: then never. */
export type Written = (error: SlipwayError | null, content: WireAnswer | null) => void;

export type LargeAnswers = {
  /**
   * Writes an answer beside the event loop. The memory of `outputs` goes with it where it is theirs alone.
   * @param deadlineMs by `performance.now()`
   */
  write(work: AnswerWork, deadlineMs: number, done: Written): CallHandle;
  /** Bytes of outputs whose answers are not written yet. */
  readonly waitingBytes: number;
  close(): void;
};

type Waiting = {
  readonly id: number;
  readonly work: AnswerWork;
  readonly bytes: number;
  readonly done: Written;
  readonly timer: NodeJS.Timeout;
};
type Thread = { worker: Worker; job: Waiting | null; idle: NodeJS.Timeout | null };

/** Threads that write large answers, as many as there are processors besides one. What nobody waits for any more is dropped, with its thread if need be. */
export function createLargeAnswers({ log }: { log: Logger }): LargeAnswers {
  const queue: Waiting[] = [];
  const threads: Thread[] = [];
  let waitingBytes = 0;
  let nextId = 1;

  const end = (thread: Thread): void => {
    const at = threads.indexOf(thread);
    if (at >= 0) threads.splice(at, 1);
    if (thread.idle !== null) clearTimeout(thread.idle);
    void thread.worker.terminate();
  };

  const settle = (job: Waiting): void => {
    clearTimeout(job.timer);
    waitingBytes -= job.bytes;
  };

  const fail = (job: Waiting, error: SlipwayError): void => {
    settle(job);
    job.done(error, null);
  };

  const start = (): Thread => {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./large-answer-worker.${extension}`, import.meta.url));
    worker.unref();
    const thread: Thread = { worker, job: null, idle: null };
    worker.on('message', ({ id, content, error }: WriteOutcome) => {
      const { job } = thread;
      if (job?.id !== id) return;
      thread.job = null;
      thread.idle = setTimeout(end, IDLE_MS, thread).unref();
      settle(job);
      pump();
      job.done(error === null ? null : fromWireError(error), content);
    });
    worker.on('error', (error) => {
      log.error({ err: error }, 'a thread that writes large answers ended; the answer in it is refused');
      const { job } = thread;
      thread.job = null;
      end(thread);
      if (job !== null) fail(job, noMemory());
      pump();
    });
    threads.push(thread);
    return thread;
  };

  const pump = (): void => {
    while (queue.length > 0) {
      const free = threads.find(({ job }) => job === null);
      if (free === undefined && threads.length >= MOST_THREADS) return;
      const job = queue.shift()!;
      const { id, work } = job;
      const { protocol, path, request, answered } = work;
      const thread = free ?? start();
      if (thread.idle !== null) clearTimeout(thread.idle);
      thread.idle = null;
      thread.job = job;
      try {
        const memory = new Set<ArrayBuffer>();
        const outputs = work.outputs.map((output) => packTensor(withOwnMemory(output), memory));
        const message: WriteJob = { id, protocol, path, request: { ...request, inputs: [] }, answered, outputs };
        thread.worker.postMessage(message, [...memory]);
      } catch (error) {
        // More text than one string holds, or than there is memory for.
        log.error({ err: error }, 'an answer cannot be handed to the thread that writes it');
        thread.job = null;
        setImmediate(fail, job, noMemory());
      }
    }
  };

  /** Takes it out of the queue, or ends the thread that is at it. */
  const drop = (job: Waiting): boolean => {
    const at = queue.indexOf(job);
    if (at >= 0) queue.splice(at, 1);
    else {
      const thread = threads.find((one) => one.job === job);
      if (thread === undefined) return false;
      thread.job = null;
      end(thread);
    }
    pump();
    return true;
  };

  return {
    write(work, deadlineMs, done) {
      const late = (): void => {
        if (drop(job)) fail(job, tooLate());
      };
      const bytes = bytesOf(work.outputs);
      const timer = setTimeout(late, Math.max(0, deadlineMs - performance.now())).unref();
      const job: Waiting = { id: nextId++, work, bytes, done, timer };
      waitingBytes += bytes;
      queue.push(job);
      pump();
      return {
        cancel() {
          if (drop(job)) settle(job);
        },
      };
    },
    get waitingBytes() {
      return waitingBytes;
    },
    close() {
      for (const thread of [...threads]) end(thread);
    },
  };
}

function noMemory(): SlipwayError {
  return new SlipwayError('overloaded', 'The server has no memory to write this answer now', {
    retryAfterS: 1,
    hint: 'Retry later, or send fewer rows at once.',
  });
}

function tooLate(): SlipwayError {
  return new SlipwayError('deadline_exceeded', 'The deadline passed while the answer was written', {
    hint: 'Send fewer rows at once, ask for binary outputs, or give it longer.',
  });
}
