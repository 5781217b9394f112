import { describe, expect, test } from 'vitest';
import { type KeyLimits, NO_LIMITS } from '../../base/access/key-limits.ts';
import { Account } from './account.ts';

const account = (limits: Partial<KeyLimits>): Account => new Account('k', 'The API key k', { ...NO_LIMITS, ...limits });
/** How many of so many are admitted at a time. */
const admitted = (to: Account, asked: number, nowMs: number): number => {
  let count = 0;
  for (let i = 0; i < asked; i++) {
    try {
      to.admit(nowMs);
      count++;
    } catch (error) {
      expect(error).toMatchObject({ code: 'rate_limited' });
    }
  }
  return count;
};

describe('the rate', () => {
  test('lets the burst through at once, then the rate, and saves up to the burst again', () => {
    const to = account({ rate: 10, burst: 5 });
    expect(admitted(to, 100, 1000)).toBe(5);
    expect(admitted(to, 100, 1099)).toBe(0);
    expect(admitted(to, 100, 1100)).toBe(1);
    expect(admitted(to, 100, 1350)).toBe(2);
    expect(admitted(to, 100, 60_000)).toBe(5);
  });

  test.each([0.1, 1, 7, 33.3, 100, 1000])(
    'of %d/s is what is admitted in the long run, offered 50 times as much',
    (rate) => {
      const to = account({ rate });
      const spanMs = 200_000 / rate;
      let count = 0;
      for (let i = 0; i < 10_000; i++) count += admitted(to, 1, 5e6 + (i * spanMs) / 10_000);
      const burst = Math.max(1, Math.ceil(rate));
      expect(Math.abs(count - 200 - burst)).toBeLessThanOrEqual(1);
    },
  );

  test('a refusal says how long to wait, never less than that, and not the same to all', () => {
    const to = account({ rate: 0.1, burst: 1 });
    to.admit(0);
    const waits = Array.from({ length: 50 }, () => {
      try {
        to.admit(2000);
      } catch (error) {
        return (error as { retryAfterS: number }).retryAfterS;
      }
      return 0;
    });
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(8);
    expect(Math.max(...waits)).toBeLessThanOrEqual(16);
    expect(new Set(waits).size).toBeGreaterThan(3);
  });

  test('what the version refused is given back', () => {
    const to = account({ rate: 1, burst: 2 });
    for (let i = 0; i < 10; i++) {
      to.admit(0);
      to.giveBack();
    }
    expect([to.admitted, admitted(to, 10, 0)]).toEqual([0, 2]);
  });

  test('a change of the limit does not give back what was used', () => {
    const to = account({ rate: 1, burst: 1 });
    to.admit(0);
    to.limit({ ...NO_LIMITS, rate: 2, burst: 1 }, 0);
    expect(admitted(to, 10, 400)).toBe(0);
    expect(admitted(to, 10, 1000)).toBe(1);
    to.limit(NO_LIMITS, 1000);
    expect(admitted(to, 1000, 1000)).toBe(1000);
  });
});

test('the concurrency is what may be under way; a place is free again when one ends', () => {
  const to = account({ concurrency: 2 });
  to.begin();
  to.begin();
  expect(() => to.begin()).toThrow('2 predictions under way');
  expect(() => to.admit(0)).toThrow('2 predictions under way');
  to.end();
  to.admit(0);
  to.begin();
  expect([to.running, to.refusedByConcurrency]).toEqual([2, 2]);
});

test('headers tell the policy and what is left of it; without a quota there are none', () => {
  expect(account({}).headers(0)).toBeNull();
  const to = account({ rate: 2, burst: 10, concurrency: 3 });
  expect(to.headers(0)).toEqual([
    'RateLimit-Policy',
    '"rate";q=10;w=5, "concurrency";q=3;qu="concurrent-requests"',
    'RateLimit',
    '"rate";r=10;t=0, "concurrency";r=3',
  ]);
  admitted(to, 4, 1000);
  to.begin();
  expect(to.headers(1000)![3]).toBe('"rate";r=6;t=2, "concurrency";r=2');
  expect(to.headers(1600)![3]).toBe('"rate";r=7;t=2, "concurrency";r=2');
  expect(to.headers(9000)![3]).toBe('"rate";r=10;t=0, "concurrency";r=2');
});
