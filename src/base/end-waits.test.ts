import { expect, test } from 'vitest';
import { createEndWaits } from './end-waits.ts';

test('all that wait for an end hear of it, and nobody else', async () => {
  const waits = createEndWaits();
  const heard: string[] = [];
  const wait = (name: string, id: string, ms: number) => waits.wait(id, ms).then(() => heard.push(name));
  const all = [
    wait('first', 'a', 60_000),
    wait('second', 'a', 60_000),
    wait('late', 'a', 10),
    wait('other', 'b', 60_000),
  ];
  await all[2];
  expect(heard).toEqual(['late']);
  waits.tell('a');
  await Promise.all(all.slice(0, 3));
  expect(heard).toEqual(['late', 'first', 'second']);
  waits.tellAll();
  await all[3];
  expect(heard.at(-1)).toBe('other');
});
