import { expect, test } from 'vitest';
import { CliError } from './cli-error.ts';
import { formatOf, readNdjson, requestOf } from './records.ts';

async function* once(text: string): AsyncGenerator<string> {
  yield text;
}

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

test.each(['{age: 41}', '', '[{"a": 1}, 2]', '"text"', 'null'])('%s is refused as not valid', (text) => {
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
    for await (const row of readNdjson(once(text), 'rows.ndjson')) records.push(row);
    return records;
  };
  expect(await read('{"a":1}\n\n{"a":2}')).toEqual([
    { record: { a: 1 }, line: 1 },
    { record: { a: 2 }, line: 3 },
  ]);
  const failure = await read('{"a":1}\n{"a": 1, x}\n').catch((error: unknown) => error as Error);
  expect((failure as Error).message).toMatch(/^rows\.ndjson, line 2 is not valid JSON/);
  // One line number: the file's.
  expect((failure as Error).message.match(/\bline\b/g)).toHaveLength(1);
});

test.each(['[5.1, 3.5]', '[[5.1, 3.5], [6, 3]]', '["a"]'])('%s are values without names', (text) => {
  expect(requestOf(text, '--json')).toEqual({ rows: JSON.parse(text) });
});
