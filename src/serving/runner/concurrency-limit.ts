import { RunTimes } from './run-times.ts';

/** One look at arrivals and answers spans at least this time and so many answers; the longest needs one only. */
const WINDOW_MS = 100;
const WINDOW_ANSWERS = 10;
const LONGEST_WINDOW_MS = 800;
/** More than so much beyond what is answered is growth. */
const GROWTH = 1.1;
const GROWTH_CALLS = 2;
const GROWTH_IN_ALL = 1.15;
/** Windows of growth in a row before calls are limited: a burst, or callers who all begin at once, grow for one or two. */
const GROWING_WINDOWS = 4;
/** Windows without a refusal before calls are no longer limited. */
const CALM_WINDOWS = 10;
/** Breakwater's constants: the step up as a share of the limit (at least one call), and how strongly delay brings it down. */
const STEP_UP = 0.02;
const STEP_DOWN = 0.4;
/** What the process can hold in its hands and one more each: fewer would let it wait for work. */
const FEWEST = 4;
/** Delays below this are nobody's concern. */
const LEAST_TARGET_MS = 5;
/** Alone, a call may take this many runs; a queue of random arrivals at 80 % load needs as much at its 99th percentile. */
const RUNS_OF_ONE = 10;
/** With batches: it waits for one that runs and one that is sent, and is in the third. */
const RUNS_OF_BATCH = 3;

export type ConcurrencyLimit = {
  /** Calls that may be open at once; infinite while there is no overload. */
  readonly limit: number;
  /** Time from arrival to answer that is aimed at while calls are limited, in milliseconds. */
  readonly targetMs: number;
  readonly runTimes: RunTimes;
  /** @param refused whether there was no room */
  arrived(nowMs: number, refused: boolean): void;
  /** A call that had entered is over. `runMs` is 0 when no run answered it. */
  left(spentMs: number, callRows: number, batchRows: number, runMs: number): void;
};

/**
 * Limits the calls that are open at once for a version while more come than it can answer. Two parts:
 *
 * - Is it overload? Callers who wait for their answers before they ask again, however many, come as fast as they are answered: they
 *   have chosen their delay themselves and are not limited (the queue's hard limit stays). Only when calls come faster than they are answered for four
 *   windows in a row, and take longer than the target, does a limit come into force.
 * - How many? The control law of Breakwater (Cho, Saeed, Fried, Park, Alizadeh and Belay, "Overload Control for µs-scale RPCs with
 *   Breakwater", OSDI 2020): below the target delay the limit grows in small steps, above it shrinks in proportion to the excess, by half at most.
 *   It starts where Little's law puts it: calls answered per second times the target.
 *
 * The target is made of the version's own run times: ten runs of one call, or three runs of the smallest batch that gives nine tenths of
 * the throughput, whichever is more. So the limit is above one batch wherever batching pays.
 */
export function createConcurrencyLimit({
  maxBatchRows,
  onLimited,
}: {
  /** 1 where calls cannot share a run. */
  readonly maxBatchRows: number;
  /** Told when the limit comes into force: what waits beyond it would delay all that comes after. */
  readonly onLimited: () => void;
}): ConcurrencyLimit {
  const runTimes = new RunTimes();
  let limit = Number.POSITIVE_INFINITY;
  let targetMs = Number.POSITIVE_INFINITY;
  let startMs = 0;
  let arrivals = 0;
  let refusals = 0;
  let answers = 0;
  let spentSumMs = 0;
  let growing = 0;
  /** Over the growing windows: runs come in lumps, whose beginnings and ends cancel out in the sum. */
  let grownArrivals = 0;
  let grownAnswers = 0;
  let calm = 0;

  const look = (nowMs: number): void => {
    if (answers === 0) return;
    const windowMs = nowMs - startMs;
    if (windowMs < WINDOW_MS || (answers < WINDOW_ANSWERS && windowMs < LONGEST_WINDOW_MS)) return;
    const wasFree = limit === Number.POSITIVE_INFINITY;
    judge(windowMs);
    startMs = nowMs;
    arrivals = 0;
    refusals = 0;
    answers = 0;
    spentSumMs = 0;
    if (wasFree && limit !== Number.POSITIVE_INFINITY) onLimited();
  };

  const judge = (windowMs: number): void => {
    runTimes.fit();
    targetMs = targetOf(runTimes, maxBatchRows);
    const spentMs = spentSumMs / answers;
    if (limit === Number.POSITIVE_INFINITY) {
      const grows = arrivals > answers * GROWTH + GROWTH_CALLS && spentMs > targetMs;
      growing = grows ? growing + 1 : 0;
      grownArrivals = grows ? grownArrivals + arrivals : 0;
      grownAnswers = grows ? grownAnswers + answers : 0;
      if (growing < GROWING_WINDOWS || grownArrivals < grownAnswers * GROWTH_IN_ALL) return;
      limit = Math.max(FEWEST, (answers / windowMs) * targetMs);
      calm = 0;
      return;
    }
    if (spentMs <= targetMs) limit += Math.max(1, limit * STEP_UP);
    else limit = Math.max(FEWEST, limit * Math.max(0.5, 1 - (STEP_DOWN * (spentMs - targetMs)) / targetMs));
    calm = refusals === 0 ? calm + 1 : 0;
    if (calm < CALM_WINDOWS) return;
    limit = Number.POSITIVE_INFINITY;
    growing = 0;
  };

  return {
    get limit() {
      return limit;
    },
    get targetMs() {
      return targetMs;
    },
    runTimes,
    arrived(nowMs, refused) {
      arrivals += 1;
      if (refused) refusals += 1;
      // Only when calls come: the answers of one run come together, and a window that ended among them would see half a run.
      look(nowMs);
    },
    left(spentMs, callRows, batchRows, runMs) {
      answers += 1;
      spentSumMs += spentMs;
      if (runMs > 0) runTimes.add(callRows, batchRows, runMs);
    },
  };
}

function targetOf(runTimes: RunTimes, maxBatchRows: number): number {
  const one = runTimes.runMs(runTimes.callRows);
  const batch = runTimes.runMs(Math.max(runTimes.callRows, runTimes.worthwhileRows(maxBatchRows)));
  return Math.max(LEAST_TARGET_MS, RUNS_OF_ONE * one, RUNS_OF_BATCH * batch);
}
