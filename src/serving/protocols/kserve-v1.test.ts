import { describe, expect, it, test } from 'vitest';
import { endpointView, serverView } from '../../../test/fixtures/protocol-views.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import { writeJson } from '../tensors/json-text.ts';
import { nestedValues } from '../tensors/plain-predictions.ts';
import { kserveV1 } from './kserve-v1.ts';
import type { InferRoute, ReadRoute, WireAnswer } from './protocol.ts';
import { protocolConformance } from './protocol-conformance.ts';

const call = (body: unknown, headers: Record<string, string> = {}) => ({
  headers: { 'content-type': 'application/json', ...headers },
  body: Buffer.from(writeJson(body)),
});

protocolConformance({
  protocol: kserveV1,
  write: (inputs) => call({ inputs: Object.fromEntries(inputs.map((input) => [input.name, nestedValues(input)])) }),
  read(answer) {
    const reviver = function (this: unknown, _key: string, value: unknown, context: { source?: string }): unknown {
      return typeof value === 'number' ? context.source : value;
    };
    const { predictions } = JSON.parse(answer.toString(), reviver as (key: string, value: unknown) => unknown) as {
      predictions: Record<string, unknown>[];
    };
    const seen: Record<string, string[]> = {};
    for (const row of predictions) {
      for (const [name, value] of Object.entries(row))
        seen[name] = [...(seen[name] ?? []), ...[value].flat(3).map(String)];
    }
    return seen;
  },
  readError: (body) => ({ message: (JSON.parse(body) as { error: string }).error }),
  requestForm: { by: 'row' },
});

const signature: Signature = {
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [{ name: 'Y', datatype: 'INT64', shape: [-1] }],
};
const target = { name: 'iris@1', signature, canBatch: true };
const route = kserveV1.routes.find((one): one is InferRoute => one.kind === 'infer')!;
const answerTo = (wire: ReturnType<typeof call>): string | WireAnswer =>
  route.write(route.parse(wire, target), [{ name: 'Y', datatype: 'INT64', shape: [1], data: BigInt64Array.of(1n) }], {
    endpoint: 'iris',
    version: 1,
    predictionId: 'p',
    signature,
  });
const ATTRIBUTES = { specversion: '1.0', id: 'a', source: 'test', type: 'com.example' };

describe('CloudEvents', () => {
  it('in JSON are answered in JSON, with the prediction under data', () => {
    const event = { ...ATTRIBUTES, time: '2026-01-01T00:00:00Z', data: { instances: [[1, 2]] } };
    const { contentType, body } = answerTo(
      call(event, { 'content-type': 'application/cloudevents+json' }),
    ) as WireAnswer;
    expect(contentType).toBe('application/cloudevents+json');
    expect(JSON.parse(body as string)).toEqual({
      specversion: '1.0',
      id: 'p',
      source: 'io.kserve.inference.iris',
      type: 'io.kserve.inference.response',
      time: expect.any(String),
      data: { predictions: [1] },
    });
  });

  it('in headers are answered in headers', () => {
    const headers = Object.fromEntries(Object.entries(ATTRIBUTES).map(([name, value]) => [`ce-${name}`, value]));
    const { contentType, body, headers: own } = answerTo(call({ instances: [[1, 2]] }, headers)) as WireAnswer;
    expect([contentType, body]).toEqual(['application/json', '{"predictions":[1]}']);
    expect(own).toEqual(expect.arrayContaining(['ce-type', 'io.kserve.inference.response', 'ce-specversion', '1.0']));
  });

  it('are none in an ordinary request', () => {
    expect(answerTo(call({ instances: [[1, 2]] }))).toBe('{"predictions":[1]}');
  });

  const structured = { 'content-type': 'application/cloudevents+json' };
  test.each<[string, unknown, Record<string, string>, string]>([
    ['without an attribute', { ...ATTRIBUTES, id: undefined, data: {} }, structured, 'the attribute id is missing'],
    ['without data', ATTRIBUTES, structured, 'it has no data'],
    ['of another version', { ...ATTRIBUTES, specversion: '2.0', data: {} }, structured, 'specversion'],
    ['that are a list', [], structured, 'it is no object'],
    ['with bytes', { ...ATTRIBUTES, data_base64: 'aGk=' }, structured, 'data_base64'],
    ['with half their headers', { instances: [[1, 2]] }, { 'ce-id': 'a' }, 'the header ce-specversion is missing'],
    ['with data that is no request', { ...ATTRIBUTES, data: { x: 1 } }, structured, '/x is not known here'],
  ])('%s are refused', (_title, body, headers, text) => {
    expect(() => answerTo(call(body, headers))).toThrow(
      expect.objectContaining({ kind: 'invalid', message: expect.stringContaining(text) }),
    );
  });

  it('in batches are refused', () => {
    expect(() => answerTo(call([], { 'content-type': 'application/cloudevents-batch+json' }))).toThrow(
      expect.objectContaining({ code: 'unsupported_media' }),
    );
  });
});

const read = (path: string, params = {}, states: readonly ('ready' | 'loading')[] = ['ready']): unknown =>
  kserveV1.routes
    .find((one): one is ReadRoute => one.kind === 'read' && one.path === path)!
    .read(
      serverView({
        endpoints: () => [endpointView({ name: 'iris' }), endpointView({ name: 'wine' })],
        held: () => states.map((state, i) => ({ endpoint: 'iris', version: i + 1, state, reason: null })),
      }),
      null,
      { headers: {}, params },
    );

describe('what it tells', () => {
  it('of itself and its models', () => {
    expect(read('/')).toEqual({ status: 'alive' });
    expect(read('/v1/models')).toEqual({ models: ['iris', 'wine'] });
    expect(read('/v1/models/{model}', { model: 'iris' }, ['loading', 'ready'])).toEqual({ name: 'iris', ready: true });
  });

  it('of a model that is not ready, or none', () => {
    expect(() => read('/v1/models/{model}', { model: 'iris' }, ['loading'])).toThrow(
      expect.objectContaining({ code: 'not_ready', message: 'Model with name iris is not ready.' }),
    );
    const gone = new SlipwayError('endpoint_not_found', 'x');
    const about = {
      status: 404,
      requestId: 'r',
      method: 'POST',
      path: '/v1/models/x:predict',
      params: { endpoint: 'x' },
    };
    expect(JSON.parse(kserveV1.writeError(gone, about).body)).toEqual({ error: 'Model with name x does not exist.' });
  });
});
