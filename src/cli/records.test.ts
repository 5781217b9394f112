import { expect, test } from 'vitest';
import type { Signature } from '../../sdk/src/types.ts';
import { CliError } from './cli-error.ts';
import { formatOf, readCsvRecords, readNdjson, requestOf } from './records.ts';

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

async function readAll(text: string, ignoreUnknown = false): Promise<Record<string, unknown>[]> {
  const records: Record<string, unknown>[] = [];
  for await (const record of readCsvRecords(once(text), SIGNATURE, { ignoreUnknown })) records.push(record);
  return records;
}

async function failureOf(text: string): Promise<CliError> {
  const error = await readAll(text).catch((thrown: unknown) => thrown);
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

test('an empty cell of a number is left out, an empty text is a text', async () => {
  expect(await readAll('age,plan\n,\n')).toEqual([{ plan: '' }]);
});

test('all faults come at once, each with its line and column', async () => {
  const error = await failureOf('age,account,member\nold,1,true\n41,1.5,maybe\n41,1\n');
  expect(error.reason).toBe('validation');
  expect(error.fields).toEqual([
    { pointer: 'line 2, age', message: '"old" is not a number' },
    { pointer: 'line 3, account', message: '"1.5" is not a number' },
    { pointer: 'line 3, member', message: '"maybe" is not true, false, 1 or 0' },
    { pointer: 'line 4', message: '2 fields, but the header has 3' },
  ]);
});

test('an unknown column is refused by name, or left out when asked', async () => {
  const error = await failureOf('age,target\n41,1\n');
  expect(error.message).toContain('target');
  expect(error.hint).toContain('--ignore-columns');
  expect(await readAll('age,target\n41,1\n', true)).toEqual([{ age: 41 }]);
});

test('a file without a header line is told what columns there are', async () => {
  const error = await failureOf('41,1000,pro\n42,2000,free\n');
  expect(error.hint).toContain('age, income, plan, account, member');
});

test.each([
  ['{"age": 41}', { records: [{ age: 41 }] }],
  ['[{"age": 41}, {"age": 2}]', { records: [{ age: 41 }, { age: 2 }] }],
  ['{"records": [{"age": 41}]}', { records: [{ age: 41 }] }],
  ['{"inputs": {"X": [[1, 2]]}}', { inputs: { X: [[1, 2]] } }],
  ['{"inputs": 3}', { records: [{ inputs: 3 }] }],
  ['{"id": 9007199254740993}', { records: [{ id: 9007199254740993n }] }],
])('%s is understood', (text, request) => {
  expect(requestOf(text, '--json')).toEqual(request);
});

test.each(['{age: 41}', '', '[1]', '"text"', 'null'])('%s is refused as not valid', (text) => {
  expect(() => requestOf(text, '--json')).toThrow(CliError);
});

test.each([
  ['a.csv', '{', 'csv'],
  ['a.jsonl', '[', 'ndjson'],
  ['a.json', 'x', 'json'],
  ['-', '[{"a":1}]', 'json'],
  ['-', '{"a":1}\n{"a":2}\n', 'ndjson'],
  ['-', '{\n  "a": 1\n}\n', 'json'],
  ['-', '{"a":1}', 'json'],
  ['-', 'a,b\n1,2\n', 'csv'],
])('%s beginning with %j is %s', (path, start, format) => {
  expect(formatOf(path, start)).toBe(format);
});

test('NDJSON is read line by line, with the number of a bad line', async () => {
  const read = async (text: string): Promise<unknown[]> => {
    const records: unknown[] = [];
    for await (const record of readNdjson(once(text))) records.push(record);
    return records;
  };
  expect(await read('{"a":1}\n\n{"a":2}')).toEqual([{ a: 1 }, { a: 2 }]);
  await expect(read('{"a":1}\n{"a":\n')).rejects.toThrow(/^line 2 is not valid JSON/);
});
