import type { Duplex } from 'node:stream';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import { type Call, deadlineError } from './call.ts';
import type { CallQueue } from './call-queue.ts';
import { CallTable } from './call-table.ts';
import { createFrameReader, readJson, readTensors, violationIn } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { FRAME, FrameError, type FrameSource, frameTensors } from './frames.ts';
import { HOST_OFFSET_MS } from './host-time.ts';
import { type FlowMessage, type JoinMessage, readRefusal, readStatus, type StatusMessage } from './remote-message.ts';
import type { Flow, Priority } from './runner.ts';

/** Bytes that the owner has not taken yet; what is more waits in the queue, where it can be cancelled. */
const MAX_UNSENT_BYTES = 8 * 1024 * 1024;
/** The owner itself answers a call whose deadline passes; this long after, nobody waits for its word any more. */
const GRACE_MS = 100;

export type RemoteLinkDeps = {
  readonly socket: Duplex;
  readonly signature: Signature;
  readonly queue: CallQueue;
  /** Calls that the owner may have at one time. */
  readonly maxCalls: number;
  readonly onStatus: (status: StatusMessage) => void;
  /** The owner sent what no owner sends. */
  readonly onViolation: (what: string) => void;
};

export type RemoteLink = {
  /** Calls that the owner has. */
  readonly outstanding: number;
  join(message: JoinMessage): void;
  /** Whether calls are taken from the queue. */
  open(yes: boolean): void;
  /** Fails calls whose deadline passed long enough ago. */
  check(nowMs: number): void;
  /** Takes back the calls that the owner has: whether it started them is not known. */
  end(): Call[];
};

/** A guest's end of the line to the owner for one version. All that waits goes over at once: the owner decides whose turn it is. */
export function createRemoteLink(deps: RemoteLinkDeps): RemoteLink {
  const { socket, queue } = deps;
  const inputs = frameTensors(deps.signature.inputs);
  const outputs = frameTensors(deps.signature.outputs);
  const writer = new FrameWriter();
  const sent = new CallTable<Call>();
  let isOpen = false;
  let scheduled = false;
  let ended = false;
  /** What the owner thinks of the calls that come. */
  let flow: Flow | undefined;
  let priority: Priority | undefined;

  const schedule = (): void => {
    if (scheduled || ended) return;
    scheduled = true;
    setImmediate(flush);
  };

  const hasRoom = (): boolean =>
    sent.size < deps.maxCalls && socket.writableLength + writer.sizeBytes < MAX_UNSENT_BYTES;

  const flush = (): void => {
    scheduled = false;
    if (ended) return;
    while (isOpen && queue.size > 0 && hasRoom()) {
      for (const call of queue.take(Number.POSITIVE_INFINITY, MAX_UNSENT_BYTES, deps.maxCalls - sent.size)) send(call);
    }
    if (writer.sizeBytes === 0) return;
    writer.sendTo(socket);
  };

  const send = (call: Call): void => {
    const { options } = call;
    if (options.flow !== flow || options.priority !== priority) {
      flow = options.flow;
      priority = options.priority;
      const whose: FlowMessage = { key: flow?.id ?? null, priority: priority ?? null };
      writer.json(FRAME.flow, 0, whose);
    }
    const id = sent.add(call);
    try {
      writer.infer(id, call.rows, call.deadlineMs + HOST_OFFSET_MS, call.inputs, inputs);
    } catch (error) {
      sent.take(id);
      if (!(error instanceof FrameError)) throw error;
      call.fail(new SlipwayError('invalid_input', `The inputs cannot be sent to the model: ${error.message}`));
      return;
    }
    call.id = id;
    call.owner = owner;
  };

  const owner = {
    /** The caller is gone: the owner is told, and says `skipped` or what it was about to say. */
    drop(call: Call): void {
      call.end(performance.now(), 0, 0);
      if (ended) return;
      writer.bare(FRAME.cancel, call.id);
      schedule();
    },
  };

  const answered = (source: FrameSource, at: number): Call => {
    const call = sent.take(source.u32[(at >>> 2) + 2]!);
    if (call === undefined) throw new FrameError('it answered a call that it did not have');
    return call;
  };

  const reader = createFrameReader((kind, source, at, size) => {
    switch (kind) {
      case FRAME.result: {
        // Read first: a call whose answer cannot be read is still among those that `end` gives back.
        const results = readTensors(source, at, size, outputs);
        const call = answered(source, at);
        if (call.state === 'over') return;
        const runMs = source.f64[(at >>> 3) + 2]!;
        call.answer(results, runMs >= 0 && runMs < 1e9 ? runMs : 0, source.u32[(at >>> 2) + 3]!);
        return;
      }
      case FRAME.refusal: {
        const error = readRefusal(readJson(source, at, size));
        const call = answered(source, at);
        // It stops, and its successor will take the call: once.
        if (error.code === 'shutting_down' && call.state !== 'over' && ++call.losses < 2) queue.putBack([call]);
        else call.fail(error);
        return;
      }
      case FRAME.skipped: {
        const call = answered(source, at);
        if (call.state !== 'over') throw new FrameError('it skipped a call that was not cancelled');
        return;
      }
      case FRAME.status:
        deps.onStatus(readStatus(readJson(source, at, size)));
        return;
      default:
        throw new FrameError(`it sent a frame of kind ${kind}`);
    }
  });

  socket.on('data', (chunk: Buffer) => {
    if (ended) return;
    const violation = violationIn(reader, chunk);
    if (violation !== null) {
      deps.onViolation(violation);
      return;
    }
    if (isOpen && queue.size > 0) schedule();
  });
  socket.on('drain', schedule);

  return {
    get outstanding() {
      return sent.size;
    },
    join(message) {
      writer.json(FRAME.join, 0, message);
      flush();
    },
    open(yes) {
      isOpen = yes;
      queue.onWork = yes ? schedule : () => {};
      if (yes) schedule();
    },
    check(nowMs) {
      for (const call of sent.values()) {
        if (call.state === 'over' || call.deadlineMs + GRACE_MS > nowMs) continue;
        call.fail(deadlineError(call, nowMs, 'waiting and computing'));
        writer.bare(FRAME.cancel, call.id);
        schedule();
      }
    },
    end() {
      ended = true;
      queue.onWork = () => {};
      const open = sent.values().filter((call) => call.state !== 'over');
      sent.clear();
      return open;
    },
  };
}
