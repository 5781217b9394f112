import type { Clock } from '../../base/clock.ts';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { VersionState } from '../endpoints/desired-state.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { createCallQueue } from './call-queue.ts';
import { LOAD_FAULTS } from './load-message.ts';
import { quarantined, refusalIn, refusedCall, shuttingDown } from './refusal.ts';
import type { Flow, Infer, RunnerExit, RunnerSpec } from './runner.ts';
import { type RunnerProcess, startRunner } from './runner-process.ts';

/** Crashes within the window after which a version is quarantined. */
const CRASH_LIMIT = 5;
const CRASH_WINDOW_MS = 60_000;
/** The first restart is at once; then the pause doubles. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const EXPIRE_MS = 20;

export type SupervisedSpec = RunnerSpec & {
  /** Inputs that the model is known to answer. A process takes calls when it has answered them. */
  readonly warmUp: { readonly inputs: readonly Tensor[]; readonly rows: number };
};

export type SupervisorStatus = {
  readonly state: VersionState;
  /** One sentence: why it is not ready; null when it is. */
  readonly reason: string | null;
  /** Since when it is in this state. */
  readonly since: Date;
  readonly restarts: number;
  readonly memoryBytes: number | null;
  /** Calls waiting here; those that the process has are not counted. */
  readonly waiting: number;
  /** Calls that may be open at once while more come than can be answered; null when that is not so. */
  readonly openLimit: number | null;
};

export type SupervisorDeps = {
  readonly log: Logger;
  readonly clock: Clock;
  readonly retryAfterS?: number;
  /** Told after each change of state. */
  readonly onChange?: (status: SupervisorStatus) => void;
  /** Runs something later; gives a function that calls it off. Tests pass their own. */
  readonly schedule?: (delayMs: number, work: () => void) => () => void;
};

export type RunnerSupervisor = {
  status(): SupervisorStatus;
  /** The process's id while there is one, for tests and logs; never shown to callers. */
  readonly pid: number | undefined;
  /** Why a call of this flow would be refused now, before anybody reads its body; null when it would not. */
  refusal(flow: Flow | undefined): SlipwayError | null;
  /** Calls are taken in every state but quarantined, failed and draining: while a process starts they wait. */
  readonly infer: Infer;
  /**
   * Computes at once, in this process, where the model lives in it.
   * @returns null when it is not to be done here and now: then `infer` takes the call
   * @throws SlipwayError `run_failed`, `not_ready`
   */
  runNow?(inputs: readonly Tensor[], rows: number): readonly Tensor[] | null;
  /** Takes no more calls, answers those it has, and ends. */
  close(): Promise<void>;
};

/** Keeps one runner process of a version alive. */
export function superviseRunner(spec: SupervisedSpec, deps: SupervisorDeps): RunnerSupervisor {
  const { log, clock, retryAfterS = 1, onChange } = deps;
  const schedule = deps.schedule ?? afterDelay;
  const queue = createCallQueue({
    limit: spec.limits.queueLimit,
    retryAfterS,
    maxBatchRows: spec.canBatch ? spec.limits.maxBatchRows : 1,
  });
  let runner: RunnerProcess | null = null;
  let state: VersionState = 'loading';
  let reason: string | null = 'The model is being loaded.';
  let since = clock.now();
  let restarts = 0;
  /** Times of crashes, and how many came since it was last ready. */
  let crashes: number[] = [];
  let crashesInARow = 0;
  let callOff: (() => void) | null = null;
  let closed: Promise<void> | null = null;
  let ended = Promise.withResolvers<void>();

  const status = (): SupervisorStatus => ({
    state,
    reason,
    since,
    restarts,
    memoryBytes: runner?.memoryBytes() ?? null,
    waiting: queue.size,
    openLimit: Number.isFinite(queue.openLimit) ? Math.round(queue.openLimit) : null,
  });

  const become = (next: VersionState, why: string | null): void => {
    if (state === 'draining' || (state === next && reason === why)) return;
    if (state !== next) since = clock.now();
    state = next;
    reason = why;
    log.info({ version: spec.name, state, reason: why ?? undefined }, 'version state');
    onChange?.(status());
  };

  let expiry: NodeJS.Timeout | undefined;
  /** A process looks at the deadlines of the queue it serves; without one they are looked at here. */
  const watchDeadlines = (here: boolean): void => {
    clearInterval(expiry);
    expiry = here ? setInterval(() => queue.expire(performance.now()), EXPIRE_MS).unref() : undefined;
  };

  const start = (): void => {
    callOff = null;
    const process = startRunner(spec, { log, retryAfterS });
    runner = process;
    ended = Promise.withResolvers<void>();
    void serve(process);
  };

  const serve = async (process: RunnerProcess): Promise<void> => {
    const failure = await warm(process).then(
      () => null,
      (error: unknown) => toSlipwayError(error),
    );
    if (failure === null && state !== 'draining') {
      crashesInARow = 0;
      become('ready', null);
    }
    if (failure === null) {
      // The queue goes on to the next process; should this one end, what it had not started comes back first.
      process.serve(queue);
      watchDeadlines(false);
    } else {
      process.kill();
    }
    const exit = await process.exited;
    watchDeadlines(true);
    runner = null;
    ended.resolve();
    if (state !== 'draining') onExit(exit, failure);
  };

  const warm = async (process: RunnerProcess): Promise<void> => {
    await process.loaded;
    if (state === 'loading') become('warming', 'The model answers its first request.');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timeoutMs = spec.limits.runTimeoutMs + spec.limits.loadTimeoutMs; // the process is killed before
    process.infer(spec.warmUp.inputs, spec.warmUp.rows, { timeoutMs }, (error) =>
      error === null ? resolve() : reject(error),
    );
    await promise;
  };

  const onExit = (exit: RunnerExit, failure: SlipwayError | null): void => {
    // A model that refuses its own sample request is asked again after a restart: it may have been short of memory.
    const said =
      failure?.code === 'run_failed' ? `does not answer its sample request: ${failure.message}` : exit.reason;
    log.warn(
      { version: spec.name, reason: said, lastStep: exit.lastStep, stderr: exit.stderr.slice(-2000) },
      'runner ended',
    );
    if (failure !== null && LOAD_FAULTS.some((fault) => fault === failure.code)) {
      giveUp(
        'failed',
        `The model ${said}.`,
        new SlipwayError('not_ready', `The version cannot be loaded: ${failure.message}`),
      );
      return;
    }
    if (failure !== null && SERVER_FAULTS.has(failure.code)) {
      // The machine's fault, not the model's: no crash, and mended without us. Until then calls wait, or expire.
      restarts++;
      become('restarting', `The runner cannot be started: ${failure.message}. It is tried again.`);
      callOff = schedule(LONGEST_PAUSE_MS, start);
      return;
    }
    const nowMs = clock.monotonicMs();
    crashes = [...crashes.filter((at) => nowMs - at < CRASH_WINDOW_MS), nowMs];
    crashesInARow++;
    if (crashes.length >= CRASH_LIMIT || crashesInARow >= CRASH_LIMIT) {
      const times =
        crashes.length >= CRASH_LIMIT
          ? `${crashes.length} times in ${CRASH_WINDOW_MS / 1000} s`
          : `${crashesInARow} times in a row`;
      const why = `The runner ended ${times}; the last time it ${said}.`;
      giveUp('quarantined', why, quarantined(why));
      return;
    }
    restarts++;
    const pauseMs = crashesInARow === 1 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (crashesInARow - 2));
    become('restarting', `The runner ${said}; it is started again.`);
    callOff = schedule(pauseMs, start);
  };

  const giveUp = (next: 'failed' | 'quarantined', why: string, error: SlipwayError): void => {
    become(next, why);
    queue.failAll(error);
    watchDeadlines(false);
  };

  const refusal = (): SlipwayError | null => refusalIn(state, reason, retryAfterS);

  watchDeadlines(true);
  start();

  return {
    status,
    get pid() {
      return runner?.pid;
    },
    infer(inputs, rows, options, done) {
      const refused = refusal();
      return refused === null ? queue.add(inputs, rows, options, done) : refusedCall(refused, done);
    },
    refusal: (flow) => refusal() ?? queue.refusal(flow),
    close() {
      closed ??= (async () => {
        callOff?.();
        become('draining', 'The version is being stopped.');
        if (runner !== null) {
          await runner.close();
          await ended.promise;
        }
        queue.failAll(shuttingDown(retryAfterS));
        watchDeadlines(false);
      })();
      return closed;
    },
  };
}

const SERVER_FAULTS: ReadonlySet<string> = new Set(['disk_full', 'data_unwritable']);

function afterDelay(delayMs: number, work: () => void): () => void {
  const timer = setTimeout(work, delayMs);
  return () => clearTimeout(timer);
}
