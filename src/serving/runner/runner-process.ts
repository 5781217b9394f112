import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { howToRaise } from '../../registry/limits.ts';
import { cleanNativeMessage } from '../engines/native-message.ts';
import { type CallQueue, createCallQueue } from './call-queue.ts';
import { exitReason, type KillCause } from './exit-reason.ts';
import { killRunner, launchRunner } from './launch.ts';
import { type FailedMessage, LOAD_FAULTS, type LoadMessage } from './load-message.ts';
import { type ProcessMemory, processMemory } from './process-memory.ts';
import { DIARY_BYTES, readDiary } from './run-diary.ts';
import type { Infer, LoadReport, PythonSpec, RunnerExit, RunnerSpec, RunnerStep } from './runner.ts';
import { crashed, createRunnerLink, type RunnerLink } from './runner-link.ts';
import { createStderrTail } from './stderr-tail.ts';
import { copyFiles } from './verified-files.ts';

/** How often deadlines and limits are looked at while there are calls, and memory always. */
const WATCH_MS = 20;
const MEMORY_WATCH_MS = 100;
/** How long a process that was asked to end may take. */
const CLOSE_MS = 2000;

export type RunnerProcessDeps = {
  readonly log: Logger;
  /** Named in errors when the queue is full. Default 1. */
  readonly retryAfterS?: number;
};

export type RunnerProcess = {
  /** Process id while it runs. */
  readonly pid: number | undefined;
  /** Resolves when the model is loaded; rejects with a SlipwayError when it never will be. */
  readonly loaded: Promise<LoadReport>;
  readonly exited: Promise<RunnerExit>;
  readonly infer: Infer;
  /** Calls that wait for the process, and calls it has. */
  readonly waiting: number;
  readonly outstanding: number;
  memoryBytes(): number | null;
  peakMemoryBytes(): number | null;
  /** From now on it takes its calls from this queue, and gives back those it never started when it ends. */
  serve(queue: CallQueue): void;
  /** Answers what it has, then ends. */
  close(): Promise<void>;
  /** Ends at once. */
  kill(): void;
};

let saidNoLimits = false;

/** Starts one runner process and loads the version into it. */
export function startRunner(spec: RunnerSpec, { log, retryAfterS = 1 }: RunnerProcessDeps): RunnerProcess {
  const startedMs = performance.now();
  const loaded = Promise.withResolvers<LoadReport>();
  const exited = Promise.withResolvers<RunnerExit>();
  loaded.promise.catch(() => {}); // whoever does not wait for it learns from `exited`
  const ownQueue = createCallQueue({ limit: spec.limits.queueLimit, retryAfterS });
  let queue = ownQueue;
  let child: ChildProcess | null = null;
  let link: RunnerLink | null = null;
  let lastStep: RunnerStep = 'spawned';
  let cause: KillCause | null = null;
  let memory: ProcessMemory | null = null;
  let failure: SlipwayError | null = null;
  let loadDone = false;
  let over = false;
  let closing = false;

  const end = (why: KillCause): void => {
    cause ??= why;
    if (child !== null) killRunner(child);
  };

  const start = async (): Promise<void> => {
    await mkdir(spec.scratchDir, { recursive: true });
    const folder = await mkdtemp(join(spec.scratchDir, 'runner-'));
    const diary = join(folder, '.diary');
    const diaryFd = openSync(diary, 'wx+', 0o600);
    unlinkSync(diary); // reached by its descriptor only: the folder holds nothing but the artifact
    const cleanUp = async (): Promise<void> => {
      closeSync(diaryFd);
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    };
    try {
      writeSync(diaryFd, new Uint8Array(DIARY_BYTES), 0, DIARY_BYTES, 0);
      await copyFiles(spec.files, folder);
      if (cause !== null) throw new SlipwayError('shutting_down', 'The runner was stopped before it started');
      const { memoryBytes, threads } = spec.limits;
      child = launchRunner({ folder, diaryFd, memoryBytes, threads, interpreter: spec.python?.interpreter ?? null });
    } catch (error) {
      await cleanUp();
      throw error;
    }
    watch(child, diaryFd, cleanUp);
  };

  const watch = (running: ChildProcess, diaryFd: number, cleanUp: () => Promise<void>): void => {
    const stderr = createStderrTail(running.stderr as Readable);
    const ends = createRunnerLink({
      socket: running.stdio[3] as Duplex,
      signature: spec.signature,
      canBatch: spec.canBatch,
      maxBatchRows: spec.limits.maxBatchRows,
      maxDelayMs: spec.limits.maxDelayMs,
      runTimeoutMs: spec.limits.runTimeoutMs,
      readNote: () => readDiary(diaryFd),
      onStep: (step) => {
        if (!loadDone && (step === 'verifying' || step === 'loading')) lastStep = step;
      },
      onReady: (about, measures) => {
        if (loadDone) return;
        loadDone = true;
        lastStep = 'warming';
        look();
        loaded.resolve({
          loadMs: performance.now() - startedMs,
          memoryBytes: memory?.residentBytes ?? null,
          about,
          measures,
        });
        ends.serve(queue);
      },
      onFailed: (message) => {
        if (loadDone || failure !== null) return;
        failure = loadFailure(message);
        cause ??= { kind: 'failed', message: failure.message };
      },
      onAnswer: () => {
        lastStep = 'running';
      },
      onViolation: (what) => end({ kind: 'violation', what }),
    });
    link = ends;

    let lastMemoryMs = 0;
    const look = (): void => {
      lastMemoryMs = performance.now();
      memory = running.pid === undefined ? null : (processMemory(running.pid) ?? memory);
      if (memory !== null && memory.residentBytes > spec.limits.memoryBytes) {
        end({ kind: 'memory', limitBytes: spec.limits.memoryBytes });
      }
    };
    const watchOnce = (): void => {
      timer = setTimeout(watchOnce, queue.size + ends.outstanding > 0 || closing ? WATCH_MS : MEMORY_WATCH_MS);
      const nowMs = performance.now();
      queue.expire(nowMs);
      if (nowMs - lastMemoryMs >= MEMORY_WATCH_MS - WATCH_MS / 2) look();
      if (!loadDone && nowMs - startedMs > spec.limits.loadTimeoutMs) {
        end({ kind: 'load-timeout', limitMs: spec.limits.loadTimeoutMs });
      } else if (ends.check(nowMs)) {
        end({ kind: 'run-timeout', limitMs: spec.limits.runTimeoutMs });
      }
      if (closing && queue.size === 0 && ends.outstanding === 0) hangUp(running);
    };
    let timer = setTimeout(watchOnce, WATCH_MS);
    if (process.platform !== 'linux' && !saidNoLimits) {
      saidNoLimits = true;
      log.warn(
        'this system tells no resident sizes: the memory of runners is bounded by ulimit only, where it has one',
      );
    }

    const finish = async (code: number | null, signal: string | null): Promise<void> => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      if (spec.python !== undefined) killRunner(running); // what it started goes with it
      const exit: RunnerExit = {
        code,
        signal,
        stderr: stderr(),
        lastStep,
        reason: exitReason({
          code,
          signal,
          stderr: stderr(),
          lastStep,
          cause,
          memoryLimitBytes: spec.limits.memoryBytes,
        }),
        asked: cause?.kind === 'asked',
      };
      settleCalls(ends, exit);
      running.stdio[3]?.destroy();
      await cleanUp();
      loaded.reject(failure ?? crashed(exit.reason));
      exited.resolve(exit);
    };
    running.once('error', (error) => {
      // The system gave no process: nothing of the model was seen.
      failure ??= toSlipwayError(error);
      cause ??= { kind: 'failed', message: cleanNativeMessage(error.message) };
      void finish(null, null);
    });
    // `close`, not `exit`: by then all that it wrote has been read, answers and last words.
    running.once('close', (code, signal) => void finish(code, signal));

    ends.load({
      engine: spec.engine,
      entry: spec.entry,
      files: spec.files.map(({ path, digest, sizeBytes }) => ({ path, digest, sizeBytes })),
      signature: spec.signature,
      canBatch: spec.canBatch,
      canPad: spec.canPad,
      threads: spec.limits.threads,
      maxBatchRows: spec.limits.maxBatchRows,
      ...(spec.python === undefined ? {} : { python: programOptions(spec.python) }),
    });
  };

  /** Calls in the run that ended with the process fail; calls it never started go on, once. */
  const settleCalls = (ends: RunnerLink, { reason }: RunnerExit): void => {
    const { running, unstarted } = ends.end();
    const error = crashed(reason);
    const stopped =
      cause?.kind === 'run-timeout'
        ? new SlipwayError(
            'run_timeout',
            `The model did not finish within ${spec.limits.runTimeoutMs} ms and was stopped`,
            { retryAfterS: 1, hint: `Send fewer rows at once. ${howToRaise('runTimeoutMs')}` },
          )
        : error;
    for (const call of running) call.fail(stopped);
    const kept = unstarted.filter((call) => queue !== ownQueue && ++call.losses < 2);
    queue.putBack(kept);
    for (const call of unstarted) if (!kept.includes(call)) call.fail(error);
    ownQueue.failAll(error);
  };

  const hangUp = (running: ChildProcess): void => {
    if (cause !== null) return;
    cause = { kind: 'asked' };
    (running.stdio[3] as Duplex).end();
    setTimeout(() => killRunner(running), CLOSE_MS).unref();
  };

  start().catch((error: unknown) => {
    over = true;
    const known = toSlipwayError(error);
    ownQueue.failAll(known);
    loaded.reject(known);
    exited.resolve({
      code: null,
      signal: null,
      stderr: '',
      lastStep,
      reason: `could not be started: ${known.message}`,
      asked: cause?.kind === 'asked',
    });
  });

  return {
    loaded: loaded.promise,
    exited: exited.promise,
    get pid() {
      return over ? undefined : child?.pid;
    },
    get waiting() {
      return queue.size;
    },
    get outstanding() {
      return link?.outstanding ?? 0;
    },
    infer(inputs, rows, options, done) {
      const call = ownQueue.add(inputs, rows, options, done);
      if (over) queueMicrotask(() => ownQueue.failAll(crashed('has ended')));
      return call;
    },
    memoryBytes: () => (over ? null : (memory?.residentBytes ?? null)),
    peakMemoryBytes: () => {
      if (!over && child?.pid !== undefined) memory = processMemory(child.pid) ?? memory;
      return memory?.peakBytes ?? null;
    },
    serve(next) {
      queue = next;
      if (loadDone && !over) link?.serve(next);
    },
    async close() {
      closing = true;
      if (!loadDone) end({ kind: 'asked' });
      await exited.promise;
    },
    kill() {
      end({ kind: 'asked' });
    },
  };
}

function programOptions({ runtime }: PythonSpec): NonNullable<LoadMessage['python']> {
  return { loader: runtime.loader, options: runtime.options, network: runtime.network };
}

function loadFailure({ code, message, hint }: FailedMessage): SlipwayError {
  const known = LOAD_FAULTS.find((fault) => fault === code) ?? 'model_invalid';
  return new SlipwayError(
    known,
    cleanNativeMessage(String(message)),
    hint === undefined ? {} : { hint: cleanNativeMessage(String(hint)) },
  );
}
