import { describe, expect, it } from 'vitest';
import { readPythonJson } from './python-json.ts';

const read = (text: string): unknown => readPythonJson(Buffer.from(text), 1000);

describe('JSON of Python', () => {
  it('takes its words for numbers that are not finite, only where a value may stand', () => {
    expect(read('{"a": [NaN, -Infinity, Infinity, 1], "NaN": "NaN", "b\\"NaN": "Infinity\\\\"}')).toEqual({
      a: [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 1],
      NaN: 'NaN',
      'b"NaN': 'Infinity\\',
    });
    expect(read('NaN')).toBeNaN();
  });

  it.each([
    '[nan]',
    '[+Infinity]',
    '[NaN1]',
    '[NaN.5]',
    '{NaN: 1}',
    '[Infinity',
    '[--Infinity]',
    '["NaN]',
    '[1, undefined, NaN]',
  ])('refuses %s', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }));
  });

  it('is as strict as anywhere else', () => {
    for (const text of [
      '',
      '{"a":1,"a":NaN}',
      '[1e400]',
      '{"__proto__":NaN}',
      `${'['.repeat(200)}NaN${']'.repeat(200)}`,
    ]) {
      expect(() => read(text), text.slice(0, 20)).toThrow(expect.objectContaining({ code: 'invalid_json' }));
    }
  });
});
