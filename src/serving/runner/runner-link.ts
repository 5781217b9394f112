import type { Duplex } from 'node:stream';
import { SlipwayError } from '../../base/errors.ts';
import { howToRaise } from '../../registry/limits.ts';
import type { Measure } from '../../registry/runtime.ts';
import type { Signature } from '../../registry/signature.ts';
import { cleanNativeMessage } from '../engines/native-message.ts';
import { type Call, deadlineError } from './call.ts';
import type { CallQueue } from './call-queue.ts';
import { CallTable } from './call-table.ts';
import { createFrameReader, readJson, readTensors, violationIn } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { FRAME, FrameError, type FrameSource, frameTensors } from './frames.ts';
import { HOST_OFFSET_MS, hostTimeMs } from './host-time.ts';
import type { FailedMessage, LoadMessage, ReadyMessage, StepMessage } from './load-message.ts';
import type { RunNote } from './run-diary.ts';

/** Sendings under way at most: one that the runner computes and one that it finds when it is done. The rest waits here. */
const WINDOW = 2;
/** Where each call is a run of its own, a sending ends when its runs take about this long: what is sent is beyond fair order. */
const SENDING_MS = 4;
/** Weight of the newest run in the mean. */
const NEWEST = 0.1;
/** A sending ends when it has more bytes than this, so that a cancelled call is seldom beyond recall. */
const MAX_SENDING_BYTES = 8 * 1024 * 1024;

type Sending = { left: number };
type Sent = { readonly call: Call; readonly sending: Sending };

export type RunnerLinkDeps = {
  readonly socket: Duplex;
  readonly signature: Signature;
  readonly canBatch: boolean;
  readonly maxBatchRows: number;
  /** How long a call may wait for others to share its run; 0: not at all. */
  readonly maxDelayMs: number;
  readonly runTimeoutMs: number;
  readonly readNote: () => RunNote | null;
  readonly onStep: (step: StepMessage['step']) => void;
  /** With what the runner says of the loaded model. */
  readonly onReady: (about: string | null, measures: readonly Measure[] | null) => void;
  readonly onFailed: (message: FailedMessage) => void;
  readonly onAnswer: () => void;
  /** The runner sent what no runner sends. */
  readonly onViolation: (what: string) => void;
};

export type RunnerLink = {
  /** Calls that the runner has. */
  readonly outstanding: number;
  load(message: LoadMessage): void;
  /** From now on calls are taken from this queue. */
  serve(queue: CallQueue): void;
  /** Fails outstanding calls whose deadline passed. True when one run has outlived its limit: the process is to be killed. */
  check(nowMs: number): boolean;
  /** Takes the outstanding calls back: those in the run under way, and those that were never started. */
  end(): { running: Call[]; unstarted: Call[] };
};

/** The parent's end of the socket pair: sends calls, hands out answers, and trusts nothing that it reads. */
export function createRunnerLink(deps: RunnerLinkDeps): RunnerLink {
  const { socket, signature, runTimeoutMs } = deps;
  const inputs = frameTensors(signature.inputs);
  const outputs = frameTensors(signature.outputs);
  const writer = new FrameWriter();
  const sent = new CallTable<Sent>();
  let queue: CallQueue | null = null;
  let open = 0;
  let scheduled = false;
  let delay: NodeJS.Timeout | null = null;
  let meanRunMs = 0;
  let ended = false;
  /** When the runner was last known to begin something or to answer, by `performance.now()`. */
  let movedMs = 0;

  const schedule = (): void => {
    if (scheduled || ended) return;
    scheduled = true;
    // When all requests that this turn of the event loop brought are here.
    setImmediate(flush);
  };

  const flush = (): void => {
    scheduled = false;
    if (ended) return;
    while (queue !== null && open < WINDOW && queue.size > 0 && !waitsForMore(queue)) {
      const calls = queue.take(deps.maxBatchRows, MAX_SENDING_BYTES, maxCalls());
      const sending: Sending = { left: 0 };
      for (const call of calls) send(call, sending);
      if (sending.left > 0) open++;
    }
    if (writer.sizeBytes === 0) return;
    writer.sendTo(socket);
  };

  /** Until the first run has told what one takes, one call: what was sent cannot be pushed out, and is lost with the process. */
  const maxCalls = (): number => {
    if (deps.canBatch) return Number.POSITIVE_INFINITY;
    return meanRunMs === 0 ? 1 : Math.max(1, Math.floor(SENDING_MS / meanRunMs));
  };

  /** Whether what waits is less than a run may have and may wait a little longer. Then it is looked at again in time. */
  const waitsForMore = ({ rows, sinceMs }: CallQueue): boolean => {
    // A state kept by an earlier release has no such limit.
    if (!(deps.maxDelayMs > 0) || !deps.canBatch || rows >= deps.maxBatchRows) return false;
    const leftMs = sinceMs + deps.maxDelayMs - performance.now();
    if (leftMs <= 0) return false;
    delay ??= setTimeout(() => {
      delay = null;
      flush();
    }, leftMs);
    return true;
  };

  const send = (call: Call, sending: Sending): void => {
    const idle = sent.size === 0;
    const id = sent.add({ call, sending });
    try {
      writer.infer(id, call.rows, call.deadlineMs + HOST_OFFSET_MS, call.inputs, inputs);
    } catch (error) {
      sent.take(id);
      if (!(error instanceof FrameError)) throw error;
      call.fail(new SlipwayError('invalid_input', `The inputs cannot be sent to the model: ${error.message}`));
      return;
    }
    if (idle) movedMs = performance.now();
    call.id = id;
    call.owner = owner;
    sending.left++;
  };

  const owner = {
    /** The caller is gone: the runner is told, and its answer, should one come, is thrown away. */
    drop(call: Call): void {
      call.end(performance.now(), 0, 0);
      if (ended) return;
      writer.bare(FRAME.cancel, call.id);
      schedule();
    },
  };

  /** The sent call that a frame answers; it is no longer outstanding. */
  const answered = (source: FrameSource, at: number): Call => {
    const id = source.u32[(at >>> 2) + 2]!;
    const entry = sent.take(id);
    if (entry === undefined) throw new FrameError('it answered a call that it did not have');
    if (--entry.sending.left === 0) open--;
    return entry.call;
  };

  const reader = createFrameReader((kind, source, at, size) => {
    switch (kind) {
      case FRAME.result: {
        const call = answered(source, at);
        if (call.state === 'over') return;
        let results: ReturnType<typeof readTensors>;
        try {
          results = readTensors(source, at, size, outputs);
        } catch (error) {
          call.fail(crashed('sent an answer that cannot be read'));
          throw error;
        }
        deps.onAnswer();
        const told = source.f64[(at >>> 3) + 2]!;
        const runMs = told >= 0 && told < 1e9 ? told : 0;
        meanRunMs = meanRunMs === 0 ? runMs : meanRunMs + NEWEST * (runMs - meanRunMs);
        call.answer(results, runMs, source.u32[(at >>> 2) + 3]!);
        return;
      }
      case FRAME.fault: {
        const { message } = readJson(source, at, size) as { message?: unknown };
        const call = answered(source, at);
        deps.onAnswer();
        call.fail(runFailed(typeof message === 'string' ? message : ''));
        return;
      }
      case FRAME.skipped: {
        const call = answered(source, at);
        call.fail(deadlineError(call, performance.now(), 'waiting for the model'));
        return;
      }
      case FRAME.step:
        deps.onStep((readJson(source, at, size) as StepMessage).step);
        return;
      case FRAME.ready:
        {
          const message = readJson(source, at, size) as ReadyMessage;
          deps.onReady(aboutOf(message), measuresOf(message));
        }
        return;
      case FRAME.failed:
        deps.onFailed(readJson(source, at, size) as FailedMessage);
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
    movedMs = performance.now();
    if (queue !== null && queue.size > 0 && open < WINDOW) flush();
  });
  socket.on('error', () => {}); // the process's exit says why

  return {
    get outstanding() {
      return sent.size;
    },
    load(message) {
      writer.json(FRAME.load, 0, message);
      flush();
    },
    serve(next) {
      if (queue !== null) queue.onWork = () => {};
      queue = next;
      next.onWork = schedule;
      schedule();
    },
    check(nowMs) {
      if (sent.size === 0) return false;
      for (const { call } of sent.values()) {
        if (call.deadlineMs > nowMs || call.state === 'over') continue;
        call.fail(deadlineError(call, nowMs, 'waiting and computing'));
        writer.bare(FRAME.cancel, call.id);
        schedule();
      }
      if (nowMs - movedMs <= runTimeoutMs) return false;
      // It did not answer for too long. The diary says when the run under way really started.
      const note = deps.readNote();
      if (note === null || !note.ids.some((id) => sent.has(id))) return true;
      return hostTimeMs() - note.startedMs > runTimeoutMs;
    },
    end() {
      ended = true;
      if (delay !== null) clearTimeout(delay);
      if (queue !== null) queue.onWork = () => {};
      const ids = new Set(deps.readNote()?.ids);
      const running: Call[] = [];
      const unstarted: Call[] = [];
      for (const { call } of sent.values()) {
        if (call.state !== 'over') (ids.has(call.id) ? running : unstarted).push(call);
      }
      sent.clear();
      return { running, unstarted };
    },
  };
}

/** It comes from a process that is not trusted. */
function aboutOf({ about }: ReadyMessage): string | null {
  return typeof about === 'string' ? cleanNativeMessage(about) : null;
}

const MOST_MEASURES = 20;

function measuresOf({ measures }: ReadyMessage): readonly Measure[] | null {
  if (!Array.isArray(measures)) return null;
  return measures.slice(0, MOST_MEASURES).map((one: Partial<Measure> | null) => ({
    name: cleanNativeMessage(String(one?.name)),
    holds: one?.holds === true,
    detail: cleanNativeMessage(String(one?.detail)),
  }));
}

export function crashed(how: string): SlipwayError {
  return new SlipwayError('runner_crashed', `The process running the model ${how}`, {
    retryAfterS: 1,
    hint: 'It is started again by itself. `slipway why` says more when it goes on.',
  });
}

function runFailed(message: string): SlipwayError {
  const clean = cleanNativeMessage(message);
  if (/Failed to allocate memory|bad_alloc/.test(clean)) {
    return new SlipwayError('run_failed', 'The model asked for more memory than it is allowed', {
      hint: `Send fewer rows at once. ${howToRaise('memoryBytes')}`,
    });
  }
  return new SlipwayError('run_failed', `The model could not compute these inputs: ${clean}`);
}
