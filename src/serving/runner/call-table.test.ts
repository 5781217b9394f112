import { expect, it } from 'vitest';
import { CallTable } from './call-table.ts';

it('gives every value a new id and finds it until it is taken', () => {
  const table = new CallTable<string>();
  const a = table.add('a');
  const b = table.add('b');
  expect(b).not.toBe(a);
  expect(table.take(a)).toBe('a');
  expect(table.take(a)).toBeUndefined();
  expect([table.has(a), table.has(b), table.size]).toEqual([false, true, 1]);
  expect(table.add('c')).not.toBe(a);
});

it('holds far more than its first size, with old values between many new ones', () => {
  const table = new CallTable<number>();
  const kept = new Map<number, number>();
  for (let i = 0; i < 50_000; i++) {
    const id = table.add(i);
    expect(kept.has(id)).toBe(false);
    if (i % 7 === 0) kept.set(id, i);
    else expect(table.take(id)).toBe(i);
  }
  expect(table.size).toBe(kept.size);
  expect(table.values().sort((a, b) => a - b)).toEqual([...kept.values()]);
  for (const [id, value] of kept) expect(table.take(id)).toBe(value);
  expect(table.size).toBe(0);
});

it('skips a place that is still held when the ids have gone round it', () => {
  const table = new CallTable<string>();
  const old = table.add('old');
  for (let i = 0; i < 5000; i++) table.take(table.add('x'));
  expect(table.take(old)).toBe('old');
});
