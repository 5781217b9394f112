import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { MODELS } from '../../../test/fixtures/registry.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { StoredFile } from '../validation.ts';
import { importArtifact } from './artifact-import.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-import-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let written = 0;

function fixture(name: string, path = name.slice(name.lastIndexOf('/') + 1)): StoredFile {
  const blobPath = fileURLToPath(new URL(name, MODELS));
  return { path, digest: 'unused', sizeBytes: statSync(blobPath).size, blobPath };
}

function file(path: string, content: string | Uint8Array): StoredFile {
  const blobPath = join(folder, String(++written));
  writeFileSync(blobPath, content);
  return { path, digest: 'unused', sizeBytes: statSync(blobPath).size, blobPath };
}

async function refusal(files: StoredFile[]): Promise<SlipwayError> {
  const error = await importArtifact(files).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SlipwayError);
  const known = error as SlipwayError;
  expect(known.message).not.toContain(folder);
  expect(known.message).not.toContain(dirname(fileURLToPath(MODELS)));
  return known;
}

const withAbout = (yaml: string, model = 'add.onnx', more: StoredFile[] = []) => [
  fixture(model, 'model.onnx'),
  file('slipway.yaml', yaml),
  ...more,
];

describe('a single ONNX file', () => {
  it.each([
    ['add.onnx', [['X', 'FP32', [-1, 3]]], [['Y', 'FP32', [-1, 3]]]],
    [
      'mixed.onnx',
      [
        ['age', 'FP32', [-1, 1]],
        ['plan', 'BYTES', [-1, 1]],
      ],
      [['score', 'FP32', [-1, 1]]],
    ],
    ['int64.onnx', [['X', 'INT64', [-1, 1]]], [['Y', 'INT64', [-1, 1]]]],
    ['strings.onnx', [['S', 'BYTES', [-1, 1]]], undefined],
    ['bool.onnx', [['X', 'BOOL', [-1, 1]]], [['Y', 'BOOL', [-1, 1]]]],
    ['fp16.onnx', [['X', 'FP16', [-1, 1]]], [['Y', 'FP16', [-1, 1]]]],
    ['bf16.onnx', [['X', 'BF16', [-1, 1]]], [['Y', 'BF16', [-1, 1]]]],
    ['fp64.onnx', [['X', 'FP64', [-1, 1]]], [['Y', 'FP64', [-1, 1]]]],
    ['uint8.onnx', [['X', 'UINT8', [-1, 1]]], [['Y', 'UINT8', [-1, 1]]]],
    ['uint64.onnx', [['X', 'UINT64', [-1, 1]]], [['Y', 'UINT64', [-1, 1]]]],
    ['fixed.onnx', [['X', 'FP32', [1, 3]]], undefined],
  ] as const)('%s: names, types and shapes come from the graph', async (name, inputs, outputs) => {
    const { signature, entry, format } = await importArtifact([fixture(name)]);
    const brief = (side: typeof signature.inputs) => side.map((one) => [one.name, one.datatype, one.shape]);
    expect(brief(signature.inputs)).toEqual(inputs);
    if (outputs) expect(brief(signature.outputs)).toEqual(outputs);
    expect({ entry, format }).toEqual({ entry: name, format: 'onnx' });
  });

  it('every fixture that is a whole model can be read', async () => {
    const broken = ['empty.onnx', 'text.onnx', 'truncated.onnx', 'sequence.onnx', 'rankless.onnx', 'disguised.onnx'];
    const names = readdirSync(MODELS).filter((name) => name.endsWith('.onnx') && !broken.includes(name));
    expect(names.length).toBeGreaterThan(25);
    for (const name of names) await importArtifact([fixture(name)]);
  });

  it('symbolic names of free dimensions are kept', async () => {
    const { signature } = await importArtifact([fixture('add.onnx')]);
    expect(signature.inputs[0]).toEqual({ name: 'X', datatype: 'FP32', shape: [-1, 3], symbols: ['N', null] });
  });

  it('an input with a default in the graph is optional', async () => {
    const { signature } = await importArtifact([fixture('optional.onnx')]);
    expect(signature.inputs.map((input) => [input.name, input.optional ?? false])).toEqual([
      ['X', false],
      ['B', true],
    ]);
  });

  it.each(['zipmap.onnx', 'zipmap-strings.onnx'])(
    '%s: the sequence of maps is shown as a tensor with class labels',
    async (name) => {
      const { signature, warnings } = await importArtifact([fixture(name)]);
      const scores = signature.outputs.find((output) => output.labels);
      expect(scores).toMatchObject({ datatype: 'FP32', shape: [-1, scores!.labels!.length] });
      expect(scores!.labels!.length).toBeGreaterThan(1);
      expect(warnings).toEqual([]);
    },
  );

  it('a model whose only output is a sequence is not supported', async () => {
    const error = await refusal([fixture('sequence.onnx')]);
    expect(error.code).toBe('model_unsupported');
    expect(error.message).toMatch(/sequence\.onnx has no output that can be returned: the output \w+ is a sequence/);
    expect(error.hint).toContain('zipmap');
  });

  it('column names come from the metadata', async () => {
    const { signature } = await importArtifact([fixture('metadata.onnx')]);
    expect(signature.inputs[0]!.features).toHaveLength(3);
  });

  it('a model that does not say how many dimensions an input has needs to be told', async () => {
    const error = await refusal([fixture('rankless.onnx')]);
    expect(error.code).toBe('model_unsupported');
    expect(error.hint).toContain('slipway.yaml');
    const files = withAbout('signature: {inputs: {X: {shape: [-1, 3]}}}', 'rankless.onnx');
    const { signature } = await importArtifact(files);
    expect(signature.inputs[0]!.shape).toEqual([-1, 3]);
  });
});

describe('files that are no model', () => {
  it.each([
    ['empty.onnx', 'model_invalid', /is empty/],
    ['text.onnx', 'model_invalid', /is text, not an ONNX model/],
    ['truncated.onnx', 'model_invalid', /is not a whole ONNX model: .* \(at byte \d+ of \d+\)/],
    ['disguised.onnx', 'model_refused', /is a pickle: loading one runs whatever code is in it/],
    ['number.pkl', 'model_refused', /is a pickle/],
    ['number.joblib', 'model_refused', /is a pickle/],
    ['number.pt', 'model_refused', /is weights of PyTorch without their network/],
  ])('%s is refused as %s', async (name, code, message) => {
    const error = await refusal([fixture(name)]);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
  });

  it.each([
    ['train.py', 'print(1)', 'model_refused', /program or script/],
    ['run.onnx', '#!/bin/sh\nexit 0\n', 'model_refused', /program or script/],
    ['elf.onnx', '\x7fELF\x02\x01\x01', 'model_refused', /program or script/],
    ['model.keras', 'PK\x03\x04', 'model_refused', /Keras/],
    ['model.h5', '\x89HDF\r\n\x1a\n', 'model_refused', /Keras/],
    ['hidden.onnx', '\x89HDF\r\n\x1a\n', 'model_refused', /Keras/],
    ['bundle.zip', 'PK\x03\x04', 'model_refused', /archive/],
    ['hidden.onnx', 'PK\x03\x04\x14\0\0\0\0\0archive/data.pkl', 'model_refused', /PyTorch/],
    ['objects.npy', "\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False", 'model_refused', /pickle/],
    ['weights.safetensors', '{}', 'model_unsupported', /safetensors/],
    ['llm.gguf', 'GGUF', 'model_unsupported', /GGUF/],
    ['hidden.onnx', 'GGUF\x03\0\0\0', 'model_unsupported', /GGUF/],
    ['model.onnx', '<!DOCTYPE html><html>', 'model_invalid', /is a web page/],
    ['model.onnx', 'version https://git-lfs.github.com/spec/v1\noid sha256:1', 'model_invalid', /Git LFS pointer/],
    ['notes.md', '# hello', 'model_invalid', /no ONNX model among the files/],
  ])('%s holding %j is refused', async (path, content, code, message) => {
    const error = await refusal([file(path, Buffer.from(content, 'latin1'))]);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
  });

  it('a pickle beside a good model is refused too', async () => {
    const error = await refusal([fixture('add.onnx', 'model.onnx'), fixture('number.pkl', 'scaler.pkl')]);
    expect(error.code).toBe('model_refused');
    expect(error.message).toContain('scaler.pkl');
  });

  it('a stored file that was replaced by a link is not followed', async () => {
    const good = fixture('add.onnx');
    const link = join(folder, 'link');
    symlinkSync(good.blobPath, link);
    expect((await refusal([{ ...good, blobPath: link }])).code).toBe('artifact_corrupt');
  });
});

describe('external data', () => {
  it('is taken from the files of the artifact', async () => {
    const files = [fixture('external/model.onnx'), fixture('external/weights.bin')];
    const whole = await importArtifact(files);
    expect(whole.signature.inputs).toHaveLength(1);
    expect(whole.estimatedMemoryBytes).toBeGreaterThan(2 * files[1]!.sizeBytes);
  });

  it('may lie in a folder below the model', async () => {
    const weights = fixture('external-nested/parts/weights.bin', 'parts/weights.bin');
    await importArtifact([fixture('external-nested/model.onnx'), weights]);
  });

  it.each([
    ['external-missing', /was not uploaded with it/],
    ['external-absolute', /it is absolute/],
    ['external-dotdot', /it leaves the artifact with \.\./],
  ])('%s is refused by name', async (name, message) => {
    const error = await refusal([fixture(`${name}/model.onnx`)]);
    expect(error.code).toBe('model_invalid');
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/from "/);
  });

  it('a weight file that is too short is refused', async () => {
    const error = await refusal([fixture('external/model.onnx'), file('weights.bin', 'short')]);
    expect(error.message).toMatch(/weights\.bin has 5 bytes, and model\.onnx wants the weights of/);
  });
});

describe('a folder', () => {
  it('model.onnx is the model, others are extra', async () => {
    const files = [fixture('mixed.onnx', 'other.onnx'), fixture('add.onnx', 'model.onnx'), file('README.md', '# hi')];
    expect((await importArtifact(files)).entry).toBe('model.onnx');
  });

  it('two models without a word are one too many', async () => {
    const error = await refusal([fixture('add.onnx', 'a.onnx'), fixture('add.onnx', 'b.onnx')]);
    expect(error.message).toBe('There are 2 models: a.onnx, b.onnx');
    const about = file('slipway.yaml', 'entry: b.onnx');
    const files = [fixture('add.onnx', 'a.onnx'), fixture('add.onnx', 'b.onnx'), about];
    expect((await importArtifact(files)).entry).toBe('b.onnx');
  });

  it.each([
    ['../model.onnx', /leaves the artifact/],
    ['/etc/model.onnx', /absolute/],
    ['C:\\model.onnx', /backslash/],
    ['C:/model.onnx', /absolute/],
    ['a\u0000b.onnx', /control characters/],
    ['a//b.onnx', /empty or \. part/],
    ['./model.onnx', /empty or \. part/],
    [`${'a/'.repeat(300)}b.onnx`, /longer than/],
  ])('the path %j is refused', async (path, message) => {
    const error = await refusal([{ ...fixture('add.onnx'), path }]);
    expect(error.code).toBe('invalid_request');
    expect(error.fields[0]!.pointer).toBe('/files/0/path');
    expect(error.fields[0]!.message).toMatch(message);
  });

  it('paths that some disks cannot tell apart are refused', async () => {
    const error = await refusal([fixture('add.onnx', 'model.onnx'), fixture('add.onnx', 'Model.onnx')]);
    expect(error.fields[0]!.message).toContain('upper and lower case');
    const nested = await refusal([fixture('add.onnx', 'model.onnx'), file('a', '1'), file('a/b', '2')]);
    expect(nested.fields[0]!.message).toBe('a is a file and a folder');
  });
});

describe('slipway.yaml', () => {
  it('gives names, golden set, limits, card and notes', async () => {
    const yaml = `
name: churn
description: Who leaves
engine: onnxruntime
signature:
  inputs:
    X: { features: [age, income, visits] }
golden:
  - name: first
    inputs: { records: [{ age: 1, income: 2, visits: 3 }] }
    outputs: { Y: [[2, 3, 4]] }
    tolerance: { absolute: 0.001 }
preprocessing: Scale income to thousands.
limits: { memoryBytes: 268435456, threads: 2 }
card: card.md
`;
    const read = await importArtifact(withAbout(yaml, 'add.onnx', [file('card.md', '# Churn\n')]));
    expect(read.signature.inputs[0]!.features).toEqual(['age', 'income', 'visits']);
    expect(read.golden).toEqual([
      {
        name: 'first',
        inputs: { records: [{ age: 1, income: 2, visits: 3 }] },
        outputs: { Y: [[2, 3, 4]] },
        tolerance: { absolute: 0.001 },
      },
    ]);
    expect(read.limits).toEqual({ memoryBytes: 268435456, threads: 2 });
    expect(read.card).toBe('# Churn\n\n## Preprocessing\n\nScale income to thousands.\n');
    expect(read).toMatchObject({ description: 'Who leaves', engine: 'onnxruntime' });
  });

  it('declares how files become an input, whole with what the graph says and the defaults', async () => {
    const yaml =
      'signature: {inputs: {image: {decoder: {kind: image, width: 8, height: 4, scale: 1/255, mean: 0.5, std: [1, 2, 4], color: bgr}}}}';
    const { signature } = await importArtifact(withAbout(yaml, 'image-mean.onnx'));
    expect(signature.inputs[0]!.decoder).toEqual({
      kind: 'image',
      width: 8,
      height: 4,
      channels: 3,
      layout: 'NCHW',
      color: 'bgr',
      resize: 'stretch',
      filter: 'linear',
      scale: 1 / 255,
      mean: [0.5, 0.5, 0.5],
      std: [1, 2, 4],
    });
    const raw = await importArtifact(
      withAbout('signature: {inputs: {X: {decoder: {kind: raw}, features: [a, b, c]}}}'),
    );
    expect(raw.signature.inputs[0]).toMatchObject({ decoder: { kind: 'raw' }, features: ['a', 'b', 'c'] });
  });

  it('padding lets calls of different sizes share a run', async () => {
    const yaml = 'signature: {inputs: {tokens: {pad: {axis: 1, value: 3}}, mask: {pad: {axis: 1}}}}';
    const { signature } = await importArtifact(withAbout(yaml, 'masked-mean.onnx'));
    expect(signature.inputs.map(({ name, pad }) => [name, pad])).toEqual([
      ['tokens', { axis: 1, value: 3 }],
      ['mask', { axis: 1, value: 0 }],
    ]);
    const error = await refusal(withAbout('signature: {inputs: {tokens: {pad: {axis: 1}}}}', 'masked-mean.onnx'));
    expect(error.fields).toEqual([
      { pointer: '/signature/inputs/tokens/pad', message: expect.stringContaining('give mask a pad as well') },
    ]);
  });

  it('labels name the classes of an output', async () => {
    const yaml = 'signature: {outputs: {Y: {labels: [a, b, c]}}}';
    expect((await importArtifact(withAbout(yaml))).signature.outputs[0]!.labels).toEqual(['a', 'b', 'c']);
  });

  it('the golden set may be a file, and integers beyond 2^53 stay exact', async () => {
    const cases = '[{"inputs":{"inputs":{"X":[[9007199254740993]]}},"outputs":{"Y":[[9007199254740993]]}}]';
    const json = await importArtifact(withAbout('golden: golden.json', 'int64.onnx', [file('golden.json', cases)]));
    expect(json.golden[0]!.outputs).toEqual({ Y: [[9007199254740993n]] });
    const yaml = await importArtifact(withAbout('golden: golden.yaml', 'int64.onnx', [file('golden.yaml', cases)]));
    expect(yaml.golden).toEqual(json.golden);
  });

  it('every fault is told with its line, and what was probably meant', async () => {
    const yaml = 'nmae: churn\nsignature:\n  inputs:\n    X:\n      featuers: [a, b, c]\nlimits:\n  threads: none\n';
    const error = await refusal(withAbout(yaml));
    expect(error.code).toBe('model_invalid');
    expect(error.fields).toEqual(
      expect.arrayContaining([
        { pointer: '/nmae', message: 'line 1: is not known here; did you mean name?' },
        { pointer: '/signature/inputs/X/featuers', message: 'line 5: is not known here; did you mean features?' },
        { pointer: '/limits/threads', message: 'line 7: must be integer' },
      ]),
    );
  });

  it.each([
    ['a tag', 'name: !!python/object/apply:os.system [ls]', /the tag .*python.* is not allowed/],
    ['a local tag', 'name: !evil x', /the tag !evil is not allowed/],
    ['a repeated key', 'name: a\nname: b', /line 2/],
    ['bad syntax', 'name: [a', /line 1/],
    ['an unknown input', 'signature: {inputs: {x: {features: [a, b, c]}}}', /did you mean X\?/],
    ['too few names', 'signature: {inputs: {X: {features: [a, b]}}}', /it has 2 names, and the tensor 3 columns/],
    ['a name twice', 'signature: {inputs: {X: {features: [a, a, b]}}}', /a name is there twice/],
    ['another shape', 'signature: {inputs: {X: {shape: [-1, 4]}}}', /the graph says \[-1, 3\]/],
    [
      'a decoder that does not fit',
      'signature: {inputs: {X: {decoder: {kind: image}}}}',
      /decoder\/kind.*4 dimensions/,
    ],
    ['an unknown resize', 'signature: {inputs: {X: {decoder: {kind: image, resize: crop}}}}', /decoder\/resize/],
    [
      'an unknown key of a decoder',
      'signature: {inputs: {X: {decoder: {kind: raw, hight: 3}}}}',
      /did you mean height/,
    ],
    ['a fraction that is none', 'signature: {inputs: {X: {decoder: {kind: image, scale: a/b}}}}', /decoder\/scale/],
    ['padding of a fixed dimension', 'signature: {inputs: {X: {pad: {axis: 1}}}}', /pad\/axis.*always 3/],
    ['padding without a dimension', 'signature: {inputs: {X: {pad: {value: 1}}}}', /pad.*axis/],
    ['padding of an output', 'signature: {outputs: {Y: {pad: {axis: 1}}}}', /pad.*not known/],
    ['a card that is not there', 'card: gone.md', /gone.md.*which is not in the artifact/],
    ['a golden set that leaves the artifact', 'golden: ../../etc/passwd', /which is not in the artifact/],
    ['a key __proto__', '__proto__: {a: 1}', /__proto__ is not allowed/],
  ])('%s is refused', async (_what, yaml, message) => {
    const error = await refusal(withAbout(yaml));
    expect(error.code).toBe('model_invalid');
    expect(JSON.stringify(error.fields)).toMatch(message);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  it('aliases that would blow up are refused at once', async () => {
    const levels = Array.from(
      { length: 30 },
      (_, i) => `k${i}: &a${i} [${Array(9).fill(i === 0 ? 'x' : `*a${i - 1}`)}]`,
    );
    const error = await refusal(withAbout(levels.join('\n')));
    expect(error.fields[0]!.message).toMatch(/more than 100 aliases/);
  });

  it('few aliases that multiply are refused as well', async () => {
    const levels = Array.from(
      { length: 9 },
      (_, i) => `k${i}: &a${i} [${Array(10).fill(i === 0 ? 'x' : `*a${i - 1}`)}]`,
    );
    expect((await refusal(withAbout(levels.join('\n')))).code).toBe('model_invalid');
  });
});
