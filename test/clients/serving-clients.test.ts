/**
 * Clients of TensorFlow Serving, KServe and TorchServe, unchanged, against the whole server with models that scikit-learn exported, one that takes pictures and one that takes text.
 * Optional: `npm run test:clients`.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { PROTOS } from '../fixtures/grpc-client.ts';
import { MODELS, ROOT, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { hasPython, makeEnvironment, runChecksIn } from './python-environment.ts';

const TABULAR = join(ROOT, 'test/fixtures/tabular');
const PICTURE = join(ROOT, 'test/fixtures/images/flower.jpg');
const run = promisify(execFile);
let server: RunningServer;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-clients-'));
  const ports = ['tensorflow-serving', 'tensorflow-serving-grpc', 'kserve-v1', 'torchserve'].map((name) => `${name}=0`);
  server = await startServer({ env: { SLIPWAY_PROTOCOL_PORTS: ports.join(',') } });
  const yaml = join(folder, 'slipway.yaml');
  writeFileSync(yaml, 'signature: {inputs: {image: {decoder: {kind: image, width: 24, height: 16, scale: 1/255}}}}\n');
  for (const [model, file, ...others] of [
    ['forest', join(TABULAR, 'random-forest.onnx')],
    ['columns', join(TABULAR, 'columns-onehot-forest.onnx')],
    ['ridge', join(TABULAR, 'ridge.onnx')],
    ['text', join(MODELS, 'strings.onnx')],
    ['photo', join(MODELS, 'image-mean.onnx'), yaml],
  ] as const) {
    const files = [await fileSource(file, 'model.onnx'), ...(await Promise.all(others.map((one) => fileSource(one))))];
    expect((await server.client.deploy({ model, files })).outcome, model).toBe('served');
  }
}, 120_000);
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Means of the colours of flower.jpg in the model's size. */
const isPhoto = (means: unknown): void => {
  expect(means).toHaveLength(3);
  for (const mean of means as number[]) expect(mean > 0.05 && mean < 0.95, `${mean}`).toBe(true);
};

describe.skipIf(!hasPython)('tensorflow-serving-api over grpcio', () => {
  let saw: (check: string) => unknown;
  let shared: (check: string) => unknown;
  beforeAll(async () => {
    await makeEnvironment('serving-requirements');
    const words = [PROTOS, TABULAR, PICTURE, server.adminKey];
    const { 'tensorflow-serving-grpc': grpc, 'tensorflow-serving': rest } = server.protocolUrls;
    saw = await runChecksIn('serving-requirements', 'tensorflow_client.py', new URL(grpc!).host, rest!, ...words);
    shared = await runChecksIn(
      'serving-requirements',
      'tensorflow_client.py',
      server.grpcAddress,
      server.inferenceUrl,
      ...words,
    );
  }, 600_000);

  test.each(['its own ports', 'the shared ports'])('is answered by %s as scikit-learn answers', (where) => {
    const of = where === 'its own ports' ? saw : shared;
    expect(of('forest')).toEqual({ labels: true, probabilities: true, version: 1, signature: 'serving_default' });
    expect(of('columns')).toEqual({ labels: true, outputs: ['label'] });
    expect([of('classify'), of('regress'), of('multi')]).toEqual([true, true, ['regression_result']]);
    expect(of('text')).toEqual(['ünï ✓', '']);
    expect(of('rest forest')).toBe(true);
    isPhoto(of('photo'));
  });

  test('reads metadata and status', () => {
    expect(saw('metadata')).toEqual({
      method: 'tensorflow/serving/predict',
      shape: [-1, 8],
      outputs: ['label', 'probabilities'],
    });
    expect(saw('status')).toEqual([[1, 30, 0]]);
    expect(saw('rest status')).toEqual({
      model_version_status: [{ version: '1', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } }],
    });
    expect(shared('rest status')).toMatchObject({
      model_version_status: [{ version: '1' }],
      name: 'forest',
      ready: true,
    });
  });

  test.each([
    ['unknown model', 'NOT_FOUND', 'Servable not found for request: Latest(nothing)'],
    [
      'missing input',
      'INVALID_ARGUMENT',
      'input size does not match signature: 0!=1 len({}) != len({X}). Sent extra: {}. Missing but required: {X}.',
    ],
    ['wrong type', 'INVALID_ARGUMENT', 'DT_FLOAT'],
    ['wrong shape', 'INVALID_ARGUMENT', 'must be 8'],
    ['with a wrong key', 'UNAUTHENTICATED', 'key'],
  ])('%s: raises its own exception', (check, status, text) => {
    expect(saw(check)).toMatchObject({ status, message: expect.stringContaining(text) });
  });

  test('may send a key; is refused by REST with the usual texts', () => {
    expect(saw('with key')).toEqual(['Y']);
    expect(saw('rest unknown')).toEqual({
      status: 404,
      body: { error: 'Servable not found for request: Latest(nothing)', hint: expect.any(String) },
    });
    expect(saw('rest ragged')).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('Expecting tensor size: 1 but got: 2') },
    });
  });
});

describe.skipIf(!hasPython)('kserve.InferenceRESTClient', () => {
  let saw: (check: string) => unknown;
  let shared: (check: string) => unknown;
  beforeAll(async () => {
    await makeEnvironment('serving-requirements');
    saw = await runChecksIn('serving-requirements', 'kserve_client.py', server.protocolUrls['kserve-v1']!, TABULAR);
    shared = await runChecksIn('serving-requirements', 'kserve_client.py', server.inferenceUrl, TABULAR);
  }, 600_000);

  test.each(['its own port', 'the shared port'])('finds server and models alive on %s, and is answered', (where) => {
    const of = where === 'its own port' ? saw : shared;
    expect([of('live'), of('ready'), of('predict')]).toEqual([true, true, true]);
    expect(of('text')).toEqual({ predictions: [['ünï ✓']] });
    expect(of('models')).toMatchObject({ models: expect.arrayContaining(['forest', 'photo']) });
    for (const check of ['structured event', 'binary event'])
      expect(of(check)).toMatchObject({ labels: true, type: 'io.kserve.inference.response' });
  });

  test('raises its own exceptions', () => {
    expect(saw('unknown model')).toMatchObject({
      status: 404,
      message: expect.stringContaining('Model with name nothing does not exist.'),
    });
    expect(saw('not ready')).toMatchObject({ status: 404 });
    expect(saw('ragged')).toMatchObject({ status: 400 });
    expect(saw('explain')).toMatchObject({ status: 501 });
  });
});

describe('curl, as TorchServe’s documentation has it', () => {
  const curl = async (...words: string[]): Promise<unknown> => {
    const { stdout } = await run('curl', ['-sS', '--max-time', '20', ...words]);
    return JSON.parse(stdout);
  };
  const url = (path: string): string => server.protocolUrls['torchserve']! + path;

  test('asks for health and for the API', async () => {
    expect(await curl(url('/ping'))).toEqual({ status: 'Healthy' });
    expect(await curl('-X', 'OPTIONS', url('/'))).toMatchObject({ openapi: '3.0.1' });
    expect(await curl(url('/api-description'))).toMatchObject({ openapi: '3.0.1' });
  });

  test('sends pictures with -T, -F and --data-binary, all answered alike', async () => {
    const seen = [
      await curl(url('/predictions/photo'), '-T', PICTURE),
      await curl(url('/predictions/photo'), '-F', `data=@${PICTURE}`),
      await curl(
        '-X',
        'POST',
        url('/predictions/photo/1.0'),
        '-H',
        'Content-Type: image/jpeg',
        '--data-binary',
        `@${PICTURE}`,
      ),
    ] as { mean: number[] }[];
    for (const one of seen) expect(one.mean).toEqual(seen[0]!.mean);
    isPhoto(seen[0]!.mean);
  });

  test('sends text and rows', async () => {
    const file = join(folder, 'sample_text.txt');
    writeFileSync(file, 'Bloomberg has decided');
    expect(await curl(url('/predictions/text'), '-T', file)).toBe('Bloomberg has decided');
    const { inputs, outputs } = JSON.parse(readFileSync(join(TABULAR, 'random-forest.json'), 'utf8')) as {
      inputs: { X: number[][] };
      outputs: { label: number[] };
    };
    const rows = (await curl(
      url('/predictions/forest'),
      '-H',
      'Content-Type: application/json',
      '-d',
      JSON.stringify(inputs.X),
    )) as { label: number }[];
    expect(rows.map(({ label }) => label)).toEqual(outputs.label);
    const row = JSON.stringify(inputs.X[0]);
    expect(await curl(url('/predictions/forest'), '-d', row)).toMatchObject({ label: outputs.label[0] });
  });

  test('reads errors', async () => {
    expect(await curl(url('/predictions/InvalidModel'), '-T', PICTURE)).toMatchObject({
      code: 404,
      type: 'ModelNotFoundException',
      message: 'Model not found: InvalidModel',
    });
    expect(await curl(url('/predictions/photo'), '-d', '[1]')).toMatchObject({
      code: 400,
      type: 'BadRequestException',
    });
    expect(await curl('-X', 'DELETE', url('/predictions/photo'))).toMatchObject({
      code: 405,
      type: 'MethodNotAllowedException',
    });
  });
});
