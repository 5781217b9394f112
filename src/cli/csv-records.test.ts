import { expect, test } from 'vitest';
import type { Signature } from '../../sdk/src/types.ts';
import { CliError } from './cli-error.ts';
import { readCsvRecords } from './csv-records.ts';
import { requestOfRows, takesTables } from './positional.ts';
import type { Row } from './records.ts';

const SIGNATURE: Signature = {
  inputs: [
    { name: 'numbers', datatype: 'FP32', shape: [-1, 2], features: ['age', 'income'] },
    { name: 'plan', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'account', datatype: 'INT64', shape: [-1, 1] },
    { name: 'member', datatype: 'BOOL', shape: [-1, 1] },
  ],
  outputs: [],
};

async function* once(text: string): AsyncGenerator<string> {
  yield text;
}

const notes: string[] = [];
async function readRows(text: string, signature: Signature, ignoreUnknown = false): Promise<Row[]> {
  const options = { file: 'rows.csv', ignoreUnknown, note: (said: string) => void notes.push(said) };
  const rows: Row[] = [];
  for await (const row of readCsvRecords(once(text), signature, options)) rows.push(row);
  return rows;
}

async function readAll(text: string, ignoreUnknown = false): Promise<Record<string, unknown>[]> {
  return (await readRows(text, SIGNATURE, ignoreUnknown)).map((row) => row.record);
}

async function failureOf(text: string, signature = SIGNATURE): Promise<CliError> {
  const error = await readRows(text, signature).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CliError);
  return error as CliError;
}

test('cells are read by the types of the signature', async () => {
  const rows = 'age,income,plan,account,member\n41,1e3,007,9007199254740993,true\n.5,-3,"a,b",12.0,0\n';
  expect(await readAll(rows)).toEqual([
    { age: 41, income: 1000, plan: '007', account: 9007199254740993n, member: true },
    { age: 0.5, income: -3, plan: 'a,b', account: 12, member: false },
  ]);
});

test.each(['', 'NA', 'NaN', 'nan', 'null', ' ', 'N/A'])(
  '%j in a floating-point column is a missing value',
  async (blank) => {
    expect(await readAll(`age,income,plan,account,member\n${blank},1,,2,0\n`)).toEqual([
      { age: 'NaN', income: 1, plan: '', account: 2, member: false },
    ]);
  },
);

test('all faults come at once, each with its line and column', async () => {
  const error = await failureOf('age,income,plan,account,member\nold,1,a,1,true\n41,1,a,1.5,maybe\n41,1,a,,\n41,1\n');
  expect(error.reason).toBe('validation');
  expect(error.message).toBe('6 cells of rows.csv do not fit the model');
  expect(error.fields).toEqual([
    { pointer: 'line 2, age', message: '"old" is not a number' },
    { pointer: 'line 3, account', message: '"1.5" is not a whole number' },
    { pointer: 'line 3, member', message: '"maybe" is not true, false, 1 or 0' },
    { pointer: 'line 4, account', message: 'is blank; it must be a whole number' },
    { pointer: 'line 4, member', message: 'is blank; it must be true, false, 1 or 0' },
    { pointer: 'line 5', message: '2 fields, but the header has 5' },
  ]);
  const one = await failureOf('age,income,plan,account,member\nold,1,a,1,true\n');
  expect(one.message).toBe('1 cell of rows.csv does not fit the model');
});

test('an unknown column is refused by name, or left out when asked', async () => {
  const text = 'age,income,plan,account,member,target\n41,1,a,1,1,9\n';
  const error = await failureOf(text);
  expect(error.message).toContain('target');
  expect(error.hint).toContain('--ignore-columns');
  expect(await readAll(text, true)).toEqual([{ age: 41, income: 1, plan: 'a', account: 1, member: true }]);
});

test('a missing column is what to mend first, not the unknown one that stands for it', async () => {
  const error = await failureOf('Age,income,plan,account,member\n41,1,a,1,1\n');
  expect(error.message).toBe('rows.csv has no column age, which the model needs');
  expect(error.hint).toContain('Age');
  expect(error.hint).not.toContain('--ignore-columns');
});

test('an empty file is named', async () => {
  expect((await failureOf('')).message).toBe('rows.csv is empty');
});

test('a file without a header line is told what columns there are', async () => {
  const error = await failureOf('41,1000,pro\n42,2000,free\n');
  expect(error.hint).toContain('age, income, plan, account, member');
});

const UNNAMED: Signature = { inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }], outputs: [] };

test('columns of a model that names none are taken in their order, and it says so', async () => {
  notes.length = 0;
  expect(await readRows('a,b,c\n1,2,3\n4,,6\n', UNNAMED)).toEqual([
    { record: { X: [1, 2, 3] }, line: 2 },
    { record: { X: [4, 'NaN', 6] }, line: 3 },
  ]);
  expect(notes).toHaveLength(1);
  expect(notes[0]).toContain('a, b, c');
  expect(notes[0]).toContain('signature.inputs.X.features');
  // As pandas calls columns without names.
  expect(await readRows('0,1,2\n7,8,9\n', UNNAMED)).toEqual([{ record: { X: [7, 8, 9] }, line: 2 }]);
});

test('another number of columns, or values for a header, is refused with what to do', async () => {
  const more = await failureOf('index,a,b,c\n0,1,2,3\n', UNNAMED);
  expect(more.message).toContain('4 columns (index, a, b, c)');
  expect(more.hint).toContain('exactly 3 columns');
  expect(more.hint).toContain('signature.inputs.X.features');
  expect((await failureOf('1.5,2,3\n4,5,6\n', UNNAMED)).hint).toContain('column names');
  expect((await failureOf('a,b,c\n1,x,3\n', UNNAMED)).fields).toEqual([
    { pointer: 'line 2, b', message: '"x" is not a number' },
  ]);
});

test.each([
  [[1, 2, 3], { inputs: { X: [[1, 2, 3]] } }],
  [
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    {
      inputs: {
        X: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      },
    },
  ],
])('%j typed without names is rows of the one input', (rows, request) => {
  expect(requestOfRows(rows, UNNAMED, '--json')).toEqual(request);
});

test('values without names for several inputs, or too deep, are refused with what to do', () => {
  expect(() => requestOfRows([1, 2], SIGNATURE, '--json')).toThrow(/4 inputs/);
  expect(() => requestOfRows([[[1]]], UNNAMED, '--json')).toThrow(/nested 3 deep/);
});

test('a table suits columns and rows of one matrix, not images', () => {
  expect([SIGNATURE, UNNAMED].map(takesTables)).toEqual([true, true]);
  expect(takesTables({ inputs: [{ name: 'I', datatype: 'FP32', shape: [-1, 3, 8, 8] }], outputs: [] })).toBe(false);
});
