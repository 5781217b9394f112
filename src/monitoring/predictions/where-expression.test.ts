import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batchOf, type Recording, rowsOf, startRecording } from '../../../test/fixtures/recording.ts';
import { SlipwayError } from '../../base/errors.ts';
import { compileWhere } from './where-expression.ts';

const FIELDS = new Set(['input.age', 'input.a "b"', 'output.score', 'status', 'unit']);
const compiled = (text: string) => {
  const { sql, parameters } = compileWhere(text, FIELDS);
  return [sql, ...parameters];
};

describe('a filter', () => {
  test.each([
    ['output.score > 0.9', '("output.score" > ?)', 0.9],
    ['input.age>=-1e3 ', '("input.age" >= ?)', -1000],
    ["status == 'it''s' or unit is not null", `(("status" = ?) or ("unit" is not null))`, "it's"],
    [
      "not (status in ('a', 'b') and input.age != 1)",
      '(not (("status" in (?, ?)) and ("input.age" <> ?)))',
      'a',
      'b',
      1,
    ],
    ['"input.a ""b""" is null', '("input.a ""b""" is null)'],
    [
      "unit not like '%x' and input.age between 1 and 2",
      '(("unit" not like ?) and ("input.age" between ? and ?))',
      '%x',
      1,
      2,
    ],
    ['status = TRUE', '("status" = ?)', true],
  ])('%s is written anew, with its values as parameters', (text, ...expected) => {
    expect(compiled(text)).toEqual(expected);
  });

  test.each([
    ['', 'at its end: the name of a field is expected'],
    ['input.aeg > 1', 'at character 1: there is no field input.aeg; did you mean input.age?'],
    ['input.age > ', "at its end: a number, 'text', true or false is expected"],
    ['input.age > 1 2', 'at character 15: and, or, or the end is expected'],
    ["status = 'open", 'at character 10: it cannot be read from here'],
    ['status = "unit"', "at character 10: a number, 'text', true or false is expected"],
    ['input.age > 1; drop table labels', 'at character 14: it cannot be read from here'],
    ['1 = 1', 'at character 1: the name of a field is expected'],
    ['input.age in (select 1)', "at character 15: a number, 'text', true or false is expected"],
    ['input.age > 1 -- unit', 'at character 15: and, or, or the end is expected'],
    [`${'('.repeat(60)}input.age > 1`, 'it is nested too deeply'],
    [`${'not '.repeat(60)}input.age > 1`, 'it is nested too deeply'],
    ['x'.repeat(5000), 'longer than 4000 characters'],
  ])('%s is refused with its place', (text, message) => {
    expect(() => compiled(text)).toThrow(message);
  });

  test('never has a word of its writer in the SQL, whatever it is', () => {
    const word = fc.constantFrom(
      ...[
        'input.age',
        '"input.a ""b"""',
        'status',
        'and',
        'or',
        'not',
        'in',
        'is',
        'null',
        'like',
        'between',
        '(',
        ')',
        ',',
        '=',
        '>',
        '<>',
        '-',
      ],
      ...[
        "'x'",
        "''';--'",
        '1',
        '.5e3',
        'true',
        ';',
        '--',
        '/*',
        '"',
        "'",
        '?',
        '$1',
        '\u0000',
        '\u202e',
        '🐟',
        'union select',
        '\\',
        '%',
      ],
    );
    const SQL =
      /^(?:\(|\)|, |\?| |not|and|or|in|is|null|like|between|=|<>|<=|>=|<|>|"(?:input\.age|input\.a ""b""|output\.score|status|unit)")*$/;
    fc.assert(
      fc.property(fc.array(word, { maxLength: 14 }), (words) => {
        const text = words.join(' ');
        try {
          const { sql, parameters } = compileWhere(text, FIELDS);
          expect(sql).toMatch(SQL);
          expect(sql.split('?').length - 1).toBe(parameters.length);
        } catch (error) {
          if (!(error instanceof SlipwayError) || error.code !== 'invalid_request') throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a filter over a log', () => {
  let r: Recording;
  beforeAll(async () => {
    r = await startRecording();
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(20)));
    end();
    await r.monitoring.ingest();
  });
  afterAll(() => r.stop());

  test.each([
    ["input.country = 'DE'", 20],
    ["input.country = '''; drop table prediction_files; --'", 0],
    ["input.country like '%\u202e%' or input.country = '🐟'", 0],
    ['output.score > 1e400', 0],
    ['input.amount in (99999999999999999999)', 0],
    ['input.amount < 99999999999999999999', 20],
    ['input.amount > -1e30', 20],
    [`input.amount in (${Array.from({ length: 800 }, (_, at) => at).join(',')})`, 20],
    [Array.from({ length: 150 }, () => 'input.amount >= 0').join(' and '), 20],
    [`${'('.repeat(49)}input.amount >= 0${')'.repeat(49)}`, 20],
  ])('%s answers', async (where, rows) => {
    expect(await r.list(where)).toHaveLength(rows);
  });

  test.each([
    ["input.amount > 'much'"],
    ['input.country > 3'],
    ['at = true'],
    ["id = 1 or version = 'x'"],
    ["input.email = 'dropped'"],
    ['read_csv > 1'],
  ])('%s is refused as a fault of the asker, or finds nothing', async (where) => {
    const found = await r.list(where).catch((error: unknown) => error);
    if (Array.isArray(found)) expect(found).toEqual([]);
    else expect(found).toMatchObject({ code: 'invalid_request' });
  });
});
