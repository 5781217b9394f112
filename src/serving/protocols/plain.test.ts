import { describe, expect, it } from 'vitest';
import { endpointView, serverView } from '../../../test/fixtures/protocol-views.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import { writeJson } from '../tensors/json-text.ts';
import { nestedValues } from '../tensors/plain-predictions.ts';
import { plain } from './plain.ts';
import type { InferRoute, ReadRoute } from './protocol.ts';
import { protocolConformance } from './protocol-conformance.ts';

const call = (body: unknown) => ({
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(writeJson(body)),
});

protocolConformance({
  protocol: plain,
  write: (inputs) => call({ inputs: Object.fromEntries(inputs.map((input) => [input.name, nestedValues(input)])) }),
  read(answer) {
    const reviver = function (this: unknown, _key: string, value: unknown, context: { source?: string }): unknown {
      return typeof value === 'number' ? context.source : value;
    };
    const { predictions } = JSON.parse(answer.toString(), reviver as (key: string, value: unknown) => unknown) as {
      predictions: ({ id: string } & Record<string, unknown>)[];
    };
    const seen: Record<string, string[]> = {};
    for (const { id: _id, ...values } of predictions) {
      for (const [name, value] of Object.entries(values))
        seen[name] = [...(seen[name] ?? []), ...[value].flat(3).map(String)];
    }
    return seen;
  },
  readError: (body) => ({ message: (JSON.parse(body) as { detail: string }).detail }),
});

const signature: Signature = {
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2], features: ['age', "it's"] }],
  outputs: [{ name: 'id', datatype: 'INT64', shape: [-1] }],
};
const endpoint = endpointView({
  name: 'churn',
  environment: 'staging',
  signature,
  sampleRequest: { records: [{ age: 41, "it's": 1 }] },
});
const server = serverView({
  release: '1',
  baseUrl: 'http://localhost:8080/p/eu',
  keyNeeded: true,
  endpoints: () => [endpoint],
});
const read = (path: string): unknown =>
  plain.routes.find((route): route is ReadRoute => route.path === path)!.read(server, endpoint, { headers: {} });

describe('the plain form', () => {
  it('gives every row its prediction id, also when an output is called id', () => {
    const infer = plain.routes.find((route): route is InferRoute => route.kind === 'infer')!;
    const outputs = [
      { name: 'id', datatype: 'INT64', shape: [2], data: BigInt64Array.of(7n, 9007199254740993n) },
    ] as const;
    const request = { id: null, inputs: [], rows: 2, outputs: null };
    expect(infer.write(request, outputs, { endpoint: 'churn', version: 3, predictionId: 'p', signature })).toBe(
      '{"endpoint":"churn","version":3,"predictions":[{"id":"p.0","id_output":7},{"id":"p.1","id_output":9007199254740993}]}',
    );
  });

  it('lists endpoints with where to send predictions', () => {
    expect(read('/endpoints')).toEqual({
      endpoints: [
        {
          endpoint: 'churn',
          environment: 'staging',
          model: 'm',
          version: 3,
          ready: true,
          reason: null,
          pending: null,
          url: 'http://localhost:8080/p/eu/endpoints/churn/predict',
        },
      ],
    });
  });

  it('describes an endpoint with an example that can be pasted into a shell', () => {
    expect(read('/endpoints/{endpoint}')).toMatchObject({
      versions: [2, 3],
      inputs: signature.inputs,
      example: {
        request: endpoint.sampleRequest,
        curl: `curl http://localhost:8080/p/eu/endpoints/churn/predict -H "Authorization: Bearer $SLIPWAY_API_KEY" -H "Content-Type: application/json" -d '{"records":[{"age":41,"it'\\''s":1}]}'`,
      },
    });
  });

  it('says at the bare address what is here, with or without a key', () => {
    const listing = read('/');
    expect(listing).toMatchObject({ endpoints: 'http://localhost:8080/p/eu/endpoints' });
    expect(plain.routes.find((route) => route.path === '/')).toMatchObject({ public: true });
  });

  it('a body that is no JSON is told with its place and a body that would do', () => {
    const infer = plain.routes.find((route): route is InferRoute => route.kind === 'infer')!;
    const target = { name: 'churn@3', signature, canBatch: true };
    expect(() => infer.parse({ headers: {}, body: Buffer.from('\n x') }, target)).toThrow(
      expect.objectContaining({
        code: 'invalid_json',
        message: 'Unexpected text at line 2, column 2 of the JSON body',
        hint: `Send a JSON document such as {"records":[{"age":0,"it's":0}]}`,
      }),
    );
  });

  it('takes other forms by Content-Type, and says which there are', () => {
    const infer = plain.routes.find((route): route is InferRoute => route.kind === 'infer')!;
    const target = { name: 'churn@3', signature, canBatch: true };
    const of = (type: string, body: string, accept?: string) =>
      infer.parse(
        { headers: { 'content-type': type, ...(accept === undefined ? {} : { accept }) }, body: Buffer.from(body) },
        target,
      );
    const inputs = [{ name: 'X', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) }];
    expect(of('text/csv', "age,it's\n1,2\n")).toEqual({ id: null, inputs, rows: 1, outputs: null });
    expect(of('application/x-ndjson', '{"age":1,"it\'s":2}', 'text/csv')).toEqual({
      id: null,
      inputs,
      rows: 1,
      outputs: null,
      form: 'text/csv',
    });
    expect(() => of('application/xml', '<a/>')).toThrow(
      expect.objectContaining({
        code: 'unsupported_media',
        hint: expect.stringMatching(/application\/json, text\/csv, application\/x-ndjson/),
      }),
    );
  });

  it('answers errors as problem documents', () => {
    const error = new SlipwayError('queue_full', 'Too many wait', { hint: 'Later.', retryAfterS: 1 });
    const { contentType, body } = plain.writeError(error, {
      status: 503,
      requestId: 'r',
      method: 'POST',
      path: '/endpoints/churn/predict',
    });
    expect(contentType).toBe('application/problem+json');
    expect(JSON.parse(body)).toEqual({
      type: 'urn:slipway:error:queue_full',
      title: 'Too many requests are waiting for this version',
      status: 503,
      detail: 'Too many wait',
      instance: '/endpoints/churn/predict',
      code: 'queue_full',
      hint: 'Later.',
      request_id: 'r',
      retryable: true,
    });
  });
});
