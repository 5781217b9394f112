import { describe, expect, it, test } from 'vitest';
import { endpointView, serverView } from '../../../test/fixtures/protocol-views.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { writeJson } from '../tensors/json-text.ts';
import { nestedValues } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { ErrorContext, InferRequest, InferRoute, ReadRoute, WireAnswer } from './protocol.ts';
import { protocolConformance } from './protocol-conformance.ts';
import { tensorflowServing } from './tensorflow-serving.ts';

const call = (body: unknown) => ({
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(typeof body === 'string' ? body : writeJson(body)),
});
const WORDS = /(?<=[:[,])(NaN|-?Infinity)(?=[\],}])/g;

/** Numbers as they are written, and bare words as their text. */
function readSource(text: string): unknown {
  const reviver = function (this: unknown, _key: string, value: unknown, context: { source?: string }): unknown {
    return typeof value === 'number' ? context.source : value;
  };
  return JSON.parse(text.replace(WORDS, '"$1"'), reviver as (key: string, value: unknown) => unknown);
}

protocolConformance({
  protocol: tensorflowServing,
  write: (inputs) => call({ inputs: Object.fromEntries(inputs.map((input) => [input.name, nestedValues(input)])) }),
  read(answer) {
    const { predictions, outputs } = readSource(answer.toString()) as Record<'predictions' | 'outputs', unknown>;
    const rows = (predictions ?? [outputs]) as Record<string, unknown>[];
    const seen: Record<string, string[]> = {};
    for (const row of rows) {
      for (const [name, value] of Object.entries(row))
        seen[name] = [...(seen[name] ?? []), ...[value].flat(3).map(String)];
    }
    return seen;
  },
  readError: (body) => ({ message: (JSON.parse(body) as { error: string }).error }),
  requestForm: { by: 'row' },
});

const spec = (name: string, datatype: TensorSpec['datatype'], ...shape: number[]): TensorSpec => ({
  name,
  datatype,
  shape,
});
const routeOf = (verb: string): InferRoute =>
  tensorflowServing.routes.find((route): route is InferRoute => route.path === `/v1/models/{endpoint}:${verb}`)!;
const targetOf = (...inputs: TensorSpec[]) => ({
  name: 'm@1',
  signature: { inputs, outputs: [spec('Y', 'FP32', -1, 3)] } satisfies Signature,
  canBatch: true,
});
const parse = (body: unknown, ...inputs: TensorSpec[]): InferRequest =>
  routeOf('predict').parse(call(body), targetOf(...inputs));
const fault = (body: unknown, ...inputs: TensorSpec[]): SlipwayError => {
  try {
    parse(body, ...inputs);
  } catch (error) {
    return error as SlipwayError;
  }
  throw new Error('it was accepted');
};
const tensors = (request: InferRequest): unknown[] =>
  request.inputs.map(({ name, shape, data }) => [name, shape, [...(data as Iterable<unknown>)]]);

describe('predict takes', () => {
  test.each<[string, unknown, TensorSpec[], unknown[]]>([
    [
      'rows of one input',
      {
        instances: [
          [1, 2],
          [3, 4],
        ],
      },
      [spec('X', 'INT32', -1, 2)],
      [['X', [2, 2], [1, 2, 3, 4]]],
    ],
    ['single values', { instances: [1, 2.5] }, [spec('X', 'FP32', -1)], [['X', [2], [1, 2.5]]]],
    ['single values of a column', { instances: [1, 2.5] }, [spec('X', 'FP32', -1, 1)], [['X', [2, 1], [1, 2.5]]]],
    [
      'a signature by its name',
      { signature_name: 'serving_default', instances: [1] },
      [spec('X', 'FP32', -1)],
      [['X', [1], [1]]],
    ],
    [
      'rows of several inputs',
      {
        instances: [
          { a: [1], s: 'x' },
          { a: [2], s: 'y' },
        ],
      },
      [spec('a', 'FP32', -1, 1), spec('s', 'BYTES', -1)],
      [
        ['a', [2, 1], [1, 2]],
        ['s', [2], ['x', 'y']],
      ],
    ],
    ['a column of one input', { inputs: [[1, 2]] }, [spec('X', 'INT64', -1, 2)], [['X', [1, 2], [1n, 2n]]]],
    [
      'columns',
      { inputs: { a: [1, 2], s: ['x', 'y'] } },
      [spec('a', 'FP32', -1), spec('s', 'BYTES', -1)],
      [
        ['a', [2], [1, 2]],
        ['s', [2], ['x', 'y']],
      ],
    ],
    ['a scalar', { inputs: 4 }, [spec('X', 'INT32')], [['X', [], [4]]]],
    [
      'bytes',
      { instances: [{ b64: 'aGVsbG8=' }, { b64: 'd29ybGQ=' }] },
      [spec('s', 'BYTES', -1)],
      [['s', [2], ['hello', 'world']]],
    ],
    ['bytes in lists', { instances: [[{ b64: 'aGVsbG8=' }]] }, [spec('s', 'BYTES', -1, 1)], [['s', [1, 1], ['hello']]]],
    ['bytes as a column', { inputs: { s: { b64: 'aGVsbG8=' } } }, [spec('s', 'BYTES')], [['s', [], ['hello']]]],
    [
      'an object with one name',
      { instances: [{ s: [{ b64: 'aGVsbG8=' }] }] },
      [spec('s', 'BYTES', -1, 1)],
      [['s', [1, 1], ['hello']]],
    ],
    [
      'numbers beyond doubles',
      { instances: [[9007199254740993n]] },
      [spec('X', 'INT64', -1, 1)],
      [['X', [1, 1], [9007199254740993n]]],
    ],
    [
      'bare words for what is not finite',
      '{"instances": [NaN, Infinity, -Infinity, 0.5]}',
      [spec('X', 'FP32', -1)],
      [['X', [4], [Number.NaN, Infinity, -Infinity, 0.5]]],
    ],
    [
      'rows by the names of columns',
      { instances: [{ age: 41, height: 2 }] },
      [{ ...spec('X', 'FP32', -1, 2), features: ['age', 'height'] }],
      [['X', [1, 2], [41, 2]]],
    ],
  ])('%s', (_title, body, inputs, wanted) => {
    expect(tensors(parse(body, ...inputs))).toEqual(wanted);
  });

  it('pictures in base64, which are decoded later', () => {
    const image: TensorSpec = {
      ...spec('image', 'FP32', -1, 3, 2, 2),
      decoder: { kind: 'image', layout: 'NCHW' } as never,
    };
    const { encoded, inputs, rows } = parse({ instances: [{ b64: 'aGVsbG8=' }, { b64: 'aGVsbG8=' }] }, image);
    expect([inputs.length, rows, encoded?.[0]?.files.length, encoded?.[0]?.pointers[1]]).toEqual([
      0,
      2,
      2,
      '/instances/1',
    ]);
  });
});

const INT: TensorSpec = spec('x', 'INT32', -1, 2);
const PAIR: TensorSpec[] = [spec('a', 'FP32', -1), spec('b', 'BYTES', -1)];

test('long rows are read from the bytes, and say the same', () => {
  const X = spec('X', 'FP32', -1, 3);
  const rows = Array.from({ length: 200 }, (_, at) => [at, at / 8, -1 - at]);
  const wanted = [['X', [200, 3], rows.flat().map(Math.fround)]];
  for (const body of [{ instances: rows }, { inputs: rows }, { inputs: { X: rows }, signature_name: '' }]) {
    expect(tensors(parse(body, X))).toEqual(wanted);
  }
  const whole = rows.map((row) => row.map(Math.floor));
  expect(tensors(parse({ instances: whole }, spec('X', 'INT64', -1, 3)))).toEqual([
    ['X', [200, 3], whole.flat().map(BigInt)],
  ]);
  expect(fault({ instances: [...rows, [1, 2]] }, X).message).toContain('Expecting tensor size: 3 but got: 2');
  expect(fault({ instances: rows }, spec('X', 'INT64', -1, 3)).message).toContain('is not of expected type: int64');
  expect(fault({ instances: rows, inputs: rows }, X).message).toContain('expecting only one of');
  expect(fault({ instances: rows }, spec('X', 'FP32', -1, 4)).message).toContain('must be 4');
  expect(fault({ instances: rows, more: 1 }, X).message).toContain('/more is not known');
});

describe('predict refuses, in the words of TensorFlow Serving,', () => {
  test.each<[unknown, TensorSpec[], string]>([
    ['', [INT], 'JSON Parse error: The document is empty'],
    ['{"instances"', [INT], 'JSON Parse error: '],
    ['[1]', [INT], 'JSON Value: [1] Is not object'],
    [{}, [INT], "Missing 'inputs' or 'instances' key"],
    [
      { inputs: [[1, 2]], instances: [[1, 2]] },
      [INT],
      'JSON Value: {\n    "inputs": [[1, 2]],\n    "instances": [[1, 2]]\n} Not formatted correctly expecting only one of \'inputs\' or \'instances\' keys to exist ',
    ],
    [{ instances: 1 }, [INT], "Expecting 'instances' to be an list/array"],
    [{ instances: [] }, [INT], "No values in 'instances' array"],
    [{ signature_name: 5, instances: [[1, 2]] }, [INT], "'signature_name' key must be a string value."],
    [
      { signature_name: 'other', instances: [[1, 2]] },
      [INT],
      'Serving signature name: "other" not found in signature def',
    ],
    [
      { instances: [[1, 2], [3]] },
      [INT],
      "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 1",
    ],
    [
      { instances: [[[1], [2]], [[3, 4]]] },
      [spec('x', 'INT32', -1, 2, 1)],
      "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [2,1] but got: [1,2]",
    ],
    [
      { instances: [[1, 'x']] },
      [INT],
      'Failed to process element: 0 of \'instances\' list. Error: INVALID_ARGUMENT: JSON Value: "x" Type: String is not of expected type: int32',
    ],
    [{ instances: [[1, [2]]] }, [INT], 'Encountered list at unexpected level: 1 expected < 1'],
    [
      { instances: [[[1], 2]] },
      [INT],
      'JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2',
    ],
    [{ instances: [{ b64: '_' }] }, [spec('s', 'BYTES', -1)], 'Unable to base64 decode'],
    [{ inputs: { b: ['x'] } }, PAIR, "Missing named input: a in 'inputs' object."],
    [
      { inputs: [1] },
      PAIR,
      'inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map',
    ],
    [{ inputs: [[1, 2], [3]] }, [INT], 'Encountered list at unexpected size: 1 at level: 1 expected size: 2'],
    [
      { instances: [1] },
      PAIR,
      'instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map',
    ],
    [{ instances: [{ a: 1, b: 'x' }, 4] }, PAIR, 'Expecting object but got list at item 1 of input list'],
    [{ instances: [[1, 2], { x: 1 }] }, [INT], 'Expecting value/list but got object at item 1 of input list'],
    [
      { instances: [{ a: 1, zzz: 'x' }] },
      PAIR,
      "Failed to process element: 0 key: zzz of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: zzz",
    ],
    [
      { instances: [{ a: 1 }] },
      PAIR,
      'Failed to process element: 0 of \'instances\' list. JSON object: {\n    "a": 1\n} keys must be equal to: a,b',
    ],
  ])('%j', (body, inputs, text) => {
    const error = fault(body, ...inputs);
    expect(error.kind).toBe('invalid');
    expect(error.message).toContain(text);
  });

  it('shows long values in part', () => {
    const { message } = fault({ instances: 1, inputs: Array.from({ length: 500 }, (_, i) => i) }, INT);
    expect(message.length).toBeLessThan(420);
  });

  it('keys that it does not know, other shapes than the model has, and other types than JSON in words of ours', () => {
    expect(fault({ instances: [[1, 2]], parameters: {} }, INT).message).toContain('/parameters is not known here');
    expect(fault({ instances: [[1, 2, 3]] }, INT).message).toContain('must be 2: INT32 [-1,2]');
    expect(() =>
      routeOf('predict').parse({ ...call('{}'), headers: { 'content-type': 'text/csv' } }, targetOf(INT)),
    ).toThrow(expect.objectContaining({ code: 'unsupported_media' }));
  });
});

const answer = (verb: string, outputs: Tensor[], signature: Signature, form?: unknown): unknown => {
  const request: InferRequest = { id: null, inputs: [], rows: outputs[0]!.shape[0] ?? 1, outputs: null, form };
  const written = routeOf(verb).write(request, outputs, { endpoint: 'm', version: 3, predictionId: 'p', signature });
  return JSON.parse(((written as WireAnswer).body ?? written) as string);
};
const Y: Tensor = { name: 'Y', datatype: 'FP32', shape: [2, 1], data: Float32Array.of(3, 3.5) };
const bytes: Tensor = { name: 's_bytes', datatype: 'BYTES', shape: [2], data: ['hello', 'ü'] };
const both: Signature = {
  inputs: [spec('X', 'FP32', -1)],
  outputs: [spec('Y', 'FP32', -1, 1), spec('s_bytes', 'BYTES', -1)],
};
const one: Signature = { ...both, outputs: [both.outputs[0]!] };
const onlyBytes: Signature = { ...both, outputs: [both.outputs[1]!] };

describe('predict answers', () => {
  test.each<[string, Tensor[], Signature, string, unknown]>([
    ['one output by row', [Y], one, 'row', { predictions: [[3], [3.5]] }],
    ['one output by column', [Y], one, 'column', { outputs: [[3], [3.5]] }],
    [
      'several by row, bytes in base64',
      [Y, bytes],
      both,
      'row',
      {
        predictions: [
          { Y: [3], s_bytes: { b64: 'aGVsbG8=' } },
          { Y: [3.5], s_bytes: { b64: 'w7w=' } },
        ],
      },
    ],
    [
      'several by column',
      [Y, bytes],
      both,
      'column',
      { outputs: { Y: [[3], [3.5]], s_bytes: [{ b64: 'aGVsbG8=' }, { b64: 'w7w=' }] } },
    ],
    ['bytes alone', [bytes], onlyBytes, 'row', { predictions: [{ b64: 'aGVsbG8=' }, { b64: 'w7w=' }] }],
  ])('%s', (_title, outputs, signature, by, wanted) => {
    expect(answer('predict', outputs, signature, { by })).toEqual(wanted);
  });
});

describe('classify and regress', () => {
  const scores: Tensor = { name: 'p', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(0.25, 0.75, 1, 0) };
  const classes: Signature = {
    inputs: [{ ...spec('X', 'FP32', -1, 2), features: ['a', 'b'] }],
    outputs: [{ ...spec('p', 'FP32', -1, 2), labels: ['no', 'yes'] }],
  };
  const examples = (verb: string, body: unknown, signature = classes) =>
    routeOf(verb).parse(call(body), { name: 'm@1', signature, canBatch: true });
  const numbers = one;

  it('take features as values or lists, with a context for all', () => {
    const request = examples('classify', { context: { a: 7 }, examples: [{ b: [1] }, { a: [2.5], b: 3 }] });
    expect(tensors(request)).toEqual([['X', [2, 2], [7, 1, 2.5, 3]]]);
    const whole = examples('regress', { examples: [{ X: [1] }] }, numbers);
    expect(tensors(whole)).toEqual([['X', [1], [1]]]);
  });

  it('answer with pairs of label and score, and with numbers', () => {
    expect(answer('classify', [scores], classes)).toEqual({
      results: [
        [
          ['no', 0.25],
          ['yes', 0.75],
        ],
        [
          ['no', 1],
          ['yes', 0],
        ],
      ],
    });
    expect(answer('classify', [Y], one)).toEqual({ results: [[['', 3]], [['', 3.5]]] });
    expect(answer('regress', [Y], one)).toEqual({ results: [3, 3.5] });
  });

  test.each<[string, unknown, string]>([
    ['classify', {}, "JSON Value: {} When method is classify, key 'examples' is expected and was not found"],
    ['classify', { examples: {} }, "Expecting 'examples' value to be an list/array"],
    ['classify', { examples: [] }, "'examples' value is an empty array"],
    ['classify', { examples: [[1]] }, 'Example must be JSON object but got JSON Array'],
    ['classify', { examples: [{ a: null }] }, 'Feature: a has element with unexpected JSON type: Null'],
    ['classify', { examples: [{ a: [[1]] }] }, 'Feature: a has element with unexpected JSON type: Array'],
    ['classify', { examples: [{ a: [1, 'x'] }] }, 'Unexpected element type in feature: a expecting type: int64'],
    ['classify', { signature_name: 'x', examples: [{}] }, 'No signature was found with the name: x'],
    ['classify', { examples: [{ a: 1 }] }, '/examples'],
  ])('%s refuses %j', (verb, body, text) => {
    expect(() => examples(verb, body)).toThrow(
      expect.objectContaining({ kind: 'invalid', message: expect.stringContaining(text) }),
    );
  });

  it('are refused for models without such an output', () => {
    const texts: Signature = { ...one, outputs: [spec('s', 'BYTES', -1)] };
    for (const verb of ['classify', 'regress']) {
      expect(() => examples(verb, { examples: [{ X: 1 }] }, texts)).toThrow(
        /signature method_name to be tensorflow\/serving\//,
      );
    }
  });
});

const read = (path: string, params: Record<string, string>, more: Partial<Parameters<typeof serverView>[0]> = {}) =>
  tensorflowServing.routes
    .find((route): route is ReadRoute => route.kind === 'read' && route.path === path)!
    .read(
      serverView({
        held: () => [
          { endpoint: 'half', version: 1, state: 'unavailable', reason: 'It cannot be loaded.' },
          { endpoint: 'half', version: 2, state: 'loading', reason: 'It loads.' },
          { endpoint: 'half', version: 3, state: 'ready', reason: null },
          { endpoint: 'other', version: 9, state: 'ready', reason: null },
        ],
        ...more,
      }),
      endpointView({ name: 'half' }),
      { headers: {}, params },
    );

describe('status and metadata', () => {
  const OK = { error_code: 'OK', error_message: '' };

  it('tell the states of all versions, or of one', () => {
    expect(read('/v1/models/{model}', { model: 'half' })).toEqual({
      model_version_status: [
        { version: '3', state: 'AVAILABLE', status: OK },
        { version: '2', state: 'LOADING', status: OK },
        { version: '1', state: 'END', status: { error_code: 'UNKNOWN', error_message: 'It cannot be loaded.' } },
      ],
    });
    const one = { model_version_status: [{ version: '2', state: 'LOADING', status: OK }] };
    expect(read('/v1/models/{model}/versions/{number}', { model: 'half', number: '2' })).toEqual(one);
    expect(read('/v1/models/{endpoint}/labels/{label}', {})).toMatchObject({
      model_version_status: [{ version: '3' }],
    });
  });

  it('hold what KServe’s clients look for where both are spoken', () => {
    const status = read('/v1/models/{model}', { model: 'half' }, { spoken: ['tensorflow-serving', 'kserve-v1'] });
    expect(status).toMatchObject({ name: 'half', ready: true, model_version_status: expect.any(Array) });
  });

  it('describe the signature', () => {
    expect(read('/v1/models/{endpoint}/metadata', {})).toEqual({
      model_spec: { name: 'half', signature_name: '', version: '3' },
      metadata: {
        signature_def: {
          signature_def: {
            serving_default: {
              inputs: {
                X: {
                  dtype: 'DT_FLOAT',
                  tensor_shape: {
                    dim: [
                      { size: '-1', name: '' },
                      { size: '3', name: '' },
                    ],
                    unknown_rank: false,
                  },
                  name: 'X:0',
                },
              },
              outputs: { Y: expect.objectContaining({ dtype: 'DT_FLOAT', name: 'Y:0' }) },
              method_name: 'tensorflow/serving/predict',
              defaults: {},
            },
          },
        },
      },
    });
  });
});

describe('errors', () => {
  const told = (error: SlipwayError, about: Partial<ErrorContext>): unknown => {
    const { status, body } = tensorflowServing.writeError(error, {
      status: 404,
      requestId: 'r',
      method: 'POST',
      path: '/x',
      ...about,
    });
    return [status, (JSON.parse(body) as { error: string }).error];
  };
  const gone = new SlipwayError('endpoint_not_found', 'There is no endpoint half');
  const unpinned = new SlipwayError('version_not_found', 'The endpoint half has no version 9 loaded');

  test.each<[string, SlipwayError, Partial<ErrorContext>, unknown]>([
    ['an unknown model', gone, { params: { endpoint: 'half' } }, [404, 'Servable not found for request: Latest(half)']],
    [
      'an unknown version',
      unpinned,
      { params: { endpoint: 'half', version: '9' } },
      [404, 'Servable not found for request: Specific(half, 9)'],
    ],
    [
      'a version in the name',
      unpinned,
      { params: { endpoint: 'half@9' } },
      [404, 'Servable not found for request: Specific(half, 9)'],
    ],
    [
      'a version that is no number',
      gone,
      { params: { endpoint: 'half', version: 'x' }, path: '/v1/models/half/versions/x:predict' },
      [400, 'Malformed request: POST /v1/models/half/versions/x:predict'],
    ],
    [
      'an unknown label',
      unpinned,
      { params: { endpoint: 'half', label: 'canary' } },
      [400, 'Unrecognized servable version label: canary'],
    ],
    [
      'a status',
      new SlipwayError('endpoint_not_found', 'Could not find any versions of model half'),
      { params: { model: 'half' } },
      [404, 'Could not find any versions of model half'],
    ],
    [
      'no model at all',
      new SlipwayError('route_not_found', 'x'),
      { method: 'GET', path: '/v1/models' },
      [400, 'Missing model name in request.'],
    ],
    [
      'another path',
      new SlipwayError('route_not_found', 'x'),
      { method: 'GET', path: '/v1/other' },
      [400, 'Malformed request: GET /v1/other'],
    ],
    [
      'another method',
      new SlipwayError('method_not_allowed', 'x'),
      { status: 405, method: 'PUT', path: '/v1/models/half' },
      [400, 'Malformed request: PUT /v1/models/half'],
    ],
  ])('name %s', (_title, error, about, wanted) => {
    expect(told(error, about)).toEqual(wanted);
  });
});
