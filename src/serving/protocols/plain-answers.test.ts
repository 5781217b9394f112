import { describe, expect, test } from 'vitest';
import type { Signature } from '../../registry/signature.ts';
import { answerFormOf, writePredictions } from './plain-answers.ts';
import type { Answered, WireAnswer } from './protocol.ts';

const signature: Signature = {
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 1] }],
  outputs: [
    { name: 'label', datatype: 'BYTES', shape: [-1] },
    { name: 'p', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes, please'] },
    { name: 'v', datatype: 'INT64', shape: [-1, 2] },
  ],
};
const answered: Answered = { endpoint: 'm', version: 3, predictionId: 'id', signature };
const outputs = [
  { name: 'label', datatype: 'BYTES', shape: [2], data: ['a"b', 'c'] },
  { name: 'p', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(0.25, 0.75, Number.NaN, 1) },
  { name: 'v', datatype: 'INT64', shape: [2, 2], data: BigInt64Array.of(9007199254740993n, 1n, 2n, 3n) },
] as const;
const write = (form: string) =>
  writePredictions({ id: null, inputs: [], rows: 2, outputs: null, form }, outputs, answered) as WireAnswer;

describe('Accept', () => {
  test.each([
    [undefined, undefined],
    ['*/*', undefined],
    ['application/json', undefined],
    ['text/html', undefined],
    ['text/csv', 'text/csv'],
    ['TEXT/CSV; header=present', 'text/csv'],
    ['application/jsonl', 'application/jsonl'],
    ['text/html, application/x-ndjson;q=0.9, */*;q=0.1', 'application/x-ndjson'],
    ['application/json;q=0.2, text/csv;q=0.1', undefined],
    ['text/csv;q=0', undefined],
    ['text/csv;q=nonsense', undefined],
    [',;,=;q', undefined],
  ])('%j asks for %j', (accept, form) => {
    expect(answerFormOf(accept)).toBe(form);
    expect(answerFormOf(accept)).toBe(form);
  });
});

describe('answers', () => {
  test('as NDJSON are one prediction a line', () => {
    expect(write('application/x-ndjson')).toEqual({
      contentType: 'application/x-ndjson',
      body:
        '{"id":"id.0","label":"a\\"b","p":{"no":0.25,"yes, please":0.75},"v":[9007199254740993,1]}\n' +
        '{"id":"id.1","label":"c","p":{"no":"NaN","yes, please":1},"v":[2,3]}\n',
    });
  });

  test('as CSV have a column a value', () => {
    expect(write('text/csv')).toEqual({
      contentType: 'text/csv; charset=utf-8; header=present',
      body: 'id,label,p.no,"p.yes, please",v.0,v.1\r\nid.0,"a""b",0.25,0.75,9007199254740993,1\r\nid.1,c,NaN,1,2,3\r\n',
    });
  });
});
