import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCsvScanner, csvField, readCsv } from './csv.ts';

async function* pieces(text: string, size: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
}

async function read(text: string, size = 1000): Promise<{ fields: readonly string[]; line: number }[]> {
  const rows: { fields: readonly string[]; line: number }[] = [];
  for await (const row of readCsv(pieces(text, size))) rows.push(row);
  return rows;
}

test.each([
  [
    'plain',
    'a,b\n1,2\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'no newline at the end',
    'a,b\n1,2',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'CRLF',
    'a,b\r\n1,2\r\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'byte order mark',
    '\ufeffa,b\n1,2\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'semicolons',
    'a;b\n1,5;2\n',
    [
      ['a', 'b'],
      ['1,5', '2'],
    ],
  ],
  [
    'tabs',
    'a\tb\n1\t2\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'quotes with separator, quote and line break',
    'a,b\n"x,""y""\nz",2\n',
    [
      ['a', 'b'],
      ['x,"y"\nz', '2'],
    ],
  ],
  [
    'empty fields',
    'a,b,c\n,,\n',
    [
      ['a', 'b', 'c'],
      ['', '', ''],
    ],
  ],
  ['blank lines are no rows', 'a\n\n1\n\n', [['a'], ['1']]],
  ['an empty quoted field is a row', 'a\n""\n', [['a'], ['']]],
  ['only a header', 'a,b', [['a', 'b']]],
  ['nothing', '', []],
])('reads %s', async (_name, text, rows) => {
  for (const size of [1, 2, 1000]) expect((await read(text, size)).map((row) => row.fields)).toEqual(rows);
});

test('says on which line a row begins, also after a field with line breaks', async () => {
  expect((await read('a,b\n"1\n2",3\n4,5\n')).map((row) => row.line)).toEqual([1, 2, 4]);
});

test('reads back whatever was written, however it is cut', async () => {
  const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', ' ', ';', 'ß') });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(cell, cell), { minLength: 1 }),
      fc.integer({ min: 1, max: 7 }),
      async (rows, size) => {
        const text = `x,y\n${rows.map((row) => row.map((field) => `"${field.replaceAll('"', '""')}"`).join(',')).join('\n')}\n`;
        const back = (await read(text, size)).slice(1).map((row) => row.fields);
        expect(back).toEqual(rows);
      },
    ),
    { numRuns: 200 },
  );
});

test('blank lines are no rows, but lines', () => {
  const rows = [...createCsvScanner(',').scan('\n\r\na\n\n\r\n\nb\r\n"c"\n\n\n', true)];
  expect(rows.map(({ fields, line, nextLine }) => [...fields, line, nextLine])).toEqual([
    ['a', 3, 4],
    ['b', 7, 8],
    ['c', 8, 9],
  ]);
});

test('writes fields that need quotes with quotes', () => {
  expect([1, 'a', 'a,b', 'a"b', null, true].map(csvField)).toEqual(['1', 'a', '"a,b"', '"a""b"', '', 'true']);
});
