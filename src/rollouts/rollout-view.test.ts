import { describe, expect, it } from 'vitest';
import { createWorld, steady } from '../../test/fixtures/rollout-world.ts';
import type { EvidenceReport } from '../serving/endpoints/arm-evidence.ts';
import { isNewer } from './merge-evidence.ts';
import { viewOf } from './rollout-view.ts';
import { builtInPlan } from './strategies.ts';
import { taskOf } from './task.ts';

const task = taskOf({
  inputs: [],
  outputs: [{ name: 'label', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] }],
});
const traffic = { callsPerS: 40, errorRate: 0.002, latencyMs: 5, bodyBytes: null, capacityPerS: null };

describe('what is shown of a rollout', () => {
  it('is its stages, weights, gates with what is missing, and what to do next', () => {
    const run = createWorld({ plan: builtInPlan('canary', task) });
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.until(() => false, 60);
    const evidence = [...run.evidence.values()].at(-1)!;
    const view = viewOf(run.rollout, { evidence: { ...evidence, shadows: {} }, traffic });
    expect(view).toMatchObject({ phase: 'baking', stage: 0, isEnded: false, weight: { asked: 0.01 } });
    expect(view.weight.observed).toBeCloseTo(0.01, 1);
    expect(view.stages.map((one) => `${one.name} ${one.state}`)).toEqual([
      '1% now',
      '5% next',
      '25% next',
      '50% next',
      'promote next',
    ]);
    const errors = view.stages[0]!.gates.find((gate) => gate.name === 'errors')!;
    expect(errors).toMatchObject({ verdict: 'CONTINUE', role: 'guardrail' });
    expect(errors.remaining).toBeGreaterThan(0);
    expect(errors.remainingMs).toBeCloseTo((errors.remaining! / 40) * 1000, -1);
    // everything goes over the wire as JSON
    expect(JSON.parse(JSON.stringify(view))).toEqual(view);
  });

  it('says in one sentence why it stopped, and what to type next', () => {
    const run = createWorld({
      plan: builtInPlan('canary', task),
      candidate: (call) => ({ ...steady(call), isFailed: true }),
    });
    run.until(run.isEnded, 400);
    const view = viewOf(run.rollout, { evidence: null, traffic });
    expect(view.text).toMatch(/^Rolled back to version 2: .*predictions of the canary/);
    expect(view.next).toBe('slipway rollouts show churn');
    expect(view.weight.asked).toBe(0);
  });

  it('names the consent that is waited for', () => {
    const run = createWorld({ plan: builtInPlan('blue-green', task) });
    run.until(() => run.rollout.phase.kind === 'awaiting-approval', 100);
    const view = viewOf(run.rollout, { evidence: null, traffic });
    expect(view).toMatchObject({
      text: 'Stage preview waits for approval (0 of 1)',
      next: 'slipway rollouts approve churn',
    });
  });
});

describe('a report of evidence', () => {
  it('counts when it is later than the one that is known', () => {
    const report = (sequence: number): EvidenceReport => ({
      instance: 'a',
      sequence,
      evidence: { id: 'r', epoch: 1, stage: 0, arms: {}, shadows: {} },
    });
    expect([isNewer(report(1), undefined), isNewer(report(2), report(1)), isNewer(report(1), report(1))]).toEqual([
      true,
      true,
      false,
    ]);
  });
});
