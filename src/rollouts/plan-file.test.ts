import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SlipwayError } from '../base/errors.ts';
import type { Signature } from '../registry/signature.ts';
import { planFaults } from './plan-check.ts';
import { parsePlan, parsePlanText, planDigest } from './plan-file.ts';
import { PLAN_SCHEMA } from './plan-schema.ts';
import { builtInPlan, PLAN_DEFAULTS } from './strategies.ts';
import { taskOf } from './task.ts';

const signature: Signature = {
  inputs: [],
  outputs: [{ name: 'label', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] }],
};
const read = (text: string) => parsePlanText(text, 'rollout.yaml', (asked) => taskOf(signature, asked));
const faults = (text: string): string[] => {
  try {
    read(text);
  } catch (error) {
    return (error as SlipwayError).fields.map(({ pointer, message }) => `${pointer} ${message}`);
  }
  return [];
};

describe('a plan file', () => {
  it('with nothing but a strategy is the built-in plan', () => {
    for (const strategy of ['canary', 'blue-green', 'shadow'] as const)
      expect(read(`strategy: ${strategy}`)).toEqual(builtInPlan(strategy, taskOf(signature)));
    expect(read('{}')).toEqual(builtInPlan('canary', taskOf(signature)));
  });

  it('has every kind of stage and policy', () => {
    const plan = read(`
unit: { key: tenant, header: X-Tenant }
rules:
  - { kind: only, name: residency, header: X-Region, values: [eu] }
  - { kind: arm, pointer: /parameters/tester, values: ['1'], arm: canary }
holdout: 2%
layer: { name: ranking, from: 0%, to: 50% }
sliceBy: { field: segment }
stages:
  - { kind: shadow, sample: 20%, noiseFloor: 0.5%, minPairs: 500, timeout: 250ms }
  - kind: canary
    weights: [1%, 5%]
    minDwell: 90s
    gates:
      - { kind: rate-ratio, passBelow: 2% }
      - { kind: exceedance, level: p99, role: tripwire }
  - { kind: blue-green, approve: { count: 2 } }
  - { kind: approve, separateDuties: false }
  - { kind: promote, soak: 1h, keepWarm: 2d }
onFail: pause
onInconclusive: { extend: 3 }
onInvalid: rollback
onTelemetryLoss: { after: 5m, do: rollback }
provisionTimeout: 2m
stageBudget: 6h
deadline: 7d
`);
    expect(plan).toMatchObject({
      strategy: 'custom',
      unit: { key: 'tenant', from: { kind: 'header', name: 'x-tenant' } },
      rules: [
        { kind: 'only', name: 'residency', of: { kind: 'header', name: 'x-region' }, values: ['eu'] },
        {
          kind: 'arm',
          name: 'rule-2',
          of: { kind: 'pointer', pointer: '/parameters/tester' },
          values: ['1'],
          arm: 'canary',
        },
      ],
      holdoutShare: 0.02,
      layer: { name: 'ranking', slot: [0, 0.5] },
      sliceBy: { kind: 'field', name: 'segment' },
      onFail: 'pause',
      onInconclusive: { do: 'extend', times: 3 },
      onInvalid: 'rollback',
      onTelemetryLoss: { afterMs: 300_000, do: 'rollback' },
      provisionTimeoutMs: 120_000,
      stageBudgetMs: 21_600_000,
      deadlineMs: 604_800_000,
    });
    expect(plan.stages.map((stage) => `${stage.kind} ${stage.name}`)).toEqual([
      'shadow shadow',
      'canary 1%',
      'canary 5%',
      'blue-green blue-green',
      'approve approve',
      'promote promote',
    ]);
    expect(plan.stages[0]).toMatchObject({ sampleShare: 0.2, noiseFloorShare: 0.005, minPairs: 500, timeoutMs: 250 });
    expect(plan.stages[2]).toMatchObject({ weight: 0.05, minDwellMs: 90_000, control: 'concurrent-equal' });
    expect(plan.stages[3]).toMatchObject({ approve: { count: 2, separateDuties: true } });
    expect(plan.stages[4]).toMatchObject({ approval: { count: 1, separateDuties: false } });
    expect(plan.stages[5]).toMatchObject({ soakMs: 3_600_000, keepWarmMs: 172_800_000 });
  });

  it('gets the test of shares where it leaves it out, and defaults of each kind of gate', () => {
    const plan = read(`
stages:
  - kind: canary
    weight: 60%
    gates:
      - { kind: rate-ratio }
      - { kind: exceedance, level: p95 }
      - { kind: exceedance, level: p99, role: tripwire }
      - { kind: mean-difference, metric: label, failMargin: 0.1 }
      - { kind: output-shift, output: label }
      - { kind: ceiling, errorRate: 5% }
      - { kind: golden }
      - { kind: external, webhook: { url: 'http://metrics.example/x' }, failAbove: 3 }
      - { kind: quantile }
  - { kind: promote }
`);
    const stage = plan.stages[0]!;
    expect(stage).toMatchObject({ control: 'rest' });
    const gates = stage.kind === 'approve' ? [] : stage.gates;
    expect(gates.map((gate) => `${gate.name} ${gate.role}`)).toEqual([
      'rate-ratio guardrail',
      'exceedance-p95 guardrail',
      'exceedance-p99 tripwire',
      'mean-difference-label guardrail',
      'output-shift-label signal',
      'ceiling tripwire',
      'golden guardrail',
      'external guardrail',
      'quantile report',
      'shares tripwire',
    ]);
    expect(gates[2]).toMatchObject({ passMargin: null });
    expect(gates[5]).toMatchObject({ errorRate: 0.05, consecutiveErrors: 20 });
  });

  it.each([
    ['stage: []', ['/stage line 1: is not known here; did you mean stages?']],
    [
      'stages:\n  - { kind: canry, weight: 5% }',
      ['/stages/0/kind line 2: must be "shadow" or "canary" or "blue-green" or "approve" or "promote"'],
    ],
    [
      'stages:\n  - { kind: canary, wieght: 5% }',
      [
        '/stages/0/wieght line 2: is not known here; did you mean weight?',
        '/stages/0 line 2: needs weight or weights, and not both',
      ],
    ],
    ['stages:\n  - { kind: canary, weight: 5 }', ['/stages/0/weight line 2: must be string']],
    [
      'stages:\n  - { kind: canary, weight: "5" }',
      ['/stages/0/weight line 2: must be a share with its unit from 0% to 100%, such as 5%'],
    ],
    [
      'stages:\n  - { kind: shadow, sample: 150%, noiseFloor: 100.5% }',
      ['sample', 'noiseFloor'].map(
        (key) => `/stages/0/${key} line 2: must be a share with its unit from 0% to 100%, such as 5%`,
      ),
    ],
    [
      'stages:\n  - { kind: canary, weight: 5%, minDwell: 10 m }',
      ['/stages/0/minDwell line 2: must be a duration with its unit, such as 10m'],
    ],
    [
      'stages:\n  - kind: canary\n    weight: 5%\n    gates:\n      - { kind: rate-ratio, passmargin: 2 }',
      ['/stages/0/gates/0/passmargin line 5: is not known here; did you mean passMargin?'],
    ],
    [
      'stages:\n  - kind: canary\n    weight: 5%\n    gates:\n      - { kind: exceedance, level: p98 }',
      ['/stages/0/gates/0/level line 5: must be "p50" or "p95" or "p99"'],
    ],
    ['unit: { key: user, header: x, field: y }', ['/unit line 1: needs exactly one of header, field and pointer']],
    ['sliceBy: {}', ['/sliceBy line 1: needs exactly one of header, field and pointer']],
    [
      'rules:\n  - { kind: never, header: x, values: [a], arm: canary }',
      ['/rules/0/arm line 2: is given for kind arm, and for no other'],
    ],
    [
      'stages:\n  - kind: canary\n    weight: 5%\n    gates:\n      - { kind: external, webhook: { url: "file:///etc/passwd" } }',
      ['/stages/0/gates/0/webhook/url line 5: must be an http or https address'],
    ],
    [
      'stages:\n  - kind: canary\n    weight: 5%\n    gates:\n      - { kind: external }',
      ['/stages/0/gates/0 line 5: needs prometheus or webhook, and not both'],
    ],
    ['[]', [' line 1: must be object']],
  ])('tells what is wrong, where: %s', (text, expected) => {
    const got = faults(text);
    // where a pointer names nothing there is no line
    expect(got.map((one) => one.replace('  must', ' must'))).toEqual(
      expected.map((one) => (one.startsWith(' line 1: must be object') ? ' must be object' : one)),
    );
  });

  it('is refused when it is broken YAML, large, or built to blow up', () => {
    for (const text of ['stages: [', '!!js/function x', `a: ${'x'.repeat(70_000)}`, 'a: &a [*a]'])
      expect(() => read(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it('is as the guide writes it, and can work', () => {
    const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/rollout-plans.md'), 'utf8');
    const blocks = [...guide.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1]!);
    expect(blocks).toHaveLength(3);
    for (const block of blocks)
      expect(
        planFaults(read(block), {
          callsPerS: 200,
          errorRate: 0,
          latencyMs: 5,
          bodyBytes: 500,
          capacityPerS: null,
          hasControl: true,
          outputs: ['label'],
        }),
      ).toEqual([]);
  });

  it('may come as JSON too', () => {
    const plan = parsePlan({ stages: [{ kind: 'promote' }] }, (asked) => taskOf(signature, asked));
    expect(plan.stages).toHaveLength(1);
    expect(() => parsePlan(null, () => taskOf(signature))).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    );
  });

  it('has a digest that does not depend on the order of its keys', () => {
    const plan = builtInPlan('canary', taskOf(signature));
    const turned = Object.fromEntries(Object.entries(plan).reverse()) as typeof plan;
    expect(planDigest(turned)).toBe(planDigest(plan));
    expect(planDigest({ ...plan, onFail: 'pause' })).not.toBe(planDigest(plan));
    expect(planDigest(plan)).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it('has a schema for editors that names every kind', () => {
    const text = JSON.stringify(PLAN_SCHEMA);
    for (const kind of ['shadow', 'canary', 'blue-green', 'approve', 'promote', 'rate-ratio', 'external'])
      expect(text).toContain(`"const":"${kind}"`);
    expect(PLAN_DEFAULTS.unit.key).toBe('request');
  });
});

describe('what a model is for', () => {
  const output = (given: Partial<Signature['outputs'][number]>): Signature => ({
    inputs: [],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1], ...given }],
  });

  it.each<[string, Signature, string]>([
    ['labels', signature, 'classification'],
    ['a row of scores', output({ name: 'probabilities', shape: [-1, 3] }), 'classification'],
    ['a number', output({}), 'regression'],
    ['a column', output({ shape: [-1, 1] }), 'regression'],
    ['text', output({ datatype: 'BYTES' }), 'text'],
    ['an embedding', output({ shape: [-1, 384] }), 'unknown'],
    ['very many classes', output({ name: 'logits', shape: [-1, 1000] }), 'unknown'],
  ])('is told from %s', (_title, given, kind) => {
    expect(taskOf(given).kind).toBe(kind);
  });

  it('is what the plan says, where it says it', () => {
    expect(taskOf(output({ shape: [-1, 50] }), 'ranking')).toMatchObject({ kind: 'ranking', compare: { k: 10 } });
    expect(taskOf({ inputs: [], outputs: [] }, 'regression').kind).toBe('unknown');
  });
});
