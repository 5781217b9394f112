import type { ModelStatistics } from '../protocols/model-statistics.ts';
import { StageHistograms } from './stage-histograms.ts';

/** One run size: runs, and milliseconds of input, run and output. */
const RUNS = 0;
const INPUT_MS = 1;
const RUN_MS = 2;
const OUTPUT_MS = 3;

/**
 * Counts for one version behind one endpoint. A run that several requests shared is counted in parts: a request with 3 of a run's 12 rows
 * adds a quarter of it, so the sums are right although no request knows the others. A class for the hot path.
 */
export class VersionStatistics {
  readonly stages = new StageHistograms();
  private lastMs = 0;
  private rows = 0;
  private runs = 0;
  private succeeded = 0;
  private succeededMs = 0;
  private failed = 0;
  private failedMs = 0;
  private cancelled = 0;
  private cancelledMs = 0;
  private queueMs = 0;
  private inputMs = 0;
  private runMs = 0;
  private outputMs = 0;
  private readonly sizes = new Map<number, Float64Array>();

  /**
   * One answered request. All times in milliseconds.
   * @param batchRows rows of the run that it shared
   * @param inputMs reading and checking what was sent
   * @param outputMs writing the answer
   */
  succeed(
    rows: number,
    batchRows: number,
    totalMs: number,
    inputMs: number,
    queueMs: number,
    runMs: number,
    outputMs: number,
  ): void {
    const share = batchRows > rows ? rows / batchRows : 1;
    this.stages.add(inputMs, queueMs, runMs, outputMs);
    this.lastMs = Date.now();
    this.rows += rows;
    this.runs += share;
    this.succeeded += 1;
    this.succeededMs += totalMs;
    this.queueMs += queueMs;
    this.inputMs += inputMs;
    this.runMs += runMs;
    this.outputMs += outputMs;
    let size = this.sizes.get(batchRows);
    if (size === undefined) {
      size = new Float64Array(4);
      this.sizes.set(batchRows, size);
    }
    size[RUNS]! += share;
    size[INPUT_MS]! += inputMs;
    size[RUN_MS]! += runMs * share;
    size[OUTPUT_MS]! += outputMs;
  }

  fail(totalMs: number): void {
    this.failed += 1;
    this.failedMs += totalMs;
  }

  cancel(totalMs: number): void {
    this.cancelled += 1;
    this.cancelledMs += totalMs;
  }

  read(name: string, version: number): ModelStatistics {
    const each = (ms: number): { count: number; ns: number } => duration(this.succeeded, ms);
    return {
      name,
      version,
      lastInferenceMs: this.lastMs,
      inferenceCount: this.rows,
      executionCount: Math.round(this.runs),
      requests: {
        success: each(this.succeededMs),
        fail: duration(this.failed, this.failedMs),
        cancel: duration(this.cancelled, this.cancelledMs),
        queue: each(this.queueMs),
        computeInput: each(this.inputMs),
        computeInfer: each(this.runMs),
        computeOutput: each(this.outputMs),
      },
      batches: [...this.sizes]
        .sort(([a], [b]) => a - b)
        .map(([batchSize, sums]) => {
          const runs = Math.round(sums[RUNS]!);
          return {
            batchSize,
            computeInput: duration(runs, sums[INPUT_MS]!),
            computeInfer: duration(runs, sums[RUN_MS]!),
            computeOutput: duration(runs, sums[OUTPUT_MS]!),
          };
        }),
    };
  }
}

function duration(count: number, ms: number): { count: number; ns: number } {
  return { count, ns: Math.round(ms * 1e6) };
}
