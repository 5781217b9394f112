/** What a run still counts after each further one: half after some 140. */
const FORGET = 0.005;
/** So many runs are judged one by one; later, now and then is enough. */
const FIRST_RUNS = 10;
/** Rows of a run while nothing is known: a version that is switched to in a flood must not take all of it into its first run. */
const FIRST_ROWS = 8;
/** Share of the throughput of the largest batches beyond which a larger one is not worth its delay. */
const WORTHWHILE = 0.9;
/**
 * Standard errors of the fixed part, as a share of a run, beyond which the runs tell nothing of it: they are all about as large. Then
 * what was known before stays in proportion; at first, as if batching gained nothing.
 */
const MOST_DOUBT = 0.05;

/**
 * What runs of a version cost, learnt from its answers: a fixed part and a part for each row, by least squares with exponential
 * forgetting. A run of b rows takes `fixedMs + b * rowMs`.
 */
export class RunTimes {
  fixedMs = 0;
  rowMs = 0;
  /** Sums over runs, each made of the shares that its calls had in it. */
  #runs = 0;
  #rows = 0;
  #ms = 0;
  #rowsSquared = 0;
  #msSquared = 0;
  #rowsMs = 0;
  #calls = 0;

  /** One answer. `callRows` of the run's `rows` were the call's own. */
  add(callRows: number, rows: number, runMs: number): void {
    const share = callRows / rows;
    const kept = 1 - FORGET * share;
    this.#runs = this.#runs * kept + share;
    this.#rows = this.#rows * kept + callRows;
    this.#ms = this.#ms * kept + share * runMs;
    this.#rowsSquared = this.#rowsSquared * kept + callRows * rows;
    this.#msSquared = this.#msSquared * kept + share * runMs * runMs;
    this.#rowsMs = this.#rowsMs * kept + callRows * runMs;
    this.#calls = this.#calls * kept + 1;
    if (this.#runs < FIRST_RUNS) this.fit();
  }

  /** Rows of a call, on average. */
  get callRows(): number {
    return this.#calls === 0 ? 1 : this.#rows / this.#calls;
  }

  /** A run of so many rows, as far as is known. */
  runMs(rows: number): number {
    return this.fixedMs + this.rowMs * rows;
  }

  /** Rows, at least one, whose run takes about this long at most. */
  rowsWithin(ms: number): number {
    if (this.#runs < 0.99) return FIRST_ROWS;
    return this.rowMs === 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor((ms - this.fixedMs) / this.rowMs));
  }

  /** Draws the conclusion of the answers so far; costs a few divisions, so it is asked for now and then. */
  fit(): void {
    const n = this.#runs;
    if (n < 0.99) return;
    const meanRows = this.#rows / n;
    const meanMs = this.#ms / n;
    const spread = this.#rowsSquared / n - meanRows * meanRows;
    const known = this.fixedMs + this.rowMs * meanRows;
    let fixedMs = known === 0 ? 0 : (this.fixedMs * meanMs) / known;
    if (spread > 1e-6 * meanRows * meanRows) {
      const together = this.#rowsMs / n - meanRows * meanMs;
      const slope = together / spread;
      const noise = Math.max(0, this.#msSquared / n - meanMs * meanMs - slope * together);
      const error = Math.sqrt((noise / n) * (1 + (meanRows * meanRows) / spread));
      // On the cautious side: too little batching costs some throughput, too much costs latency.
      if (error < MOST_DOUBT * meanMs) fixedMs = Math.min(meanMs, Math.max(0, meanMs - slope * meanRows - 2 * error));
    }
    this.fixedMs = fixedMs;
    this.rowMs = (meanMs - fixedMs) / meanRows;
  }

  /**
   * The smallest batch that gives nine tenths of the throughput of batches of `most` rows. A batch of b rows makes use of
   * `b * rowMs / (fixedMs + b * rowMs)` of the time.
   */
  worthwhileRows(most: number): number {
    const { fixedMs, rowMs } = this;
    const use = (WORTHWHILE * most * rowMs) / (fixedMs + most * rowMs);
    return rowMs === 0 ? most : Math.max(1, (use / (1 - use)) * (fixedMs / rowMs));
  }
}
