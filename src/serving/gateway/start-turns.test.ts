import { expect, it } from 'vitest';
import { createStartTurns } from './start-turns.ts';

it('begins as many as may run, the others in their order when one ends, and none that was called off', () => {
  const turns = createStartTurns(2);
  const begun: string[] = [];
  const [a, b, c, d] = ['a', 'b', 'c', 'd', 'e'].map((name) => turns.take(() => begun.push(name)));
  expect(begun).toEqual(['a', 'b']);
  c!.end();
  expect(begun).toEqual(['a', 'b']);
  a!.end();
  a!.end();
  expect(begun).toEqual(['a', 'b', 'd']);
  d!.end();
  b!.end();
  expect(begun).toEqual(['a', 'b', 'd', 'e']);
});
