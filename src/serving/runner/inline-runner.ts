import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import type { VersionState } from '../endpoints/desired-state.ts';
import { BLOCK_ROWS } from '../engines/tabular/ensembles.ts';
import type { Job } from '../engines/tabular/plan.ts';
import { loadTabular, type TabularModel } from '../engines/tabular.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import { type Call, deadlineError } from './call.ts';
import { createCallQueue } from './call-queue.ts';
import { refusalIn, refusedCall, shuttingDown } from './refusal.ts';
import type { RunnerSupervisor, SupervisedSpec, SupervisorDeps, SupervisorStatus } from './runner-supervisor.ts';
import { readVerified } from './verified-files.ts';

/** How long a run may hold the event loop before others get their turn. */
const TURN_US = 1000;
/** Larger models take too long to compile beside requests (measured: some 50 ms for 1 MiB); they go to a process of their own. */
const LARGEST_BYTES = 1024 * 1024;
/** Outputs of a row that are larger are computed in a process, whose memory is limited. */
const LARGEST_ROW_BYTES = 16 * 1024;
/** Outputs of one call: their memory is the gateway's. Above the first bound they are computed by turns, above the second not at all. */
const QUICK_BYTES = 1024 * 1024;
const MOST_BYTES = 64 * 1024 * 1024;
/** Calls computed by turns. */
const MOST_OPEN = 8;
const EXPIRE_MS = 20;

/** Whether a version may live in the gateway: the engine has no native code, ends every run, and the model and its answers are small. */
export function canBeInline({
  engine,
  entry,
  files,
  signature,
}: Pick<SupervisedSpec, 'engine' | 'entry' | 'files' | 'signature'>): boolean {
  const file = files.find(({ path }) => path === entry);
  return (
    engine === 'tabular' &&
    file !== undefined &&
    file.sizeBytes <= LARGEST_BYTES &&
    rowBytesOf(signature) <= LARGEST_ROW_BYTES
  );
}

/** What the outputs of a row take as far as the signature says; the rest is known when the model is loaded. */
function rowBytesOf({ outputs }: Signature): number {
  return outputs.reduce((sum, { datatype, shape }) => {
    const elements = shape.reduce((product, size) => product * (size === -1 ? 1 : size), 1);
    return sum + elements * Math.max(1, datatypeInfo(datatype).bytes);
  }, 0);
}

/**
 * A version of the engine tabular in this very process, with the face of a supervised runner. Short calls are answered at once; longer
 * ones are cut into slices, with everything else of the event loop between them.
 */
export function startInlineRunner(spec: SupervisedSpec, deps: SupervisorDeps): RunnerSupervisor {
  const { log, clock, retryAfterS = 1, onChange } = deps;
  const queue = createCallQueue({ limit: spec.limits.queueLimit, retryAfterS });
  let model: TabularModel | null = null;
  let state: VersionState = 'loading';
  let reason: string | null = 'The model is being loaded.';
  let since = clock.now();
  let open: Slicing[] = [];
  let isPumping = false;
  let closed: Promise<void> | null = null;
  const idle = Promise.withResolvers<void>();
  /** Measured over estimated cost of a row; machines differ. */
  let factor = 1;

  const status = (): SupervisorStatus => ({
    state,
    reason,
    since,
    restarts: 0,
    memoryBytes: null, // it is part of the gateway's
    waiting: queue.size,
    openLimit: Number.isFinite(queue.openLimit) ? Math.round(queue.openLimit) : null,
  });

  const become = (next: VersionState, why: string | null): void => {
    if (state === 'draining') return;
    if (state !== next) since = clock.now();
    state = next;
    reason = why;
    log.info({ version: spec.name, state, reason: why ?? undefined, inline: true }, 'version state');
    onChange?.(status());
  };

  const costUs = (rows: number): number => model!.costPerCallUs + rows * model!.costPerRowUs * factor;

  const load = async (): Promise<void> => {
    const entry = spec.files.find(({ path }) => path === spec.entry)!;
    const bytes = await readVerified(entry, entry.blobPath).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new SlipwayError(
        'artifact_corrupt',
        `The file ${entry.path} of the artifact is missing in the artifact store`,
      );
    });
    if (closed !== null) return;
    model = loadTabular({ entryBytes: bytes, signature: spec.signature });
    become('warming', 'The model answers its first request.');
    run(() => model!.runNow(spec.warmUp.inputs, spec.warmUp.rows));
    if (closed !== null) return;
    become('ready', null);
    pumpSoon();
  };

  const giveUp = (error: unknown): void => {
    const known = toSlipwayError(error);
    become('failed', `The model cannot be loaded: ${known.message}.`);
    queue.failAll(new SlipwayError('not_ready', reason!));
    log.warn({ version: spec.name, err: error }, 'a version cannot be loaded');
  };

  const pumpSoon = (): void => {
    if (isPumping || model === null || (state !== 'ready' && state !== 'draining')) return;
    isPumping = true;
    setImmediate(pump);
  };

  /** One turn: a slice of the call whose turn it is. */
  const pump = (): void => {
    const nowMs = performance.now();
    if (open.length < MOST_OPEN && queue.size > 0) {
      queue.expire(nowMs);
      for (const call of queue.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, MOST_OPEN - open.length))
        open.push(new Slicing(call));
    }
    let leftUs = TURN_US;
    while (leftUs > 0 && open.length > 0) {
      const slicing = open.shift()!;
      leftUs -= advance(slicing, leftUs);
      if (slicing.call.state === 'sent') open.push(slicing);
      else if (queue.size > 0 && open.length < MOST_OPEN) break;
    }
    if (open.length > 0 || queue.size > 0) {
      setImmediate(pump);
      return;
    }
    isPumping = false;
    if (state === 'draining') idle.resolve();
  };

  /** Computes what fits into the time, and gives the time that it took; a call is over when it is answered, failed or nobody wants it. */
  const advance = (slicing: Slicing, leftUs: number): number => {
    const { call } = slicing;
    const startMs = performance.now();
    if (call.state === 'over') return 1;
    if (call.deadlineMs <= startMs) {
      call.fail(deadlineError(call, startMs, slicing.done === 0 ? 'waiting for the model' : 'computing'));
      return 1;
    }
    const each = model!.costPerRowUs * factor;
    const rows = Math.min(BLOCK_ROWS, call.rows - slicing.done, Math.max(1, Math.floor(leftUs / each)));
    try {
      const large = slicing.job === null ? tooLarge(call.rows) : null; // it may have come before the model was loaded
      if (large !== null) throw large;
      slicing.job ??= run(() => model!.begin(call.inputs, call.rows));
      run(() => slicing.job!.compute(slicing.done, slicing.done + rows));
    } catch (error) {
      call.fail(error as SlipwayError);
      return (performance.now() - startMs) * 1000;
    }
    const tookUs = (performance.now() - startMs) * 1000;
    slicing.done += rows;
    slicing.runMs += tookUs / 1000;
    if (tookUs > 100) learn(tookUs, rows);
    if (slicing.done >= call.rows) call.answer(slicing.job.results, slicing.runMs, call.rows);
    return tookUs;
  };

  const bytesOf = (rows: number): number => rows * model!.outputBytesPerRow;

  const tooLarge = (rows: number): SlipwayError | null => {
    if (model === null || bytesOf(rows) <= MOST_BYTES) return null;
    const most = Math.floor(MOST_BYTES / model.outputBytesPerRow);
    return new SlipwayError(
      'answer_too_large',
      `The outputs of ${rows} rows take ${bytesOf(rows)} bytes; ${MOST_BYTES} are the most for a version in the gateway`,
      { hint: `Send at most ${most} rows at once. With SLIPWAY_INLINE=off the version gets a process of its own.` },
    );
  };

  const learn = (tookUs: number, rows: number): void => {
    const seen = tookUs / (model!.costPerCallUs + rows * model!.costPerRowUs);
    factor = Math.min(50, Math.max(0.5, factor * 0.8 + seen * 0.2));
  };

  const refusal = (): SlipwayError | null => refusalIn(state, reason, retryAfterS);

  const expiry = setInterval(() => queue.expire(performance.now()), EXPIRE_MS).unref();
  queue.onWork = pumpSoon;
  load().catch(giveUp);

  return {
    status,
    pid: undefined,
    refusal: (flow) => refusal() ?? queue.refusal(flow),
    infer(inputs, rows, options, done) {
      const refused = refusal() ?? tooLarge(rows);
      return refused === null ? queue.add(inputs, rows, options, done) : refusedCall(refused, done);
    },
    runNow(inputs, rows) {
      if (state !== 'ready' || costUs(rows) > TURN_US || bytesOf(rows) > QUICK_BYTES) return null;
      return run(() => model!.runNow(inputs, rows));
    },
    close() {
      closed ??= (async () => {
        const wasReady = state === 'ready';
        become('draining', 'The version is being stopped.');
        if (wasReady && (open.length > 0 || queue.size > 0)) {
          pumpSoon();
          await idle.promise;
        }
        queue.failAll(shuttingDown(retryAfterS));
        clearInterval(expiry);
        model = null;
        open = [];
      })();
      return closed;
    },
  };
}

/** A call that is computed slice by slice. */
class Slicing {
  readonly call: Call;
  job: Job | null = null;
  /** Rows computed so far. */
  done = 0;
  runMs = 0;

  constructor(call: Call) {
    this.call = call;
  }
}

/** What a run throws is the model's word on these inputs. */
function run<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const said = error instanceof Error ? error.message : 'unknown';
    throw new SlipwayError('run_failed', `The model could not compute these inputs: ${said}`);
  }
}
