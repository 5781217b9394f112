/** Clients of MLflow, AWS, Google and OpenAI, unchanged, against the whole server. Optional: `npm run test:clients`. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, ROOT, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { hasPython, makeEnvironment, runChecksIn } from './python-environment.ts';

const ENVIRONMENT = 'cloud-requirements';
const FIXTURES = join(ROOT, 'test/fixtures');
const PICTURE = join(FIXTURES, 'images/flower.jpg');

/** Deploys a folder, as a person does: what a model file cannot say is in its slipway.yaml. */
function deployFolder(server: RunningServer, folder: string, name: string): void {
  const run = spawnSync(join(ROOT, 'bin/slipway'), ['deploy', folder, '--name', name, '--json'], {
    encoding: 'utf8',
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      SLIPWAY_URL: server.url,
      SLIPWAY_API_KEY: server.adminKey,
    },
  });
  expect(run.status, `${run.stdout}${run.stderr}`).toBe(0);
}

describe.skipIf(!hasPython)('clients of other systems', () => {
  let server: RunningServer;
  let folder: string;
  let port: string;

  beforeAll(async () => {
    await makeEnvironment(ENVIRONMENT);
    folder = mkdtempSync(join(tmpdir(), 'slipway-clients-'));
    server = await startServer({ env: { SLIPWAY_DEFAULT_ENDPOINT: 'credit-risk' } });
    deployFolder(server, join(ROOT, 'examples/credit-risk'), 'credit-risk');
    for (const [name, file] of [
      ['iris', join(MODELS, 'iris.onnx')],
      ['fp32', join(MODELS, 'fp32.onnx')],
      ['sentiment', join(FIXTURES, 'text/sentiment.onnx')],
      ['word-vectors', join(FIXTURES, 'text/word-vectors.onnx')],
    ] as const) {
      const files = [await fileSource(file, 'model.onnx')];
      expect((await server.client.deploy({ model: name, files })).outcome, name).toBe('served');
    }
    const picture = join(folder, 'picture');
    mkdirSync(picture);
    copyFileSync(join(MODELS, 'image-mean.onnx'), join(picture, 'model.onnx'));
    const decoder = '{ kind: image, width: 8, height: 8 }';
    writeFileSync(join(picture, 'slipway.yaml'), `signature:\n  inputs:\n    image:\n      decoder: ${decoder}\n`);
    deployFolder(server, picture, 'picture');
    ({ port } = new URL(server.inferenceUrl));
  });
  afterAll(async () => {
    await server?.dispose();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  describe("MLflow's scoring client", () => {
    let saw: (check: string) => unknown;
    beforeAll(async () => {
      saw = await runChecksIn(
        ENVIRONMENT,
        'mlflow_client.py',
        '127.0.0.1',
        port,
        join(ROOT, 'examples/credit-risk/rows.csv'),
        PICTURE,
      );
    });

    test('sees a server that is there', () => {
      expect(saw('version')).toMatch(/^\d+\.\d+\.\d+/);
    });

    test('gets predictions of a data frame, whatever the order of its columns and the form', () => {
      expect(saw('frame columns')).toEqual(['label', 'probabilities']);
      expect((saw('frame') as { label: string[] }).label).toEqual([
        'good',
        'bad',
        'good',
        'good',
        'bad',
        'good',
        'good',
        'good',
      ]);
      for (const check of ['columns in another order', 'records']) expect(saw(check), check).toBe(true);
      expect(saw('csv')).toEqual({ status: 200, equal: true });
    });

    test('gets predictions of arrays, of text and of a picture', () => {
      expect(saw('picture')).toHaveLength(3);
      expect(saw('array')).toEqual([1, 1]);
      expect(saw('text')).toMatchObject({ label: [expect.stringMatching('good'), expect.stringMatching('bad')] });
      expect(saw('missing values')).toEqual(['1.5', 'nan', '-inf']);
    });

    test.each([
      ['error columns', 'error code 400', 'lacks age'],
      ['error params', 'error code 400', 'params schema'],
      ['error unknown', 'error code 404', 'nothing'],
      ['error ping unknown', 'error code 404', ''],
    ])('%s: raises its own exception with our words', (check, code, word) => {
      expect(saw(check)).toContain(code);
      expect(saw(check)).toContain(word);
    });

    test('is told of a form of earlier releases', () => {
      expect(saw('error type')).toMatchObject({ status: 415, text: 'Unrecognized content type parameters: format.' });
    });
  });

  describe("boto3's sagemaker-runtime", () => {
    let saw: (check: string) => unknown;
    beforeAll(async () => {
      const { signingPair } = await server.client.keys.create({ name: 'boto', scopes: ['predict'], signing: true });
      const { accessKeyId, secretAccessKey } = signingPair!;
      const rows = join(ROOT, 'examples/credit-risk/rows.csv');
      saw = await runChecksIn(
        ENVIRONMENT,
        'sagemaker_client.py',
        server.inferenceUrl,
        accessKeyId,
        secretAccessKey,
        rows,
        PICTURE,
      );
    });

    test('is answered in the type of its request, or the one it asks for, with what it sent along', () => {
      expect(saw('csv')).toMatchObject({
        type: expect.stringContaining('text/csv'),
        variant: '1',
        body: expect.stringMatching(/^(good|bad),[\d.]+,[\d.]+\n/),
      });
      expect(saw('csv to json')).toMatchObject({
        type: 'application/json',
        attributes: 'trace=7',
        body: expect.stringMatching(/^\{"predictions":\[\{"label":/),
      });
      expect(saw('json')).toMatchObject({ body: '{"predictions":[1,1]}' });
      expect(saw('list')).toMatchObject({ body: '[1,1]' });
      expect(saw('lines')).toMatchObject({ type: 'application/jsonlines', body: '1\n1\n' });
      expect(saw('text')).toMatchObject({ body: expect.stringMatching(/"label":"good".*"label":"bad"/) });
      expect(saw('picture')).toHaveLength(3);
      expect(saw('stream')).toEqual({ type: 'application/json', body: '[1,1]' });
    });

    test('names versions and models, in any region', () => {
      expect(saw('variant')).toBe('1');
      expect(saw('target model')).toBe('[1,1]');
      expect(saw('other region')).toBe(200);
    });

    test.each([
      ['error input', 'ModelError', 424],
      ['error columns', 'ModelError', 424],
      ['error accept', 'ModelError', 424],
      ['error unknown', 'ValidationError', 400],
      ['error variant', 'ValidationError', 400],
      ['error session', 'ValidationError', 400],
      ['error secret', 'InvalidSignatureException', 403],
      ['error key', 'UnrecognizedClientException', 403],
    ])('%s: raises %s', (check, code, status) => {
      expect(saw(check)).toMatchObject({ code, status });
    });
  });

  describe("OpenAI's client and Google's of Vertex AI", () => {
    let saw: (check: string) => unknown;
    beforeAll(async () => {
      saw = await runChecksIn(ENVIRONMENT, 'openai_client.py', server.inferenceUrl, server.adminKey, PICTURE);
    });

    test('embeddings are what scikit-learn gives', () => {
      for (const base of ['/v1', '/openai/v1']) {
        const { model, vectors } = saw(`embeddings ${base}`) as { model: string; vectors: number[][] };
        expect(model).toBe('word-vectors');
        expect(vectors[0]!.map((value) => Math.round(value * 1e4) / 1e4)).toEqual([
          0, 0, 0, 0.7495, 0, 0, 0, 0.662, 0, 0, 0, 0, 0,
        ]);
      }
      expect(saw('models')).toContain('word-vectors');
      expect(saw('model')).toBe('iris');
    });

    test.each([
      ['error chat', 'BadRequestError', 400],
      ['error not embedding', 'BadRequestError', 400],
      ['error unknown', 'NotFoundError', 404],
      ['error key', 'AuthenticationError', 401],
      ['vertex error', 'BadRequest', 400],
      ['vertex explain', 'MethodNotImplemented', 501],
      ['vertex project', 'NotFound', 404],
    ])('%s: raises %s', (check, kind, status) => {
      expect(saw(check)).toMatchObject({ kind, status });
    });

    test('Vertex AI answers with model and version', () => {
      expect(saw('vertex')).toEqual({
        predictions: [1, 1],
        version: '1',
        model: 'projects/default/locations/europe-west1/models/iris',
      });
      expect(saw('vertex text')).toEqual(['good', 'bad']);
      expect(saw('vertex picture')).toHaveLength(3);
    });
  });
});
