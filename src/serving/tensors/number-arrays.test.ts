import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../../base/json.ts';
import { cutNumberArrays, cutNumberRows } from './number-arrays.ts';

/** The value of a body with its cut arrays put back: must be what parsing the whole gives. */
function throughCut(text: string): unknown {
  const cut = cutNumberArrays(Buffer.from(text), 0);
  if (cut === null) return parseJson(Buffer.from(text));
  const back = (value: unknown): unknown => {
    const numbers = cut.arrayAt(value);
    if (numbers !== null) return [...numbers];
    if (Array.isArray(value)) return value.map(back);
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, back(item)]));
    return value;
  };
  return back(parseJson(cut.bytes));
}

const isCut = (numbers: string): boolean => cutNumberArrays(Buffer.from(`{"data":[${numbers}]}`), 0) !== null;

describe('numbers', () => {
  it.each([
    '0',
    '-0',
    '1',
    '-1',
    '10',
    '0.5',
    '-0.25',
    '1e3',
    '1E+3',
    '1e-3',
    '123456789012345',
    '0.1',
    '0.30000000000000004',
    '1.7976931348623157e308',
    '5e-324',
    '2.2250738585072011e-308',
    '1e22',
    '1e23',
    '9007199254740993.0',
    '0.000001',
    '123456.789e-7',
    '1e-400',
    '0e999',
    '8.41245',
    '-2.8476',
    '4.35',
    '1.005',
    '179769313486231570000000000000000000000e270',
    '0.00000000000000000000000000000000000001',
    '72057594037927945e0',
    '1.0000000000000002',
    '100000000000000.5',
  ])('%s is the double that JSON.parse gives', (text) => {
    expect(throughCut(`{"data":[${text},${text}]}`)).toEqual({ data: [JSON.parse(text), JSON.parse(text)] });
  });

  it('so is every double, however it is printed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }),
        fc.integer({ min: 1, max: 17 }),
        (numbers, precision) => {
          for (const print of [
            String,
            (n: number) => n.toPrecision(precision),
            (n: number) => n.toExponential(),
            (n: number) => n.toFixed(6),
          ]) {
            const text = `{"data":[${numbers.map(print)}]}`;
            if (isCut(text.slice(9, -2))) expect(throughCut(text)).toEqual(JSON.parse(text));
          }
        },
      ),
    );
  });

  it.each([
    '',
    ' ',
    '01',
    '-',
    '+1',
    '.5',
    '1.',
    '1.e3',
    '1e',
    '1e+',
    '1_0',
    '0x1',
    'NaN',
    'Infinity',
    '1 2',
    '1,',
    ',1',
    '1,,2',
    '1a',
    '[1]',
    '1,[2]',
    '{}',
    '"1"',
    'null',
    'true',
    '1e309',
    '-1e309',
    '1,null',
    '1234567890123456',
    '9007199254740993',
    '12345678901234567890',
    '\u00a01',
    '1\u2028',
  ])('%j stays where it is, for the parser to judge', (text) => {
    expect(isCut(text)).toBe(false);
  });
});

describe('bodies', () => {
  it.each([
    '{"inputs":[{"name":"X","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}',
    '{ "inputs" : [ { "data" : [ 1 , 2\n,\t3 ] , "name":"X" },{"data":[4.5]} ] }',
    '{"data":[1],"data2":[2],"xdata":[3],"a":{"data":[4]},"b":[{"data":[5]},{"data":["x"]},{"data":[[6]]},{"data":[7]}]}',
    '{"id":"\\"data\\":[1,2]","data":[3]}',
    '{"my\\"data":[1,2],"data":[3]}',
    '{"a\\\\":1,"data":[3]}',
    '{"id":"data","x":["data"],"data":[3]}',
    '{"d\\u0061ta":[1],"x":{"data":[3]}}',
    '{"data":5,"x":{"data":[]},"y":{"data":[1]}}',
  ])('mean the same as before: %j', (text) => {
    expect(throughCut(text)).toEqual(JSON.parse(text));
  });

  it.each([
    '{"data":[1]',
    '{"data":[1]]}',
    '{"a""data":[1]}',
    '{"a"data":[1]}',
    '{"data":[1],}',
    '{x"data":[1]}',
    '"data":[1]',
    '{"data":[1]"data":[2]}',
  ])('that are no JSON are none after the cut: %j', (text) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(() => parseJson(cutNumberArrays(Buffer.from(text), 0)!.bytes)).toThrow();
  });

  it('many arrays, and one that is long, mean the same', () => {
    const many = `[${Array.from({ length: 100 }, (_, i) => `{"data":[${i}]}`).join(',')}]`;
    const long = `{"data":[${Array.from({ length: 20_000 }, (_, i) => (i / 7).toFixed(4)).join(',')}]}`;
    for (const text of [many, long]) expect(throughCut(text)).toEqual(JSON.parse(text));
    expect(cutNumberArrays(Buffer.from(long))!.bytes.length).toBeLessThan(40);
    expect(cutNumberArrays(Buffer.from('{"data":[1]}'))).toBeNull();
  });

  it('random JSON, with "data" strewn in, means the same', () => {
    const key = fc.oneof(fc.constantFrom('data', '"data"', 'data":[1]', '\\"data', 'x'), fc.string());
    const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }));
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        numbers,
        fc.string(),
        fc.constantFrom('"data":[1,2]', '\\', '"'),
        fc.dictionary(key, tie('tree')),
        fc.array(tie('tree')),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.constantFrom(undefined, 1), (value, space) => {
        const text = JSON.stringify(value, null, space);
        if (text.includes('__proto__')) return;
        expect(throughCut(text)).toEqual(parseJson(Buffer.from(text)));
      }),
      { numRuns: 1000 },
    );
  });

  it('a key twice is still seen', () => {
    expect(() => parseJson(cutNumberArrays(Buffer.from('{"data":[1],"data":[2]}'), 0)!.bytes)).toThrow(/twice/);
  });
});

describe('rows of numbers', () => {
  const keys = ['"instances"', '"X"'].map((key) => Buffer.from(key));
  /** The value of a body with its cut rows put back. */
  const throughRows = (text: string): unknown => {
    const cut = cutNumberRows(Buffer.from(text), keys, 0);
    if (cut === null) return null;
    const [rows, width] = cut.shape;
    const nested = Array.from({ length: rows }, (_, row) => [...cut.data.subarray(row * width, (row + 1) * width)]);
    const back = (value: unknown): unknown => {
      if (value === cut.mark) return nested;
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, back(item)]));
    };
    return back(parseJson(cut.bytes));
  };

  it.each([
    '{"instances":[[1,2],[3,4]]}',
    '{ "signature_name" : "", "instances" : [ [ 1 , -2.5 ] , [ 3e2 , 4 ] , [0,0] ] }',
    '{"inputs":{"X":[[1]]}}',
    '{"instances":[[0.1,1e-7]],"y":[1]}',
  ])('are what parsing the whole gives: %s', (text) => {
    expect(throughRows(text)).toEqual(JSON.parse(text));
  });

  it.each([
    '{"instances":[[1,2],[3]]}',
    '{"instances":[[1],[2,3]]}',
    '{"instances":[]}',
    '{"instances":[[]]}',
    '{"instances":[1,2]}',
    '{"instances":[[1],null]}',
    '{"instances":[["1"]]}',
    '{"instances":[[NaN]]}',
    '{"instances":[[1],]}',
    '{"instances":[[1]',
    '{"instances":[[1]}',
    '{"instances":[[[1]]]}',
    '{"a\\"instances":[[1]]}',
    '{"other":[[1]]}',
  ])('are left alone where they are not plain, or not all of one length: %s', (text) => {
    expect(throughRows(text)).toBe(null);
  });

  it('are the same numbers, whatever they are', () => {
    const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer());
    const table = fc
      .integer({ min: 1, max: 5 })
      .chain((width) =>
        fc.array(fc.array(number, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 5 }),
      );
    fc.assert(
      fc.property(table, (rows) => {
        const text = JSON.stringify({ instances: rows });
        const seen = throughRows(text);
        if (seen !== null) expect(seen).toEqual(JSON.parse(text));
      }),
    );
  });
});
