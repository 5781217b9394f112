import { describe, expect, it, test } from 'vitest';
import { endpointView, serverView } from '../../../test/fixtures/protocol-views.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { writeJson } from '../tensors/json-text.ts';
import { nestedValues } from '../tensors/plain-predictions.ts';
import { type InferRoute, isWritten, type ReadRoute } from './protocol.ts';
import { protocolConformance } from './protocol-conformance.ts';
import { torchserve } from './torchserve.ts';
import { torchserveManagement } from './torchserve-management.ts';

const call = (body: unknown, type = 'application/json') => ({
  headers: { 'content-type': type },
  body: Buffer.from(typeof body === 'string' ? body : writeJson(body)),
});

protocolConformance({
  protocol: torchserve,
  write: (inputs) => call({ inputs: Object.fromEntries(inputs.map((input) => [input.name, nestedValues(input)])) }),
  read(answer) {
    const reviver = function (this: unknown, _key: string, value: unknown, context: { source?: string }): unknown {
      return typeof value === 'number' ? context.source : value;
    };
    const rows = JSON.parse(answer.toString(), reviver as (key: string, value: unknown) => unknown) as Record<
      string,
      unknown
    >[];
    const seen: Record<string, string[]> = {};
    for (const row of rows) {
      for (const [name, value] of Object.entries(row))
        seen[name] = [...(seen[name] ?? []), ...[value].flat(3).map(String)];
    }
    return seen;
  },
  readError: (body) => ({ message: (JSON.parse(body) as { message: string }).message }),
  requestForm: { as: 'rows' },
  skip: [
    {
      test: 'bytes that are no request are refused as invalid, not as a fault of ours',
      reason: 'below, with what JSON it takes',
    },
  ],
});

const spec = (name: string, datatype: TensorSpec['datatype'], ...shape: number[]): TensorSpec => ({
  name,
  datatype,
  shape,
});
const route = torchserve.routes.find((one): one is InferRoute => one.kind === 'infer')!;
const parse = (wire: ReturnType<typeof call>, ...inputs: TensorSpec[]) => {
  const signature: Signature = { inputs, outputs: [spec('Y', 'FP32', -1)] };
  const request = route.parse(wire, { name: 'm@1', signature, canBatch: true });
  return [
    (request.form as { as: string }).as,
    ...request.inputs.map(({ shape, data }) => [shape, [...(data as Iterable<unknown>)]]),
  ];
};
const X = spec('X', 'FP32', -1, 2);
const S = spec('S', 'BYTES', -1);

describe('a body of TorchServe', () => {
  test.each<[string, ReturnType<typeof call>, TensorSpec[], unknown[]]>([
    [
      'a row',
      call([1, 2]),
      [X],
      [
        'row',
        [
          [1, 2],
          [1, 2],
        ],
      ],
    ],
    [
      'rows',
      call([
        [1, 2],
        [3, 4],
      ]),
      [X],
      [
        'rows',
        [
          [2, 2],
          [1, 2, 3, 4],
        ],
      ],
    ],
    ['a value', call('5'), [spec('X', 'FP32', -1)], ['row', [[1], [5]]]],
    ['values', call([5, 6]), [spec('X', 'FP32', -1)], ['rows', [[2], [5, 6]]]],
    ['text without a type', call('hi', 'text/plain'), [S], ['row', [[1], ['hi']]]],
    ['text under body', call({ body: 'hi' }), [S], ['row', [[1], ['hi']]]],
    ['rows by name', call([{ a: 1 }, { a: 2 }]), [spec('a', 'FP32', -1)], ['rows', [[2], [1, 2]]]],
    [
      'rows of named columns',
      call({ p: 1, q: 2 }),
      [{ ...X, features: ['p', 'q'] }],
      [
        'row',
        [
          [1, 2],
          [1, 2],
        ],
      ],
    ],
    [
      'an envelope',
      call({ instances: [[1, 2]] }),
      [X],
      [
        'envelope',
        [
          [1, 2],
          [1, 2],
        ],
      ],
    ],
    [
      'JSON as curl -d sends it',
      call([1, 2], 'application/x-www-form-urlencoded'),
      [X],
      [
        'row',
        [
          [1, 2],
          [1, 2],
        ],
      ],
    ],
  ])('may be %s', (_title, wire, inputs, wanted) => {
    expect(parse(wire, ...inputs)).toEqual(wanted);
  });

  it('may be a form: one part with all, or a part for each input', () => {
    const part = (name: string, text: string) =>
      `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
    const form = (...parts: string[]) => call(`${parts.join('')}--x--\r\n`, 'multipart/form-data; boundary=x');
    const inputs = [spec('a', 'FP32', -1), spec('s', 'BYTES', -1)];
    const wanted = ['row', [[1], [4]], [[1], ['hi']]];
    expect(parse(form(part('data', '{"a": 4, "s": "hi"}')), ...inputs)).toEqual(wanted);
    expect(parse(form(part('a', '4'), part('s', 'hi')), ...inputs)).toEqual(wanted);
    expect(() => parse(form(part('a', '4'), part('a', '5')), ...inputs)).toThrow(/\/a is given twice/);
  });

  it('may be a picture: raw, in a form, or in JSON', () => {
    const image: TensorSpec = {
      ...spec('image', 'FP32', -1, 3, 2, 2),
      decoder: { kind: 'image', layout: 'NCHW' } as never,
    };
    const target = { name: 'm@1', signature: { inputs: [image], outputs: [] }, canBatch: true };
    const files = (wire: ReturnType<typeof call>) =>
      route.parse(wire, target).encoded?.map((one) => one.files.map(String));
    expect(files(call('JFIF', 'application/octet-stream'))).toEqual([['JFIF'].map(String)]);
    expect(files({ headers: {} as never, body: Buffer.from('JFIF') })).toHaveLength(1);
    const form = '--x\r\nContent-Disposition: form-data; name="data"; filename="a.jpg"\r\n\r\nJFIF\r\n--x--\r\n';
    expect(files(call(form, 'multipart/form-data; boundary=x'))).toEqual([['JFIF']]);
    expect(files(call({ data: { b64: 'SkZJRg==' } }))).toEqual([['JFIF']]);
  });

  test.each(['', '{', 'null', '[]', '\u0000', '{"a":1,"a":2}'])('that is %j is refused', (text) => {
    expect(() => parse(call(text), X)).toThrow(expect.objectContaining({ kind: 'invalid' }));
  });
});

const read = (path: string, method: string, more: Parameters<typeof serverView>[0] = {}): unknown =>
  torchserve.routes
    .find(
      (one): one is ReadRoute =>
        one.kind === 'read' && one.path === path && (one.methods ?? ['GET']).includes(method as 'GET'),
    )!
    .read(serverView(more), endpointView({ name: 'noop' }), { headers: {} });

describe('TorchServe tells', () => {
  it('its health, by 500 when it is not', () => {
    expect(read('/ping', 'GET')).toEqual({ status: 'Healthy' });
    const unhealthy = read('/ping', 'OPTIONS', { ready: false });
    expect(isWritten(unhealthy) && [unhealthy.status, unhealthy.body]).toEqual([500, '{"status":"Unhealthy"}']);
  });

  it('what it is, as OpenAPI 3.0.1', () => {
    for (const [path, method] of [
      ['/', 'OPTIONS'],
      ['/api-description', 'GET'],
    ] as const) {
      expect(read(path, method)).toMatchObject({
        openapi: '3.0.1',
        paths: {
          '/ping': { get: { operationId: 'ping' } },
          '/predictions/{model_name}': { post: { operationId: 'predictions' } },
        },
      });
    }
    expect(read('/predictions/{endpoint}', 'OPTIONS')).toMatchObject({
      info: { title: 'RESTful API for: noop', version: '3.0' },
    });
  });
});

const held = (endpoint: string, version: number, state: 'ready' | 'loading' = 'ready') => ({
  endpoint,
  version,
  state,
  reason: state === 'ready' ? null : 'It loads.',
  model: `${endpoint}-model`,
  runner: {
    engine: 'onnxruntime',
    limits: endpointView().limits,
    since: '2026-01-01T00:00:00Z',
    memoryBytes: 7,
    waiting: 2,
  },
});
const manage = (path: string, head: object): unknown =>
  torchserveManagement.routes
    .find((one): one is ReadRoute => one.kind === 'read' && one.path === path && one.methods === undefined)!
    .read(
      serverView({
        endpoints: () => [endpointView({ name: 'a', version: 1 }), endpointView({ name: 'b', version: 5 })],
        held: () => [held('a', 1), held('a', 2, 'loading'), held('b', 5)],
      }),
      null,
      { headers: {}, ...head },
    );

describe('TorchServe’s management', () => {
  it('lists models in pages', () => {
    const [a, b] = [
      { modelName: 'a', modelUrl: 'a-model@1' },
      { modelName: 'b', modelUrl: 'b-model@5' },
    ];
    expect(manage('/models', {})).toEqual({ models: [a, b] });
    expect(manage('/models', { query: 'limit=1' })).toEqual({ nextPageToken: '1', models: [a] });
    expect(manage('/models', { query: 'limit=1&next_page_token=1' })).toEqual({ models: [b] });
    for (const query of ['limit=x', 'limit=0', 'page=1', 'limit=1&limit=2']) {
      expect(() => manage('/models', { query })).toThrow(/^Parameter/);
    }
  });

  it('describes the version that answers, one, or all, each with its worker', () => {
    expect(manage('/models/{model}', { params: { model: 'a' } })).toMatchObject([
      {
        modelName: 'a',
        modelVersion: '1.0',
        modelUrl: 'a-model@1',
        minWorkers: 1,
        maxWorkers: 1,
        workers: [{ id: 'a@1', status: 'READY', startTime: '2026-01-01T00:00:00Z', memoryUsage: 7 }],
        jobQueueStatus: { remainingCapacity: endpointView().limits.queueLimit - 2, pendingRequests: 2 },
      },
    ]);
    const one = manage('/models/{model}/{version}', { params: { model: 'a', version: '2.0' } });
    expect(one).toMatchObject([{ modelVersion: '2.0', workers: [{ status: 'LOADING', reason: 'It loads.' }] }]);
    expect(manage('/models/{model}/{version}', { params: { model: 'a', version: 'all' } })).toHaveLength(2);
    const own = manage('/models/{model}', { params: { model: 'a' }, query: 'customized=true' });
    expect(own).toMatchObject([{ customizedMetadata: { inputs: [{ name: 'X' }] } }]);
  });

  it('knows neither other models nor other versions', () => {
    expect(() => manage('/models/{model}', { params: { model: 'c' } })).toThrow('Model not found: c');
    expect(() => manage('/models/{model}/{version}', { params: { model: 'a', version: '1.3.1' } })).toThrow(
      'Model version: 1.3.1 does not exist for model: a',
    );
  });

  it('tells errors with code, class and message', () => {
    const about = { status: 409, requestId: 'r', method: 'POST', path: '/models' };
    const { body } = torchserveManagement.writeError(new SlipwayError('already_exists', 'x'), about);
    expect(JSON.parse(body)).toEqual({ code: 409, type: 'ConflictStatusException', message: 'x' });
  });
});
