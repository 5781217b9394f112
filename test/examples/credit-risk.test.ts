/** The sample's files agree with each other: whoever retrains it must write all of them again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

const SAMPLE = join(import.meta.dirname, '../../examples/credit-risk');
type Row = Readonly<Record<string, string | number>>;
type Golden = {
  name: string;
  inputs: { records: Row[] };
  outputs: { label: string[]; probabilities: number[][] };
  tolerance: { absolute: number };
};
type SlipwayFile = { files: string[]; signature: { outputs: { probabilities: { labels: string[] } } } };

const read = (...path: string[]): string => readFileSync(join(SAMPLE, ...path), 'utf8');

async function answer(session: InferenceSession, rows: readonly Row[]): Promise<{ label: string[]; bad: number[] }> {
  const feeds: Record<string, Tensor> = {};
  for (const input of session.inputMetadata) {
    const column = rows.map((row) => row[input.name]!);
    const isText = input.isTensor && input.type === 'string';
    feeds[input.name] = isText
      ? new Tensor('string', column.map(String), [rows.length, 1])
      : new Tensor('float32', Float32Array.from(column, Number), [rows.length, 1]);
  }
  const outputs = await session.run(feeds);
  const probabilities = outputs['probabilities']!.data as Float32Array;
  return { label: [...(outputs['label']!.data as string[])], bad: rows.map((_, i) => probabilities[2 * i]!) };
}

/** Plain CSV without quotes, as the sample's files are. */
function rowsOf(csv: string): Row[] {
  const [head, ...lines] = csv.trimEnd().split('\n');
  const names = head!.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((cell, i) => [names[i]!, cell])));
}

describe.each(['.', 'challenger'])('the credit-risk sample in %s', (folder) => {
  test('answers its golden set', async () => {
    const session = await InferenceSession.create(join(SAMPLE, folder, 'model.onnx'));
    const golden = JSON.parse(read(folder, 'golden.json')) as Golden[];
    expect(golden.length).toBeGreaterThanOrEqual(20);
    const labels = new Set<string>();
    for (const { name, inputs, outputs, tolerance } of golden) {
      const { label, bad } = await answer(session, inputs.records);
      expect(label, name).toEqual(outputs.label);
      for (const [i, p] of bad.entries()) {
        expect(Math.abs(p - outputs.probabilities[i]![0]!), name).toBeLessThanOrEqual(tolerance.absolute);
      }
      for (const one of label) labels.add(one);
    }
    expect([...labels].sort()).toEqual(['bad', 'good']);
    await session.release();
  });

  test('names its classes in the order in which the model gives them', async () => {
    const session = await InferenceSession.create(join(SAMPLE, folder, 'model.onnx'));
    const { labels } = (parse(read(folder, 'slipway.yaml')) as SlipwayFile).signature.outputs.probabilities;
    const { label, bad } = await answer(session, rowsOf(read('rows.csv')));
    expect(label).toEqual(bad.map((p) => (p > 0.5 ? labels[0] : labels[1])));
    await session.release();
  });
});

test('the reference set holds the scores of the model beside it', async () => {
  const session = await InferenceSession.create(join(SAMPLE, 'model.onnx'));
  const rows = rowsOf(read('reference.csv'));
  expect(rows).toHaveLength(200);
  const { bad } = await answer(session, rows);
  for (const [i, row] of rows.entries()) expect(bad[i]).toBeCloseTo(Number(row['probability_bad']), 5);
  await session.release();
});

test('the sample deploys data only, and says where its data comes from', () => {
  const { files } = parse(read('slipway.yaml')) as SlipwayFile;
  expect(files.filter((file) => !/\.(onnx|json|md|csv)$/.test(file))).toEqual([]);
  expect(read('data/README.md')).toContain('CC BY 4.0');
  expect(read('data/german-credit.csv').trimEnd().split('\n')).toHaveLength(1001);
});
