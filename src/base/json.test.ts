import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SlipwayError } from './errors.ts';
import { parseJson, pointerOf } from './json.ts';

const parse = (text: string, maxDepth?: number): unknown =>
  parseJson(Buffer.from(text), maxDepth === undefined ? {} : { maxDepth });

function refusal(input: string | Uint8Array, maxDepth?: number): SlipwayError {
  try {
    parseJson(typeof input === 'string' ? Buffer.from(input) : input, maxDepth === undefined ? {} : { maxDepth });
  } catch (error) {
    if (error instanceof SlipwayError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('what is accepted', () => {
  test('any JSON value comes back as JSON.parse gives it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        if (text.includes('__proto__') || /\d{16}/.test(text) || /e\+/.test(text)) return;
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  test('colons inside keys and strings, also escaped, are no reason to refuse', () => {
    const value = { 'a:b': '10:00:00', ':': [':', '::', { t: '2024-01-01T10:00:00Z' }], n: null };
    expect(parse(JSON.stringify(value))).toEqual(value);
    expect(parse('{"a":"\\u003a","\\u003A":1}')).toEqual({ a: ':', ':': 1 });
    expect(parse('{"a":{"x":1},"b":{"x":":"},"c":[{"x":1},{"x":2}]}')).toEqual({
      a: { x: 1 },
      b: { x: ':' },
      c: [{ x: 1 }, { x: 2 }],
    });
  });

  test('NUL inside a string is a character like others', () => {
    expect(parse('"a\\u0000b"')).toBe('a\0b');
  });
});

describe('numbers', () => {
  const cases: [string, unknown][] = [
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['9007199254740993', 9007199254740993n],
    ['-9007199254740993', -9007199254740993n],
    ['9223372036854775807', 9223372036854775807n],
    ['-9223372036854775808', -9223372036854775808n],
    ['18446744073709551615', 18446744073709551615n],
    ['9007199254740993.0', 9007199254740992],
    ['1e20', 1e20],
    ['1e300', 1e300],
    ['100000000000000000000000000000', 1e29],
    ['0.1', 0.1],
    ['-0', -0],
  ];
  test.each(cases)('%s is exact or stays a float', (text, expected) => {
    expect(parse(text)).toBe(expected);
    expect(parse(`{"a":[1,${text}]}`)).toEqual({ a: [1, expected] });
    expect(parse(`{"a":${text}}`)).toEqual({ a: expected });
  });

  test('a number beyond the doubles is refused with its place', () => {
    expect(refusal('{"a":[1,1e400]}').fields).toEqual([{ pointer: '/a/1', message: 'is beyond ±1.8e308' }]);
    expect(refusal('-1e999').code).toBe('invalid_json');
  });

  test('a literal of a million digits costs no quadratic time', () => {
    const started = performance.now();
    expect(refusal('9'.repeat(2_000_000)).code).toBe('invalid_json');
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('what is refused', () => {
  test('keys that stand twice, each with its pointer, however they are written', () => {
    expect(refusal('{"a":1,"a":2}').fields).toEqual([{ pointer: '/a', message: 'stands twice' }]);
    expect(refusal('{"a":1,"\\u0061":2}').fields.map((f) => f.pointer)).toEqual(['/a']);
    // An escaped colon in a value must not make up for the colon of a dropped key.
    expect(refusal('{"a":1,"a":"\\u003a"}').fields.map((f) => f.pointer)).toEqual(['/a']);
    expect(refusal('[{"x":{"a/b":1,"c":2,"a/b":3}},{"k":":","k":0}]').fields.map((f) => f.pointer)).toEqual([
      '/0/x/a~1b',
      '/1/k',
    ]);
    expect(refusal('{"a":"\\\\","a":1}').fields.map((f) => f.pointer)).toEqual(['/a']);
  });

  test('random documents with one key doubled are always found', () => {
    const seed = Date.now() & 0x7fffffff;
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (object) => {
        if (Object.keys(object).includes('__proto__')) return;
        const text = JSON.stringify(object);
        const key = JSON.stringify(Object.keys(object)[0]);
        expect(refusal(`${text.slice(0, -1)},${key}:null}`).code, `seed ${seed}`).toBe('invalid_json');
      }),
      { numRuns: 300, seed },
    );
  });

  test('nesting beyond the limit, in small and in large bodies', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(parse(nested(64))).toBeDefined();
    expect(refusal(nested(65)).message).toContain('64 levels');
    expect(parse(nested(120), 120)).toBeDefined();
    expect(refusal(nested(121), 120).code).toBe('invalid_json');
    expect(refusal('['.repeat(5_000_000)).message).toContain('64 levels');
    expect(refusal('{"a":'.repeat(100_000)).message).toContain('64 levels');
  });

  test('brackets inside strings and siblings do not count as depth in large bodies', () => {
    const wide = JSON.stringify(Array.from({ length: 20_000 }, (_, i) => [`[[[{{{"\\${i}`, { a: i }]));
    expect(parse(wide, 3)).toEqual(JSON.parse(wide));
  });

  test.each([
    ['nothing', ''],
    ['only spaces', '   '],
    ['a byte order mark', '\uFEFF{}'],
    ['a trailing comma', '{"a":1,}'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{} // x'],
    ['two documents', '{}{}'],
    ['a control character in a string', '"a\nb"'],
    ['NaN', '{"a":NaN}'],
    ['a leading zero', '01'],
    ['a plus', '+1'],
    ['a half', '{"a":'],
    ['the key __proto__', '{"a":[{"__proto__":{"admin":true}}]}'],
    ['a lone surrogate in a value', '{"a":"\\ud800"}'],
    ['a lone surrogate in a key', '{"\\uDC00x":1}'],
  ])('%s', (_name, text) => {
    expect(refusal(text).code).toBe('invalid_json');
  });

  test('bytes that are no UTF-8', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0xff, 0xfe, 0x31, 0],
    ]) {
      expect(refusal(Uint8Array.from(bytes)).message).toContain('UTF-8');
    }
  });

  test('an error says where and hints at NaN, but never echoes the body', () => {
    expect(refusal('{"secret": hunter2}').message).not.toContain('hunter2');
    expect(refusal('{"a": 1,\n  "b" 2}').message).toContain('line 2');
    expect(refusal('{"a": NaN}').hint).toContain('send the strings "NaN"');
    expect(refusal('{"a": "NaN", }').hint).toBeUndefined();
  });

  test('an object of very many keys in a large body, before memory is spent on it', () => {
    const keys = (count: number): string => Array.from({ length: count }, (_, i) => `"key${i}":"a:b"`).join(',');
    const pad = `${'"p":"'.padEnd(70_000, ':')}"`;
    const read = (text: string): unknown => parseJson(Buffer.from(text), { maxKeys: 1000 });
    expect(Object.keys(read(`{${pad},${keys(999)}}`) as object)).toHaveLength(1000);
    expect(() => read(`{${pad},${keys(1000)}}`)).toThrow('An object of the body has more than 1000 keys');
    // Counted for each object by itself, behind others and around them.
    const record = `{${keys(900)}}`;
    expect(read(`[${pad.slice(4)},${new Array(50).fill(record).join(',')}]`)).toHaveLength(51);
    expect(() => read(`[${record},{"a":[${record}],${keys(1000)}`)).not.toThrow('more than 1000 keys'); // small
    expect(() => read(`[${record},{"a":[${record},${pad.slice(4)}],${keys(1000)}`)).toThrow('more than 1000 keys');
    // Text that is no JSON may close more than it opens.
    expect(() => read(`]]}${pad}:::${keys(3000)}`)).toThrow(SlipwayError);
  });

  test('nothing parsed changes a prototype', () => {
    refusal('{"__proto__":{"polluted":1}}');
    expect(parse('{"constructor":{"prototype":{"polluted":1}}}')).toBeDefined();
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

test('a pointer escapes its parts', () => {
  expect(pointerOf(['a/b', 0, 'm~n'])).toBe('/a~1b/0/m~0n');
});
