import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type Member, zipOf } from '../../../../test/fixtures/zip.ts';
import type { SlipwayError } from '../../../base/errors.ts';
import type { StoredFile } from '../../validation.ts';
import { importArtifact } from '../artifact-import.ts';
import { LongPickle, PickleFault, readPickle } from './pickle-reader.ts';

/** Written by test/fixtures/make_pickles.py. */
const PICKLES = fileURLToPath(new URL('../../../../test/fixtures/pickles/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'slipway-library-import-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let written = 0;

function file(path: string, content: string | Uint8Array): StoredFile {
  const blobPath = join(folder, String(++written));
  writeFileSync(blobPath, content);
  return { path, digest: 'unused', sizeBytes: statSync(blobPath).size, blobPath };
}

const pickle = (name: string, path = name): StoredFile => file(path, readFileSync(join(PICKLES, name)));
const allowed = { allowCode: true };
const fault = async (files: readonly StoredFile[], options = allowed): Promise<SlipwayError> =>
  importArtifact(files, options).then(
    () => expect.unreachable('it was taken'),
    (error: unknown) => error as SlipwayError,
  );

describe('a pickle is looked at, never loaded', () => {
  const COLUMNS = ['sepal length (cm)', 'sepal width (cm)', 'petal length (cm)', 'petal width (cm)'];
  const iris = { name: 'input', datatype: 'FP64', shape: [-1, 4] };
  const classes = (datatype: string, labels: string[]) => [
    { name: 'label', datatype, shape: [-1] },
    { name: 'probabilities', datatype: 'FP64', shape: [-1, labels.length], labels },
  ];

  it.each(['pipeline-0.pkl', 'pipeline-2.pkl', 'pipeline-5.pkl', 'pipeline.joblib', 'pipeline-compressed.joblib'])(
    '%s: what it takes, gives and was made with',
    async (name) => {
      const read = await importArtifact([pickle(name)], allowed);
      expect(read.what).toBe(`${name}, a pickle: Pipeline of StandardScaler, LogisticRegression`);
      expect(read.signature).toEqual({
        inputs: [{ ...iris, features: COLUMNS }],
        outputs: classes('INT64', ['0', '1', '2']),
      });
      expect(read.runtime).toMatchObject({
        loader: 'estimator',
        options: { reader: 'joblib', inputs: 'matrix', outputs: [{ method: 'predict' }, { method: 'predict_proba' }] },
        requirements: expect.arrayContaining([expect.stringMatching(/^scikit-learn==\d/)]),
        network: false,
      });
    },
  );

  it.each([
    ['tree-of-names.pkl', classes('BYTES', ['setosa', 'versicolor', 'virginica'])],
    ['linear-svc.pkl', [{ name: 'label', datatype: 'INT64', shape: [-1] }]],
    ['svc.pkl', [{ name: 'label', datatype: 'INT64', shape: [-1] }]],
    ['search.pkl', classes('INT64', ['0', '1', '2'])],
    ['regression.pkl', [{ name: 'prediction', datatype: 'FP64', shape: [-1] }]],
    ['clusters.pkl', [{ name: 'cluster', datatype: 'INT32', shape: [-1] }]],
  ])('%s', async (name, outputs) => {
    expect((await importArtifact([pickle(name)], allowed)).signature).toEqual({ inputs: [iris], outputs });
  });

  it.each([
    ['xgb-classifier.pkl', [{ ...iris, features: COLUMNS }], classes('INT64', ['0', '1', '2'])],
    ['xgb-regressor.pkl', [iris], [{ name: 'prediction', datatype: 'FP64', shape: [-1] }]],
    ['lgbm-classifier.pkl', [iris], classes('INT64', ['0', '1', '2'])],
  ])('%s, by the booster in it', async (name, inputs, outputs) => {
    const { signature, runtime } = await importArtifact([pickle(name)], allowed);
    expect(signature).toEqual({ inputs, outputs });
    expect(runtime?.requirements).toContain(name.startsWith('xgb') ? 'xgboost' : 'lightgbm');
  });

  it('columns of more than numbers need to be said', async () => {
    const error = await fault([pickle('mixed.pkl')]);
    expect(error.message).toBe('Nothing says what mixed.pkl takes');
    const about = file('slipway.yaml', 'signature: {inputs: {x: {datatype: FP64, shape: [-1, 4]}}}');
    expect((await importArtifact([pickle('mixed.pkl'), about], allowed)).signature.inputs[0]!.name).toBe('x');
  });

  it.each(['command.pkl', 'command-0.pkl'])('%s would run a command: it is named, and not run', async (name) => {
    const error = await fault([pickle(name)], { allowCode: false });
    expect(error.code).toBe('model_refused');
    expect(error.message).toMatch(/runs whatever code is in it; this one names (posix|os|nt)\.system$/);
    await fault([pickle(name)]);
    expect(existsSync('/tmp/slipway-pickle-was-run')).toBe(false);
  });

  it('several are told, and one of them is named in slipway.yaml', async () => {
    const two = [pickle('svc.pkl'), pickle('regression.pkl')];
    expect((await fault(two)).message).toBe('There are 2 models: svc.pkl, regression.pkl');
    const read = await importArtifact([...two, file('slipway.yaml', 'entry: regression.pkl')], allowed);
    expect(read.entry).toBe('regression.pkl');
  });

  it('without permission it is refused with what was found', async () => {
    const error = await fault([pickle('tree-of-names.pkl', 'model.pkl')], { allowCode: false });
    expect(error.message).toBe(
      'model.pkl is refused: it is a pickle: DecisionTreeClassifier: loading one runs whatever code is in it',
    );
    expect(error.hint).toContain('skl2onnx');
  });

  it('damaged ones are told, or say what they still say; none takes long', () => {
    const startedMs = performance.now();
    for (const name of readdirSync(PICKLES)) {
      const whole = readFileSync(join(PICKLES, name));
      for (let i = 0; i < 100; i++) {
        const at = Math.floor((whole.length * i) / 100);
        const changed = Buffer.from(whole);
        changed[at] = changed[at]! ^ (1 << (i % 8));
        for (const bytes of [whole.subarray(0, at), changed]) {
          try {
            readPickle(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(PickleFault);
          }
        }
      }
    }
    expect(performance.now() - startedMs).toBeLessThan(60_000);
  });

  it('one that recalls and doubles for ever is cut off', () => {
    const doubled = Buffer.from([0x80, 4, ...Buffer.from('(]').values(), ...Array<number>(200_000).fill(0x32)]);
    expect(() => readPickle(doubled)).toThrow(PickleFault);
    const maps = Buffer.alloc(30_000_000, '}');
    const before = process.memoryUsage().heapUsed;
    expect(() => readPickle(maps)).toThrow(LongPickle);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1024 ** 3);
    expect(() => readPickle(Buffer.from('B\xff\xff\xff\xff', 'latin1'))).toThrow(/ends too early/);
  });
});

describe('archives', () => {
  const manifest = (handler: string): Member => ({
    path: 'MAR-INF/MANIFEST.json',
    content: JSON.stringify({
      model: { modelName: 'm', handler, serializedFile: 'model.pt', requirementsFile: 'needs.txt' },
    }),
  });
  const mar = (...members: Member[]): StoredFile => file('model.mar', zipOf(members));

  it('a .mar gives its handler and what it needs', async () => {
    const read = await importArtifact(
      [
        mar(
          manifest('handler.py'),
          { path: 'handler.py', content: 'x' },
          { path: 'needs.txt', content: 'numpy==2.4.6\n' },
        ),
      ],
      allowed,
    );
    expect(read.format).toBe('mar');
    expect(read.runtime).toMatchObject({
      loader: 'handler',
      options: { handler: 'handler.py', function: null, serializedFile: 'model.pt' },
      requirements: ['numpy==2.4.6', 'torch'],
    });
  });

  it.each([
    [
      'leaves its folder',
      [manifest('h.py'), { path: '../../etc/cron.d/x', content: 'x' }],
      'model_refused',
      /it leaves the artifact/,
    ],
    [
      'has an absolute path',
      [manifest('h.py'), { path: '/etc/passwd', content: 'x' }],
      'model_refused',
      /it is absolute/,
    ],
    [
      'has a link',
      [manifest('h.py'), { path: 'h.py', content: '/etc/passwd', mode: 0o120777 }],
      'model_refused',
      /h\.py is a link/,
    ],
    [
      'has a member twice',
      [manifest('h.py'), { path: 'h.py', content: '1' }, { path: 'h.py', content: '2' }],
      'model_refused',
      /is in it twice/,
    ],
    ['has no manifest', [{ path: 'h.py', content: 'x' }], 'model_invalid', /has no MAR-INF/],
    ['names a handler it lacks', [manifest('h.py')], 'model_invalid', /which is not in it/],
    [
      'names a handler of TorchServe itself',
      [manifest('image_classifier')],
      'model_unsupported',
      /is a part of TorchServe/,
    ],
  ] as [string, Member[], string, RegExp][])('one that %s is refused', async (_title, members, code, message) => {
    const error = await fault([mar(...members)]);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('one that is cut off, or says that it is longer than it is, is told', async () => {
    const whole = zipOf([manifest('h.py'), { path: 'h.py', content: 'x'.repeat(500) }]);
    for (let at = 0; at < whole.length; at += 7) {
      const error = await fault([file('model.mar', whole.subarray(0, at))]);
      expect(error.code).toBe('model_invalid');
    }
  });

  const about = file(
    'slipway.yaml',
    'signature: {inputs: {x: {datatype: FP32, shape: [-1, 4]}}, outputs: {y: {datatype: FP32, shape: [-1]}}}',
  );

  it('TorchScript, programs of torch.export and bare weights are told apart', async () => {
    const script = file(
      'model.pt',
      zipOf([
        { path: 'm/constants.pkl', content: 'x' },
        { path: 'm/code/__torch__.py', content: 'x' },
      ]),
    );
    const exported = file('model.pt2', zipOf([{ path: 'm/models/model.json', content: '{}' }]));
    const weights = file('model.pt', zipOf([{ path: 'archive/data.pkl', content: 'x' }]));
    expect((await importArtifact([script, about], allowed)).runtime).toMatchObject({
      loader: 'torch',
      options: { kind: 'script' },
    });
    expect((await importArtifact([exported, about], allowed)).runtime).toMatchObject({ options: { kind: 'exported' } });
    expect((await fault([weights, about])).message).toMatch(/weights of PyTorch without their network/);
  });

  it.each([
    ['model.keras', 'keras', 'tensorflow'],
    ['model.tflite', 'tflite', 'tflite'],
    ['model.cbm', 'catboost', 'estimator'],
  ])('%s', async (path, format, loader) => {
    const read = await importArtifact([file(path, 'x'), about], allowed);
    expect([read.format, read.runtime?.loader]).toEqual([format, loader]);
    expect((await fault([file(path, 'x'), about], { allowCode: false })).code).toBe('model_refused');
  });
});

/** A field of a protocol buffer with bytes in it. */
const field = (number: number, content: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
};
const varint = (number: number, ...value: number[]): Buffer => Buffer.from([number * 8, ...value]);
const FREE = varint(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1);

describe('a SavedModel', () => {
  const tensor = (name: string, dtype: number, ...dims: Buffer[]): Buffer => {
    const shape = Buffer.concat(dims.map((dim) => field(2, dim)));
    return Buffer.concat([field(1, name), field(2, Buffer.concat([varint(2, dtype), field(3, shape)]))]);
  };
  const signature = (name: string, ...parts: Buffer[]): Buffer =>
    field(5, Buffer.concat([field(1, name), field(2, Buffer.concat(parts))]));
  const saved = (...signatures: Buffer[]): StoredFile => file('saved_model.pb', field(2, Buffer.concat(signatures)));
  /** A tensor whose number of dimensions is not known, as TensorFlow writes it for what starts a model. */
  const noRank = Buffer.concat([field(1, 'init'), field(2, Buffer.concat([varint(2, 0), field(3, varint(3, 1))]))]);
  const served = signature(
    'serving_default',
    field(1, tensor('x', 1, FREE, varint(1, 4))),
    field(2, tensor('score', 1, FREE, varint(1, 1))),
  );

  it('gives the signature that it is served by', async () => {
    const read = await importArtifact([saved(signature('__saved_model_init_op', field(2, noRank)), served)], allowed);
    expect(read.signature).toEqual({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
    });
    expect(read.runtime).toMatchObject({
      loader: 'tensorflow',
      options: { signature: 'serving_default', inputs: 'tensors' },
    });
  });

  it.each([
    ['no signature', saved(signature('__saved_model_init_op')), 'model_invalid', /has no signature/],
    [
      'two, and none of the usual name',
      saved(signature('a'), signature('b')),
      'model_invalid',
      /the signatures a, b, and none/,
    ],
    ['a type that is none here', saved(signature('a', field(1, tensor('x', 21)))), 'model_unsupported', /type 21/],
    [
      'bytes that are none',
      file('saved_model.pb', Buffer.from([0x12, 0x7f, 1])),
      'model_invalid',
      /not a whole SavedModel/,
    ],
  ])('with %s is refused', async (_title, entry, code, message) => {
    const error = await fault([entry]);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

describe('a folder of transformers', () => {
  const config = (more: object): StoredFile =>
    file(
      'config.json',
      JSON.stringify({
        architectures: ['BertForSequenceClassification'],
        id2label: { 0: 'bad', 1: 'good' },
        transformers_version: '4.57.1',
        ...more,
      }),
    );
  const rest = [file('tokenizer.json', '{}'), file('model.safetensors', 'x')];

  it('gives classes, tokens or an embedding, by its architecture', async () => {
    const outputs = async (more: object) =>
      (await importArtifact([config(more), ...rest], allowed)).signature.outputs.map((one) => [one.name, one.shape]);
    expect(await outputs({})).toEqual([
      ['label', [-1]],
      ['scores', [-1, 2]],
    ]);
    expect(await outputs({ architectures: ['BertForTokenClassification'] })).toEqual([['entities', [-1]]]);
    expect(await outputs({ architectures: ['BertModel'], hidden_size: 384 })).toEqual([['embedding', [-1, 384]]]);
  });

  it.each([
    ['code of its own', [config({ auto_map: { AutoModel: 'x.Y' } }), ...rest], /code of its own/],
    ['another task', [config({ architectures: ['T5ForConditionalGeneration'] }), ...rest], /none of the tasks/],
    ['weights that are a pickle', [config({}), rest[0]!, file('pytorch_model.bin', 'x')], /are a pickle/],
  ])('with %s is refused', async (_title, files, message) => {
    expect((await fault(files)).message).toMatch(message);
  });
});

it("a model of Triton's python backend is known by its class", async () => {
  const about = file(
    'slipway.yaml',
    'signature: {inputs: {x: {datatype: FP32, shape: [-1, 4]}}, outputs: {y: {datatype: FP32, shape: [-1]}}}',
  );
  const model = file('model.py', 'class TritonPythonModel:\n    def execute(self, requests): ...\n');
  expect((await importArtifact([model, about], allowed)).format).toBe('triton');
  expect(
    (await fault([file('model.py', '# class TritonPythonModel:\n"""\nclass TritonPythonModel:\n"""\n'), about])).code,
  ).toMatch(/^model_/);
});
