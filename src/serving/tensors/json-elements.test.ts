import { describe, expect, it } from 'vitest';
import type { FieldError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import type { Datatype } from '../../registry/signature.ts';
import { elementsToJson, readElements } from './json-elements.ts';
import { writeJson } from './json-text.ts';
import { elementCount } from './shape.ts';

/** Reads a JSON text as a column of one datatype. */
function read(datatype: Datatype, text: string, shape?: number[]): { data: unknown; faults: FieldError[] } {
  const value = parseJson(Buffer.from(text)) as unknown[];
  const faults: FieldError[] = [];
  const used = shape ?? [value.length, 1];
  const data = readElements(datatype, used, elementCount(used)!, value, '/data', faults);
  return { data, faults };
}

describe('values that a type holds come through exactly', () => {
  it.each<[Datatype, string]>([
    ['BOOL', 'true,false'],
    ['UINT8', '0,255'],
    ['UINT16', '0,65535'],
    ['UINT32', '0,4294967295'],
    ['UINT64', '0,9007199254740993,18446744073709551615'],
    ['INT8', '-128,127'],
    ['INT16', '-32768,32767'],
    ['INT32', '-2147483648,2147483647'],
    ['INT64', '-9223372036854775808,-9007199254740993,0,9007199254740993,9223372036854775807'],
    ['FP64', '0.1,5e-324,1.7976931348623157e+308,-1e-7,123456789012345680000'],
    ['FP32', '0.5,-2,1.401298464324817e-45,3.4028234663852886e+38'],
    ['FP16', '0.5,65504,-2,5.960464477539063e-8'],
    ['BF16', '0.5,-2,3.3895313892515355e+38'],
    ['FP32', '"NaN","Infinity","-Infinity",1'],
    ['FP64', '"NaN","Infinity","-Infinity"'],
    ['FP16', '"NaN","Infinity","-Infinity"'],
    ['BYTES', '"","plain","ünï ✓ 𝄞","line\\nbreak \\"quoted\\" \\u0001"'],
  ])('%s %s', (datatype, text) => {
    const { data, faults } = read(datatype, `[${text}]`);
    expect(faults).toEqual([]);
    const printed = elementsToJson({ name: 'x', datatype, shape: [], data: data as string[] });
    expect(JSON.parse(`[${printed}]`, bySource)).toEqual(JSON.parse(`[${text}]`, bySource));
  });

  it('more elements than the short way of printing takes are printed alike', () => {
    const data = Float32Array.from({ length: 100 }, (_, i) => (i % 10 === 0 ? Number.NaN : i / 8));
    const printed = JSON.parse(`[${elementsToJson({ name: 'x', datatype: 'FP32', shape: [100], data })}]`) as unknown[];
    expect(printed).toEqual(Array.from(data, (value) => (Number.isNaN(value) ? 'NaN' : value)));
  });

  it('64-bit integers may come as strings of digits', () => {
    expect(read('INT64', '["9007199254740993","-1"]').data).toEqual(BigInt64Array.of(9007199254740993n, -1n));
    expect(read('UINT64', '["18446744073709551615"]').data).toEqual(BigUint64Array.of(18446744073709551615n));
  });

  it('a large integer is a floating number too', () => {
    expect(read('FP64', '[9007199254740993]').data).toEqual(Float64Array.of(9007199254740992));
    expect(read('FP32', '[9007199254740993]').data).toEqual(Float32Array.of(9007199254740992));
  });
});

/** Large integers by their digits, so that comparing does not round. */
function bySource(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
    ? context!.source
    : value;
}

describe('values that a type cannot hold are refused, never rounded, cut or wrapped', () => {
  it.each<[Datatype, string, RegExp]>([
    ['BOOL', '1', /true or false/],
    ['BOOL', '"true"', /true or false/],
    ['UINT8', '300', /out of range for UINT8: 0 to 255/],
    ['UINT8', '-1', /out of range/],
    ['UINT8', '1.5', /whole number/],
    ['INT8', '128', /out of range/],
    ['INT16', '32768', /out of range/],
    ['UINT32', '4294967296', /out of range/],
    ['INT32', '2147483648', /out of range/],
    ['INT32', '9007199254740993', /out of range/],
    ['INT32', '"1"', /whole number/],
    ['INT32', 'null', /not null/],
    ['INT64', '1.5', /whole number/],
    ['INT64', '9223372036854775808', /out of range/],
    ['INT64', '-9223372036854775809', /out of range/],
    ['INT64', '9007199254740993.0', /may have been rounded/],
    ['INT64', '1e18', /may have been rounded/],
    ['INT64', '"1.5"', /whole number/],
    ['INT64', '"0x10"', /whole number/],
    ['INT64', 'true', /not a boolean/],
    ['UINT64', '-1', /out of range/],
    ['UINT64', '18446744073709551616', /out of range/],
    ['FP32', '1e39', /too large for FP32/],
    ['FP32', '-3.5e38', /too large for FP32/],
    ['FP32', 'null', /"NaN"/],
    ['FP32', '"1.5"', /among strings only/],
    ['FP32', '"nan"', /among strings only/],
    ['FP32', 'true', /not a boolean/],
    ['FP32', '{}', /not an object/],
    ['FP32', '[1]', /not an array/],
    ['FP16', '65520', /too large for FP16/],
    ['BF16', '3.4e38', /too large for BF16/],
    ['FP64', '"inf"', /among strings only/],
    ['BYTES', '1', /must be a string/],
    ['BYTES', '"a\\u0000b"', /NUL/],
    ['BYTES', 'null', /not null/],
    ['BYTES', '{"b64":"/w=="}', /no base64 of UTF-8/],
    ['BYTES', '{"b64":"YQ"}', /no base64 of UTF-8/],
    ['BYTES', '{"b64":"YQ==","x":1}', /no base64 of UTF-8/],
    ['BYTES', '{"b64":"AA=="}', /NUL/],
  ])('%s %s', (datatype, text, message) => {
    const filler = { BOOL: 'true', BYTES: '"x"' }[datatype as string] ?? '1';
    const { data, faults } = read(datatype, `[${filler},${text}]`);
    expect(data).toBeNull();
    expect(faults).toHaveLength(1);
    expect(faults[0]!.pointer).toBe('/data/1');
    expect(faults[0]!.message).toMatch(message);
  });

  it('the number that rounds up to the first FP32 infinity is refused, the one below it is not', () => {
    expect(read('FP32', '[3.4028235677973366e38]').data).toBeNull();
    expect(read('FP32', '[3.4028235677973362e38]').data).toEqual(Float32Array.of(3.4028234663852886e38));
  });

  it('at most 50 faults are listed', () => {
    expect(read('FP32', `[${new Array(1000).fill('null').join(',')}]`).faults).toHaveLength(50);
  });
});

describe('nesting', () => {
  it.each([
    ['flat', '[1,2,3,4,5,6]', [2, 3]],
    ['as the shape says', '[[1,2,3],[4,5,6]]', [2, 3]],
    ['three deep', '[[[1],[2],[3]],[[4],[5],[6]]]', [2, 3, 1]],
  ])('%s', (_title, text, shape) => {
    expect(read('FP32', text, shape).data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
  });

  it('a scalar may stand alone or in a list of one', () => {
    const faults: FieldError[] = [];
    expect(readElements('FP32', [], 1, 5, '/data', faults)).toEqual(Float32Array.of(5));
    expect(readElements('FP32', [], 1, [5], '/data', faults)).toEqual(Float32Array.of(5));
    expect(faults).toEqual([]);
  });

  it.each([
    ['too few', '[1,2,3,4,5]', [2, 3], '/data'],
    ['too many', '[1,2,3,4,5,6,7]', [2, 3], '/data'],
    ['a short row', '[[1,2,3],[4,5]]', [2, 3], '/data/1'],
    ['a row too many', '[[1,2,3],[4,5,6],[7,8,9]]', [2, 3], '/data'],
    ['a bare number beside rows', '[[1,2,3],4]', [2, 3], '/data/1'],
    ['a row beside bare numbers', '[1,2,3,4,5,[6]]', [2, 3], '/data/5'],
    ['other nesting than the shape', '[[1,2],[3,4],[5,6]]', [2, 3], '/data'],
    ['deeper than the shape', '[[[1,2,3]],[[4,5,6]]]', [2, 3], '/data/0'],
  ])('%s is a fault', (_title, text, shape, pointer) => {
    const { data, faults } = read('FP32', text, shape);
    expect(data).toBeNull();
    expect(faults[0]!.pointer).toBe(pointer);
  });
});

describe('JSON text', () => {
  it('keeps what JSON.stringify loses', () => {
    const value = {
      big: 9007199254740993n,
      none: Number.NaN,
      all: [Number.NEGATIVE_INFINITY, 0.1, null, true],
      'ü"': 'x\n',
    };
    expect(writeJson(value)).toBe(
      '{"big":9007199254740993,"none":"NaN","all":["-Infinity",0.1,null,true],"ü\\"":"x\\n"}',
    );
  });

  it('leaves out what is undefined', () => {
    expect(writeJson({ a: undefined, b: 1 })).toBe('{"b":1}');
    expect(writeJson({})).toBe('{}');
  });
});
