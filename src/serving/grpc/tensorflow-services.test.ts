/** TensorFlow Serving's gRPC services through a real gateway, called by grpc-js. */
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { add, end, type GatewayProcess, serve, tensor } from '../../../test/fixtures/gateway.ts';
import { connect, type TestClient } from '../../../test/fixtures/grpc-client.ts';

const PREDICTION = 'tensorflow.serving.PredictionService';
const MODEL = 'tensorflow.serving.ModelService';
let gateway: GatewayProcess;
let client: TestClient;
beforeAll(async () => {
  gateway = await serve(
    {
      versions: [
        {
          file: 'half-plus-two.onnx',
          model: 'half',
          signature: { inputs: [tensor('x', 'FP32', -1)], outputs: [tensor('y', 'FP32', -1)] },
          sampleRequest: { inputs: { x: [1] } },
        },
        {
          file: 'matmul.onnx',
          model: 'scores',
          signature: {
            inputs: [tensor('X', 'FP32', -1, 3)],
            outputs: [{ ...tensor('Y', 'FP32', -1, 4), labels: ['a', 'b', 'c', 'd'] }],
          },
          sampleRequest: { records: [{ X: [1, 2, 3] }] },
        },
        {
          file: 'mixed.onnx',
          model: 'mixed',
          signature: {
            inputs: [tensor('age', 'FP32', -1, 1), tensor('plan', 'BYTES', -1, 1)],
            outputs: [tensor('score', 'FP32', -1, 1)],
          },
          sampleRequest: { records: [{ age: 41, plan: 'pro' }] },
        },
        ...(['INT8', 'INT32', 'INT64', 'UINT8', 'UINT64', 'FP64', 'BOOL', 'FP16'] as const).map((type) => ({
          file: `${type.toLowerCase()}.onnx`,
          model: type.toLowerCase(),
          signature: { inputs: [tensor('X', type, -1, 1)], outputs: [tensor('Y', type, -1, 1)] },
          sampleRequest: { inputs: { X: [[type === 'BOOL' ? true : 1]] } },
        })),
        add(),
        add({ version: 2, file: 'add-two.onnx' }),
      ],
      endpoints: [
        { name: 'half', labels: { stable: 1 } },
        { name: 'scores' },
        { name: 'mixed' },
        { name: 'add', version: 1, pins: [2], labels: { canary: 2 } },
        ...['int8', 'int32', 'int64', 'uint8', 'uint64', 'fp64', 'bool', 'fp16'].map((name) => ({ name })),
      ],
    },
    { env: { SLIPWAY_PROTOCOL_PORTS: 'tensorflow-serving-grpc=0' } },
  );
  client = connect(gateway.grpcAddress);
}, 60_000);
afterAll(async () => {
  client?.close();
  await end(gateway);
});

const floats = (shape: number[], ...values: number[]) => ({
  dtype: 'DT_FLOAT',
  tensor_shape: { dim: shape.map((size) => ({ size })) },
  float_val: values,
});
const example = (feature: object) => ({ features: { feature } });
const call = async (method: string, request: object) =>
  (await client.call(`${method.includes('Status') ? MODEL : PREDICTION}/${method}`, request)).value;
const refused = async (method: string, request: object): Promise<[string, string]> => {
  const error = await call(method, request).then(
    (value) => Promise.reject(new Error(JSON.stringify(value))),
    (thrown: grpc.ServiceError) => thrown,
  );
  return [grpc.status[error.code]!, error.details];
};

describe('Predict', () => {
  test('answers with numbers, the version and the signature', async () => {
    const request = { model_spec: { name: 'half' }, inputs: { x: floats([3], 2, 3, 4) } };
    const reply = await client.call(`${PREDICTION}/Predict`, request);
    expect(reply.value).toMatchObject({
      model_spec: { name: 'half', version: { value: '1' }, signature_name: 'serving_default' },
      outputs: { y: { dtype: 'DT_FLOAT', tensor_shape: { dim: [{ size: '3' }] }, float_val: [3, 3.5, 4] } },
    });
    expect(reply.headers.get('x-prediction-id')[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(reply.headers.get('x-slipway-version')[0]).toBe('1');
  });

  test('takes tensors as bytes, one value for all, and text', async () => {
    const content = Buffer.from(Float32Array.of(2, 3).buffer);
    const shape = { dim: [{ size: 2 }] };
    const asBytes = { x: { dtype: 'DT_FLOAT', tensor_shape: shape, tensor_content: content } };
    expect(await call('Predict', { model_spec: { name: 'half' }, inputs: asBytes })).toMatchObject({
      outputs: { y: { float_val: [3, 3.5] } },
    });
    expect(await call('Predict', { model_spec: { name: 'half' }, inputs: { x: floats([3], 2) } })).toMatchObject({
      outputs: { y: { float_val: [3, 3, 3] } },
    });
    const plan = {
      dtype: 'DT_STRING',
      tensor_shape: { dim: [{ size: 2 }, { size: 1 }] },
      string_val: [Buffer.from('pro'), Buffer.from('basic')],
    };
    const mixed = {
      model_spec: { name: 'mixed', signature_name: 'serving_default' },
      inputs: { age: floats([2, 1], 41, 0), plan },
      output_filter: ['score'],
    };
    expect(await call('Predict', mixed)).toMatchObject({ outputs: { score: { float_val: [30.75, 1.25] } } });
  });

  test.each([
    ['int8', 'DT_INT8', 'int_val', [-128, 0, 127]],
    ['int32', 'DT_INT32', 'int_val', [-(2 ** 31), 2 ** 31 - 1]],
    ['int64', 'DT_INT64', 'int64_val', ['-9223372036854775808', '9007199254740993']],
    ['uint8', 'DT_UINT8', 'int_val', [0, 255]],
    ['uint64', 'DT_UINT64', 'uint64_val', ['0', '18446744073709551615']],
    ['fp64', 'DT_DOUBLE', 'double_val', [0.1, 1e308]],
    ['bool', 'DT_BOOL', 'bool_val', [true, false]],
    ['fp16', 'DT_HALF', 'half_val', [0x3800, 0xfbff]],
  ])('carries %s there and back unchanged', async (name, dtype, field, values) => {
    const X = { dtype, tensor_shape: { dim: [{ size: values.length }, { size: 1 }] }, [field]: values };
    expect(await call('Predict', { model_spec: { name }, inputs: { X } })).toMatchObject({
      outputs: { Y: { dtype, [field]: values } },
    });
  });

  test('finds versions by number and by label', async () => {
    const inputs = { X: floats([1, 3], 1, 2, 3) };
    for (const [choice, first] of [
      [{}, 2],
      [{ version: { value: 2 } }, 3],
      [{ version_label: 'canary' }, 3],
    ] as const) {
      expect(await call('Predict', { model_spec: { name: 'add', ...choice }, inputs })).toMatchObject({
        outputs: { Y: { float_val: [first, first + 1, first + 2] } },
      });
    }
  });

  test.each<[object, string, string | RegExp]>([
    [{}, 'INVALID_ARGUMENT', 'Missing ModelSpec'],
    [{ model_spec: { name: 'nothing' }, inputs: {} }, 'NOT_FOUND', 'Servable not found for request: Latest(nothing)'],
    [
      { model_spec: { name: 'half', version: { value: 9 } } },
      'NOT_FOUND',
      'Servable not found for request: Specific(half, 9)',
    ],
    [
      { model_spec: { name: 'half', version_label: 'canary' } },
      'INVALID_ARGUMENT',
      'Unrecognized servable version label: canary',
    ],
    [
      { model_spec: { name: 'half', signature_name: 'x' }, inputs: { x: floats([1], 1) } },
      'FAILED_PRECONDITION',
      'Serving signature key "x" not found.',
    ],
    [
      { model_spec: { name: 'half' }, inputs: { z: floats([1], 1) } },
      'INVALID_ARGUMENT',
      /^input size does not match signature: 1!=1 len\({z}\) != len\({x}\)\. Sent extra: {z}\. Missing but required: {x}\./,
    ],
    [
      { model_spec: { name: 'half' }, inputs: { x: floats([1], 1) }, output_filter: ['z'] },
      'INVALID_ARGUMENT',
      'output tensor alias not found in signature: z Outputs expected to be in the set {y}.',
    ],
    [
      { model_spec: { name: 'half' }, inputs: { x: floats([1], 1) }, output_filter: ['y', 'y'] },
      'INVALID_ARGUMENT',
      'duplicate output tensor alias: y',
    ],
    [
      { model_spec: { name: 'half' }, inputs: { x: { dtype: 'DT_DOUBLE' } } },
      'INVALID_ARGUMENT',
      /dtype 2, but x is DT_FLOAT/,
    ],
    [
      { model_spec: { name: 'half' }, inputs: { x: floats([2, 2], 1, 2, 3, 4) } },
      'INVALID_ARGUMENT',
      /has 2 dimensions, x has 1/,
    ],
    [
      { model_spec: { name: 'half' }, inputs: { x: floats([4], 1, 2) } },
      'INVALID_ARGUMENT',
      /has 2 elements, its shape needs 4/,
    ],
    [
      { model_spec: { name: 'half' }, inputs: { x: floats([1], 1, 2) } },
      'INVALID_ARGUMENT',
      /more than the 1 elements/,
    ],
    [
      { model_spec: { name: 'half' }, inputs: { x: floats([2 ** 40], 1) } },
      'INVALID_ARGUMENT',
      /at most 1000000 are filled/,
    ],
    [
      {
        model_spec: { name: 'int8' },
        inputs: { X: { dtype: 'DT_INT8', tensor_shape: { dim: [{ size: 1 }, { size: 1 }] }, int_val: [200] } },
      },
      'INVALID_ARGUMENT',
      /out of range for INT8/,
    ],
  ])('refuses %j', async (request, code, text) => {
    const [status, details] = await refused('Predict', request);
    expect([status, details]).toEqual([code, typeof text === 'string' ? text : expect.stringMatching(text)]);
  });

  test('refuses bytes that are no message', async () => {
    expect(await refused('Predict', Buffer.from([0x12, 0x7f, 1]))).toEqual([
      'INVALID_ARGUMENT',
      expect.stringContaining('no PredictRequest'),
    ]);
  });
});

describe('Classify, Regress and MultiInference', () => {
  const input = { example_list: { examples: [example({ X: { float_list: { value: [1, 2, 3] } } })] } };
  const classes = {
    classifications: [
      {
        classes: [
          { label: 'a', score: -1 },
          { label: 'b', score: 0.5 },
          { label: 'c', score: 2 },
          { label: 'd', score: 3.5 },
        ],
      },
    ],
  };

  test('answer with classes and numbers', async () => {
    expect(await call('Classify', { model_spec: { name: 'scores' }, input })).toMatchObject({
      model_spec: { name: 'scores' },
      result: classes,
    });
    const x = { example_list: { examples: [2, 4].map((value) => example({ x: { float_list: { value: [value] } } })) } };
    expect(await call('Regress', { model_spec: { name: 'half' }, input: x })).toMatchObject({
      result: { regressions: [{ value: 3 }, { value: 4 }] },
    });
  });

  test('share a context', async () => {
    const shared = {
      example_list_with_context: {
        examples: [example({}), example({})],
        context: example({ X: { float_list: { value: [1, 2, 3] } } }),
      },
    };
    const { result } = await call('Classify', { model_spec: { name: 'scores' }, input: shared });
    expect((result as { classifications: unknown[] }).classifications).toHaveLength(2);
  });

  test('answer several tasks with one run', async () => {
    const task = { model_spec: { name: 'scores' }, method_name: 'tensorflow/serving/classify' };
    expect(await call('MultiInference', { tasks: [task], input })).toMatchObject({
      results: [{ model_spec: { name: 'scores' }, classification_result: classes }],
    });
    expect(await refused('MultiInference', { tasks: [task, task], input })).toEqual([
      'INVALID_ARGUMENT',
      'Duplicate evaluation of signature: serving_default',
    ]);
    const other = { model_spec: { name: 'half' }, method_name: 'tensorflow/serving/regress' };
    expect(await refused('MultiInference', { tasks: [task, other], input })).toEqual([
      'INVALID_ARGUMENT',
      'All ModelSpecs in a MultiInferenceRequest must access the same model name.',
    ]);
    expect((await refused('MultiInference', { tasks: [{ ...task, method_name: 'x' }], input }))[1]).toBe(
      'Unsupported signature method_name: x',
    );
  });

  test('refuse models without such outputs, no examples, another signature, and other features', async () => {
    const other = { model_spec: { name: 'scores', signature_name: 'x' } };
    const unknown = ['INVALID_ARGUMENT', 'No signature was found with the name: x'];
    expect(await refused('Classify', { ...other, input })).toEqual(unknown);
    expect(await refused('Regress', { ...other, input })).toEqual(unknown);
    const task = { ...other, method_name: 'tensorflow/serving/classify' };
    expect(await refused('MultiInference', { tasks: [task], input })).toEqual(unknown);
    expect((await refused('Classify', { model_spec: { name: 'half' }, input }))[1]).toMatch(
      /^Expected classification signature method_name/,
    );
    expect(await refused('Classify', { model_spec: { name: 'scores' } })).toEqual([
      'INVALID_ARGUMENT',
      'Input is empty.',
    ]);
    const odd = { example_list: { examples: [example({ Z: { float_list: { value: [1] } } })] } };
    expect((await refused('Classify', { model_spec: { name: 'scores' }, input: odd }))[1]).toContain('/examples/0/Z');
  });
});

describe('what is told of models', () => {
  test('their signature', async () => {
    const { metadata, model_spec } = await call('GetModelMetadata', {
      model_spec: { name: 'half' },
      metadata_field: ['signature_def'],
    });
    expect(model_spec).toMatchObject({ name: 'half', version: { value: '1' } });
    const { type_url, value } = (metadata as { signature_def: { type_url: string; value: Buffer } }).signature_def;
    expect(type_url).toBe('type.googleapis.com/tensorflow.serving.SignatureDefMap');
    expect(Buffer.from(value).toString('latin1')).toMatch(/serving_default.*x:0.*tensorflow\/serving\/predict/s);
  });

  test('their versions’ states', async () => {
    const status = { error_code: 0, error_message: '' };
    expect(await call('GetModelStatus', { model_spec: { name: 'add' } })).toEqual({
      model_version_status: [
        { version: '2', state: 'AVAILABLE', status },
        { version: '1', state: 'AVAILABLE', status },
      ],
    });
    for (const choice of [{ version: { value: 2 } }, { version_label: 'canary' }]) {
      expect(await call('GetModelStatus', { model_spec: { name: 'add', ...choice } })).toMatchObject({
        model_version_status: [{ version: '2' }],
      });
    }
  });

  test.each([
    ['GetModelStatus', { model_spec: { name: 'x' } }, 'NOT_FOUND', 'Could not find any versions of model x'],
    [
      'GetModelStatus',
      { model_spec: { name: 'half', version: { value: 9 } } },
      'NOT_FOUND',
      'Could not find version 9 of model half',
    ],
    [
      'GetModelMetadata',
      { model_spec: { name: 'x' }, metadata_field: ['signature_def'] },
      'NOT_FOUND',
      'Servable not found for request: Latest(x)',
    ],
    [
      'GetModelMetadata',
      { model_spec: { name: 'half' } },
      'INVALID_ARGUMENT',
      'GetModelMetadataRequest must specify at least one metadata_field',
    ],
    [
      'GetModelMetadata',
      { model_spec: { name: 'half' }, metadata_field: ['x'] },
      'INVALID_ARGUMENT',
      'Metadata field x is not supported',
    ],
  ])('%s refuses %j', async (method, request, code, text) => {
    expect(await refused(method, request)).toEqual([code, text]);
  });
});

test('a port of its own offers these services and no others', async () => {
  const own = connect(new URL(gateway.protocolUrls['tensorflow-serving-grpc']!).host);
  try {
    const { value } = await own.call(`${PREDICTION}/Predict`, {
      model_spec: { name: 'half' },
      inputs: { x: floats([1], 2) },
    });
    expect(value).toMatchObject({ outputs: { y: { float_val: [3] } } });
    await expect(own.call('inference.GRPCInferenceService/ServerLive', {})).rejects.toMatchObject({
      code: grpc.status.UNIMPLEMENTED,
    });
    await expect(own.call(`${MODEL}/HandleReloadConfigRequest`, Buffer.alloc(0))).rejects.toMatchObject({
      code: grpc.status.UNIMPLEMENTED,
      details: expect.stringContaining('slipway deploy'),
    });
  } finally {
    own.close();
  }
});
