import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SPAN_MS } from './profile-store.ts';
import { panesOf } from './profile-window.ts';

const { minute: MINUTE, hour: HOUR, day: DAY } = SPAN_MS;
const NOW = Date.UTC(2026, 5, 17, 14, 32, 7, 250);
/** Panes are read one by one for each column. */
const panesIn = (parts: ReturnType<typeof panesOf>): number =>
  parts.reduce((sum, part) => sum + (part.toMs - part.fromMs) / SPAN_MS[part.span], 0);

test('the panes of any time lie side by side, cover it, and begin no earlier than they must', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: NOW - 400 * DAY, max: NOW }),
      fc.integer({ min: 1, max: 40 * DAY }),
      (fromMs, lengthMs) => {
        const toMs = fromMs + lengthMs;
        const parts = panesOf(fromMs, toMs, NOW).toSorted((a, b) => a.fromMs - b.fromMs);
        for (const [at, part] of parts.entries()) {
          expect(part.fromMs % SPAN_MS[part.span]).toBe(0);
          expect(part.toMs % SPAN_MS[part.span]).toBe(0);
          expect(part.toMs).toBeGreaterThan(part.fromMs);
          if (at > 0) expect(part.fromMs).toBe(parts[at - 1]!.toMs);
        }
        const early = fromMs - parts[0]!.fromMs;
        const late = parts.at(-1)!.toMs - toMs;
        expect(early).toBeGreaterThanOrEqual(0);
        expect(late).toBeGreaterThanOrEqual(0);
        // Minutes are kept for 2 days, hours for 90.
        const finest =
          fromMs < NOW - 90 * DAY + HOUR ? DAY : fromMs < NOW - 2 * DAY + HOUR || lengthMs >= 6 * HOUR ? HOUR : MINUTE;
        expect(early).toBeLessThan(finest);
        if (toMs < NOW) expect(late).toBeLessThan(fromMs < NOW - 90 * DAY + HOUR ? DAY : HOUR);
      },
    ),
  );
});

test('the last day takes 24 hours at most and the pane of today, the last ten minutes ten minutes', () => {
  for (let minute = 0; minute < 24 * 60; minute += 7) {
    const nowMs = Date.UTC(2026, 5, 17) + minute * MINUTE + 1;
    expect(panesIn(panesOf(nowMs - DAY, nowMs, nowMs))).toBeLessThanOrEqual(25);
    // Hours that have not begun are no rows of the database.
    const short = panesOf(nowMs - 10 * MINUTE, nowMs, nowMs).filter((part) => part.span === 'minute');
    expect(panesIn(short)).toBeLessThanOrEqual(60);
  }
});
