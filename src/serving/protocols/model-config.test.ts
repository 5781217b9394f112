import { describe, expect, it } from 'vitest';
import { endpointView } from '../../../test/fixtures/protocol-views.ts';
import { DATATYPES } from '../../registry/signature.ts';
import { configType, modelConfigOf } from './model-config.ts';

describe('the model configuration', () => {
  const signature = {
    inputs: [
      { name: 'X', datatype: 'FP32', shape: [-1, 3] },
      { name: 'n', datatype: 'INT64', shape: [-1], optional: true },
    ],
    outputs: [{ name: 'S', datatype: 'BYTES', shape: [-1, 1] }],
  } as const;

  it('of a model whose rows may share a run has no rows in its sizes', () => {
    expect(modelConfigOf(endpointView({ signature }))).toMatchObject({
      name: 'm',
      platform: 'onnx_onnxv1',
      backend: 'onnxruntime',
      max_batch_size: 64,
      version_policy: { specific: { versions: [2, 3] } },
      input: [
        { name: 'X', data_type: 'TYPE_FP32', dims: [3], optional: false },
        { name: 'n', data_type: 'TYPE_INT64', dims: [1], reshape: { shape: [] }, optional: true },
      ],
      output: [{ name: 'S', data_type: 'TYPE_STRING', dims: [1] }],
      dynamic_batching: { priority_levels: 3, default_queue_policy: { max_queue_size: 1024 } },
    });
  });

  it('of another has whole shapes and no batching', () => {
    const config = modelConfigOf(endpointView({ signature, canBatch: false }));
    expect(config).toMatchObject({ max_batch_size: 0, input: [{ dims: [-1, 3] }, { dims: [-1] }] });
    expect(config).not.toHaveProperty('dynamic_batching');
  });

  it('names every type in capitals, text as strings', () => {
    expect(DATATYPES.map(configType)).toContain('TYPE_BF16');
    expect(configType('BYTES')).toBe('TYPE_STRING');
  });
});
