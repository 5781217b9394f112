import { describe, expect, test } from 'vitest';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import { readNdjsonBody } from './ndjson-body.ts';

const signature: Signature = {
  inputs: [
    { name: 'numbers', datatype: 'FP32', shape: [-1, 2], features: ['age', 'income'] },
    { name: 'account', datatype: 'INT64', shape: [-1, 1] },
  ],
  outputs: [],
};
const read = (text: string) => readNdjsonBody(Buffer.from(text), { name: 'm@1', signature, canBatch: true });
const refused = (text: string): SlipwayError => {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    return error as SlipwayError;
  }
  throw new Error('it was accepted');
};

describe('newline-delimited JSON', () => {
  test('is one record a line; blank lines and CRLF do not matter', () => {
    const text = '{"age":1,"income":2,"account":9007199254740993}\r\n\n  \n{"age":"NaN","income":4,"account":5}';
    expect(read(text)).toEqual({
      rows: 2,
      inputs: [
        { name: 'numbers', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, Number.NaN, 4) },
        { name: 'account', datatype: 'INT64', shape: [2, 1], data: BigInt64Array.of(9007199254740993n, 5n) },
      ],
    });
  });

  test('faults have a pointer into their record and its line', () => {
    const text =
      '{"age":1,"income":2,"account":3}\n\n{"age":"x","incom":2,"account":1.5}\n{"age":1,"income":2,"account":true}\n';
    const error = refused(text);
    expect(error.code).toBe('invalid_input');
    expect(error.fields).toEqual([
      { pointer: '/income', message: 'at line 3 is missing (FP32)' },
      { pointer: '/account', message: 'at line 3 must be a whole number for INT64' },
      { pointer: '/account', message: 'at line 4 must be a whole number, not a boolean' },
      { pointer: '/incom', message: 'at line 3 is not a feature of this model; did you mean income?' },
    ]);
    expect(error.message).toContain('m@1: /income at line 3 is missing');
  });

  test('lines that lack inputs are read up to the 50th only', () => {
    const good = '{"age":1,"income":2,"account":3}\n';
    const error = refused(`${good}${'{}\n'.repeat(49)}{"age":1,"income":2}\n{"age":`);
    expect([error.code, error.fields.length]).toEqual(['invalid_input', 50]);
    expect(error.fields[0]).toEqual({ pointer: '/age', message: 'at line 2 is missing (FP32)' });
    expect(refused(`${good}${'{}\n'.repeat(49)}{"age":`).code).toBe('invalid_json');
  });

  test.each([
    [
      '{"age":1,"income":2,"account":3}\n{"age":',
      'Line 2 of the body is not JSON: It ends in the middle of a JSON document',
    ],
    [
      '{"age":1,"income":2,"account":3}\n{"age":1 "income"}',
      'Line 2 of the body is not JSON: Unexpected text at column 10',
    ],
    ['\n{"a":1,"a":2}', 'Line 2 of the body is not JSON: A key stands twice in one object'],
    ['[1,2]', 'm@1: the body at line 1 must be an object by feature name, not an array'],
    ['', 'm@1: the body must have at least one record'],
    ['\n\n', 'm@1: the body must have at least one record'],
  ])('%j is refused with its line', (text, message) => {
    expect(refused(text).message).toBe(message);
  });
});
