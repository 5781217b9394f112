import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CliError } from './cli-error.ts';
import { type LabelColumns, namesOf, readLabels } from './label-file.ts';
import { csvRows, jsonRows, labelRows } from './label-rows.ts';

const columns: LabelColumns = {
  subject: { field: 'predictionId', column: 'prediction_id' },
  values: [{ kind: 'truth', column: 'churned' }],
  revision: null,
  at: null,
};

async function* pieces(text: string) {
  for (let at = 0; at < text.length; at += 7) yield text.slice(at, at + 7);
}

async function itemsOf(rows: Parameters<typeof readLabels>[0], file: string, asked: LabelColumns) {
  const items = [];
  for await (const batch of readLabels(rows, file, asked)) items.push(...batch.items);
  return items;
}

function read(text: string, change: Partial<LabelColumns> = {}, file = 'labels.csv') {
  const asked = { ...columns, ...change };
  const isCsv = file.endsWith('.csv');
  return itemsOf(isCsv ? csvRows(pieces(text), file, namesOf(asked)) : jsonRows(pieces(text), file), file, asked);
}

const thrownBy = (reading: Promise<unknown>): Promise<CliError> =>
  reading.then(
    () => Promise.reject(new Error('it was read')),
    (error) => error,
  );
const failure = (text: string, change: Partial<LabelColumns> = {}, file?: string): Promise<CliError> =>
  thrownBy(read(text, change, file));

describe('a file of labels', () => {
  test('rows become items; blanks say nothing; numbers and booleans mean themselves', async () => {
    expect(await read('prediction_id,churned,other\na,1,x\nb,,x\nc,true,x\nd,good,x\n')).toEqual([
      { predictionId: 'a', truth: 1 },
      { predictionId: 'c', truth: true },
      { predictionId: 'd', truth: 'good' },
    ]);
  });

  test('JSON lines keep their types', async () => {
    const text =
      '{"prediction_id":"a","churned":{"p":0.5}}\n\n{"prediction_id":"b","churned":null}\n{"prediction_id":"c","churned":"1"}\n';
    expect(await read(text, {}, 'labels.jsonl')).toEqual([
      { predictionId: 'a', truth: { p: 0.5 } },
      { predictionId: 'c', truth: '1' },
    ]);
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

describe('a Parquet file of labels', () => {
  let folder: string;
  let path: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'slipway-labels-'));
    // A star and a quote in its name mean themselves.
    path = join(folder, "la*b'els[1].parquet");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const write = async (select: string): Promise<void> => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    await connection.run(`copy (${select}) to '${path.replaceAll("'", "''")}' (format parquet)`);
    connection.closeSync();
    instance.closeSync();
  };
  const readFile = (change: Partial<LabelColumns> = {}) => {
    const asked = { ...columns, ...change };
    return itemsOf(labelRows(path, namesOf(asked)), 'labels.parquet', asked);
  };
  const ROWS = (values: string): string => `select * from (values ${values}) as t(prediction_id, churned)`;

  test.each([
    ['doubles; NaN and null say nothing', `('a', 0.5::double), ('b', 'nan'::double), ('c', null)`, [0.5]],
    ['64-bit numbers, the large as texts', `('a', 7::bigint), ('b', 9007199254740993)`, [7, '9007199254740993']],
    ['booleans', `('a', true), ('b', false)`, [true, false]],
    ['texts, which stay texts', `('a', '1'), ('b', 'übel 🐟')`, ['1', 'übel 🐟']],
    ['times', `('a', timestamp '2026-01-02 03:04:05')`, ['2026-01-02T03:04:05.000Z']],
    ['decimals', `('a', 1.25::decimal(9, 4))`, [1.25]],
    ['structures and lists', `('a', {x: [1::bigint, 2]})`, [{ x: [1, 2] }]],
  ])('of %s', async (_, values, truths) => {
    await write(ROWS(values));
    expect((await readFile()).map((item) => item.truth)).toEqual(truths);
  });

  test('is read row by row in order, however long', async () => {
    await write(`select 'p' || range as prediction_id, range % 7 as churned, range as other from range(30000)`);
    const items = await readFile();
    expect(items).toHaveLength(30_000);
    expect(items[29_999]).toEqual({ predictionId: 'p29999', truth: 29_999 % 7 });
  });

  test('tells row and column of wrong cells, and columns that are missing or no labels', async () => {
    await write(ROWS(`('a', 'x'), (null, '2'), ('b', 'inf')`));
    const error = await thrownBy(readFile({ values: [{ kind: 'score', column: 'churned' }] }));
    expect(error.fields).toEqual([
      { pointer: 'row 1, churned', message: 'is no number' },
      { pointer: 'row 2, prediction_id', message: 'is blank: which prediction is it?' },
      { pointer: 'row 3, churned', message: 'is no number' },
    ]);
    const typo = await thrownBy(readFile({ values: [{ kind: 'truth', column: 'churnd' }] }));
    expect(typo.message).toMatch(/the schema: there is no column churnd/);
    expect(typo.hint).toMatch(/Did you mean churned\?/);
    await write(ROWS(`('a', 'inf'::double)`));
    expect((await thrownBy(readFile())).fields).toEqual([
      { pointer: 'row 1, churned', message: 'is infinite, and no label' },
    ]);
    await write(ROWS(`('a', 'x'::blob)`));
    expect((await thrownBy(readFile())).message).toContain('column churned is of the type BLOB');
  });

  test('that is none, cut off or not there is told as that', async () => {
    writeFileSync(path, 'prediction_id,churned\na,1\n');
    expect((await thrownBy(readFile())).message).toContain('is no Parquet file that can be read');
    rmSync(path);
    expect(await thrownBy(readFile())).toMatchObject({ code: 'ENOENT' });
  });
});
