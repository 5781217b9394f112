import { expect, it } from 'vitest';
import { parsePlan } from './plan-file.ts';
import { outcomeFaults } from './plan-support.ts';
import { builtInPlan } from './strategies.ts';
import { taskOf } from './task.ts';

const task = taskOf({ inputs: [], outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }] });
const planOf = (gates: object[]) =>
  parsePlan({ stages: [{ kind: 'canary', weight: '5%', gates }, { kind: 'promote' }] }, () => task);

it('gates on feedback are refused where it cannot be joined, and no others are', () => {
  for (const strategy of ['canary', 'blue-green', 'shadow'] as const)
    expect(outcomeFaults(builtInPlan(strategy, task), ['y'], 'be joined')).toEqual([]);
  const plan = planOf([
    { kind: 'rate-ratio' },
    { kind: 'rate-ratio', metric: 'wrong' },
    { kind: 'mean-difference', metric: 'y', failMargin: 1 },
    { kind: 'mean-difference', metric: 'score', failMargin: 1 },
  ]);
  expect(outcomeFaults(plan, ['y'], 'be joined: nothing is logged')).toEqual([
    { pointer: '/stages/0/gates/1', message: 'looks at feedback, which cannot be joined: nothing is logged' },
    { pointer: '/stages/0/gates/3', message: 'looks at feedback, which cannot be joined: nothing is logged' },
  ]);
  expect(outcomeFaults(plan, ['y'], null)).toEqual([]);
});

it('metrics that nobody sends are refused with what was meant', () => {
  const plan = planOf([
    { kind: 'rate-ratio', metric: 'wrnog' },
    { kind: 'mean-difference', metric: 'scores', failMargin: 1 },
  ]);
  expect(outcomeFaults(plan, ['y'], null)).toEqual([
    { pointer: '/stages/0/gates/0/metric', message: 'is none of wrong, errors; did you mean wrong?' },
    { pointer: '/stages/0/gates/1/metric', message: 'is none of error, score, rating, y; did you mean score?' },
  ]);
});

it('whoever looks at feedback also looks at whether both arms get it', () => {
  const [stage] = planOf([{ kind: 'rate-ratio', metric: 'wrong' }]).stages;
  const names = (stage as unknown as { gates: { name: string }[] }).gates.map((gate) => gate.name);
  expect(names).toEqual(['rate-ratio-wrong', 'shares', 'feedback-shares']);
});
