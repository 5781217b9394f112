import { expect, test } from 'vitest';
import { CliError } from './cli-error.ts';
import { explainInFile } from './file-rows.ts';

const failure = new CliError('validation', 'm@1: /records/1/age is missing (FP32 [N,1])', {
  code: 'invalid_input',
  fields: [{ pointer: '/records/1/age', message: 'is missing (FP32 [N,1])' }],
});

test('a record of a request is named by its line, with how many rows were done and where it stopped', () => {
  const batch = { records: [{}, {}, {}], lines: [258, 260, 261] };
  const told = explainInFile(failure, { file: 'rows.csv', unit: 'line', batch, done: 256, shown: true });
  expect(told.message).toBe(
    'm@1: line 260, age is missing (FP32 [N,1]). Stopped in lines 258 to 261 of rows.csv. 256 rows before were answered.',
  );
  expect(told.fields).toEqual([{ pointer: 'line 260, age', message: 'is missing (FP32 [N,1])' }]);
  expect(told).toMatchObject({ reason: 'validation', code: 'invalid_input' });
});

test('answers that are only printed at the end are told to be lost', () => {
  const told = explainInFile(failure, { file: 'a', unit: 'line', batch: null, done: 1, shown: false });
  expect(told.message).toMatch(/1 row before was answered; `-o ndjson`/);
});
