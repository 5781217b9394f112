import { expect, test } from 'vitest';
import { closestWord } from './closest-word.ts';

const WORDS = ['name', 'model', 'models', 'target', 'environment', 'allowBreaking'];

test.each([
  ['nmae', 'name'],
  ['Name', 'name'],
  ['modle', 'model'],
  ['modelss', 'models'],
  ['enviroment', 'environment'],
  ['allow_breaking', 'allowBreaking'],
  ['targets', 'target'],
  ['xyz', null],
  ['description', null],
  ['', null],
])('%s most likely means %s', (word, expected) => {
  expect(closestWord(word, WORDS)).toBe(expected);
});

test('there may be nothing to choose from', () => {
  expect(closestWord('name', [])).toBeNull();
});
