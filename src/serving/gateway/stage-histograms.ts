/** Upper bounds in milliseconds. */
const BOUNDS_MS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 30_000];

/** parse: the first byte until the inputs were checked. queue: until its run began. run. write: the result until the answer was handed over. */
export const STAGES = ['parse', 'queue', 'run', 'write'] as const;
export type Stage = (typeof STAGES)[number];

/** How long the stages of answered predictions took. A class for the hot path: additions on one typed array. */
export class StageHistograms {
  static readonly boundsSeconds: readonly number[] = BOUNDS_MS.map((ms) => ms / 1000);
  readonly #counts = new Float64Array(STAGES.length * (BOUNDS_MS.length + 1));
  readonly #sumsMs = new Float64Array(STAGES.length);

  add(parseMs: number, queueMs: number, runMs: number, writeMs: number): void {
    this.#addOne(0, parseMs);
    this.#addOne(1, queueMs);
    this.#addOne(2, runMs);
    this.#addOne(3, writeMs);
  }

  /** Counts by bound, the last one beyond all of them. */
  counts(stage: Stage): Float64Array {
    const size = BOUNDS_MS.length + 1;
    const from = STAGES.indexOf(stage) * size;
    return this.#counts.subarray(from, from + size);
  }

  sumSeconds(stage: Stage): number {
    return this.#sumsMs[STAGES.indexOf(stage)]! / 1000;
  }

  #addOne(stage: number, ms: number): void {
    let place = 0;
    while (place < BOUNDS_MS.length && ms > BOUNDS_MS[place]!) place++;
    this.#counts[stage * (BOUNDS_MS.length + 1) + place]! += 1;
    this.#sumsMs[stage]! += ms;
  }
}
