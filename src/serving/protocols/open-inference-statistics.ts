import type { ModelStatistics } from './model-statistics.ts';

const NONE = { count: 0, ns: 0 };

/** Statistics as the extension writes them. What does not exist here (a response cache) counts nothing. */
export function writeStatistics(all: readonly ModelStatistics[]): unknown {
  return {
    model_stats: all.map(({ name, version, requests, batches, ...counts }) => ({
      name,
      version: `${version}`,
      last_inference: counts.lastInferenceMs,
      inference_count: counts.inferenceCount,
      execution_count: counts.executionCount,
      inference_stats: {
        success: requests.success,
        fail: requests.fail,
        queue: requests.queue,
        compute_input: requests.computeInput,
        compute_infer: requests.computeInfer,
        compute_output: requests.computeOutput,
        cache_hit: NONE,
        cache_miss: NONE,
      },
      // Every request has one response here: the first, by Triton's key.
      response_stats: {
        '0': {
          compute_infer: requests.computeInfer,
          compute_output: requests.computeOutput,
          success: requests.success,
          fail: requests.fail,
          empty_response: NONE,
          cancel: requests.cancel,
        },
      },
      batch_stats: batches.map(({ batchSize, computeInput, computeInfer, computeOutput }) => ({
        batch_size: batchSize,
        compute_input: computeInput,
        compute_infer: computeInfer,
        compute_output: computeOutput,
      })),
      memory_usage: [],
    })),
  };
}
