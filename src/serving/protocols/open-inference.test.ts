import { describe, expect, it } from 'vitest';
import { endpointView, serverView } from '../../../test/fixtures/protocol-views.ts';
import type { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import { elementsToJson } from '../tensors/json-elements.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { openInference } from './open-inference.ts';
import type { EndpointView, InferRoute, ReadRoute } from './protocol.ts';
import { protocolConformance } from './protocol-conformance.ts';

const headers = { 'content-type': 'application/json' };
const call = (body: unknown) => ({
  headers,
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
});

function writeRequest(inputs: readonly Tensor[]) {
  const parts = inputs.map((input) => {
    const { name, datatype, shape } = input;
    return `{"name":"${name}","datatype":"${datatype}","shape":[${shape}],"data":[${elementsToJson(input)}]}`;
  });
  return call(`{"inputs":[${parts.join(',')}]}`);
}

/** Elements as they are printed, so that 64-bit integers are not rounded while reading. */
function elementsOf(answer: string | Uint8Array): Record<string, string[]> {
  const reviver = function (this: unknown, key: string, value: unknown, context: { source?: string }): unknown {
    return typeof value === 'number' && /^\d+$/.test(key) ? context.source : value;
  };
  const parsed = JSON.parse(answer.toString(), reviver as (key: string, value: unknown) => unknown) as {
    outputs: { name: string; data: unknown[] }[];
  };
  return Object.fromEntries(parsed.outputs.map(({ name, data }) => [name, data.map(String)]));
}

protocolConformance({
  protocol: openInference,
  write: writeRequest,
  read: elementsOf,
  readError: (body) => ({ message: (JSON.parse(body) as { error: string }).error }),
});

const signature: Signature = {
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }],
  outputs: [
    { name: 'Y', datatype: 'FP32', shape: [-1, 3] },
    { name: 'Z', datatype: 'INT64', shape: [-1] },
  ],
};
const target = { name: 'm@3', signature, canBatch: true };
const infer = openInference.routes.find((route): route is InferRoute => route.kind === 'infer')!;
const X = { name: 'X', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] };
const Y: Tensor = { name: 'Y', datatype: 'FP32', shape: [1, 3], data: Float32Array.of(1, 2, 0.5) };
const Z: Tensor = { name: 'Z', datatype: 'INT64', shape: [1], data: BigInt64Array.of(-9007199254740993n) };
const answered = { endpoint: 'm', version: 3, predictionId: 'p', signature };

function fault(body: unknown): string[] {
  try {
    infer.parse(call(body), target);
  } catch (error) {
    return (error as SlipwayError).fields.map((field) => `${field.pointer} ${field.message}`);
  }
  return [];
}

describe('infer requests', () => {
  it('id and requested outputs are kept', () => {
    const request = infer.parse(
      call({ id: 'a"b', inputs: [X], outputs: [{ name: 'Z' }, { name: 'Y', parameters: { binary_data: false } }] }),
      target,
    );
    expect(request).toMatchObject({ id: 'a"b', rows: 1, outputs: ['Z', 'Y'] });
    expect(JSON.parse(infer.write(request, [Y, Z], answered) as string)).toMatchObject({
      model_name: 'm',
      model_version: '3',
      id: 'a"b',
      outputs: [{ name: 'Z' }, { name: 'Y', datatype: 'FP32', shape: [1, 3], data: [1, 2, 0.5] }],
    });
  });

  it('no id, no outputs: no id in the answer, all outputs', () => {
    const request = infer.parse(call({ inputs: [X], outputs: [] }), target);
    const text = infer.write(request, [Y, Z], answered) as string;
    expect(text).toBe(
      '{"model_name":"m","model_version":"3","outputs":[{"name":"Y","datatype":"FP32","shape":[1,3],"data":[1,2,0.5]},{"name":"Z","datatype":"INT64","shape":[1],"data":[-9007199254740993]}]}',
    );
  });

  it('nested data is the same as flat data', () => {
    const nested = infer.parse(
      call({
        inputs: [
          {
            ...X,
            shape: [2, 3],
            data: [
              [1, 2, 3],
              [4, 5, 6],
            ],
          },
        ],
      }),
      target,
    );
    const flat = infer.parse(call({ inputs: [{ ...X, shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }] }), target);
    expect(nested).toEqual(flat);
  });

  it.each<[string, unknown, RegExp]>([
    ['no inputs', {}, /^\/inputs is missing/],
    ['inputs that are no list', { inputs: { X } }, /^\/inputs must be an array, not an object/],
    ['an input that is no object', { inputs: [1] }, /^\/inputs\/0 must be an object/],
    [
      'an input without name',
      { inputs: [{ ...X, name: undefined }] },
      /^\/inputs\/0\/name is missing; this model has X/,
    ],
    ['a mistyped name', { inputs: [{ ...X, name: 'x1' }] }, /^\/inputs\/0\/name "x1" is not an input/],
    ['an input twice', { inputs: [X, X] }, /^\/inputs\/1\/name X is given twice/],
    ['another datatype', { inputs: [{ ...X, datatype: 'FP64' }] }, /^\/inputs\/0\/datatype is "FP64", but X is FP32/],
    ['no datatype', { inputs: [{ ...X, datatype: undefined }] }, /^\/inputs\/0\/datatype is missing, but/],
    ['no shape', { inputs: [{ ...X, shape: undefined }] }, /^\/inputs\/0\/shape is missing/],
    ['no data', { inputs: [{ ...X, data: undefined }] }, /^\/inputs\/0\/data is missing/],
    ['a shape of text', { inputs: [{ ...X, shape: ['1', 3] }] }, /^\/inputs\/0\/shape\/0 must be a whole number/],
    [
      'a shape with a fraction',
      { inputs: [{ ...X, shape: [1.5, 3] }] },
      /^\/inputs\/0\/shape\/0 must be a whole number/,
    ],
    ['a negative size', { inputs: [{ ...X, shape: [-1, 3] }] }, /^\/inputs\/0\/shape is \[-1,3\].*at least 1/],
    ['no rows', { inputs: [{ ...X, shape: [0, 3], data: [] }] }, /^\/inputs\/0\/shape is \[0,3\].*at least 1/],
    [
      'a size beyond 2^53',
      '{"inputs":[{"name":"X","datatype":"FP32","shape":[1152921504606846978,3],"data":[1,2,3]}]}',
      /^\/inputs\/0\/shape\/0 is too large/,
    ],
    [
      'a product beyond 2^53',
      { inputs: [{ ...X, shape: [2 ** 53 - 1, 3] }] },
      /^\/inputs\/0\/shape \[9007199254740991,3\] has more elements/,
    ],
    [
      'less data than the shape',
      { inputs: [{ ...X, shape: [2, 3] }] },
      /^\/inputs\/0\/data has 3 elements, the shape \[2,3\] needs 6/,
    ],
    ['an unknown key', { inputs: [X], output: [] }, /^\/output is not known/],
    ['an unknown key of an input', { inputs: [{ ...X, dtype: 'FP32' }] }, /^\/inputs\/0\/dtype is not known/],
    [
      'an unknown key of an output',
      { inputs: [X], outputs: [{ name: 'Y', as: 'x' }] },
      /^\/outputs\/0\/as is not known/,
    ],
    ['an id that is no string', { id: 5, inputs: [X] }, /^\/id must be a string/],
    ['an unknown output', { inputs: [X], outputs: [{ name: 'W' }] }, /^\/outputs\/0\/name "W" is not an output/],
    [
      'an output twice',
      { inputs: [X], outputs: [{ name: 'Y' }, { name: 'Y' }] },
      /^\/outputs\/1\/name Y is asked for twice/,
    ],
    ['an output that is a name only', { inputs: [X], outputs: ['Y'] }, /^\/outputs\/0\/name is missing/],
    ['outputs that are no list', { inputs: [X], outputs: 'Y' }, /^\/outputs must be an array/],
    ['parameters that are no object', { inputs: [X], parameters: [] }, /^\/parameters must be an object/],
    [
      'binary outputs by a word',
      { inputs: [X], parameters: { binary_data_output: 'yes' } },
      /^\/parameters\/binary_data_output must be true or false, not a string/,
    ],
    [
      'binary inputs without the header',
      { inputs: [{ ...X, data: undefined, parameters: { binary_data_size: 12 } }] },
      /^\/inputs\/0\/parameters\/binary_data_size needs the header/,
    ],
    [
      'a negative classification',
      { inputs: [X], outputs: [{ name: 'Y', parameters: { classification: -3 } }] },
      /^\/outputs\/0\/parameters\/classification/,
    ],
    [
      'a sequence',
      { inputs: [X], parameters: { sequence_id: 5 } },
      /^\/parameters\/sequence_id sequences are not offered/,
    ],
    [
      'a reserved name',
      { inputs: [X], parameters: { triton_enable_empty_final_response: true } },
      /^\/parameters\/triton_enable/,
    ],
    [
      'shared memory',
      { inputs: [{ ...X, parameters: { shared_memory_region: 'r' } }] },
      /shared_memory_region shared memory is not offered/,
    ],
    [
      'a negative timeout',
      { inputs: [X], parameters: { timeout: -5 } },
      /^\/parameters\/timeout must be a whole number/,
    ],
    ['a priority by a word', { inputs: [X], parameters: { priority: 'high' } }, /^\/parameters\/priority must be/],
    ['a key every object has', { inputs: [X], parameters: { constructor: 1 } }, /^\/parameters\/constructor no such/],
  ])('%s is refused', (_title, body, message) => {
    expect(fault(body).join('\n')).toMatch(message);
  });

  it.each([
    [{ inputs: [{ ...X, parameters: { content_type: 'np', binary_data: false } }] }],
    [{ inputs: [X], parameters: { binary_data_output: false, sequence_id: 0 } }],
  ])('parameters that ask for nothing else are taken: %j', (body) => {
    expect(fault(body)).toEqual([]);
  });

  it('FP16 and BF16 are not carried as JSON, in neither direction', () => {
    const half: Signature = {
      inputs: [{ name: 'X', datatype: 'FP16', shape: [1] }],
      outputs: [{ name: 'Y', datatype: 'BF16', shape: [1] }],
    };
    const request = { inputs: [{ name: 'X', datatype: 'FP16', shape: [1], data: [1] }] };
    expect(() => infer.parse(call(request), { name: 'm@1', signature: half, canBatch: true })).toThrowError(
      /FP16, which this protocol carries as binary data only/,
    );
    const out: Signature = { ...signature, outputs: half.outputs };
    expect(() => infer.parse(call({ inputs: [X] }), { name: 'm@1', signature: out, canBatch: true })).toThrowError(
      /BF16/,
    );
  });

  it.each([
    [{ priority: 0, timeout: 0 }, undefined, undefined],
    [{ priority: 1, timeout: 2_500_000 }, 'high', 2500],
    [{ priority: 2 }, undefined, undefined],
    [{ priority: 7, timeout: 1 }, 'low', 0.001],
  ])('priority and timeout are read: %j', (parameters, priority, timeoutMs) => {
    const request = infer.parse(call({ inputs: [X], parameters }), target);
    expect([request.priority, request.timeoutMs]).toEqual([priority, timeoutMs]);
  });

  it.each(['application/octet-stream', 'text/csv', 'multipart/form-data; boundary=x', 'application/jsonp'])(
    '%s is no JSON',
    (type) => {
      expect(() => infer.parse({ ...call({ inputs: [X] }), headers: { 'content-type': type } }, target)).toThrowError(
        /has the type/,
      );
    },
  );

  it.each([
    'application/json; charset=utf-8',
    'application/vnd.api+json',
    'application/x-www-form-urlencoded',
    'text/plain',
  ])('%s is read as JSON', (type) => {
    expect(infer.parse({ ...call({ inputs: [X] }), headers: { 'content-type': type } }, target).rows).toBe(1);
    expect(infer.parse({ ...call({ inputs: [X] }), headers: {} }, target).rows).toBe(1);
  });
});

describe('reads', () => {
  const endpoint = endpointView({ signature });
  const server = serverView({ endpoints: () => [endpoint] });
  const read = (path: string, of = server, one: EndpointView | null = endpoint): unknown =>
    openInference.routes
      .find((route): route is ReadRoute => route.kind === 'read' && route.path === path)!
      .read(of, one, { headers: {} });

  it('answer as the protocol says', () => {
    expect(read('/v2')).toEqual({
      name: 'slipway',
      version: '1.2.3',
      extensions: expect.arrayContaining(['binary_tensor_data', 'classification']),
    });
    expect(read('/v2/health/live')).toEqual({ live: true });
    expect(read('/v2/health/ready')).toEqual({ ready: true });
    expect(read('/v2/models/{endpoint}/ready')).toEqual({ name: 'm', ready: true });
    expect(read('/v2/models/{endpoint}')).toEqual({
      name: 'm',
      versions: ['2', '3'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }],
      outputs: [
        { name: 'Y', datatype: 'FP32', shape: [-1, 3] },
        { name: 'Z', datatype: 'INT64', shape: [-1] },
      ],
    });
  });

  it('not ready is an error with its reason', () => {
    const codeOf = (work: () => unknown): string => {
      try {
        work();
      } catch (error) {
        return `${(error as SlipwayError).code}: ${(error as SlipwayError).message}`;
      }
      return 'ready';
    };
    expect(codeOf(() => read('/v2/health/ready', { ...server, ready: false, reason: 'It is starting' }))).toBe(
      'not_ready: It is starting',
    );
    expect(
      codeOf(() => read('/v2/models/{endpoint}/ready', server, { ...endpoint, ready: false, reason: 'It loads.' })),
    ).toBe('not_ready: m is not ready: It loads.');
    expect(read('/v2/health/live', { ...server, ready: false })).toEqual({ live: true });
  });
});
