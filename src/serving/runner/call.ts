import { SlipwayError } from '../../base/errors.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { FlowQueue, Lane } from './fair-order.ts';
import type { CallDone, CallHandle, CallOptions, CallTimings } from './runner.ts';

/** Where a call is: waiting in the queue, sent to a process, refused (its answer is on its way), or over (answered, cancelled or failed). */
type CallState = 'waiting' | 'sent' | 'refused' | 'over';

export type CallOwner = {
  /** Gives up a call that is not over. */
  drop(call: Call): void;
};

/** Told once of each call that entered, when it is over. `runMs` is 0 when no run answered it. */
export type CallLedger = { settle(call: Call, endMs: number, runMs: number, batchRows: number): void };

/** One call on its way. A class for the hot path: one object, no closures. Only the queue and the link touch its fields. */
export class Call implements CallHandle {
  readonly inputs: readonly Tensor[];
  readonly rows: number;
  readonly enqueuedMs: number;
  /** By `performance.now()`. */
  readonly deadlineMs: number;
  readonly done: CallDone;
  /** As the caller named them, for whoever hands the call on to another process. */
  readonly options: CallOptions;
  state: CallState = 'waiting';
  /** The id under which the process knows it. */
  id = 0;
  /** Processes that ended while they had it. */
  losses = 0;
  owner: CallOwner;
  /** Null when it was refused: then it is in nobody's books. */
  ledger: CallLedger | null = null;
  /** Its flow in the queue, and its place in one of the flow's lanes while it waits. */
  flow: FlowQueue | null = null;
  lane: Lane | null = null;
  previous: Call | null = null;
  next: Call | null = null;

  constructor(owner: CallOwner, inputs: readonly Tensor[], rows: number, options: CallOptions, done: CallDone) {
    this.owner = owner;
    this.inputs = inputs;
    this.rows = rows;
    this.enqueuedMs = performance.now();
    this.deadlineMs = this.enqueuedMs + options.timeoutMs;
    this.options = options;
    this.done = done;
  }

  cancel(): void {
    if (this.state !== 'over') this.owner.drop(this);
  }

  fail(error: SlipwayError): void {
    if (this.state === 'over') return;
    const endMs = performance.now();
    this.end(endMs, 0, 0);
    this.done(error, null, timingsOf(this, endMs, 0, 0));
  }

  answer(outputs: readonly Tensor[], runMs: number, batchRows: number): void {
    const endMs = performance.now();
    this.end(endMs, runMs, batchRows);
    this.done(null, outputs, timingsOf(this, endMs, runMs, batchRows));
  }

  /** It is over, whether anybody is told or not. */
  end(endMs: number, runMs: number, batchRows: number): void {
    this.state = 'over';
    this.ledger?.settle(this, endMs, runMs, batchRows);
  }
}

function timingsOf(call: Call, endMs: number, runMs: number, batchRows: number): CallTimings {
  return { queueMs: Math.max(0, endMs - call.enqueuedMs - runMs), runMs, batchRows };
}

export function deadlineError(call: Call, nowMs: number, doing: string): SlipwayError {
  const seconds = ((nowMs - call.enqueuedMs) / 1000).toFixed(1);
  return new SlipwayError('deadline_exceeded', `The deadline passed after ${seconds} s of ${doing}`, {
    hint: 'Send fewer rows at once, or give it longer: X-Request-Timeout-Ms, grpc-timeout, or the timeout in the body; the smallest counts.',
    retryAfterS: 1,
  });
}
