/** Vertex AI, Azure ML, SageMaker, Seldon and OpenAI: what every protocol keeps, and what is each one's own. */
import { describe, expect, test } from 'vitest';
import { columnsOf, parseExactly } from '../../../test/fixtures/read-predictions.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { writeJson } from '../tensors/json-text.ts';
import { nestedValues } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { azureMl } from './azure-ml.ts';
import { openai } from './openai.ts';
import { type InferRoute, type Protocol, statusOf, type WireAnswer, type WireCall } from './protocol.ts';
import { protocolConformance } from './protocol-conformance.ts';
import { sagemaker } from './sagemaker.ts';
import { seldon } from './seldon.ts';
import { vertex } from './vertex.ts';

const call = (body: string, headers: Record<string, string> = {}): WireCall => ({
  headers: { 'content-type': 'application/json', ...headers },
  body: Buffer.from(body),
});
const byName = (inputs: readonly Tensor[]) => Object.fromEntries(inputs.map((one) => [one.name, nestedValues(one)]));
const predictionsOf = (answer: string | Uint8Array) => {
  const value = parseExactly(answer.toString()) as { predictions?: unknown[] } | unknown[];
  return columnsOf(Array.isArray(value) ? value : value.predictions!);
};
/** Protocols keep in the form what they parsed; answers of the suite are written without. */
const withForm = (protocol: Protocol, form: unknown): Protocol => ({
  ...protocol,
  routes: protocol.routes.map((route) =>
    route.kind === 'infer'
      ? {
          ...route,
          write: (request, outputs, answered) =>
            route.write({ ...request, form: request.form ?? form }, outputs, answered),
        }
      : route,
  ),
});

protocolConformance({
  protocol: withForm(azureMl, { ids: [], requestId: null, results: false }),
  write: (inputs) => call(writeJson({ input_data: byName(inputs) })),
  read: predictionsOf,
  readError: (body) => JSON.parse(body) as { message: string },
});
protocolConformance({
  protocol: withForm(sagemaker, { answer: 'json', bare: false, echoes: [], variant: null }),
  write: (inputs) => call(writeJson({ inputs: byName(inputs) })),
  read: predictionsOf,
  readError: (body) => JSON.parse(body) as { message: string },
});
protocolConformance({
  protocol: withForm(seldon, { kind: 'jsonData', puid: null, tags: {} }),
  write: (inputs) => call(writeJson({ jsonData: { inputs: byName(inputs) } })),
  read: (answer) => columnsOf([(parseExactly(answer.toString()) as { jsonData: unknown }).jsonData]),
  readError: (body) => ({ message: (JSON.parse(body) as { status: { info: string } }).status.info }),
});

const route = (protocol: Protocol, path: string): InferRoute =>
  protocol.routes.find((one): one is InferRoute => one.kind === 'infer' && one.path === path)!;
const flowers: Signature = {
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [{ name: 'Y', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] }],
};
const target: InputTarget = { name: 'm@3', signature: flowers, canBatch: true };
const X = { name: 'X', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
const answered = { endpoint: 'm', version: 3, predictionId: 'p', signature: flowers };
const Y: Tensor = { name: 'Y', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(0, 1, 1, 0) };
const ask = (protocol: Protocol, path: string, sent: WireCall): WireAnswer => {
  const one = route(protocol, path);
  const request = one.parse(sent, target);
  expect(request.inputs).toEqual([X]);
  const answer = one.write(request, [Y], answered);
  return typeof answer === 'string' ? { contentType: 'application/json', body: answer } : answer;
};
const refusal = (work: () => unknown): SlipwayError => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    return error as SlipwayError;
  }
  throw new Error('it was accepted');
};

describe('Vertex AI', () => {
  const path = '/v1/projects/{project}/locations/{location}/endpoints/{endpoint}:predict';
  test('answers rows with the model and its version', () => {
    const sent = { ...call('{"instances":[[1,2],[3,4]],"parameters":null}'), params: { project: 'a', location: 'b' } };
    expect(JSON.parse(ask(vertex, path, sent).body as string)).toEqual({
      predictions: [
        [0, 1],
        [1, 0],
      ],
      deployedModelId: '3',
      model: 'projects/a/locations/b/models/m',
      modelDisplayName: 'm',
      modelVersionId: '3',
    });
  });

  test.each([
    ['{"instances":[[1]]}', '/instances/0'],
    ['{"instances":{}}', '/instances'],
    ['{}', '/instances'],
    ['{"instances":[[1,2]],"more":1}', '/more'],
    ['{"instances":[[1,2]],"parameters":{"a":1}}', '/parameters'],
  ])('%s is told the place', (body, pointer) => {
    expect(refusal(() => route(vertex, path).parse(call(body), target)).fields[0]!.pointer).toBe(pointer);
  });
});

describe('SageMaker', () => {
  const path = '/endpoints/{endpoint}/invocations';
  test.each([
    ['text/csv', '1,2\n3,4\n', '0,1\n1,0\n'],
    ['text/csv; header=present', 'X.0,X.1\n1,2\n"3",4', '0,1\n1,0\n'],
    ['application/jsonlines', '{"features":[1,2]}\n[3,4]\n', '[0,1]\n[1,0]\n'],
    ['application/json', '[[1,2],[3,4]]', '[[0,1],[1,0]]'],
    ['application/json', '{"instances":[[1,2],[3,4]]}', '{"predictions":[[0,1],[1,0]]}'],
    ['application/json', '{"inputs":[[1,2],[3,4]]}', '{"predictions":[[0,1],[1,0]]}'],
  ])('%s is answered in its own form', (type, body, answer) => {
    expect(ask(sagemaker, path, call(body, { 'content-type': type })).body).toBe(answer);
  });

  test('the Open Inference Protocol is answered in its own form too', () => {
    const body = '{"inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","data":[1,2,3,4]}]}';
    expect(ask(sagemaker, '/models/{endpoint}/invoke', call(body)).body).toContain('"model_name":"m"');
  });

  test('a type that is not made, and what is not done, are refused', () => {
    const parse = (headers: Record<string, string>) =>
      refusal(() => route(sagemaker, path).parse(call('[[1,2]]', headers), target));
    const about = (error: SlipwayError, at: string) =>
      sagemaker.writeError(error, { status: statusOf(sagemaker, error), requestId: 'r', method: 'POST', path: at });
    const notMade = parse({ accept: 'application/x-npy' });
    expect(about(notMade, '/invocations').status).toBe(406);
    expect(about(notMade, '/endpoints/m/invocations')).toMatchObject({
      status: 424,
      headers: expect.arrayContaining(['ModelError']),
    });
    expect(parse({ 'x-amzn-sagemaker-session-id': 'NEW_SESSION' }).code).toBe('unsupported_option');
    expect(parse({ 'x-amzn-sagemaker-custom-attributes': 'x'.repeat(1025) }).code).toBe('invalid_request');
  });

  test('CSV of a wrong number of columns is told its line', () => {
    const error = refusal(() => route(sagemaker, path).parse(call('1,2\n3\n', { 'content-type': 'text/csv' }), target));
    expect(error.message).toContain('has 1 fields in line 2, but 2 columns');
  });
});

describe('Azure ML', () => {
  const one = route(azureMl, '/score');
  test.each([
    ['{"data":[[1,2],[3,4]]}', '[[0,1],[1,0]]'],
    ['{"input_data":{"columns":["a","b"],"index":[0,1],"data":[[1,2],[3,4]]},"params":{}}', '[[0,1],[1,0]]'],
    ['{"Inputs":{"data":[[1,2],[3,4]]},"GlobalParameters":{}}', '{"Results":[[0,1],[1,0]]}'],
  ])('%s is answered', (body, answer) => {
    const { headers, body: text } = ask(azureMl, '/score', call(body, { 'x-ms-request-id': 'A' }));
    expect(text).toBe(answer);
    expect(headers!.join(' ')).toBe(
      'x-ms-request-id A x-ms-client-request-id A x-ms-run-function-failed False azureml-model-deployment 3',
    );
  });

  test('ids of more than a hundred characters are 431, a deployment is a version or an alias', () => {
    const long = { headers: { 'x-request-id': 'A'.repeat(101) } };
    const error = refusal(() => one.nameEndpoint!(long, null));
    const answer = azureMl.writeError(error, { status: 400, requestId: 'r', method: 'POST', path: '/score' });
    expect(answer).toMatchObject({ status: 431, body: '{"message":"x-request-id must not exceed 100 characters"}' });
    expect(
      one.nameEndpoint!({ headers: { 'x-request-id': 'A'.repeat(100), 'azureml-model-deployment': '2' } }, null),
    ).toEqual({ version: '2' });
    expect(one.nameEndpoint!({ headers: { 'azureml-model-deployment': 'blue' } }, null)).toEqual({ label: 'blue' });
  });
});

describe('Seldon', () => {
  const path = '/api/v1.0/predictions';
  test.each([
    ['{"data":{"ndarray":[[1,2],[3,4]]}}', '"data":{"names":["no","yes"],"ndarray":[[0,1],[1,0]]}'],
    [
      '{"data":{"names":["a","b"],"tensor":{"shape":[2,2],"values":[1,2,3,4]}},"meta":{"puid":"mine"}}',
      '"data":{"names":["no","yes"],"tensor":{"shape":[2,2],"values":[0,1,1,0]}}',
    ],
    ['{"jsonData":[[1,2],[3,4]]}', '"jsonData":[[0,1],[1,0]]'],
  ])('%s is answered in its own form', (body, payload) => {
    const { body: text, headers } = ask(seldon, path, call(body));
    expect(text).toContain(payload);
    expect(headers).toEqual(['Seldon-Puid', body.includes('mine') ? 'mine' : 'p']);
  });

  test.each([
    ['{}', ''],
    ['{"data":{"ndarray":[[1,2]]},"strData":"x"}', ''],
    ['{"data":{"ndarray":[[1,2],[3]]}}', '/data/ndarray/1'],
    ['{"data":{"tensor":{"shape":[2,2],"values":[1]}}}', '/data/tensor/values'],
    ['{"binData":"%%"}', '/binData'],
  ])('%s is told the place', (body, pointer) => {
    expect(refusal(() => route(seldon, path).parse(call(body), target)).fields[0]!.pointer).toBe(pointer);
  });
});

describe('OpenAI', () => {
  const embeds: Signature = {
    inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1, 1] }],
    outputs: [{ name: 'v', datatype: 'FP32', shape: [-1, 2] }],
  };
  const one = route(openai, '/v1/embeddings');
  const parse = (body: string, signature = embeds) => one.parse(call(body), { ...target, signature });

  test('texts become vectors, as numbers or as base64', () => {
    const v: Tensor = { name: 'v', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
    const request = parse('{"model":"m","input":["a","b"],"encoding_format":"base64"}');
    expect(request.inputs).toEqual([{ name: 'text', datatype: 'BYTES', shape: [2, 1], data: ['a', 'b'] }]);
    const { data } = JSON.parse(one.write(request, [v], { ...answered, signature: embeds }) as string) as {
      data: { embedding: string }[];
    };
    expect(Buffer.from(data[1]!.embedding, 'base64').readFloatLE(4)).toBe(4);
  });

  test('token ids are filled up where a mask says so', () => {
    const ids: Signature = {
      inputs: ['input_ids', 'attention_mask'].map((name) => ({ name, datatype: 'INT64', shape: [-1, -1] })),
      outputs: embeds.outputs,
    };
    const { inputs, form } = parse('{"model":"m","input":[[5,6,7],[8]]}', ids);
    expect(inputs.map(({ data }) => [...(data as BigInt64Array)].map(Number))).toEqual([
      [5, 6, 7, 8, 0, 0],
      [1, 1, 1, 1, 0, 0],
    ]);
    expect(form).toMatchObject({ tokens: 4 });
  });

  test.each([
    ['{"model":"m","input":[]}', '/input'],
    ['{"model":"m","input":"x","dimensions":3}', '/dimensions'],
    ['{"model":"m","input":"x","encoding_format":"hex"}', '/encoding_format'],
    ['{"model":"m","input":["x",""]}', '/input/1'],
  ])('%s is told the place', (body, pointer) => {
    expect(refusal(() => parse(body)).fields[0]!.pointer).toBe(pointer);
  });

  test('a model that embeds nothing says what it takes', () => {
    expect(refusal(() => parse('{"model":"m","input":"x"}', flowers)).message).toContain('is no embedding model');
  });
});
