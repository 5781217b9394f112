import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { floats } from '../../../test/fixtures/runner-specs.ts';
import { SlipwayError } from '../../base/errors.ts';
import { createCallQueue } from './call-queue.ts';

function queueWith(limit = 100) {
  const queue = createCallQueue({ limit, retryAfterS: 7 });
  const said: string[] = [];
  const add = (name: string, rows = 1, timeoutMs = 10_000) =>
    queue.add([floats('X', [rows, 2], ...new Array(rows * 2).fill(0))], rows, { timeoutMs }, (error) =>
      said.push(`${name}: ${error?.code ?? 'ok'}`),
    );
  return { queue, said, add };
}

test('calls leave in the order they came, as many as fit, and at least one', () => {
  const { queue, add } = queueWith();
  const calls = [add('a', 3), add('b', 3), add('c', 3), add('big', 500), add('d', 1)];
  expect(queue.take(6, 1e9)).toEqual([calls[0], calls[1]]);
  expect(queue.take(6, 1e9)).toEqual([calls[2]]);
  expect(queue.take(6, 1e9)).toEqual([calls[3]]);
  expect(queue.size).toBe(1);
  expect(queue.take(6, 1)).toEqual([calls[4]]);
  expect(queue.take(6, 1e9)).toEqual([]);
});

test('a cancelled call is never taken and never answered', () => {
  const { queue, said, add } = queueWith();
  add('a').cancel();
  const b = add('b');
  add('c').cancel();
  expect(queue.size).toBe(1);
  expect(queue.take(10, 1e9)).toEqual([b]);
  queue.failAll(new SlipwayError('shutting_down', 'x'));
  expect(said).toEqual([]);
});

test('calls expire by their own deadline, wherever they stand', () => {
  const { queue, said, add } = queueWith();
  add('late', 1, 50);
  add('patient', 1, 5000);
  add('later', 1, 100);
  queue.expire(performance.now() + 60);
  expect(said).toEqual(['late: deadline_exceeded']);
  queue.expire(performance.now() + 1000);
  expect(said).toEqual(['late: deadline_exceeded', 'later: deadline_exceeded']);
  expect(queue.size).toBe(1);
});

test('over the limit a call is refused, after add returned, with a time to retry', async () => {
  const { queue, said, add } = queueWith(2);
  add('a');
  add('b');
  add('c');
  expect(said).toEqual([]);
  await sleep(0);
  expect(said).toEqual(['c: queue_full']);
  queue.take(1, 1e9);
  add('d');
  await sleep(0);
  expect(said).toHaveLength(1);
});

test('calls that come back are first again, except those that were cancelled meanwhile', () => {
  const { queue, add } = queueWith();
  const [a, b, c] = [add('a'), add('b'), add('c')];
  const d = add('d');
  let woken = 0;
  queue.onWork = () => woken++;
  const taken = queue.take(3, 1e9);
  expect(taken).toEqual([a, b, c]);
  b.state = 'over';
  queue.putBack(taken);
  expect(woken).toBe(1);
  expect(queue.size).toBe(3);
  a.cancel();
  expect(queue.take(10, 1e9)).toEqual([c, d]);
});
