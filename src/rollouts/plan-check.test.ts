import { describe, expect, it } from 'vitest';
import { type PlanFacts, planFaults } from './plan-check.ts';
import { estimatePlan } from './plan-estimate.ts';
import { parsePlan } from './plan-file.ts';
import { builtInPlan } from './strategies.ts';
import { taskOf } from './task.ts';

const task = taskOf({
  inputs: [],
  outputs: [{ name: 'label', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] }],
});
const FACTS: PlanFacts = {
  callsPerS: 100,
  errorRate: 0.001,
  latencyMs: 10,
  bodyBytes: 1000,
  capacityPerS: null,
  hasControl: true,
  outputs: ['label'],
};
const check = (written: object, facts: Partial<PlanFacts> = {}): string[] =>
  planFaults(
    parsePlan(written, () => task),
    { ...FACTS, ...facts },
  ).map(({ pointer, message }) => `${pointer} ${message}`);
const canary = (more: object = {}) => ({ kind: 'canary', weight: '5%', ...more });
const promote = { kind: 'promote' };

describe('a plan that cannot work is refused before anything moves', () => {
  it.each<[string, object, RegExp]>([
    [
      'weights that fall',
      { stages: [canary({ weight: '10%' }), canary(), promote] },
      /^\/stages\/1\/weight is not above 10 %/,
    ],
    [
      'a weight of everybody',
      { stages: [canary({ weight: '100%' }), promote] },
      /weight must be above 0 % and below 100 %/,
    ],
    ['a weight of nobody', { stages: [canary({ weight: '0%' }), promote] }, /weight/],
    [
      'an equal control that there is no room for',
      { stages: [canary({ weight: '60%', control: 'concurrent-equal' }), promote] },
      /cannot be concurrent-equal above 50 %/,
    ],
    [
      'two stages of one name',
      { stages: [canary({ name: 'a' }), canary({ name: 'a', weight: '9%' }), promote] },
      /name of another stage/,
    ],
    ['promotion in the middle', { stages: [promote, canary()] }, /must be the last stage/],
    ['promotion on nothing', { stages: [promote] }, /promotes without a guardrail/],
    ['a canary that is never promoted', { stages: [canary()] }, /stay half way/],
    [
      'a stage that cannot pass',
      { stages: [canary({ gates: [] }), promote] },
      /neither a guardrail that passes nor an approval/,
    ],
    [
      'a guardrail that cannot pass',
      { stages: [canary({ gates: [{ kind: 'rate-ratio', passMargin: null }] }), promote] },
      /can never pass/,
    ],
    [
      'a margin that an equal version fails',
      { stages: [canary({ gates: [{ kind: 'rate-ratio', failMargin: 0.5 }] }), promote] },
      /must be at least 1/,
    ],
    [
      'a margin that an equal version never passes',
      { stages: [canary({ gates: [{ kind: 'rate-ratio', passMargin: 1 }] }), promote] },
      /must be above 1/,
    ],
    [
      'a proxy as guardrail',
      {
        stages: [
          canary({ gates: [{ kind: 'rate-ratio' }, { kind: 'output-shift', output: 'label', role: 'guardrail' }] }),
          promote,
        ],
      },
      /must be signal or report/,
    ],
    [
      'an output that there is not',
      { stages: [canary({ gates: [{ kind: 'rate-ratio' }, { kind: 'output-shift', output: 'lable' }] }), promote] },
      /is no output of the version/,
    ],
    [
      'a gate that has nothing to look at',
      { stages: [canary(), { kind: 'promote', gates: [{ kind: 'rate-ratio' }] }] },
      /has nothing to look at in a promote stage/,
    ],
    [
      'two gates of one name',
      { stages: [canary({ gates: [{ kind: 'rate-ratio' }, { kind: 'rate-ratio' }] }), promote] },
      /name of another gate/,
    ],
    [
      'an external metric without limits',
      { stages: [canary({ gates: [{ kind: 'external', webhook: { url: 'http://x' } }] }), promote] },
      /has no limit/,
    ],
    [
      'an external metric with a password in its address',
      {
        stages: [
          canary({
            gates: [
              { kind: 'external', prometheus: { url: 'https://a:secret@prom.example', query: 'x' }, failBelow: 1 },
            ],
          }),
          promote,
        ],
      },
      /^(?!.*secret).*gates\/0\/prometheus\/url must not carry a user or password/,
    ],
    [
      'a deadline shorter than the dwell times',
      { stages: [canary({ minDwell: '2h' }), promote], deadline: '1h' },
      /^\/deadline is shorter/,
    ],
  ])('%s', (_title, written, fault) => {
    expect(check(written, { callsPerS: null })).toEqual(expect.arrayContaining([expect.stringMatching(fault)]));
  });

  it('comparisons without anything to compare with', () => {
    const got = check({ stages: [canary(), promote] }, { hasControl: false });
    expect(got[0]).toMatch(/there is none yet/);
    const golden = { kind: 'blue-green', gates: [{ kind: 'golden' }] };
    expect(check({ stages: [golden, promote] }, { hasControl: false })).toEqual([]);
  });

  it('a gate that this traffic cannot decide, with what would help', () => {
    const narrow = canary({ gates: [{ kind: 'rate-ratio', passMargin: 1.1 }] });
    const [fault] = check({ stages: [narrow, promote] }, { callsPerS: 1 });
    expect(fault).toMatch(
      /^\/stages\/0\/gates\/0 cannot pass within the stage's budget of 24 h: it needs about [\d,]+ calls, \d+ days at 1 calls\/s/,
    );
    expect(fault).toContain('Widen its passMargin, raise the weight, or give more time');
    expect(check({ stages: [narrow, promote] }, { callsPerS: null })).toEqual([]);
    expect(check({ stages: [canary(), promote] })).toEqual([]);
  });

  it('stages that together need longer than the deadline', () => {
    const written = { strategy: 'canary', deadline: '30m', stageBudget: '30m' };
    expect(check(written, { callsPerS: 40 })[0]).toMatch(/^\/deadline 30 min is too short: at 40 calls\/s/);
  });

  it('a shadow larger than its budget', () => {
    const shadow = { kind: 'shadow', sample: '50%', maxInFlight: 4 };
    expect(check({ stages: [shadow] }, { latencyMs: 200 })[0]).toMatch(
      /would have 10 copies in flight, and 4 are allowed/,
    );
    expect(
      check(
        { stages: [{ ...shadow, maxInFlight: 100, maxBytesInFlight: 1024 * 1024 }] },
        { latencyMs: 200, bodyBytes: 1e6 },
      )[0],
    ).toMatch(/bytes in flight/);
    expect(check({ stages: [{ kind: 'shadow' }] })).toEqual([]);
  });

  it('a step that overloads the new version', () => {
    const written = { stages: [canary({ weight: '50%' }), promote] };
    expect(check(written, { capacityPerS: 40 })).toEqual([
      '/stages/0/weight sends 50 calls/s to the new version, which can answer 40',
    ]);
  });
});

describe('what a plan needs', () => {
  it('is told by stage and gate', () => {
    const estimates = estimatePlan(builtInPlan('canary', task), { ...FACTS, callsPerS: 100, errorRate: 0 });
    expect(estimates.map((one) => one.stage)).toEqual(['1%', '5%', '25%', '50%', 'promote']);
    const [first] = estimates;
    // some 300 timed calls of a canary of 1 %
    expect(first!.calls).toBeGreaterThan(10_000);
    expect(first!.calls).toBeLessThan(60_000);
    expect(first!.ms).toBe(Math.max(300_000, (first!.calls! / 100) * 1000));
  });

  it('agrees with the published times to a pass at a base rate of 1 %', () => {
    for (const [weight, margin, published] of [
      [0.05, 1.5, 65_500],
      [0.25, 1.5, 20_500],
      [0.05, 2, 20_250],
    ] as const) {
      const gates = [{ kind: 'rate-ratio', passMargin: margin }];
      const plan = parsePlan({ stages: [{ kind: 'canary', weight: `${weight * 100}%`, gates }, promote] }, () => task);
      const [stage] = estimatePlan(plan, { ...FACTS, errorRate: 0.01 });
      expect(Math.abs(stage!.gates[0]!.calls! - published)).toBeLessThan(0.25 * published);
    }
  });

  it('cannot be told in time without traffic', () => {
    const [stage] = estimatePlan(builtInPlan('canary', task), { ...FACTS, callsPerS: null });
    expect(stage).toMatchObject({ ms: null });
    expect(stage!.calls).toBeGreaterThan(0);
  });
});
