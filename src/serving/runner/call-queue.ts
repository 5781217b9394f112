import { SlipwayError } from '../../base/errors.ts';
import { howToRaise } from '../../registry/limits.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { CallDone, CallHandle, CallTimings } from './runner.ts';

/** Where a call is: waiting here, sent to a process, or over (answered, cancelled or failed). */
type CallState = 'waiting' | 'sent' | 'over';

/** One call on its way. A class for the hot path: one object, no closures. Only the queue and the link touch its fields. */
export class Call implements CallHandle {
  readonly inputs: readonly Tensor[];
  readonly rows: number;
  readonly enqueuedMs: number;
  /** By `performance.now()`. */
  readonly deadlineMs: number;
  readonly done: CallDone;
  state: CallState = 'waiting';
  /** The id under which the process knows it. */
  id = 0;
  /** Processes that ended while they had it. */
  losses = 0;
  owner: { drop(call: Call): void };

  constructor(owner: Call['owner'], inputs: readonly Tensor[], rows: number, timeoutMs: number, done: CallDone) {
    this.owner = owner;
    this.inputs = inputs;
    this.rows = rows;
    this.enqueuedMs = performance.now();
    this.deadlineMs = this.enqueuedMs + timeoutMs;
    this.done = done;
  }

  cancel(): void {
    if (this.state !== 'over') this.owner.drop(this);
  }

  fail(error: SlipwayError): void {
    if (this.state === 'over') return;
    this.state = 'over';
    this.done(error, null, this.timings(0, 0));
  }

  answer(outputs: readonly Tensor[], runMs: number, batchRows: number): void {
    this.state = 'over';
    this.done(null, outputs, this.timings(runMs, batchRows));
  }

  timings(runMs: number, batchRows: number): CallTimings {
    return { queueMs: Math.max(0, performance.now() - this.enqueuedMs - runMs), runMs, batchRows };
  }
}

export type CallQueue = {
  /** Calls that wait here, in the order they came. */
  readonly size: number;
  add(inputs: readonly Tensor[], rows: number, timeoutMs: number, done: CallDone): Call;
  /** The next calls, at least one, as many as fit the bounds. They count as sent. */
  take(maxRows: number, maxBytes: number): Call[];
  /** Calls that a process had and never started: they are first again. */
  putBack(calls: readonly Call[]): void;
  /** Fails the calls whose deadline passed. */
  expire(nowMs: number): void;
  failAll(error: SlipwayError): void;
  /** Told when a call was added or put back; whoever takes calls sets it. */
  onWork: () => void;
};

/**
 * Calls wait here, in the parent, until a process can take them: so they can be cancelled, expire on time, and outlive the process.
 * @param limit calls that may wait; a further one is refused at once with `queue_full`
 */
export function createCallQueue({ limit, retryAfterS }: { limit: number; retryAfterS: number }): CallQueue {
  let items: (Call | null)[] = [];
  let head = 0;
  let size = 0;

  const drop = (call: Call): void => {
    if (call.state !== 'waiting') return;
    call.state = 'over';
    size--; // its place is passed over when it comes to the front
    if (size === 0) clear();
  };

  const clear = (): void => {
    items = [];
    head = 0;
  };

  const owner = { drop };

  const queue: CallQueue = {
    get size() {
      return size;
    },
    onWork: () => {},
    add(inputs, rows, timeoutMs, done) {
      const call = new Call(owner, inputs, rows, timeoutMs, done);
      if (size >= limit) {
        const error = new SlipwayError('queue_full', `${limit} requests wait for this version already`, {
          retryAfterS,
          hint: `Retry later, or send fewer requests at once. ${howToRaise('queueLimit')}`,
        });
        queueMicrotask(() => call.fail(error));
        return call;
      }
      items.push(call);
      size++;
      queue.onWork();
      return call;
    },
    take(maxRows, maxBytes) {
      const taken: Call[] = [];
      let rows = 0;
      let bytes = 0;
      while (head < items.length) {
        const call = items[head];
        if (call?.state === 'waiting') {
          rows += call.rows;
          bytes += sizeOf(call.inputs);
          if (taken.length > 0 && (rows > maxRows || bytes > maxBytes)) break;
          call.state = 'sent';
          taken.push(call);
          size--;
        }
        items[head++] = null; // answered calls are not kept alive by the queue
      }
      if (size === 0) clear();
      return taken;
    },
    putBack(calls) {
      const open = calls.filter((call) => call.state !== 'over');
      if (open.length === 0) return;
      for (const call of open) {
        call.state = 'waiting';
        call.owner = owner;
      }
      items = [...open, ...items.slice(head)];
      head = 0;
      size += open.length;
      queue.onWork();
    },
    expire(nowMs) {
      for (let i = head; i < items.length; i++) {
        const call = items[i];
        if (call?.state !== 'waiting' || call.deadlineMs > nowMs) continue;
        size--;
        call.fail(deadlineError(call, nowMs, 'waiting for the model'));
      }
      if (size === 0) clear();
    },
    failAll(error) {
      const open = items.slice(head);
      size = 0;
      clear();
      for (const call of open) if (call?.state === 'waiting') call.fail(error);
    },
  };
  return queue;
}

export function deadlineError(call: Call, nowMs: number, doing: string): SlipwayError {
  const seconds = ((nowMs - call.enqueuedMs) / 1000).toFixed(1);
  return new SlipwayError('deadline_exceeded', `The deadline passed after ${seconds} s of ${doing}`, {
    hint: 'Send fewer rows at once, or a larger X-Request-Timeout-Ms.',
    retryAfterS: 1,
  });
}

/** About the bytes the inputs take in a frame. */
function sizeOf(inputs: readonly Tensor[]): number {
  let bytes = 0;
  for (const { data } of inputs) {
    if (Array.isArray(data)) for (const text of data as readonly string[]) bytes += 4 + text.length;
    else bytes += (data as Uint8Array).byteLength;
  }
  return bytes;
}
