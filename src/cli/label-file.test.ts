import { describe, expect, test } from 'vitest';
import type { CliError } from './cli-error.ts';
import { type LabelColumns, readLabels } from './label-file.ts';

const columns: LabelColumns = {
  subject: { field: 'predictionId', column: 'prediction_id' },
  values: [{ kind: 'truth', column: 'churned' }],
  revision: null,
  at: null,
};

async function* pieces(text: string) {
  for (let at = 0; at < text.length; at += 7) yield text.slice(at, at + 7);
}

async function read(text: string, change: Partial<LabelColumns> = {}, file = 'labels.csv') {
  const items = [];
  for await (const batch of readLabels(pieces(text), file, { ...columns, ...change })) items.push(...batch.items);
  return items;
}

const failure = async (text: string, change: Partial<LabelColumns> = {}, file?: string): Promise<CliError> =>
  read(text, change, file).then(
    () => Promise.reject(new Error('it was read')),
    (error) => error,
  );

describe('a file of labels', () => {
  test('rows become items; blanks say nothing; numbers and booleans mean themselves', async () => {
    expect(await read('prediction_id,churned,other\na,1,x\nb,,x\nc,true,x\nd,good,x\n')).toEqual([
      { predictionId: 'a', truth: 1 },
      { predictionId: 'c', truth: true },
      { predictionId: 'd', truth: 'good' },
    ]);
  });

  test('JSON lines keep their types', async () => {
    const text = '{"prediction_id":"a","churned":{"p":0.5}}\n\n{"prediction_id":"b","churned":null}\n';
    expect(await read(text, {}, 'labels.jsonl')).toEqual([{ predictionId: 'a', truth: { p: 0.5 } }]);
  });

  test('revision and time are read', async () => {
    const text = 'prediction_id,churned,rev,when\na,1,3,2026-01-01\n';
    expect(await read(text, { revision: 'rev', at: 'when' })).toEqual([
      { predictionId: 'a', truth: 1, revision: 3, at: '2026-01-01T00:00:00.000Z' },
    ]);
  });

  test('a missing column is told with line, name and what was likely meant', async () => {
    const error = await failure('id,churned\na,1\n', { values: [{ kind: 'truth', column: 'churnd' }] });
    expect(error.message).toBe('labels.csv, line 1: there is no column prediction_id, churnd');
    const typo = await failure('prediction_id,churned\na,1\n', { values: [{ kind: 'truth', column: 'churnd' }] });
    expect(typo.hint).toMatch(/Did you mean churned\?/);
  });

  test('wrong cells are told with line and column, all at once', async () => {
    const error = await failure('prediction_id,churned\na,x\n,2\nb,y\n', {
      values: [{ kind: 'score', column: 'churned' }],
    });
    expect(error.fields).toEqual([
      { pointer: 'line 2, churned', message: 'is no number' },
      { pointer: 'line 3, prediction_id', message: 'is blank: which prediction is it?' },
      { pointer: 'line 4, churned', message: 'is no number' },
    ]);
  });

  test('a broken file is told with its line', async () => {
    expect((await failure('prediction_id,churned\na\n')).message).toMatch(/line 2: 1 field, but the header has 2/);
    expect((await failure('prediction_id,churned\na,"1\n')).message).toMatch(/line 2: field 2 has a quote/);
    expect((await failure('')).message).toMatch(/is empty/);
    expect((await failure('{"a":1}\nx\n', {}, 'l.ndjson')).message).toMatch(/line 1, |line 2: is no JSON object/);
  });
});
