import { describe, expect, test } from 'vitest';
import { isName, uuidv7 } from './ids.ts';

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

describe('a UUIDv7', () => {
  test('has the form and the time of RFC 9562', () => {
    const before = Date.now();
    const id = uuidv7();
    expect(id).toMatch(FORM);
    expect(timeOf(id)).toBeGreaterThanOrEqual(before);
    expect(timeOf(id)).toBeLessThanOrEqual(Date.now() + 100);
  });

  test('is new every time and sorts in the order of making, also many in one millisecond', () => {
    const now = Date.now() + 1_000_000;
    const ids = Array.from({ length: 20_000 }, () => uuidv7(now));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(FORM);
    expect(timeOf(ids[0]!)).toBe(now);
  });

  test('keeps its order when the clock steps back', () => {
    const now = Date.now() + 2_000_000;
    const ids = [now, now - 5000, now - 1, now + 1, 0].map((at) => uuidv7(at));
    expect(ids.toSorted()).toEqual(ids);
  });

  test('has random bits that differ between ids of one moment', () => {
    const now = Date.now() + 3_000_000;
    const tails = Array.from({ length: 2000 }, () => uuidv7(now).slice(19));
    expect(new Set(tails).size).toBe(2000);
  });

  test('holds the time for centuries to come', () => {
    const future = Date.UTC(2500, 0, 1);
    expect(timeOf(uuidv7(future))).toBe(future);
  });
});

test.each([
  ['churn', true],
  ['a', true],
  ['9-lives_v1.2', true],
  ['x'.repeat(63), true],
  ['x'.repeat(64), false],
  ['', false],
  ['Churn', false],
  ['.hidden', false],
  ['-flag', false],
  ['_x', false],
  ['a/b', false],
  ['a\\b', false],
  ['../up', false],
  ['a@2', false],
  ['a b', false],
  ['a\n', false],
  ['a\0', false],
  ['ä', false],
  ['a%2fb', false],
])('%j is a name: %s', (text, expected) => {
  expect(isName(text)).toBe(expected);
});
