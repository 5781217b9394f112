import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { downloadFile, downloadMlflow, fetchStorage } from './download.ts';
import { withFolder } from './import-plan.ts';
import { parsePbtxt } from './pbtxt.ts';
import { readServingManifest } from './serving-manifest.ts';
import { readTritonRepository } from './triton-repository.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-import-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;

/** A folder with these files. */
function lay(files: Readonly<Record<string, string>>): string {
  const root = join(folder, String(++made));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const IO = `
input [ { name: "x", data_type: TYPE_FP32, dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] label_filename: "labels.txt" } ]
`;

describe('config.pbtxt', () => {
  it('is read with comments, lists, texts side by side and both kinds of brackets', () => {
    const { fields } = parsePbtxt('name: \'a\' "b" # said\nn: [1, -2.5e1]\nm { k: true }\nm <k: FALSE>\n', 'x');
    expect(fields.get('name')).toEqual(['ab']);
    expect(fields.get('n')).toEqual([1, -25]);
    expect(fields.get('m')).toHaveLength(2);
  });

  it.each([
    ['name: "a', /line 1/],
    ['a: 1\nb {', /line 2: a } is missing/],
    ['a:', /a value is missing/],
    ['}', /no name of a field/],
    ['a {'.repeat(100), /nested too deeply/],
    ['\u0000', /cannot be read/],
  ])('%j is told with its line', (text, message) => {
    expect(() => parsePbtxt(text, 'config.pbtxt')).toThrow(message);
  });
});

describe('a repository of Triton', () => {
  it('gives each model, with its versions, its labels and what has no part here', async () => {
    const root = lay({
      'scores/config.pbtxt': `platform: "onnxruntime_onnx"\nmax_batch_size: 8\ninstance_group [ { count: 2 } ]\nversion_policy { latest { num_versions: 2 } }\ndynamic_batching { max_queue_delay_microseconds: 5000 }${IO}`,
      'scores/labels.txt': 'bad\ngood\n',
      'scores/2/model.onnx': 'two',
      'scores/10/model.onnx': 'ten',
      'scores/1/model.onnx': 'one',
      'rules/config.pbtxt': `backend: "python"\nmax_batch_size: 8${IO.replace('label_filename: "labels.txt"', '')}`,
      'rules/1/model.py': 'class TritonPythonModel: ...',
      'rules/1/rules.csv': 'x',
    });
    const models = await readTritonRepository(root);
    expect(models.map((one) => one.name)).toEqual(['rules', 'scores', 'scores']);
    expect(models[0]!.about).toEqual({
      signature: {
        inputs: { x: { datatype: 'FP32', shape: [-1, 4] } },
        outputs: { y: { datatype: 'FP32', shape: [-1, 2] } },
      },
    });
    expect(Object.keys(models[0]!.files).sort()).toEqual(['model.py', 'rules.csv']);
    expect(models[2]!.about).toEqual({
      limits: { maxDelayMs: 5 },
      signature: { outputs: { y: { labels: ['bad', 'good'] } } },
    });
    expect(models[2]!.notes).toEqual([expect.stringMatching(/^instance_group/)]);
    const laid = await withFolder(models[2]!, async (one) => {
      expect(parse(readFileSync(join(one, 'slipway.yaml'), 'utf8'))).toEqual(models[2]!.about);
      return [one, readFileSync(join(one, 'model.onnx'), 'utf8')];
    });
    expect(laid[1]).toBe('ten');
    expect(existsSync(laid[0]!)).toBe(false);
  });

  it('writes into no file of the repository, and reads none outside of it', async () => {
    const root = lay({
      'config.pbtxt': `backend: "python"${IO.replace(/label_filename: "labels.txt"/, '')}`,
      '1/model.py': 'x',
      '1/slipway.yaml': 'mine',
    });
    const [model] = await readTritonRepository(root);
    await withFolder(model!, async (one) =>
      expect(readFileSync(join(one, 'slipway.yaml'), 'utf8')).toContain('signature'),
    );
    expect(readFileSync(join(root, '1/slipway.yaml'), 'utf8')).toBe('mine');
    const outside = lay({
      'config.pbtxt': `backend: "python"${IO.replace('labels.txt', '../secret')}`,
      '1/model.py': 'x',
    });
    await expect(readTritonRepository(outside)).rejects.toThrow(/outside of its folder/);
  });

  it('takes a SavedModel out of its folder', async () => {
    const root = lay({
      'config.pbtxt': 'platform: "tensorflow_savedmodel"',
      '1/model.savedmodel/saved_model.pb': 'x',
      '1/model.savedmodel/variables/variables.index': 'x',
    });
    const [model] = await readTritonRepository(root);
    expect(Object.keys(model!.files).sort()).toEqual(['saved_model.pb', 'variables/variables.index']);
  });

  it.each([
    ['a field that nobody knows', 'backend: "onnxruntime"\nfrobnicate: 1', /the field frobnicate, which is not known/],
    [
      'such a field in an input',
      'backend: "python"\ninput { name: "x" data_type: TYPE_FP32 dims: [1] wobble: 2 }',
      /the field wobble in input \(line 2\)/,
    ],
    ['an ensemble', 'platform: "ensemble"\nensemble_scheduling { }', /ensemble_scheduling, which has no counterpart/],
    [
      'answers in many parts',
      'backend: "python"\nmodel_transaction_policy { decoupled: true }',
      /model_transaction_policy, which has no counterpart/,
    ],
    ['another backend', 'backend: "tensorrt"', /the backend "tensorrt"/],
    [
      'a version that is not there',
      'backend: "onnxruntime"\nversion_policy { specific { versions: [7] } }',
      /the version 7, which is not there/,
    ],
    ['a file that is not there', 'backend: "onnxruntime"\ndefault_model_filename: "other.onnx"', /needs other\.onnx/],
    [
      'an unknown type',
      'backend: "python"\ninput { name: "x" data_type: TYPE_BF17 dims: [1] }',
      /without a name, type or dimensions/,
    ],
  ])('with %s is refused', async (_title, config, message) => {
    const root = lay({ 'config.pbtxt': config, '1/model.onnx': 'x', '1/model.py': 'x' });
    await expect(readTritonRepository(root)).rejects.toThrow(message);
  });
});

describe('what others are told to serve', () => {
  const kserve = (spec: object) => ({
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name: 'Iris_1' },
    spec,
  });
  const seldon = (...predictors: object[]) => ({
    apiVersion: 'machinelearning.seldon.io/v1',
    kind: 'SeldonDeployment',
    metadata: { name: 'iris' },
    spec: { predictors },
  });
  const read = (value: unknown) => readServingManifest(value, '/models/manifest.yaml');

  it('MLServer', () => {
    expect(
      read({
        name: 'iris',
        implementation: 'mlserver_sklearn.SKLearnModel',
        parameters: { uri: './model.joblib' },
        inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 4] }],
        max_batch_size: 16,
        max_batch_time: 0.005,
      }),
    ).toEqual({
      name: 'iris',
      storage: '/models/model.joblib',
      about: {
        signature: { inputs: { x: { datatype: 'FP64', shape: [-1, 4] } }, outputs: {} },
        limits: { maxDelayMs: 5, maxBatchRows: 16 },
      },
      notes: [],
    });
  });

  it('KServe, in both forms', () => {
    const now = read(
      kserve({
        predictor: {
          minReplicas: 1,
          model: { modelFormat: { name: 'sklearn' }, storageUri: 'file:///data/iris', resources: {} },
        },
      }),
    );
    expect(now).toMatchObject({
      name: 'iris_1',
      storage: '/data/iris',
      notes: [expect.stringMatching(/^minReplicas/), expect.stringMatching(/^resources/)],
    });
    expect(read(kserve({ predictor: { xgboost: { storageUri: 's3://bucket/x' } } }))).toMatchObject({
      storage: 's3://bucket/x',
    });
  });

  it('Seldon, both generations', () => {
    expect(
      read(seldon({ graph: { name: 'c', implementation: 'SKLEARN_SERVER', modelUri: 'https://host/iris.joblib' } })),
    ).toMatchObject({ storage: 'https://host/iris.joblib' });
    const two = {
      apiVersion: 'mlops.seldon.io/v1alpha1',
      kind: 'Model',
      metadata: { name: 'iris' },
      spec: { storageUri: 'iris/', requirements: ['sklearn'], memory: '1Gi' },
    };
    expect(read(two)).toMatchObject({ storage: '/models/iris', notes: [expect.stringMatching(/^memory/)] });
  });

  it('another file is none of them', () => {
    expect(read({ records: [] })).toBeNull();
    expect(read('x')).toBeNull();
  });

  it.each([
    [
      'a class of its own',
      { name: 'm', implementation: 'models.Mine', parameters: { uri: 'x' } },
      /a class of its own/,
    ],
    [
      'an unknown field',
      { name: 'm', implementation: 'mlserver_sklearn.SKLearnModel', parameters: { uri: 'x' }, wobble: 1 },
      /the field wobble/,
    ],
    ['no place', { name: 'm', implementation: 'mlserver_sklearn.SKLearnModel' }, /does not say where the model is/],
    ['a transformer', kserve({ predictor: { sklearn: { storageUri: 'x' } }, transformer: {} }), /has a transformer/],
    ['a container', kserve({ predictor: { containers: [{ image: 'x' }] } }), /names no model, but a container/],
    [
      'another format',
      kserve({ predictor: { model: { modelFormat: { name: 'paddle' }, storageUri: 'x' } } }),
      /the format "paddle"/,
    ],
    [
      'a graph',
      seldon({ graph: { implementation: 'SKLEARN_SERVER', modelUri: 'x', children: [{}] } }),
      /a graph of several parts/,
    ],
  ])('with %s is refused', (_title, value, message) => {
    expect(() => read(value)).toThrow(message);
  });
});

describe('downloads', () => {
  let server: Server;
  let base = '';
  const { signal } = new AbortController();
  const listings: Record<string, object[]> = {
    '1/models/m/artifacts': [
      { path: 'MLmodel', is_dir: false },
      { path: 'code', is_dir: true },
    ],
    '1/models/m/artifacts/code': [{ path: 'a b.py', is_dir: false }],
    evil: [{ path: '../../out', is_dir: false }],
  };

  beforeAll(async () => {
    server = createServer((request, response) => {
      const url = new URL(request.url!, 'http://x');
      const send = (value: unknown): void => void response.end(JSON.stringify(value));
      if (url.pathname === '/moved') return void response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
      if (url.pathname === '/api/2.0/mlflow/registered-models/alias')
        return send({ model_version: { version: url.searchParams.get('alias') === 'evil' ? '9' : '3' } });
      if (url.pathname === '/api/2.0/mlflow/model-versions/get-download-uri')
        return send({
          artifact_uri:
            url.searchParams.get('version') === '9'
              ? 'mlflow-artifacts:/evil'
              : 'mlflow-artifacts:/1/models/m/artifacts',
        });
      if (url.pathname === '/api/2.0/mlflow-artifacts/artifacts')
        return send({ files: listings[url.searchParams.get('path')!] ?? [] });
      if (url.pathname.startsWith('/api/2.0/mlflow-artifacts/artifacts/'))
        return void response.end(decodeURIComponent(url.pathname.split('/').at(-1)!));
      if (url.pathname === '/model.pkl') return void response.end('bytes');
      response.writeHead(404).end('not here');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('a file, by its name', async () => {
    const at = await fetchStorage(`http://${base}/model.pkl`, lay({ x: '' }), signal);
    expect([at.endsWith('/model.pkl'), readFileSync(at, 'utf8')]).toEqual([true, 'bytes']);
  });

  it('a model of MLflow, by alias and by number', async () => {
    for (const ref of ['m@champion', 'm/3']) {
      const into = lay({ x: '' });
      expect(await downloadMlflow(`mlflow://${base}/models/${ref}`, into, signal)).toEqual({ name: 'm', version: '3' });
      expect(readFileSync(join(into, 'MLmodel'), 'utf8')).toBe('MLmodel');
      expect(readFileSync(join(into, 'code/a b.py'), 'utf8')).toBe('a b.py');
    }
  });

  it('no file lands outside of its folder', async () => {
    await expect(downloadMlflow(`mlflow://${base}/models/m@evil`, lay({ x: '' }), signal)).rejects.toThrow(
      /outside of its folder/,
    );
    await expect(downloadFile(`http://${base}/model.pkl`, lay({ x: '' }), '../up', { signal })).rejects.toThrow(
      /outside of its folder/,
    );
  });

  it.each([
    ['/moved', /redirect to http:\/\/169\.254\.169\.254\/, which is not followed/],
    ['/gone', /answers 404: not here/],
  ])('%s is told', async (path, message) => {
    await expect(fetchStorage(`http://${base}${path}`, lay({ x: '' }), signal)).rejects.toThrow(message);
  });

  it('what a stranger names is not asked where it is private, or without TLS', async () => {
    const manifest = join(lay({ 'isvc.yaml': '' }), 'isvc.yaml');
    const ask = (storage: string) => fetchStorage(storage, lay({ x: '' }), signal, manifest);
    await expect(ask(`http://${base}/model.pkl`)).rejects.toThrow(
      /only asked over https, unless you repeat the command with --trust-manifest/,
    );
    await expect(ask('https://169.254.169.254/latest/meta-data')).rejects.toThrow(/is a private address/);
    await expect(ask('https://[::1]:1/model')).rejects.toThrow(/is a private address/);
    await expect(ask('https://user:pass@example.org/model')).rejects.toThrow(/password/);
  });

  it('what a stranger names lies in the folder of its manifest, also after links were followed', async () => {
    const home = lay({ 'isvc.yaml': '', 'model.pkl': 'own' });
    const elsewhere = lay({ 'secret.json': '{}' });
    const ask = (storage: string, manifest: string | null = join(home, 'isvc.yaml')) =>
      fetchStorage(storage, lay({ x: '' }), signal, manifest);
    expect(await ask(join(home, 'model.pkl'))).toBe(join(home, 'model.pkl'));
    symlinkSync(join(elsewhere, 'secret.json'), join(home, 'link.json'));
    for (const path of [
      '/etc/passwd',
      join(elsewhere, 'secret.json'),
      join(home, '..', 'up'),
      join(home, 'link.json'),
      home,
    ]) {
      await expect(ask(path), path).rejects.toMatchObject({
        code: 'model_refused',
        hint: expect.stringContaining('--trust-manifest'),
      });
      expect(await ask(path, null)).toBe(path);
    }
  });

  it('what needs keys says how else', async () => {
    await expect(fetchStorage('s3://bucket/model', folder, signal)).rejects.toMatchObject({
      hint: expect.stringContaining('aws s3 cp'),
    });
    await expect(downloadMlflow('mlflow://host/models/m', folder, signal)).rejects.toThrow(/names no model of MLflow/);
  });
});
