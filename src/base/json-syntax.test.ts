import { expect, it } from 'vitest';
import { findSyntaxError, placeOf } from './json-syntax.ts';

it.each<[string, number]>([
  ['x', 0],
  ['  x', 2],
  ['{"a":1,}', 7],
  ['[1,]', 3],
  ['[1 2]', 3],
  ["{'a':1}", 1],
  ['{"a" 1}', 5],
  ['{"a":tru}', 5],
  ['{"a":NaN}', 5],
  ['{"a":01}', 6],
  ['["a\\q"]', 3],
  ['["a\nb"]', 3],
  ['{"a":1}}', 7],
  ['[1}', 2],
  ['[[],{},"",-1.5e3,null] x', 23],
])('%j goes wrong at %i', (text, offset) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(findSyntaxError(text)).toBe(offset);
});

it.each(['', '{', '[1,', '{"a":', '"abc', '{"a":"b'])('%j ends too early', (text) => {
  expect(findSyntaxError(text)).toBe(text.length);
});

it('finds nothing in texts that are JSON, and in cut ones no place before the literal that was cut', () => {
  const whole = JSON.stringify({ a: [1, -2.5e-7, 'x\n"\u{1f600}', null, true], b: { c: {}, d: [] } });
  expect(findSyntaxError(whole)).toBe(whole.length);
  const longestLiteral = '-2.5e-7'.length;
  for (let length = 0; length < whole.length; length++) {
    expect(findSyntaxError(whole.slice(0, length))).toBeGreaterThanOrEqual(length - longestLiteral);
  }
});

it('tells line and column from 1', () => {
  expect(placeOf('ab\ncd\n', 4)).toEqual({ line: 2, column: 2 });
  expect(placeOf('x', 0)).toEqual({ line: 1, column: 1 });
});
