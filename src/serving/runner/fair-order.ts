import type { Call } from './call.ts';
import type { Flow, Priority } from './runner.ts';

/**
 * Shares of the priorities of one flow. Weights, not strict precedence: while a key has high calls waiting, its low ones still get one row in
 * 21. A priority orders the calls of one key among themselves; what a key gets beside others is its weight's affair alone.
 */
export const PRIORITY_WEIGHTS: Readonly<Record<Priority, number>> = { high: 16, normal: 4, low: 1 };

/** The calls of one flow and priority, in the order they came. Doubly linked, so that a cancelled call leaves at once. */
export class Lane {
  readonly weight: number;
  head: Call | null = null;
  tail: Call | null = null;
  /** Start tag of its first call, in the flow's virtual time. */
  start = 0;

  constructor(weight: number) {
    this.weight = weight;
  }
}

/** What a queue knows of one flow. */
export class FlowQueue {
  /** The flow's weight when it last became active. */
  weight = 1;
  /** Calls that wait, and those that wait or are with a process. */
  waiting = 0;
  open = 0;
  /** Start tag of its next call, in the queue's virtual time. */
  start = 0;
  /** Place in the heap; -1 when nothing waits. */
  place = -1;
  /** Virtual time among its own priorities. */
  laneTime = 0;
  readonly lanes: readonly Lane[] = [
    new Lane(PRIORITY_WEIGHTS.high),
    new Lane(PRIORITY_WEIGHTS.normal),
    new Lane(PRIORITY_WEIGHTS.low),
  ];

  laneOf(priority: Priority | undefined): Lane {
    return this.lanes[priority === 'high' ? 0 : priority === 'low' ? 2 : 1]!;
  }

  /** The lane whose turn it is. Only for a flow in which something waits. */
  nextLane(): Lane {
    let best: Lane | null = null;
    for (const lane of this.lanes) if (lane.head !== null && (best === null || lane.start < best.start)) best = lane;
    return best!;
  }

  /** The call that can be spared first: the latest of the lowest priority. */
  last(): Call | null {
    return this.lanes[2]!.tail ?? this.lanes[1]!.tail ?? this.lanes[0]!.tail;
  }
}

/**
 * Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), twice: flows share the queue by their weights, and within a flow its
 * priorities share by theirs. Each flow has a start tag; the smallest is served, and then grows by rows / weight. A flow that was idle
 * starts at the present virtual time: it is served soon, and idleness earns nothing. One flow alone costs a few additions.
 */
export class FairOrder {
  /** Flows in which calls wait: a binary heap by start tag. */
  readonly #heap: FlowQueue[] = [];
  readonly #flows = new WeakMap<Flow, FlowQueue>();
  /** Most calls are of the same flow as the one before. */
  #lastFlow: Flow | null = null;
  #lastQueue: FlowQueue | null = null;
  #time = 0;
  /** Largest tag given so far. */
  #latest = 0;
  size = 0;
  rows = 0;

  flowOf(flow: Flow): FlowQueue {
    if (flow === this.#lastFlow) return this.#lastQueue!;
    let queue = this.#flows.get(flow);
    if (queue === undefined) {
      queue = new FlowQueue();
      this.#flows.set(flow, queue);
    }
    this.#lastFlow = flow;
    this.#lastQueue = queue;
    return queue;
  }

  push(call: Call, flow: FlowQueue, priority: Priority | undefined): void {
    const lane = flow.laneOf(priority);
    if (lane.head === null) lane.start = Math.max(flow.laneTime, lane.start);
    call.flow = flow;
    call.lane = lane;
    call.previous = lane.tail;
    if (lane.tail === null) lane.head = call;
    else lane.tail.next = call;
    lane.tail = call;
    this.#entered(call, flow);
  }

  /** A call that left and comes back: the first of its lane, and its rows are not counted twice. */
  pushFront(call: Call): void {
    const flow = call.flow!;
    const lane = call.lane!;
    call.next = lane.head;
    if (lane.head === null) lane.tail = call;
    else lane.head.previous = call;
    lane.head = call;
    lane.start -= call.rows / lane.weight;
    const was = flow.start;
    this.#entered(call, flow);
    flow.start = Math.min(flow.start, was - call.rows / flow.weight);
    this.#up(flow.place);
  }

  /** The call whose turn it is; it stays. */
  peek(): Call | null {
    const flow = this.#heap[0];
    return flow === undefined ? null : flow.nextLane().head;
  }

  /** Takes the call that `peek` gave. */
  shift(call: Call): void {
    const flow = call.flow!;
    const lane = call.lane!;
    this.#time = flow.start;
    flow.laneTime = lane.start;
    lane.start += call.rows / lane.weight;
    flow.start += call.rows / flow.weight;
    if (flow.start > this.#latest) this.#latest = flow.start;
    this.remove(call);
    if (flow.place !== -1) this.#down(flow.place);
  }

  remove(call: Call): void {
    const flow = call.flow!;
    const lane = call.lane!;
    if (call.previous === null) lane.head = call.next;
    else call.previous.next = call.next;
    if (call.next === null) lane.tail = call.previous;
    else call.next.previous = call.previous;
    // A dead call that is old must not keep those behind it alive until the next full collection.
    call.previous = null;
    call.next = null;
    this.size -= 1;
    this.rows -= call.rows;
    flow.waiting -= 1;
    if (flow.waiting === 0) this.#leave(flow);
    // With nothing waiting nobody is behind or ahead any more.
    if (this.size === 0) this.#time = this.#latest;
  }

  /** The flow with most calls for its weight of those that have one waiting here, other than this one. */
  longest(other: FlowQueue | null): FlowQueue | null {
    let longest: FlowQueue | null = null;
    for (const flow of this.#heap) {
      if (flow === other) continue;
      if (longest === null || flow.open / flow.weight > longest.open / longest.weight) longest = flow;
    }
    return longest;
  }

  /** All that waits, in no particular order. */
  *calls(): Generator<Call> {
    for (const flow of [...this.#heap]) {
      for (const lane of flow.lanes) {
        for (let call = lane.head; call !== null; ) {
          const { next } = call; // it may leave while it is looked at
          yield call;
          call = next;
        }
      }
    }
  }

  #entered(call: Call, flow: FlowQueue): void {
    this.size += 1;
    this.rows += call.rows;
    flow.waiting += 1;
    if (flow.place !== -1) return;
    flow.start = Math.max(this.#time, flow.start);
    flow.place = this.#heap.length;
    this.#heap.push(flow);
    this.#up(flow.place);
  }

  #leave(flow: FlowQueue): void {
    const place = flow.place;
    const last = this.#heap.pop()!;
    flow.place = -1;
    if (last === flow) return;
    this.#heap[place] = last;
    last.place = place;
    this.#up(place);
    this.#down(last.place);
  }

  #up(from: number): void {
    const heap = this.#heap;
    for (let place = from; place > 0; ) {
      const above = (place - 1) >> 1;
      if (heap[above]!.start <= heap[place]!.start) return;
      this.#swap(above, place);
      place = above;
    }
  }

  #down(from: number): void {
    const heap = this.#heap;
    for (let place = from; ; ) {
      let least = place;
      const left = 2 * place + 1;
      if (left < heap.length && heap[left]!.start < heap[least]!.start) least = left;
      if (left + 1 < heap.length && heap[left + 1]!.start < heap[least]!.start) least = left + 1;
      if (least === place) return;
      this.#swap(least, place);
      place = least;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const flow = heap[a]!;
    heap[a] = heap[b]!;
    heap[b] = flow;
    heap[a]!.place = a;
    flow.place = b;
  }
}
