import { expect, test } from 'vitest';
import { systemClock } from './clock.ts';

test('the system clock tells the time of day, and apart from it one that only goes forward', async () => {
  expect(Math.abs(systemClock.now().getTime() - Date.now())).toBeLessThan(1000);
  const readings: number[] = [];
  for (let i = 0; i < 50; i++) {
    readings.push(systemClock.monotonicMs());
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(readings.toSorted((a, b) => a - b)).toEqual(readings);
  expect(readings.at(-1)! - readings[0]!).toBeGreaterThan(5);
});
