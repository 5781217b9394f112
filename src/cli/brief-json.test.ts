import { expect, test } from 'vitest';
import { briefJson } from './brief-json.ts';

test('a long list shows its beginning and how much is left', () => {
  const { text, whole } = briefJson({ records: [{ X: Array.from({ length: 12_000 }, () => 0) }] });
  expect(text).toBe('{"records":[{"X":[0,0,0,0,0,0,0,0,0,0,… 11,990 more]}]}');
  expect(whole).toBe(false);
});

test('a record of many columns shows some of them', () => {
  const { text } = briefJson(Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}`, n])));
  expect(text).toMatch(/^\{"f0":0,.*"f9":9,… 90 more\}$/);
});

test('what is short stays JSON as it is, 64-bit integers too', () => {
  const value = { id: 9007199254740993n, list: [1, [2, null]], text: 'a"b' };
  expect(briefJson(value)).toEqual({ text: '{"id":9007199254740993,"list":[1,[2,null]],"text":"a\\"b"}', whole: true });
});
