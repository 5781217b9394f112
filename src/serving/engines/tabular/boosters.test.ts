import { readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { importArtifact } from '../../../registry/imports/artifact-import.ts';
import { parseUbjson } from '../../../registry/imports/boosters/ubjson.ts';
import type { StoredFile } from '../../../registry/validation.ts';
import { recordsToTensors } from '../../tensors/plain-codec.ts';
import type { NumericData } from '../../tensors/tensor.ts';
import { loadTabular } from '../tabular.ts';

/** Written by test/fixtures/make_boosters.py: models, with what their library's own predict gave. */
const FIXTURES = fileURLToPath(new URL('../../../../test/fixtures/boosters/', import.meta.url));
const FILES = readdirSync(FIXTURES);
const MODELS = FILES.filter((file) => !file.endsWith('.rows.json') && !file.startsWith('refused-'));

const stored = (file: string, path = file): StoredFile => {
  const blobPath = `${FIXTURES}${file}`;
  return { path, blobPath, digest: 'unused', sizeBytes: statSync(blobPath).size };
};

async function load(file: string) {
  const read = await importArtifact([stored(file)]);
  return { ...read, model: loadTabular({ entryBytes: readFileSync(`${FIXTURES}${file}`), signature: read.signature }) };
}

describe('a booster answers as its own library', () => {
  test.each(MODELS)('%s', async (file) => {
    const { model, signature, format, runtime } = await load(file);
    expect(format).toBe(file.startsWith('xgb') ? 'xgboost' : 'lightgbm');
    expect(runtime).toBeNull();
    const rows = JSON.parse(readFileSync(`${FIXTURES}${file.replace(/\.\w+$/, '.rows.json')}`, 'utf8')) as {
      inputs: { input: unknown[] };
      outputs: { prediction: unknown[] };
    };
    const { inputs, rows: count } = recordsToTensors(signature, { inputs: rows.inputs });
    const expected = rows.outputs.prediction.flat().map(Number);
    // Relative to 1 + |expected|: FP32 sums in another order, and FP64's exponential.
    const most = format === 'xgboost' ? 1e-6 : 1e-14;
    for (const given of [model.runNow(inputs, count), await model.run(inputs)]) {
      const [{ shape, data }] = given as [(typeof given)[0]];
      expect(shape).toEqual([count, ...signature.outputs[0]!.shape.slice(1)]);
      expect(data.length).toBe(expected.length);
      for (const [at, want] of expected.entries()) {
        const got = Number((data as NumericData)[at]);
        expect(Math.abs(got - want) / (1 + Math.abs(want)), `row ${at}: ${got} for ${want}`).toBeLessThanOrEqual(most);
      }
    }
  });

  test('features go by their names, where the file has them', async () => {
    const { signature } = await load('xgb-logistic.json');
    expect(signature.inputs[0]!.features).toEqual(Array.from({ length: 8 }, (_, i) => `column ${i}`));
  });
});

describe('a booster that is not computed here says so', () => {
  test.each([
    ['refused-gblinear.json', 'model_unsupported', /its booster "gblinear" is no forest/],
    ['refused-linear-leaves.txt', 'model_unsupported', /its trees have linear leaves/],
  ])('%s', async (file, code, message) => {
    await expect(importArtifact([stored(file)])).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

describe('a booster that is damaged', () => {
  const bytesOf = (file: string): Buffer => readFileSync(`${FIXTURES}${file}`);
  const signatureOf = async (file: string) => (await load(file)).signature;

  test.each(['xgb-logistic-ubj.ubj', 'xgb-categories.json', 'lgb-categories.txt', 'lgb-multiclass.txt'])(
    '%s, cut off or changed anywhere, is refused or answers, and ends at once',
    async (file) => {
      const signature = await signatureOf(file);
      const whole = bytesOf(file);
      const startedMs = performance.now();
      for (let i = 1; i < 120; i++) {
        const at = Math.floor((whole.length * i) / 120);
        const changed = Buffer.from(whole);
        changed[at] = changed[at]! ^ (1 << (i % 8));
        for (const entryBytes of [whole.subarray(0, at), changed]) {
          try {
            loadTabular({ entryBytes, signature });
          } catch (error) {
            expect((error as { code?: string }).code).toMatch(/^model_(invalid|unsupported)$/);
          }
        }
      }
      expect(performance.now() - startedMs).toBeLessThan(60_000);
    },
  );

  test('a list that says it is longer than the file takes no memory', () => {
    const list = Buffer.from([0x5b, 0x24, 0x64, 0x23, 0x4c, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    expect(() => parseUbjson(list)).toThrow(/longer than the file/);
    expect(() => parseUbjson(Buffer.from('['.repeat(1000)))).toThrow(/nested too deeply|ends too early/);
  });

  test('a circle among its nodes is found', async () => {
    const model = JSON.parse(bytesOf('xgb-logistic.json').toString()) as {
      learner: { gradient_booster: { model: { trees: { left_children: number[] }[] } } };
    };
    model.learner.gradient_booster.model.trees[0]!.left_children[1] = 1;
    const signature = await signatureOf('xgb-logistic.json');
    expect(() => loadTabular({ entryBytes: Buffer.from(JSON.stringify(model)), signature })).toThrow(/circle/);
  });
});
