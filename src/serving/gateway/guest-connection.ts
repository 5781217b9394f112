import type { Socket } from 'node:net';
import { SlipwayError } from '../../base/errors.ts';
import { CallTable } from '../runner/call-table.ts';
import { createFrameReader, readJson, readTensors, violationIn } from '../runner/frame-reader.ts';
import { FrameWriter } from '../runner/frame-writer.ts';
import {
  FRAME,
  FrameError,
  type FrameSource,
  type FrameTensor,
  frameTensors,
  MAX_FRAME_BYTES,
} from '../runner/frames.ts';
import { HOST_OFFSET_MS } from '../runner/host-time.ts';
import { type JoinMessage, readFlow, readJoin, type StatusMessage, writeRefusal } from '../runner/remote-message.ts';
import type { CallHandle, Flow, Priority } from '../runner/runner.ts';
import { type QuotaHub, readUsage } from './quota-exchange.ts';
import type { ServedVersion } from './served-version.ts';

/** Answers that a guest does not read; it is cut off when there are more. */
const MAX_UNREAD_BYTES = MAX_FRAME_BYTES;
/** Calls of one connection at one time, halved; a guest keeps far below (`remote-supervisor.ts`). */
const MAX_SLOTS = 4 * 1024 * 1024;

export type GuestConnectionDeps = {
  readonly socket: Socket;
  /** The version of exactly this identity, kept from now on until it is released; null when there is none (yet). */
  readonly hold: (version: string, identity: string) => ServedVersion | null;
  readonly release: (version: ServedVersion) => void;
  readonly quotas: QuotaHub;
  readonly flowOf: (keyId: string | null) => Flow | undefined;
  readonly stopping: () => boolean;
  readonly onViolation: (what: string) => void;
};

export type GuestConnection = {
  /** Calls of the guest that are not answered. */
  readonly outstanding: number;
  /** Tells the guest how its version is, if that is new. */
  refresh(): void;
  /** Tells a guest's connection for quotas what others used, if anything. */
  tellUsage(): void;
};

/** The owner's end of one connection of a guest: its calls go into the version's queue beside those of the owner itself. */
export function createGuestConnection(deps: GuestConnectionDeps): GuestConnection {
  const { socket } = deps;
  const writer = new FrameWriter();
  /** Null only while `infer` runs. */
  const calls = new CallTable<{ handle: CallHandle | null }>();
  let quotas: ReturnType<QuotaHub['join']> | null = null;
  let joins: JoinMessage | null = null;
  let version: ServedVersion | null = null;
  let inputs: readonly FrameTensor[] = [];
  let outputs: readonly FrameTensor[] = [];
  let flow: Flow | undefined;
  let priority: Priority | undefined;
  let lastStatus = '';
  let scheduled = false;
  let over = false;

  const schedule = (): void => {
    if (scheduled || over) return;
    scheduled = true;
    setImmediate(flush);
  };

  const flush = (): void => {
    scheduled = false;
    if (over || writer.sizeBytes === 0) return;
    writer.sendTo(socket);
    if (socket.writableLength > MAX_UNREAD_BYTES) deps.onViolation('it does not read its answers');
  };

  const refuse = (id: number, error: SlipwayError): void => {
    writer.json(FRAME.refusal, id, writeRefusal(error));
    schedule();
  };

  const statusNow = (): StatusMessage => {
    if (version === null || version.supervisor === null) {
      const seen = version?.observe();
      return {
        joined: false,
        state: seen?.state ?? 'loading',
        reason: seen?.reason ?? 'The gateway that keeps the runners does not have this version yet.',
        since: seen?.since ?? new Date(0).toISOString(),
        restarts: 0,
        memoryBytes: null,
        openLimit: null,
      };
    }
    const { state, reason, since, restarts, memoryBytes, openLimit } = version.supervisor.status();
    const joined = state !== 'draining' && !deps.stopping();
    return { joined, state, reason, since: since.toISOString(), restarts, memoryBytes, openLimit };
  };

  const refresh = (): void => {
    if (joins === null || over) return;
    if (version === null) {
      version = deps.hold(joins.version, joins.identity);
      if (version !== null) {
        inputs = frameTensors(version.spec.signature.inputs);
        outputs = frameTensors(version.spec.signature.outputs);
      }
    }
    const status = statusNow();
    const text = JSON.stringify(status);
    if (text === lastStatus) return;
    lastStatus = text;
    writer.json(FRAME.status, 0, status);
    schedule();
  };

  const infer = (source: FrameSource, at: number, size: number): void => {
    const id = source.u32[(at >>> 2) + 2]!;
    const rows = source.u32[(at >>> 2) + 3]!;
    const deadlineMs = source.f64[(at >>> 3) + 2]!;
    if (!Number.isFinite(deadlineMs)) throw new FrameError('a deadline is no time');
    if (version === null || version.supervisor === null) throw new FrameError('a call came before its version');
    const tensors = readTensors(source, at, size, inputs);
    if (deps.stopping()) {
      refuse(id, new SlipwayError('shutting_down', 'The gateway that runs the model is being stopped'));
      return;
    }
    const entry: { handle: CallHandle | null } = { handle: null };
    if (!calls.put(id, entry, MAX_SLOTS)) throw new FrameError('a call has the id of another');
    const timeoutMs = deadlineMs - HOST_OFFSET_MS - performance.now();
    entry.handle = version.supervisor.infer(
      tensors,
      rows,
      { timeoutMs, flow, priority },
      (error, results, { runMs, batchRows }) => {
        if (over) return;
        calls.take(id);
        if (error !== null) return refuse(id, error);
        try {
          writer.result(id, batchRows, runMs, results!, outputs);
        } catch (thrown) {
          if (!(thrown instanceof FrameError)) throw thrown;
          refuse(id, new SlipwayError('run_failed', `The answer cannot be sent: ${thrown.message}`));
        }
        schedule();
      },
    );
  };

  const reader = createFrameReader((kind, source, at, size) => {
    switch (kind) {
      case FRAME.infer:
        infer(source, at, size);
        return;
      case FRAME.cancel: {
        const id = source.u32[(at >>> 2) + 2]!;
        const entry = calls.take(id);
        if (entry === undefined) return; // answered meanwhile
        entry.handle?.cancel();
        writer.bare(FRAME.skipped, id);
        schedule();
        return;
      }
      case FRAME.flow: {
        const whose = readFlow(readJson(source, at, size));
        flow = deps.flowOf(whose.key);
        priority = whose.priority ?? undefined;
        return;
      }
      case FRAME.usage:
        quotas ??= deps.quotas.join();
        deps.quotas.hear(quotas, readUsage(readJson(source, at, size)));
        return;
      case FRAME.join:
        if (joins !== null) throw new FrameError('it joins twice');
        joins = readJoin(readJson(source, at, size));
        refresh();
        return;
      default:
        throw new FrameError(`it sent a frame of kind ${kind}`);
    }
  });

  socket.on('data', (chunk: Buffer) => {
    if (over) return;
    const violation = violationIn(reader, chunk);
    if (violation !== null) deps.onViolation(violation);
  });
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', () => {
    over = true;
    // Nobody is left to answer: what was not started never will be.
    for (const { handle } of calls.values()) handle?.cancel();
    calls.clear();
    if (version !== null) deps.release(version);
    if (quotas !== null) deps.quotas.leave(quotas);
  });

  return {
    get outstanding() {
      return calls.size;
    },
    refresh,
    tellUsage() {
      if (quotas === null || over) return;
      const usage = deps.quotas.tell(quotas);
      if (usage.length === 0) return;
      writer.json(FRAME.usage, 0, { usage });
      schedule();
    },
  };
}
