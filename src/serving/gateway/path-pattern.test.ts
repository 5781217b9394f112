import { describe, expect, test } from 'vitest';
import { matchPattern, overlap, readPattern } from './path-pattern.ts';

const segments = (path: string): string[] => path.split('/').slice(1);
const match = (pattern: string, path: string, anyCase = false): unknown =>
  matchPattern(readPattern(pattern, anyCase), segments(path));

describe('a path', () => {
  test.each([
    ['/', '/', {}],
    ['/', '/a', null],
    ['/a', '/a/', null],
    ['/a/{x}', '/a/b', { x: 'b' }],
    ['/a/{x}', '/a/', null],
    ['/a/{x}/c', '/a/b/d', null],
    ['/m/{x}:predict', '/m/half:predict', { x: 'half' }],
    ['/m/{x}:predict', '/m/half', null],
    ['/m/{x}:predict', '/m/:predict', null],
    ['/m/{x}:predict', '/m/a:predict:predict', { x: 'a:predict' }],
    ['/m/{x}:predict', '/m/half:Predict', null],
    ['/a/{rest}', '/a', null],
    ['/a/{rest}', '/a/b', {}],
    ['/a/{rest}', '/a/b/c/d', {}],
  ])('%s of %s', (pattern, path, parameters) => {
    expect(match(pattern, path)).toEqual(parameters);
  });

  test('may be told without regard to capitals; what parameters stand for keeps its own', () => {
    expect(match('/V1/{x}:predict', '/v1/Half:PREDICT', true)).toEqual({ x: 'Half' });
  });

  test('that is no percent-encoding matches nothing', () => {
    expect(matchPattern(readPattern('/{x}', false), [null])).toBe(null);
  });

  test('cannot reach the prototype by the name of a parameter', () => {
    expect(Object.keys(match('/{constructor}', '/x') as object)).toEqual(['constructor']);
  });
});

test.each([
  ['/a', '/a', true],
  ['/a', '/b', false],
  ['/a', '/a/b', false],
  ['/a/{x}', '/a/stats', true],
  ['/a/{x}:predict', '/a/stats', false],
  ['/a/{x}:predict', '/a/{y}', true],
  ['/a/{x}:predict', '/a/{y}:explain', false],
  ['/a/{rest}', '/a/b/c', true],
  ['/a/{rest}', '/a', false],
  ['/a/{rest}', '/a/b/{rest}', true],
  ['/V1/x', '/v1/X', true],
])('%s and %s may mean one path: %s', (one, other, may) => {
  expect(overlap(readPattern(one, true), readPattern(other, false))).toBe(may);
  expect(overlap(readPattern(other, false), readPattern(one, true))).toBe(may);
});
