import { SlipwayError } from '../../base/errors.ts';
import { howToRaise } from '../../registry/limits.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { Call, type CallLedger, deadlineError } from './call.ts';
import { createConcurrencyLimit } from './concurrency-limit.ts';
import { FairOrder, type FlowQueue } from './fair-order.ts';
import type { CallDone, CallOptions, Flow } from './runner.ts';

export type CallQueue = {
  /** Calls that wait here. */
  readonly size: number;
  /** Rows of them. */
  readonly rows: number;
  /** Since when, by `performance.now()`, something waits that `take` could have had. */
  readonly sinceMs: number;
  /** Calls that may be open at once now; infinite while there is no overload. */
  readonly openLimit: number;
  add(inputs: readonly Tensor[], rows: number, options: CallOptions, done: CallDone): Call;
  /** Why a call of this flow would be refused now, without a look at it; null when it would not. Counts as a refusal. */
  refusal(flow: Flow | undefined): SlipwayError | null;
  /** The calls whose turn it is, at least one, as many as fit the bounds. They count as sent. */
  take(maxRows: number, maxBytes: number, maxCalls?: number): Call[];
  /** Calls that a process had and never started: they are first again. */
  putBack(calls: readonly Call[]): void;
  /** Fails the calls whose deadline passed. */
  expire(nowMs: number): void;
  failAll(error: SlipwayError): void;
  /** Told when a call was added or put back; whoever takes calls sets it. */
  onWork: () => void;
};

/** A run is not made longer than this by sharing it: who comes during it waits for all of it, and nobody in it is answered before. */
const LONGEST_SHARED_RUN_MS = 100;

export type CallQueueSpec = {
  /** Calls that may wait; a further one is refused at once with `queue_full`. */
  readonly limit: number;
  readonly retryAfterS: number;
  /** Rows that may share a run, 1 where they may not; absent for a queue that knows no overload. */
  readonly maxBatchRows?: number;
};

/**
 * Calls wait here, in the parent, until a process can take them: so they can be cancelled, expire on time, and outlive the process. They leave
 * in a fair order (`fair-order.ts`). When there is no room, a flow with less than its share pushes out the latest call of the flow that has
 * most for its weight, so that nobody fills the queue for others (longest queue drop).
 */
export function createCallQueue({ limit, retryAfterS, maxBatchRows }: CallQueueSpec): CallQueue {
  const order = new FairOrder();
  /** Calls that entered and are not over. */
  let open = 0;
  /** Weights of the flows that have such calls. */
  let openWeight = 0;
  let sinceMs = 0;

  const adaptive =
    maxBatchRows === undefined ? null : createConcurrencyLimit({ maxBatchRows, onLimited: () => queueMicrotask(shed) });

  const leave = ({ flow }: Call): void => {
    open -= 1;
    flow!.open -= 1;
    if (flow!.open === 0) openWeight -= flow!.weight;
  };

  const ledger: CallLedger = {
    settle(call, endMs, runMs, batchRows) {
      leave(call);
      adaptive?.left(endMs - call.enqueuedMs, call.rows, batchRows, runMs);
    },
  };

  const owner = {
    drop(call: Call): void {
      if (call.state === 'waiting') order.remove(call);
      call.end(performance.now(), 0, 0);
    },
  };

  const hasRoom = (): boolean => order.size < limit && (adaptive === null || open < adaptive.limit);

  /** Whether one more call would be within what a flow may have open when all that have something open want more. */
  const isWithinShare = (flow: FlowQueue, weight: number): boolean => {
    const room = Math.min(adaptive?.limit ?? limit, limit);
    return flow.open + 1 <= (room * weight) / (openWeight + (flow.open === 0 ? weight : 0));
  };

  /** Without room: a call of another flow that can make some for one of this flow, null when none is needed, or a refusal. */
  const roomFor = (flow: FlowQueue, weight: number): Call | 'refused' | null => {
    if (!isWithinShare(flow, weight)) return 'refused';
    const longest = order.longest(flow);
    if (longest !== null && longest.open / longest.weight > (flow.open + 1) / weight) return longest.last();
    return order.size < limit ? null : 'refused';
  };

  const refusalNow = (): SlipwayError => {
    const retry = { retryAfterS: jittered(retryAfterS) };
    if (order.size < limit) {
      return new SlipwayError('overloaded', 'More requests come than this version can answer in good time', {
        ...retry,
        hint: 'Retry later, and more slowly each time.',
      });
    }
    return new SlipwayError('queue_full', `${limit} requests wait for this version already`, {
      ...retry,
      hint: `Retry later, or send fewer requests at once. ${howToRaise('queueLimit')}`,
    });
  };

  const refuse = (call: Call, why: SlipwayError): void => {
    call.state = 'refused';
    queueMicrotask(() => call.fail(why));
  };

  const pushOut = (call: Call): void => {
    const why = refusalNow();
    order.remove(call);
    leave(call);
    call.ledger = null;
    refuse(call, why);
  };

  /** What waits beyond a limit that has just come into force would delay everybody after it. */
  const shed = (): void => {
    while (order.size > 0 && !hasRoom()) pushOut(order.longest(null)!.last()!);
  };

  const expireOne = (call: Call, nowMs: number): void => {
    order.remove(call);
    call.fail(deadlineError(call, nowMs, 'waiting for the model'));
  };

  const queue: CallQueue = {
    get size() {
      return order.size;
    },
    get rows() {
      return order.rows;
    },
    get sinceMs() {
      return sinceMs;
    },
    get openLimit() {
      return adaptive?.limit ?? Number.POSITIVE_INFINITY;
    },
    onWork: () => {},
    add(inputs, rows, options, done) {
      const call = new Call(owner, inputs, rows, options, done);
      const whose = options.flow ?? ANYONE;
      const flow = order.flowOf(whose);
      if (hasRoom()) {
        adaptive?.arrived(call.enqueuedMs, false);
      } else {
        adaptive?.arrived(call.enqueuedMs, true);
        const room = roomFor(flow, whose.weight);
        if (room === 'refused') {
          refuse(call, refusalNow());
          return call;
        }
        if (room !== null) pushOut(room);
      }
      if (flow.open === 0) {
        flow.weight = whose.weight;
        openWeight += flow.weight;
      }
      flow.open += 1;
      open += 1;
      call.ledger = ledger;
      if (order.size === 0) sinceMs = call.enqueuedMs;
      order.push(call, flow, options.priority);
      queue.onWork();
      return call;
    },
    refusal(whose = ANYONE) {
      if (hasRoom()) return null;
      if (roomFor(order.flowOf(whose), whose.weight) !== 'refused') return null;
      adaptive?.arrived(performance.now(), true);
      return refusalNow();
    },
    take(maxRows, maxBytes, maxCalls = Number.POSITIVE_INFINITY) {
      const taken: Call[] = [];
      let rows = 0;
      let bytes = 0;
      const nowMs = performance.now();
      const mostRows = Math.min(maxRows, adaptive?.runTimes.rowsWithin(LONGEST_SHARED_RUN_MS) ?? maxRows);
      for (let call = order.peek(); call !== null && taken.length < maxCalls; call = order.peek()) {
        if (call.deadlineMs <= nowMs) {
          expireOne(call, nowMs);
          continue;
        }
        rows += call.rows;
        bytes += sizeOf(call.inputs);
        if (taken.length > 0 && (rows > mostRows || bytes > maxBytes)) break;
        order.shift(call);
        call.state = 'sent';
        taken.push(call);
      }
      return taken;
    },
    putBack(calls) {
      let back = 0;
      for (let i = calls.length - 1; i >= 0; i--) {
        const call = calls[i]!;
        if (call.state === 'over') continue;
        call.state = 'waiting';
        call.owner = owner;
        order.pushFront(call);
        back++;
      }
      if (back > 0) queue.onWork();
    },
    expire(nowMs) {
      for (const call of order.calls()) {
        if (call.deadlineMs <= nowMs) expireOne(call, nowMs);
      }
    },
    failAll(error) {
      for (const call of order.calls()) {
        order.remove(call);
        call.fail(error);
      }
    },
  };
  return queue;
}

/** Callers that name no flow. */
const ANYONE: Flow = { weight: 1 };

/** Callers who were refused together must not come back together. */
function jittered(seconds: number): number {
  return seconds + Math.floor(Math.random() * (seconds + 1));
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
