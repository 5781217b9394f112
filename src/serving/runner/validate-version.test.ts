import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import {
  fileOf,
  filesOf,
  MODELS,
  ROWS_OF_3,
  runnerSpec,
  scratch,
  silent,
  spec,
} from '../../../test/fixtures/runner-specs.ts';
import { sampleRequestFor } from '../../registry/sample-request.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import type { GoldenCase, ValidationJob } from '../../registry/validation.ts';
import { createValidator } from './validate-version.ts';

const folder = scratch();
const validate = createValidator({ log: silent, scratchDir: folder });
afterAll(() => {
  expect(readdirSync(join(folder, 'validate'))).toEqual([]);
  rmSync(folder, { recursive: true });
});

const GOLDEN = JSON.parse(readFileSync(join(MODELS, 'golden.json'), 'utf8')) as Record<string, GoldenCase[]>;
const MIXED: Signature = {
  inputs: [spec('age', 'FP32', -1, 1), spec('plan', 'BYTES', -1, 1)],
  outputs: [spec('score', 'FP32', -1, 1)],
};

type Changes = Partial<Omit<ValidationJob, 'limits'>> & { limits?: Partial<ValidationJob['limits']> };

function job(model: string, { limits, ...changes }: Changes = {}): ValidationJob {
  const signature = changes.signature ?? ROWS_OF_3;
  const golden = changes.golden ?? [];
  return {
    project: 'default',
    model: 'm',
    version: 1,
    format: 'onnx',
    engine: 'onnxruntime',
    ...filesOf(model),
    signature,
    golden,
    sampleRequest: sampleRequestFor(signature, golden),
    ...changes,
    limits: { ...runnerSpec('add.onnx', folder).limits, ...limits },
  };
}

const outcomes = (steps: readonly { name: string; outcome: string }[]) =>
  Object.fromEntries(steps.map((step) => [step.name, step.outcome]));

test('a fault of the server is thrown, and is no verdict on the model', async () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  const elsewhere = createValidator({ log: silent, scratchDir: file });
  await expect(elsewhere(job('add.onnx'))).rejects.toMatchObject({ code: 'internal', cause: { code: 'ENOTDIR' } });
  rmSync(file);
});

describe('a model that is in order', () => {
  test('passes, with its times, its memory, and whether requests may share runs', async () => {
    const { validation, canBatch, measuredMemoryBytes } = await validate(
      job('mixed.onnx', { signature: MIXED, golden: GOLDEN['mixed']! }),
    );
    expect(validation).toMatchObject({
      outcome: 'passed',
      reason: null,
      hint: null,
      lastStep: null,
      exitCode: null,
      exitSignal: null,
      warnings: [],
    });
    expect(outcomes(validation.steps)).toEqual({ load: 'passed', infer: 'passed', golden: 'passed', batch: 'passed' });
    expect(canBatch).toBe(true);
    expect(validation.loadMs).toBeGreaterThan(0);
    expect(validation.inferMs).toBeGreaterThan(0);
    if (process.platform === 'linux') {
      expect(measuredMemoryBytes).toBeGreaterThan(10_000_000);
      expect(validation.peakMemoryBytes).toBeGreaterThanOrEqual(measuredMemoryBytes!);
    }
  });

  test('passes without a golden set, by neutral values', async () => {
    const { validation, canBatch } = await validate(job('add.onnx'));
    expect(validation.outcome).toBe('passed');
    expect(validation.steps.find((step) => step.name === 'golden')).toMatchObject({
      outcome: 'skipped',
      detail: 'the version has no golden set',
    });
    expect(canBatch).toBe(true);
  });

  test('takes its sample request from the golden set when neutral values fail', async () => {
    const signature: Signature = { inputs: [spec('idx', 'INT64', -1)], outputs: [spec('Y', 'FP32', -1)] };
    const bad = { inputs: { idx: [99] } };
    const outcome = await validate(job('poison.onnx', { signature, golden: GOLDEN['poison']!, sampleRequest: bad }));
    expect(outcome.validation.outcome).toBe('passed');
    expect(outcome.sampleRequest).toEqual(GOLDEN['poison']![0]!.inputs);
    expect(outcome.validation.warnings[0]).toMatch(/taken from the golden set/);
  });

  test('answers class labels by name in its golden set', async () => {
    const signature: Signature = {
      inputs: [spec('X', 'FP32', -1, 2)],
      outputs: [
        spec('output_label', 'INT64', -1),
        { ...spec('output_probability', 'FP32', -1, 3), labels: ['0', '1', '2'] },
      ],
    };
    const { validation } = await validate(job('zipmap.onnx', { signature, golden: GOLDEN['zipmap']! }));
    expect(validation).toMatchObject({ outcome: 'passed', reason: null });
  });
});

describe('whether requests may share a run', () => {
  test('no, where a row is answered differently beside another', async () => {
    const { validation, canBatch } = await validate(job('batch-mixing.onnx'));
    expect(validation.outcome).toBe('passed');
    expect(canBatch).toBe(false);
    expect(validation.warnings).toEqual([
      'Requests will not share runs: a row is answered differently beside another one: Y[0,0] is -0.5, expected 0.',
    ]);
  });

  test('no, where an output has no row for each row', async () => {
    const signature: Signature = {
      inputs: [spec('A', 'FP32', -1, 3), spec('B', 'FP32', -1, 3)],
      outputs: [spec('Y', 'FP32', -1, 3), spec('total', 'FP32')],
    };
    const { validation, canBatch } = await validate(job('two.onnx', { signature }));
    expect(canBatch).toBe(false);
    expect(validation.warnings[0]).toBe('Requests will not share runs: the first dimension of total is not free.');
  });

  test('no, where the batch is fixed', async () => {
    const signature: Signature = { inputs: [spec('X', 'FP32', 1, 3)], outputs: [spec('Y', 'FP32', 1, 3)] };
    const { validation, canBatch } = await validate(job('fixed.onnx', { signature }));
    expect(validation.outcome).toBe('passed');
    expect(canBatch).toBe(false);
  });
});

describe('whether calls of different sizes are padded to share a run', () => {
  const sized = (name: string, value?: number): TensorSpec => ({
    ...spec(name, 'INT64', -1, -1),
    symbols: ['N', 'T'],
    ...(value === undefined ? {} : { pad: { axis: 1, value } }),
  });
  const outputs = [spec('mean', 'FP32', -1), { ...spec('found', 'FP32', -1, -1), symbols: ['N', 'T'] }];
  const masked = (token: number, mask: number): Signature => ({
    inputs: [sized('tokens', token), sized('mask', mask)],
    outputs,
  });
  const golden = GOLDEN['masked-mean']!;

  test.each([0, 3])(
    'yes, where a mask takes what is filled in out of the answer (tokens filled with %i)',
    async (token) => {
      const outcome = await validate(job('masked-mean.onnx', { signature: masked(token, 0), golden }));
      expect(outcome).toMatchObject({ canBatch: true, canPad: true, validation: { outcome: 'passed', warnings: [] } });
      expect(outcome.validation.steps.at(-1)!.detail).toMatch(/answered the same alone and padded/);
    },
  );

  test('one golden case is enough: it is cut, repeated and changed', async () => {
    const outcome = await validate(job('masked-mean.onnx', { signature: masked(0, 0), golden: golden.slice(2) }));
    expect(outcome).toMatchObject({ canPad: true, validation: { warnings: [] } });
  });

  const signature: Signature = { inputs: [sized('tokens', 0)], outputs };
  const plain = { signature, golden: GOLDEN['plain-mean']! };
  test.each<[string, string, Partial<ValidationJob>, RegExp]>([
    ['the padding counts', 'plain-mean.onnx', plain, /answered differently when it is padded to \d: mean\[0\] is/],
    [
      'one case, and the padding counts',
      'plain-mean.onnx',
      { ...plain, golden: plain.golden.slice(0, 1) },
      /answered differently/,
    ],
    ['the mask is filled with 1', 'masked-mean.onnx', { signature: masked(0, 1), golden }, /answered differently/],
    ['the padding makes the run fail', 'masked-mean.onnx', { signature: masked(9, 0), golden }, /a padded run failed/],
    [
      'an output has the size under another name',
      'masked-mean.onnx',
      { signature: { ...masked(0, 0), outputs: [outputs[0]!, spec('found', 'FP32', -1, -1)] }, golden },
      /found has the shape \[1, \d\], expected \[1, \d\]/,
    ],
    ['nothing is known but neutral values', 'masked-mean.onnx', { signature: masked(0, 0) }, /golden set/],
  ])('no, where %s; the version is served without padding', async (_what, model, changes, reason) => {
    const { validation, canPad } = await validate(job(model, changes));
    expect(validation.outcome).toBe('passed');
    expect(canPad).toBe(false);
    expect(validation.warnings.at(-1)).toMatch(reason);
    expect(validation.warnings.at(-1)).toMatch(/^Nothing is padded, although slipway.yaml declares it: /);
  });

  test('no, where rows share no runs at all', async () => {
    const limits = { ...job('masked-mean.onnx').limits, maxBatchRows: 1 };
    const { validation, canPad } = await validate(job('masked-mean.onnx', { signature: masked(0, 0), golden, limits }));
    expect(canPad).toBe(false);
    expect(validation.warnings.at(-1)).toMatch(/requests do not share runs at all/);
  });

  test('nothing is said of it where nothing is declared', async () => {
    const undeclared: Signature = { inputs: [sized('tokens')], outputs };
    const { validation, canPad } = await validate(job('plain-mean.onnx', { ...plain, signature: undeclared }));
    expect(canPad).toBe(false);
    expect(validation.warnings).toEqual([]);
    expect(validation.steps.at(-1)!.detail).not.toMatch(/padded/);
  });
});

describe('a model that is not in order', () => {
  test('fails when it answers the golden set differently, and says where', async () => {
    const golden: GoldenCase[] = [
      { name: 'threes', inputs: { inputs: { X: [[3, 3, 3]] } }, outputs: { Y: [[4, 4.5, 4]] } },
    ];
    const { validation, canBatch } = await validate(job('add.onnx', { golden }));
    expect(validation).toMatchObject({
      outcome: 'failed',
      reason: 'The golden case threes is answered differently: Y[0,1] is 4, expected 4.5.',
      lastStep: null,
    });
    expect(outcomes(validation.steps)).toEqual({ load: 'passed', infer: 'passed', golden: 'failed', batch: 'skipped' });
    expect(canBatch).toBe(false);
    const loose = await validate(job('add.onnx', { golden: [{ ...golden[0]!, tolerance: { absolute: 0.6 } }] }));
    expect(loose.validation.outcome).toBe('passed');
  });

  test('fails when no request is known that it answers, and asks for one', async () => {
    const signature: Signature = { inputs: [spec('idx', 'INT64', -1)], outputs: [spec('Y', 'FP32', -1)] };
    const { validation } = await validate(job('poison.onnx', { signature, sampleRequest: { inputs: { idx: [99] } } }));
    expect(validation).toMatchObject({
      outcome: 'failed',
      reason: expect.stringMatching(/^The model could not compute these inputs: .*idx=99/),
      hint: expect.stringMatching(/golden set/),
    });
  });

  test.each<[string, Changes, Record<string, unknown>]>([
    [
      'loop-load.onnx',
      { limits: { loadTimeoutMs: 1000 } },
      { reason: 'The model was killed after 1 s of loading.', lastStep: 'loading', exitSignal: 'SIGKILL' },
    ],
    [
      'loop-run.onnx',
      { limits: { runTimeoutMs: 500 } },
      { reason: 'The model was killed after a run of more than 500 ms.', lastStep: 'warming', exitSignal: 'SIGKILL' },
    ],
    ['huge-alloc.onnx', { limits: { memoryBytes: 300 * 1024 * 1024 } }, { reason: expect.stringMatching(/memory/) }],
    [
      'truncated.onnx',
      {},
      {
        reason: expect.stringMatching(/^The model did not load: The file is not an ONNX model/),
        lastStep: 'loading',
        exitCode: 1,
      },
    ],
    ['text.onnx', {}, { reason: expect.stringMatching(/not an ONNX model/) }],
    ['empty.onnx', {}, { reason: expect.stringMatching(/not an ONNX model/) }],
    ['unknown-op.onnx', {}, { reason: expect.stringMatching(/lacks an operator/) }],
    ['future-opset.onnx', {}, { reason: expect.stringMatching(/too new/) }],
    ['external-missing', {}, { reason: expect.stringMatching(/external data/i) }],
    ['external-dotdot', {}, { reason: expect.stringMatching(/external data/i) }],
    ['external-absolute', {}, { reason: expect.stringMatching(/external data/i) }],
    [
      'bf16.onnx',
      { signature: { inputs: [spec('X', 'BF16', -1, 1)], outputs: [spec('Y', 'BF16', -1, 1)] } },
      { reason: expect.stringMatching(/BF16/) },
    ],
  ])('fails within its limits and with a reason: %s', async (model, changes, expected) => {
    const { validation } = await validate(job(model, changes));
    expect(validation).toMatchObject({ outcome: 'failed', hint: expect.any(String), ...expected });
    expect(JSON.stringify(validation)).not.toMatch(/(^|[\s"])\/(?!0)\w+\/\w|\.cc:\d|0x[0-9a-f]{6}/);
  });
});

describe('the engine that validation chooses', () => {
  const TABLES = fileURLToPath(new URL('../../../test/fixtures/tabular/', import.meta.url));
  const FOREST: Signature = {
    inputs: [spec('X', 'FP32', -1, 8)],
    outputs: [spec('label', 'INT64', -1), spec('probabilities', 'FP32', -1, 2)],
  };
  const table = (name: string, signature: Signature, engine: string) =>
    validate(
      job('add.onnx', {
        engine,
        signature,
        entry: 'model.onnx',
        files: [fileOf('model.onnx', `${TABLES}${name}.onnx`)],
      }),
    );

  test('is tabular where it covers the graph, agrees and is faster; the report has the figures', async () => {
    const { validation } = await table('boosting', FOREST, 'auto');
    expect(validation).toMatchObject({ outcome: 'passed', warnings: [], engine: { name: 'tabular' } });
    expect(validation.engine!.reason).toMatch(
      /^it agrees with ONNX Runtime on \d+ rows of all kinds, the largest difference [\d.e-]+; one row takes [\d.]+ us instead of \d+ us, 64 rows/,
    );
  });

  test('is ONNX Runtime where an operator is not covered, which it names', async () => {
    const columns: Signature = { inputs: [spec('X', 'FP32', -1, 2)], outputs: [spec('Y', 'FP32', -1, 2)] };
    const { validation } = await table('uncovered-cumsum', columns, 'auto');
    expect(validation.engine).toEqual({
      name: 'onnxruntime',
      reason: 'the engine tabular does not cover this model: the operator CumSum is not covered',
    });
  });

  test('is the one asked for; tabular on a graph that it does not cover fails with the operator', async () => {
    const columns: Signature = { inputs: [spec('X', 'FP32', -1, 2)], outputs: [spec('Y', 'FP32', -1, 2)] };
    const { validation } = await table('uncovered-cumsum', columns, 'tabular');
    expect(validation).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('the operator CumSum is not covered'),
      hint: expect.stringContaining('--engine onnxruntime'),
    });
    const asked = await table('boosting', FOREST, 'onnxruntime');
    expect(asked.validation.engine).toEqual({ name: 'onnxruntime', reason: 'it was asked for' });
  });

  test('is ONNX Runtime for a model that mixes rows, or ends its process', async () => {
    const batch = await validate(job('batch-mixing.onnx', { engine: 'auto' }));
    expect(batch.validation.engine!.name).toBe('onnxruntime');
    const loops = await validate(job('loop-load.onnx', { engine: 'auto', limits: { loadTimeoutMs: 1500 } }));
    expect(loops.validation.engine!.name).toBe('onnxruntime');
    expect(loops.validation.outcome).toBe('failed');
  });
});
