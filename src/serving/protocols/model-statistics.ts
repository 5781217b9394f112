/**
 * What was counted of one version behind one endpoint since the gateway started: the domain form, which protocols write in theirs. The
 * words are those of the Open Inference Protocol's statistics extension, so that dashboards made for it read true.
 */

export type Duration = { readonly count: number; readonly ns: number };

export type ModelStatistics = {
  /** The endpoint: what callers call the model. */
  readonly name: string;
  readonly version: number;
  /** Unix time of the last answer in milliseconds; 0 when there was none. */
  readonly lastInferenceMs: number;
  /** Rows computed. */
  readonly inferenceCount: number;
  /** Runs of the model: with batching fewer than requests. */
  readonly executionCount: number;
  /** Per request; what a run took counts for each of the requests that shared it. */
  readonly requests: {
    /** From the first byte to the answer. */
    readonly success: Duration;
    readonly fail: Duration;
    /** The client went away first. */
    readonly cancel: Duration;
    readonly queue: Duration;
    readonly computeInput: Duration;
    readonly computeInfer: Duration;
    readonly computeOutput: Duration;
  };
  /** By rows of a run, ascending: counts are runs. */
  readonly batches: readonly {
    readonly batchSize: number;
    readonly computeInput: Duration;
    readonly computeInfer: Duration;
    readonly computeOutput: Duration;
  }[];
};
