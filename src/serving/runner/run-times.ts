/** How fast older runs are forgotten: after some 500 answers half of their word is left. */
const FORGET = 0.9986;
/** Batch sizes must differ by this much (standard deviation over mean, squared) to tell a run's fixed cost from that of its rows. */
const TELLING_SPREAD = 0.02;
/** Share of the throughput of endless batches at which a larger batch is not worth its delay. */
const WORTHWHILE = 0.9;

/**
 * What runs of a version cost, learnt from its answers: a fixed part and a part for each row, by least squares with exponential
 * forgetting. A run of b rows takes `fixedMs + b * rowMs`.
 */
export class RunTimes {
  fixedMs = 0;
  rowMs = 0;
  /** Of the runs that answered lately, each counted as often as it had calls. */
  meanMs = 0;
  #weight = 0;
  #rows = 0;
  #ms = 0;
  #rowsSquared = 0;
  #rowsMs = 0;
  #callRows = 0;

  /** One answer. `callRows` of the run's `rows` were the call's own. */
  add(callRows: number, rows: number, runMs: number): void {
    this.#weight = this.#weight * FORGET + 1;
    this.#rows = this.#rows * FORGET + rows;
    this.#ms = this.#ms * FORGET + runMs;
    this.#rowsSquared = this.#rowsSquared * FORGET + rows * rows;
    this.#rowsMs = this.#rowsMs * FORGET + rows * runMs;
    this.#callRows = this.#callRows * FORGET + callRows;
    this.meanMs = this.#ms / this.#weight;
  }

  /** Rows of a call, on average. */
  get callRows(): number {
    return this.#weight === 0 ? 1 : this.#callRows / this.#weight;
  }

  /** A run of so many rows, as far as is known. */
  runMs(rows: number): number {
    return this.fixedMs + this.rowMs * rows;
  }

  /** Draws the conclusion of the answers so far; costs a few divisions, so it is asked for now and then. */
  fit(): void {
    if (this.#weight < 1) return;
    const meanRows = this.#rows / this.#weight;
    const spread = this.#rowsSquared / this.#weight - meanRows * meanRows;
    if (spread > TELLING_SPREAD * meanRows * meanRows) {
      const slope = (this.#rowsMs / this.#weight - meanRows * this.meanMs) / spread;
      this.rowMs = Math.min(Math.max(0, slope), this.meanMs / meanRows);
      this.fixedMs = Math.max(0, this.meanMs - this.rowMs * meanRows);
      return;
    }
    // All runs alike: what is known of the parts stays in proportion; at first, as if batching gained nothing.
    const known = this.fixedMs + this.rowMs * meanRows;
    if (known === 0) this.rowMs = this.meanMs / meanRows;
    else {
      this.fixedMs *= this.meanMs / known;
      this.rowMs *= this.meanMs / known;
    }
  }

  /** The smallest batch that reaches nine tenths of what batches without end would: `b * rowMs / (fixedMs + b * rowMs)`. */
  worthwhileRows(most: number): number {
    if (this.rowMs === 0) return this.fixedMs === 0 ? 1 : most;
    return Math.min(most, Math.max(1, ((WORTHWHILE / (1 - WORTHWHILE)) * this.fixedMs) / this.rowMs));
  }
}
