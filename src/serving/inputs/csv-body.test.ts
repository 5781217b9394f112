import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { readCsvBody } from './csv-body.ts';
import { parseMediaType } from './media-type.ts';

const signature: Signature = {
  inputs: [
    { name: 'numbers', datatype: 'FP32', shape: [-1, 2], features: ['age', 'income'] },
    { name: 'plan', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'account', datatype: 'INT64', shape: [-1, 1] },
    { name: 'member', datatype: 'BOOL', shape: [-1] },
    { name: 'extra', datatype: 'INT8', shape: [-1, 2], optional: true },
  ],
  outputs: [],
};
const target = (of: Signature = signature): InputTarget => ({ name: 'm@1', signature: of, canBatch: true });
const read = (text: string | Uint8Array, type = 'text/csv', of = signature) =>
  readCsvBody(typeof text === 'string' ? Buffer.from(text) : text, parseMediaType(type), target(of));
const refused = (text: string | Uint8Array, type = 'text/csv', of = signature): SlipwayError => {
  try {
    read(text, type, of);
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    return error as SlipwayError;
  }
  throw new Error('it was accepted');
};

const TENSORS = [
  { name: 'numbers', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(41, 1000, 0.5, -3) },
  { name: 'plan', datatype: 'BYTES', shape: [2, 1], data: ['pro', 'a,"b"\nc'] },
  { name: 'account', datatype: 'INT64', shape: [2, 1], data: BigInt64Array.of(9007199254740993n, 12n) },
  { name: 'member', datatype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
];

describe('a table', () => {
  test.each([
    ['with names', 'age,income,plan,account,member\n41,1e3,pro,9007199254740993,true\n.5,-3,"a,""b""\nc",12.0,0\n'],
    [
      'with CRLF, BOM and no line end',
      '\ufeffage,income,plan,account,member\r\n41,1e3,pro,9007199254740993,TRUE\r\n0.5,-3,"a,""b""\nc",12,no',
    ],
    ['in another order', 'member,plan,income,account,age\n1,pro,1000,9007199254740993,41\n0,"a,""b""\nc",-3,12,.5\n'],
    ['with semicolons', 'age;income;plan;account;member\n41;1e3;pro;9007199254740993;1\n.5;-3;"a,""b""\nc";12;0\n'],
  ])('%s becomes tensors', (_name, text) => {
    expect(read(text)).toEqual({ inputs: TENSORS, rows: 2 });
  });

  test('without names is taken by position, with or without the optional input', () => {
    const type = 'text/csv; header=absent; charset=utf-8';
    expect(read('41,1e3,pro,9007199254740993,1\n.5,-3,"a,""b""\nc",12,0\n', type)).toEqual({
      inputs: TENSORS,
      rows: 2,
    });
    expect(read('1,2,x,3,1,-7,8', type).inputs[4]).toEqual({
      name: 'extra',
      datatype: 'INT8',
      shape: [1, 2],
      data: Int8Array.of(-7, 8),
    });
  });

  test('columns of an input without feature names are called by its name and place', () => {
    const of: Signature = { inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2, 2] }], outputs: [] };
    expect(read('X.3,X.0,X.1,X.2\n4,1,2,3\n', 'text/csv', of).inputs[0]).toEqual({
      name: 'X',
      datatype: 'FP32',
      shape: [1, 2, 2],
      data: Float32Array.of(1, 2, 3, 4),
    });
  });

  test('a blank cell is a missing float and an empty text', () => {
    const { inputs } = read('age,income,plan,account,member\n,NA,,1,0\n');
    expect(inputs.slice(0, 2).map((input) => input.data)).toEqual([Float32Array.of(Number.NaN, Number.NaN), ['']]);
  });

  test('infinities come through, numbers beyond FP32 do not', () => {
    const of: Signature = { inputs: [{ name: 'a', datatype: 'FP32', shape: [-1] }], outputs: [] };
    expect(read('a\ninf\n-Infinity\n', 'text/csv', of).inputs[0]!.data).toEqual(
      Float32Array.of(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    );
    expect(refused('a\n1e39\n', 'text/csv', of).message).toContain('/a at line 2, column 1 is too large for FP32');
  });

  test('many rows grow without losing one', () => {
    const of: Signature = {
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3], features: ['a', 'b', 'c'] }],
      outputs: [],
    };
    const rows = Array.from({ length: 1000 }, (_, at) => `${at + 0.5},${at},${-at - 1}`);
    const { data } = read(`c,a,b\n${rows.join('\n')}\n`, 'text/csv', of).inputs[0]!;
    expect(data).toEqual(Float32Array.from(rows.flatMap((_, at) => [at, -at - 1, at + 0.5])));
  });

  test('a model of one row at a time takes one', () => {
    const of: Signature = { inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 1] }], outputs: [] };
    expect(read('X\n1\n', 'text/csv', of).rows).toBe(1);
    expect(refused('X\n1\n2\n', 'text/csv', of).message).toContain('exactly one row');
  });
});

describe('faults', () => {
  const HEAD = 'age,income,plan,account,member\n';
  test.each([
    ['a word', `${HEAD}old,1,p,1,1\n`, ['/age', 'at line 2, column 1 must be a number']],
    ['hex', `${HEAD}0x10,1,p,1,1\n`, ['/age', 'at line 2, column 1 must be a number']],
    ['a number with underscores', `${HEAD}1_000,1,p,1,1\n`, ['/age', 'at line 2, column 1 must be a number']],
    ['two dots', `${HEAD}1.2.3,1,p,1,1\n`, ['/age', 'at line 2, column 1 must be a number']],
    ['beyond a double', `${HEAD}1e999,1,p,1,1\n`, ['/age', 'at line 2, column 1 must be a number']],
    ['a blank integer', `${HEAD}1,1,p,,1\n`, ['/account', 'at line 2, column 4 is blank and must be a whole number']],
    ['a fraction', `${HEAD}1,1,p,1.5,1\n`, ['/account', 'at line 2, column 4 must be a whole number']],
    [
      'an integer beyond 64 bits',
      `${HEAD}1,1,p,9223372036854775808,1\n`,
      ['/account', 'at line 2, column 4 is out of range for INT64: -9223372036854775808 to 9223372036854775807'],
    ],
    ['no truth', `${HEAD}1,1,p,1,maybe\n`, ['/member', 'at line 2, column 5 must be true, false, 1 or 0']],
    [
      'NUL in text',
      `${HEAD}1,1,a\0b,1,1\n`,
      ['/plan', 'at line 2, column 3 holds the character NUL, at which the model would cut the string'],
    ],
    ['NUL in a number', `${HEAD}1\0,1,p,1,1\n`, ['/age', 'at line 2, column 1 must be a number']],
    ['too few fields', `${HEAD}1,1\n`, ['', 'has 2 fields in line 2, but 5 columns']],
    ['too many fields', `${HEAD}1,1,p,1,1,1\n`, ['', 'has 6 fields in line 2, but 5 columns']],
    [
      'a row behind a field of two lines',
      `${HEAD}1,1,"p\nq",1,1\nx,1,p,1,1\n`,
      ['/age', 'at line 4, column 1 must be a number'],
    ],
    ['nothing', '', ['', 'has no rows below its line of column names']],
    ['only names', HEAD, ['', 'has no rows below its line of column names']],
    ['an open quote', `${HEAD}1,1,"p,1,1\n`, ['', 'is not CSV: field 3 of line 2 has a quote that is never closed']],
    [
      'text behind a quote',
      `${HEAD}1,1,"p"q,1,1\n`,
      ['', 'is not CSV: field 3 of line 2 goes on after its closing quote'],
    ],
    [
      'a huge field',
      `${HEAD}1,1,${'x'.repeat(1024 * 1024 + 1)},1,1\n`,
      ['', 'is not CSV: field 3 of line 2 is longer than 1048576 characters'],
    ],
  ])('%s is told with its place', (_name, text, [pointer, message]) => {
    const error = refused(text);
    expect([error.code, error.fields[0]]).toEqual(['invalid_input', { pointer, message }]);
  });

  test('names: unknown ones with a proposal, missing and doubled ones', () => {
    const error = refused('agee,income,plan,account,member,plan\n1,1,p,1,1,p\n');
    expect(error.fields).toEqual([
      { pointer: '/agee', message: 'at line 1, column 1 is not a column of this model; did you mean age?' },
      { pointer: '/plan', message: 'at line 1, column 6 stands twice in the header' },
      { pointer: '/age', message: 'is missing from the header (FP32)' },
    ]);
    expect(error.hint).toContain('This model takes the columns age, income, plan, account, member, extra.0');
  });

  test('an optional input comes whole or not at all', () => {
    expect(refused('age,income,plan,account,member,extra.0\n1,1,p,1,1,1\n').fields).toEqual([
      { pointer: '/extra.1', message: 'is missing from the header (INT8)' },
    ]);
  });

  test('a blank line in a table of one column is not guessed at', () => {
    const of: Signature = { inputs: [{ name: 'a', datatype: 'FP32', shape: [-1] }], outputs: [] };
    expect(refused('a\n1\n\n2\n', 'text/csv', of).fields[0]!.message).toContain('has a blank line 3');
    expect(read('a\n1\n""\n2\n\n\n', 'text/csv', of).rows).toBe(3);
  });

  test('other charsets, headers and bytes are refused', () => {
    expect(refused('a', 'text/csv; charset=latin1').code).toBe('unsupported_media');
    expect(refused('a', 'text/csv; header=maybe').code).toBe('unsupported_media');
    expect(refused(Buffer.from([0xff, 0xfe, 0x00])).fields[0]!.message).toBe('is not valid UTF-8');
  });

  test('models that take no table say so', () => {
    for (const shape of [[], [3], [-1, -1]]) {
      const of: Signature = { inputs: [{ name: 'X', datatype: 'FP32', shape }], outputs: [] };
      expect(refused('X\n1\n', 'text/csv', of).message).toMatch(/^m@1 cannot be asked with a table/);
    }
  });

  test('stop at fifty', () => {
    expect(refused(HEAD + 'x,x,p,x,x\n'.repeat(1000)).fields).toHaveLength(50);
  });

  test('whatever comes is read or refused, never a fault of ours', () => {
    const piece = fc.constantFrom(
      'age',
      'income,plan,account,member',
      ',',
      '\n',
      '\r\n',
      '"',
      '""',
      '1',
      '-',
      '\0',
      'é',
      ';',
    );
    const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, fc.boolean(), fc.constantFrom('text/csv', 'text/csv;header=absent'), (body, withHead, type) => {
        try {
          read((withHead ? HEAD : '') + body, type);
        } catch (error) {
          expect(error).toBeInstanceOf(SlipwayError);
          expect((error as SlipwayError).kind).toBe('invalid');
        }
      }),
      { numRuns: 300 },
    );
  });
});
