import { describe, expect, it } from 'vitest';
import { writeStatistics } from '../protocols/open-inference-statistics.ts';
import { VersionStatistics } from './version-statistics.ts';

describe('statistics of a version', () => {
  it('start with zeros', () => {
    const { batches, ...counts } = new VersionStatistics().read('m', 1);
    expect(batches).toEqual([]);
    expect(counts).toMatchObject({ name: 'm', version: 1, lastInferenceMs: 0, inferenceCount: 0, executionCount: 0 });
  });

  it('count a run that requests shared once, and its time once a request', () => {
    const statistics = new VersionStatistics();
    // 12 rows in one run: 3, 3 and 6 of three requests; then one row alone.
    for (const rows of [3, 3, 6]) statistics.succeed(rows, 12, 10, 1, 4, 3, 2);
    statistics.succeed(1, 1, 5, 1, 1, 1, 1);
    statistics.fail(7);
    statistics.cancel(2);
    expect(statistics.read('m', 2)).toMatchObject({
      inferenceCount: 13,
      executionCount: 2,
      requests: {
        success: { count: 4, ns: 35e6 },
        fail: { count: 1, ns: 7e6 },
        cancel: { count: 1, ns: 2e6 },
        queue: { count: 4, ns: 13e6 },
        computeInput: { count: 4, ns: 4e6 },
        computeInfer: { count: 4, ns: 10e6 },
        computeOutput: { count: 4, ns: 7e6 },
      },
      batches: [
        { batchSize: 1, computeInfer: { count: 1, ns: 1e6 } },
        { batchSize: 12, computeInput: { count: 1, ns: 3e6 }, computeInfer: { count: 1, ns: 3e6 } },
      ],
    });
  });

  it('are written in the form of the extension', () => {
    const statistics = new VersionStatistics();
    statistics.succeed(2, 2, 5, 1, 1, 1, 1);
    const second = { count: 1, ns: 1e6 };
    expect(writeStatistics([statistics.read('m', 2)])).toEqual({
      model_stats: [
        {
          name: 'm',
          version: '2',
          last_inference: expect.any(Number),
          inference_count: 2,
          execution_count: 1,
          inference_stats: {
            success: { count: 1, ns: 5e6 },
            fail: { count: 0, ns: 0 },
            queue: second,
            compute_input: second,
            compute_infer: second,
            compute_output: second,
            cache_hit: { count: 0, ns: 0 },
            cache_miss: { count: 0, ns: 0 },
          },
          response_stats: {
            '0': {
              compute_infer: second,
              compute_output: second,
              success: { count: 1, ns: 5e6 },
              fail: { count: 0, ns: 0 },
              empty_response: { count: 0, ns: 0 },
              cancel: { count: 0, ns: 0 },
            },
          },
          batch_stats: [{ batch_size: 2, compute_input: second, compute_infer: second, compute_output: second }],
          memory_usage: [],
        },
      ],
    });
  });
});
