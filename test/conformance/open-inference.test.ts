/** Answers of a running server against the description of the Open Inference Protocol beside this file. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, type RunningServer, startServer } from '../scenarios/running-server.ts';

type Operation = { operationId: string; responses: Record<string, { $ref: string }> };
type Description = {
  paths: Record<string, Partial<Record<'get' | 'post', Operation>>>;
  components: { responses: Record<string, { content: { 'application/json': { schema: { $ref: string } } } }> };
};

const description = parse(readFileSync(join(import.meta.dirname, 'open-inference-v2.yaml'), 'utf8'), {
  merge: true,
}) as Description;
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(description, 'protocol');

const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
  for (const name of ['mixed', 'strings', 'zipmap-strings', 'bool', 'int64', 'uint64', 'int8', 'fp64', 'fp32', 'two']) {
    const files = [await fileSource(join(MODELS, `${name}.onnx`), 'model.onnx')];
    expect((await server.client.deploy({ model: name, files })).outcome, name).toBe('served');
  }
}, 120_000);
afterAll(() => server?.dispose());

type Seen = { status: number; body: unknown };

/** Sends a request and holds its answer against what the description says of that path, method and status. */
async function ask(
  method: 'get' | 'post',
  template: string,
  params: Record<string, string>,
  body?: unknown,
): Promise<Seen> {
  const operation = description.paths[template]![method]!;
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name]!));
  const response = await fetch(`${server.inferenceUrl}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : {
          headers: { 'content-type': 'application/json' },
          body: typeof body === 'string' ? body : JSON.stringify(body),
        }),
  });
  const answer = (await response.json()) as unknown;
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  const described = operation.responses[String(response.status)] ?? operation.responses['default']!;
  const { schema } = description.components.responses[described.$ref.split('/').at(-1)!]!.content['application/json'];
  const validate = ajv.getSchema(`protocol${schema.$ref}`)!;
  validate(answer);
  expect(validate.errors ?? [], `${operation.operationId} ${response.status} ${JSON.stringify(answer)}`).toEqual([]);
  return { status: response.status, body: answer };
}

const MIXED = {
  id: 'a-1',
  inputs: [
    { name: 'age', shape: [2, 1], datatype: 'FP32', data: [41, 18] },
    { name: 'plan', shape: [2, 1], datatype: 'BYTES', data: [['pro'], ['basic']] },
  ],
};

test('the description itself can be compiled, and knows the operations', () => {
  for (const name of Object.keys(description.components.responses)) {
    const { schema } = description.components.responses[name]!.content['application/json'];
    expect(ajv.getSchema(`protocol${schema.$ref}`), name).toBeDefined();
  }
  expect(operations).toHaveLength(18);
});

describe('answers to proper requests', () => {
  const params = { model: 'mixed', version: '1' };

  test.each(operations.filter(({ method }) => method === 'get').map(({ path }) => path))('GET %s', async (path) => {
    expect((await ask('get', path, params)).status).toBe(200);
  });

  const inferences = operations.filter(({ path }) => path.endsWith('/infer'));
  test.each(inferences.map(({ path }) => path))('POST %s', async (path) => {
    const { status, body } = await ask('post', path, params, MIXED);
    expect(status).toBe(200);
    expect(body).toMatchObject({ model_name: 'mixed', model_version: '1', id: 'a-1' });
    const [score] = (body as { outputs: { name: string; shape: number[]; data: number[] }[] }).outputs;
    expect(score).toMatchObject({ name: 'score', shape: [2, 1], data: [30.75, 10.25] });
  });

  test.each(['/v2/models/{model}/generate', '/v2/models/{model}/versions/{version}/generate'])(
    'POST %s',
    async (path) => {
      const { status, body } = await ask('post', path, { model: 'strings', version: '1' }, { text_input: 'once' });
      expect(status).toBe(200);
      expect(body).toEqual({ model_name: 'strings', model_version: '1', text_output: 'once' });
    },
  );

  test.each([undefined, {}, { ready: true }])('POST /v2/repository/index with %j', async (body) => {
    const { status, body: index } = await ask('post', '/v2/repository/index', {}, body);
    expect(status).toBe(200);
    expect(index).toContainEqual({ name: 'mixed', version: '1', state: 'READY', reason: '' });
  });

  test('metadata says the names, types and shapes of the model', async () => {
    const { body } = await ask('get', '/v2/models/{model}', params);
    expect(body).toEqual({
      name: 'mixed',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [
        { name: 'age', datatype: 'FP32', shape: [-1, 1] },
        { name: 'plan', datatype: 'BYTES', shape: [-1, 1] },
      ],
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
    });
  });

  test.each([
    ['bool', 'BOOL', [true, false]],
    ['int8', 'INT8', [-128, 127]],
    ['int64', 'INT64', [-5, 2 ** 53 - 1]],
    ['uint64', 'UINT64', [0, 2 ** 40]],
    ['fp32', 'FP32', [0.5, -1e30]],
    ['fp64', 'FP64', [0.1, 1e300]],
  ])('a tensor of %s', async (model, datatype, data) => {
    const request = { inputs: [{ name: 'X', shape: [2, 1], datatype, data }] };
    const { status, body } = await ask('post', '/v2/models/{model}/infer', { model }, request);
    expect(status).toBe(200);
    const [output] = (body as { outputs: { datatype: string; data: unknown[] }[] }).outputs;
    expect(output).toMatchObject({ datatype, shape: [2, 1] });
    if (datatype !== 'FP32') expect(output!.data.flat()).toEqual(data);
  });

  test('outputs that were maps, and a scalar output', async () => {
    const rows = { name: 'X', shape: [2, 2], datatype: 'FP32', data: [1.5, 0.75, -2, -1] };
    const mapped = await ask('post', '/v2/models/{model}/infer', { model: 'zipmap-strings' }, { inputs: [rows] });
    expect(mapped.status).toBe(200);
    const both = ['A', 'B'].map((name) => ({ name, shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] }));
    const scalar = await ask('post', '/v2/models/{model}/infer', { model: 'two' }, { inputs: both });
    expect(scalar.status).toBe(200);
  });

  test('only the outputs that were asked for', async () => {
    const both = ['A', 'B'].map((name) => ({ name, shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] }));
    const request = { inputs: both, outputs: [{ name: 'total' }] };
    const { body } = await ask('post', '/v2/models/{model}/infer', { model: 'two' }, request);
    const { outputs } = body as { outputs: { name: string; data: number[] }[] };
    expect(outputs.map(({ name, data }) => [name, data])).toEqual([['total', [6]]]);
  });
});

describe('errors', () => {
  const input = MIXED.inputs[0]!;
  const refused: [string, number, string, unknown][] = [
    ['an unknown model', 404, 'nothing', MIXED],
    ['a body that is not JSON', 400, 'mixed', '{"inputs": ['],
    ['an input too few', 400, 'mixed', { inputs: [input] }],
    ['an unknown input', 400, 'mixed', { inputs: [...MIXED.inputs, { ...input, name: 'agee' }] }],
    ['a wrong datatype', 400, 'mixed', { inputs: [{ ...input, datatype: 'INT32' }, MIXED.inputs[1]] }],
    ['fewer values than the shape says', 400, 'mixed', { inputs: [{ ...input, data: [41] }, MIXED.inputs[1]] }],
    ['an unknown output', 400, 'mixed', { ...MIXED, outputs: [{ name: 'scores' }] }],
    ['no inputs at all', 400, 'mixed', {}],
  ];
  test.each(refused)('%s', async (_title, status, model, body) => {
    expect((await ask('post', '/v2/models/{model}/infer', { model }, body)).status).toBe(status);
  });

  test.each(operations.filter(({ path }) => path.includes('{version}')))(
    '$operation.operationId of an unknown version',
    async ({ path, method }) => {
      const body = method === 'post' ? MIXED : undefined;
      const { status } = await ask(method as 'get' | 'post', path, { model: 'mixed', version: '99' }, body);
      expect(status).toBe(404);
    },
  );
});
