import { expect, it } from 'vitest';
import { parsePlan } from './plan-file.ts';
import { unsupportedParts } from './plan-support.ts';
import { builtInPlan } from './strategies.ts';
import { taskOf } from './task.ts';

const task = taskOf({ inputs: [], outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }] });
const nothing = { shadows: false, outcomes: false };

it('what this server cannot do is refused by name, and nothing else is', () => {
  expect(unsupportedParts(builtInPlan('canary', task), ['y'], nothing)).toEqual([]);
  expect(unsupportedParts(builtInPlan('blue-green', task), ['y'], nothing)).toEqual([]);
  expect(unsupportedParts(builtInPlan('shadow', task), ['y'], nothing)).toMatchObject([{ pointer: '/stages/0' }]);
  const gates = [
    { kind: 'rate-ratio' },
    { kind: 'rate-ratio', metric: 'wrong' },
    { kind: 'mean-difference', metric: 'y', failMargin: 1 },
    { kind: 'mean-difference', metric: 'revenue', failMargin: 1 },
  ];
  const plan = parsePlan({ stages: [{ kind: 'canary', weight: '5%', gates }, { kind: 'promote' }] }, () => task);
  expect(unsupportedParts(plan, ['y'], nothing).map((one) => one.pointer)).toEqual([
    '/stages/0/gates/1',
    '/stages/0/gates/3',
  ]);
  expect(unsupportedParts(plan, ['y'], { shadows: true, outcomes: true })).toEqual([]);
});
