import { expect, test } from 'vitest';
import { floats } from '../../../test/fixtures/runner-specs.ts';
import { SlipwayError } from '../../base/errors.ts';
import { createCallQueue } from './call-queue.ts';
import type { Flow, Priority } from './runner.ts';

function queueWith(limit = 1000) {
  const queue = createCallQueue({ limit, retryAfterS: 1 });
  const said: string[] = [];
  const names = new Map<unknown, string>();
  const add = (name: string, flow?: Flow, priority?: Priority, rows = 1) => {
    const call = queue.add(
      [floats('X', [rows], ...new Array(rows).fill(0))],
      rows,
      { timeoutMs: 1e6, flow, priority },
      (error) => said.push(`${name}: ${error?.code ?? 'ok'}`),
    );
    names.set(call, name);
    return call;
  };
  const take = (maxRows: number): string[] => queue.take(maxRows, 1e9).map((call) => names.get(call)!);
  return { queue, said, add, take };
}

const counts = (taken: readonly string[]): Record<string, number> => {
  const seen: Record<string, number> = {};
  for (const name of taken) seen[name] = (seen[name] ?? 0) + 1;
  return seen;
};

test('keys take turns, whoever came first and however many came', () => {
  const { add, take } = queueWith();
  const [a, b] = [{ weight: 1 }, { weight: 1 }];
  for (let i = 0; i < 50; i++) add('a', a);
  for (let i = 0; i < 3; i++) add('b', b);
  expect(counts(take(6))).toEqual({ a: 3, b: 3 });
  expect(counts(take(6))).toEqual({ a: 6 });
});

test('keys share by weight, and by rows, not by calls', () => {
  const { add, take } = queueWith();
  const [light, heavy, wide] = [{ weight: 1 }, { weight: 3 }, { weight: 1 }];
  for (let i = 0; i < 100; i++) add('light', light);
  for (let i = 0; i < 100; i++) add('heavy', heavy);
  for (let i = 0; i < 20; i++) add('wide', wide, undefined, 10);
  const taken = counts(take(100));
  expect(taken['heavy']! / taken['light']!).toBeCloseTo(3, 0);
  expect(Math.abs(taken['wide']! * 10 - taken['light']!)).toBeLessThanOrEqual(10);
});

test('priorities order the calls of their own key, none waits for ever, and no other key loses by it', () => {
  const { add, take } = queueWith();
  const [a, b] = [{ weight: 1 }, { weight: 1 }];
  for (let i = 0; i < 200; i++) {
    add('a low', a, 'low');
    add('a normal', a);
    add('a high', a, 'high');
    add('b', b, 'low');
  }
  const taken = counts(take(84));
  expect(taken).toEqual({ b: 42, 'a high': 32, 'a normal': 8, 'a low': 2 });
});

test('a key that was idle is served soon and has saved nothing', () => {
  const { add, take } = queueWith();
  const [a, b] = [{ weight: 1 }, { weight: 1 }];
  for (let i = 0; i < 100; i++) add('a', a);
  take(50);
  for (let i = 0; i < 50; i++) add('b', b);
  expect(counts(take(20))).toEqual({ a: 10, b: 10 });
});

test('calls of one key leave in their order, whatever is cancelled between', () => {
  const { queue, add } = queueWith();
  const calls = Array.from({ length: 30 }, (_, i) => add(`${i}`));
  for (const i of [0, 5, 6, 29]) calls[i]!.cancel();
  expect(queue.size).toBe(26);
  const taken = queue.take(1000, 1e9);
  expect(taken).toEqual(calls.filter((_, i) => ![0, 5, 6, 29].includes(i)));
  for (const call of taken) expect([call.previous, call.next]).toEqual([null, null]);
});

test('a key that fills the queue is pushed out by another until that has its share', async () => {
  const { queue, said, add, take } = queueWith(10);
  const [a, b] = [{ weight: 1 }, { weight: 1 }];
  for (let i = 0; i < 20; i++) add(`a${i}`, a);
  for (let i = 0; i < 20; i++) add(`b${i}`, b);
  await Promise.resolve();
  expect(queue.size).toBe(10);
  expect(said.filter((line) => line.startsWith('a'))).toEqual([
    ...Array.from({ length: 10 }, (_, i) => `a${10 + i}: queue_full`), // found it full
    ...Array.from({ length: 5 }, (_, i) => `a${9 - i}: queue_full`), // the latest were pushed out
  ]);
  expect(said.filter((line) => line.startsWith('b'))).toHaveLength(15);
  expect(queue.refusal(a)).toMatchObject({ code: 'queue_full' });
  expect(queue.refusal({ weight: 1 })).toBeNull();
  expect(take(100).sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'b1', 'b2', 'b3', 'b4']);
});

test('a pushed-out call that is cancelled before it is told is not told', async () => {
  const { said, add } = queueWith(1);
  const first = add('first', { weight: 1 });
  add('second', { weight: 1 });
  await Promise.resolve();
  expect(said).toEqual(['second: queue_full']); // one each would be half a call
  first.cancel();
  const third = add('third', { weight: 1 });
  const fourth = add('fourth', { weight: 1 });
  fourth.cancel();
  third.cancel();
  await Promise.resolve();
  expect(said).toEqual(['second: queue_full']);
});

test('random work: sizes stay right, every call ends once, and shares of those who always wait follow their weights', () => {
  const seed = Date.now() % 1e9;
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const { queue, said, add } = queueWith(200);
  const flows = Array.from({ length: 5 }, (_, i) => ({ weight: i + 1 }));
  const served = new Map<number, number>();
  let added = 0;
  let cancelled = 0;
  const waiting = new Map<unknown, number>();
  for (let round = 0; round < 3000; round++) {
    for (const [i, flow] of flows.entries()) {
      while ([...waiting.values()].filter((of) => of === i).length < 24) {
        added++;
        waiting.set(add(`${i}`, flow, (['high', 'normal', 'low'] as const)[random(3)], 1 + random(3)), i);
      }
    }
    if (random(4) === 0) {
      const [call] = [...waiting.keys()].slice(random(waiting.size)) as { cancel(): void; state: string }[];
      call!.cancel();
      waiting.delete(call);
      cancelled++;
    }
    const taken = queue.take(1 + random(6), 1e9);
    if (random(10) === 0) {
      queue.putBack(taken);
      expect(
        queue.take(
          taken.reduce((sum, call) => sum + call.rows, 0),
          1e9,
        ).length,
      ).toBeGreaterThan(0);
      queue.failAll(new SlipwayError('shutting_down', 'x'));
      waiting.clear();
      continue;
    }
    for (const call of taken) {
      const flow = waiting.get(call)!;
      served.set(flow, (served.get(flow) ?? 0) + call.rows);
      waiting.delete(call);
      call.answer([], 1, 1);
    }
    expect(queue.size, `seed ${seed}`).toBe(waiting.size);
  }
  expect(added, `seed ${seed}`).toBeGreaterThan(said.length + cancelled - 1);
  const unit = served.get(0)!;
  for (const [i, flow] of flows.entries()) {
    const ratio = served.get(i)! / unit / flow.weight;
    expect(ratio, `seed ${seed}, weight ${flow.weight}`).toBeGreaterThan(0.6);
    expect(ratio, `seed ${seed}, weight ${flow.weight}`).toBeLessThan(1.6);
  }
});
