import { describe, expect, it } from 'vitest';
import { createWorld, FROM, steady, TO, type WorldOptions } from '../../test/fixtures/rollout-world.ts';
import type { Plan } from './plan.ts';
import { planFaults } from './plan-check.ts';
import type { Strata } from './rollout.ts';
import { ERRORS, keepStrata, LATENCY_LEVELS, latencyKey, outputKey, sliceKey } from './strata.ts';
import { builtInPlan, canaryGates, PLAN_DEFAULTS } from './strategies.ts';
import { taskOf } from './task.ts';

const task = taskOf({
  inputs: [],
  outputs: [{ name: 'label', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] }],
});
const MINUTE_MS = 60_000;

const facts = {
  callsPerS: null,
  errorRate: null,
  latencyMs: null,
  bodyBytes: null,
  capacityPerS: null,
  hasControl: true,
  outputs: ['label'],
};

/** A canary of two steps and a promotion, quick enough for a test. */
const quick = (changes: Partial<Plan> = {}): Plan => ({
  ...PLAN_DEFAULTS,
  strategy: 'custom',
  stages: [
    ...[0.1, 0.5].map((weight) => ({
      kind: 'canary' as const,
      name: `${weight}`,
      weight,
      control: 'concurrent-equal' as const,
      minDwellMs: 10_000,
      minExposures: 50,
      approve: null,
      gates: canaryGates(weight, task),
    })),
    {
      kind: 'promote',
      name: 'promote',
      soakMs: 20_000,
      keepWarmMs: 10 * MINUTE_MS,
      gates: canaryGates(1, task).filter((gate) => gate.kind === 'ceiling'),
    },
  ],
  stageBudgetMs: 30 * MINUTE_MS,
  deadlineMs: 60 * MINUTE_MS,
  ...changes,
});

const world = (options: Partial<WorldOptions> = {}) => createWorld({ plan: quick(), ...options });
const phases = (of: ReturnType<typeof world>): string[] => of.ledger.map((one) => one.to);

describe('a healthy version', () => {
  it('goes through its stages and is promoted, as the very version that was tested', () => {
    const run = world();
    expect(run.until(run.isEnded, 3000)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ kind: 'completed', isPromoted: true, isWarm: true });
    expect(run.endpoint).toMatchObject({ target: TO, pins: [FROM], traffic: { split: null } });
    expect(phases(run)).toEqual([
      'warming',
      'ramping',
      'baking',
      'ramping',
      'baking',
      'promoting',
      'soaking',
      'completed',
    ]);
    expect(run.log).toMatchObject({ flips: 0, weightWhileUnready: 0 });
  });

  it('leaves a record of every transition: who, why, on which evidence, under which plan', () => {
    const run = world();
    run.until(run.isEnded, 3000);
    const revisions = run.ledger.map((one) => one.revision);
    expect(revisions).toEqual(revisions.map((_, at) => at + 2));
    const promoted = run.ledger.find((one) => one.to === 'promoting')!;
    expect(promoted).toMatchObject({ by: 'slipway', verdict: 'PASS', planVersion: 'sha256:plan' });
    expect(promoted.evidence.find((one) => one.gate === 'errors')?.evidence).toBeGreaterThan(500);
    expect(promoted.reason).toContain('predictions of the canary failed');
  });

  it('lets the old version go when it was kept warm long enough, and leaves later changes of the endpoint alone', () => {
    const run = world();
    run.until(run.isEnded, 3000);
    expect(run.until(() => run.endpoint.pins.length === 0, 700)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ kind: 'completed', isWarm: false });
    expect(run.endpoint.target).toBe(TO);
  });
});

describe('a version that does harm', () => {
  it('that fails always is taken away within two seconds of the first failures', () => {
    const run = world({ candidate: () => ({ isFailed: true }) });
    expect(run.until(() => run.weight() > 0, 100)).toBe(true);
    const from = run.second;
    expect(run.until(() => run.rollout.phase.kind === 'rolling-back', 20)).toBe(true);
    expect(run.second - from).toBeLessThanOrEqual(4);
    expect(run.weight()).toBe(0);
    run.until(run.isEnded, 10);
    expect(run.rollout.phase.kind).toBe('rolled-back');
    expect(run.endpoint.target).toBe(FROM);
    expect(run.ledger.at(-1)!.reason).toMatch(/\d+ of \d+ predictions of the canary failed/);
  });

  it('pauses instead where the plan says so, keeps its traffic, and goes on when a person overrules the gate', () => {
    const run = world({
      plan: quick({ onFail: 'pause' }),
      candidate: (call) => ({ ...steady(call), isFailed: call.random() < 0.06 }),
    });
    expect(run.until(() => run.rollout.phase.kind === 'paused', 3000)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ cause: 'fail' });
    expect(run.weight()).toBeGreaterThan(0);
    run.ask({ kind: 'resume', by: 'ann', reason: 'known and accepted' });
    run.tick();
    expect(run.rollout.phase.kind).toBe('baking');
    expect(run.rollout.overruled).toContain('errors');
    expect(run.ledger.at(-1)).toMatchObject({ by: 'ann', reason: 'known and accepted; overruled errors' });
  });

  it('is seen during a pause too: guardrails stay armed', () => {
    let isBad = false;
    const run = world({ candidate: (call) => ({ ...steady(call), ...(isBad && { isFailed: true }) }) });
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.ask({ kind: 'pause', by: 'ann', reason: 'lunch' });
    run.tick();
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'person' });
    isBad = true;
    expect(run.until(run.isEnded, 30)).toBe(true);
    expect(run.rollout.phase.kind).toBe('rolled-back');
  });

  it('is seen while it soaks', () => {
    let isBad = false;
    const run = world({ candidate: (call) => ({ ...steady(call), ...(isBad && { isFailed: true }) }) });
    run.until(() => run.rollout.phase.kind === 'soaking', 3000);
    isBad = true;
    expect(run.until(run.isEnded, 30)).toBe(true);
    expect(run.rollout.phase.kind).toBe('rolled-back');
    expect(run.endpoint).toMatchObject({ target: FROM });
  });

  it('is not gone back from before the old version is ready', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'soaking', 3000);
    run.health.from = 'starting';
    run.ask({ kind: 'abort', by: 'ann', reason: 'no' });
    run.tick();
    run.tick();
    expect(run.rollout.phase).toMatchObject({ kind: 'rolling-back', hasMoved: false });
    expect(run.endpoint).toMatchObject({ target: TO, pins: [FROM] });
    run.health.from = 'ready';
    expect(run.until(run.isEnded, 10)).toBe(true);
    expect(run.endpoint.target).toBe(FROM);
  });
});

describe('a version that cannot be had', () => {
  it('never ready: the rollout ends, and nothing was sent to it', () => {
    const run = world();
    run.knobs.toReadyAtS = Number.POSITIVE_INFINITY;
    expect(run.until(run.isEnded, 700)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ kind: 'failed-infra' });
    expect(run.log.servedByCandidate).toBe(0);
    expect(run.endpoint).toMatchObject({ target: FROM, pins: [], traffic: { split: null } });
  });

  it('quarantined on the way: the same', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.health.to = 'failed';
    expect(run.until(run.isEnded, 10)).toBe(true);
    expect(run.rollout.phase.kind).toBe('failed-infra');
  });

  it('starting again: has no weight meanwhile, and goes on by itself', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.health.to = 'starting';
    run.tick();
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'not-ready' });
    expect(run.weight()).toBe(0);
    run.until(() => false, 5);
    run.health.to = 'ready';
    expect(run.until(run.isEnded, 3000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
  });
});

describe('without evidence', () => {
  it('zero traffic waits, says so, and never passes', () => {
    const run = world({ callsPerS: (second) => (second < 60 ? 40 : 0) });
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.until(() => false, 600);
    expect(run.rollout.phase.kind).toBe('baking');
    expect(run.rollout.waitingFor).toMatch(/predictions of the canary/);
    expect(run.until(() => run.rollout.phase.kind === 'paused', 3000)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ cause: 'inconclusive' });
    expect(run.ledger.at(-1)!.verdict).toBe('INCONCLUSIVE');
    run.until(() => false, 5000);
    expect(run.rollout.phase.kind).toBe('paused');
    expect(run.endpoint.target).toBe(FROM);
  });

  it('none from the start is waited for before the first stage', () => {
    const run = world({ callsPerS: 0 });
    run.until(() => false, 300);
    expect(run.rollout.phase.kind).toBe('warming');
    expect(run.rollout.waitingFor).toMatch(/^0 of 100 predictions of the current version/);
    run.until(() => false, 4000);
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'deadline' });
  });

  it.each([
    ['pause', { do: 'pause' }, 'paused'],
    ['rollback', { do: 'rollback' }, 'rolled-back'],
    ['ask', { do: 'ask', approver: 'carol' }, 'paused'],
  ] as const)('a spent budget leads to %s', (_title, onInconclusive, kind) => {
    const run = world({
      plan: quick({ onInconclusive, stageBudgetMs: 2 * MINUTE_MS }),
      callsPerS: (second) => (second < 10 ? 40 : 0),
    });
    run.until(() => run.rollout.phase.kind === kind, 400);
    expect(run.rollout.phase.kind).toBe(kind);
    if (onInconclusive.do === 'ask') expect(run.ledger.at(-1)!.reason).toContain('carol may promote it');
  });

  it('a budget is extended as often as the plan allows, then it pauses', () => {
    const plan = quick({ onInconclusive: { do: 'extend', times: 2 }, stageBudgetMs: MINUTE_MS });
    const run = world({ plan, callsPerS: (second) => (second < 10 ? 40 : 0) });
    run.until(() => run.rollout.phase.kind === 'paused', 1000);
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'inconclusive' });
    expect(run.ledger.filter((one) => one.reason.endsWith('extended'))).toHaveLength(2);
  });

  it('lost telemetry pauses, with the traffic as it was, and the rollout goes on when it is back', () => {
    const run = world({ plan: quick({ onTelemetryLoss: { afterMs: 30_000, do: 'pause' } }) });
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    const weight = run.weight();
    run.knobs.isTelemetryLost = true;
    expect(run.until(() => run.rollout.phase.kind === 'paused', 60)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ cause: 'telemetry' });
    expect(run.weight()).toBe(weight);
    run.knobs.isTelemetryLost = false;
    expect(run.until(run.isEnded, 3000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
  });

  it('no gateway at all: it waits, and nothing counts as followed', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'warming', 50);
    run.knobs.gateways = 0;
    run.until(() => false, 60);
    expect(run.rollout.waitingFor).toBe('A gateway to connect');
    expect(run.rollout.phase.kind).toBe('ramping');
  });
});

describe('shares that are wrong', () => {
  it('make the comparison invalid; going on starts it again with a new salt and no evidence', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    // a retry storm of one arm: it is counted far more often than its share
    const lopsided = run.until(() => {
      for (const { arms } of run.evidence.values()) if (arms['canary']) arms['canary'].assigned += 3;
      return run.rollout.phase.kind === 'paused';
    }, 300);
    expect(lopsided).toBe(true);
    expect(run.rollout.phase).toMatchObject({ cause: 'invalid' });
    const split = run.endpoint.traffic.split!;
    run.ask({ kind: 'resume', by: 'ann', reason: 'the storm is over' });
    run.until(() => run.weight() > 0 && run.rollout.epoch === 2, 20);
    expect(run.rollout).toMatchObject({ epoch: 2, strata: {} });
    expect(run.endpoint.traffic.split!.salts.arm).not.toBe(split.salts.arm);
    expect(run.until(run.isEnded, 3000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
  });
});

describe('people', () => {
  it('abort wins over promote, resume and pause, in whatever order they come', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.ask({ kind: 'promote', by: 'bob', reason: 'hurry' });
    run.ask({ kind: 'pause', by: 'dan', reason: '' });
    run.ask({ kind: 'abort', by: 'ann', reason: 'stop' });
    run.tick();
    expect(run.rollout.phase).toMatchObject({ kind: 'rolling-back', endsAs: 'rolled-back' });
    run.until(run.isEnded, 10);
    expect(run.endpoint.target).toBe(FROM);
  });

  it('a newer rollout supersedes in every phase that has not ended', () => {
    for (const kind of ['provisioning', 'warming', 'ramping', 'baking', 'promoting', 'soaking'] as const) {
      const run = world({ lagS: 3 });
      expect(
        run.until(() => run.rollout.phase.kind === kind, 3000),
        kind,
      ).toBe(true);
      run.ask({ kind: 'supersede', by: 'ann', rollout: 'r2' });
      expect(run.until(run.isEnded, 30)).toBe(true);
      expect(run.rollout.phase).toMatchObject({ kind: 'superseded', reason: 'Superseded by rollout r2' });
      expect(run.endpoint).toMatchObject({ target: FROM, pins: [], traffic: { split: null } });
    }
  });

  it('promote skips what is left, and says by whom and why', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.ask({ kind: 'promote', by: 'ann', reason: 'the old one is on fire' });
    run.until(run.isEnded, 100);
    expect(run.endpoint.target).toBe(TO);
    expect(run.ledger.find((one) => one.to === 'promoting')).toMatchObject({
      by: 'ann',
      reason: 'the old one is on fire',
    });
  });

  it('nobody promotes a version that is not ready', () => {
    const run = world();
    const asked = run.ask({ kind: 'promote', by: 'ann', reason: 'now' });
    run.tick();
    expect(asked.refusal).toBe('Version 3 is not ready');
    expect(run.rollout.phase.kind).toBe('provisioning');
  });

  it('approvals come from enough different people, none of whom started it or made the version', () => {
    const stages = quick().stages.map((stage) =>
      stage.kind === 'canary' && stage.weight === 0.5
        ? { ...stage, approve: { separateDuties: true, count: 2 } }
        : stage,
    );
    const run = world({ plan: quick({ stages }) });
    run.until(() => run.rollout.phase.kind === 'awaiting-approval', 3000);
    const refusals = ['ann', 'bob', 'carol', 'carol', 'dan'].map((by) => {
      const asked = run.ask({ kind: 'approve', by, stage: 1 });
      run.tick();
      return asked.refusal;
    });
    expect(refusals).toEqual([
      'Whoever started the rollout may not approve it',
      'Whoever made the version may not approve it',
      null,
      'carol has approved it already',
      null,
    ]);
    run.until(run.isEnded, 100);
    expect(run.ledger.find((one) => one.to === 'promoting')).toMatchObject({ by: 'carol, dan', reason: 'Approved' });
  });

  it('are told why a command comes too late', () => {
    const run = world();
    run.until(run.isEnded, 3000);
    const asked = run.ask({ kind: 'abort', by: 'ann', reason: 'too late' });
    run.tick();
    expect(asked.refusal).toBe('The rollout has ended: it is completed');
    expect(run.endpoint.target).toBe(TO);
  });
});

describe('clocks that jump', () => {
  it.each([
    ['an hour back', -3_600_000],
    ['five minutes ahead', 300_000],
    ['a year ahead', 365 * 86_400_000],
  ])('%s: nothing passes and nothing expires by it', (_title, ms) => {
    const run = world({ plan: quick({ onTelemetryLoss: { afterMs: 120_000, do: 'pause' } }) });
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    const before = run.rollout.now.watchedMs;
    run.jump(ms);
    run.tick();
    expect(run.rollout.phase.kind).toBe('baking');
    expect(run.rollout.now.watchedMs - before).toBeLessThanOrEqual(60_000);
    expect(run.until(run.isEnded, 4000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
  });
});

describe('first versions', () => {
  const plan: Plan = {
    ...PLAN_DEFAULTS,
    strategy: 'custom',
    stages: [
      {
        kind: 'blue-green',
        name: 'golden',
        minDwellMs: 0,
        approve: null,
        gates: [{ kind: 'golden', name: 'golden', role: 'guardrail', minCases: 3 }],
      },
      { kind: 'promote', name: 'promote', soakMs: 10_000, keepWarmMs: 60_000, gates: [] },
    ],
  };

  it('are promoted by their golden set', () => {
    const run = createWorld({ plan, isFirst: true, golden: { cases: 5, passed: 5 } });
    expect(run.until(run.isEnded, 100)).toBe(true);
    expect(run.endpoint).toMatchObject({ target: TO, pins: [] });
  });

  it('without one are never promoted', () => {
    const run = createWorld({ plan: { ...plan, stageBudgetMs: 60_000 }, isFirst: true });
    run.until(() => false, 300);
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'inconclusive' });
    expect(run.endpoint.target).toBeNull();
  });

  it('that do harm have nothing to go back to: it pauses and says so', () => {
    const ceiling = canaryGates(1, task).filter((gate) => gate.kind === 'ceiling');
    const stages = plan.stages.map((stage) => (stage.kind === 'promote' ? { ...stage, gates: ceiling } : stage));
    const run = createWorld({
      plan: { ...plan, stages },
      isFirst: true,
      golden: { cases: 5, passed: 5 },
      candidate: () => ({ isFailed: true }),
    });
    run.until(() => run.rollout.phase.kind === 'paused', 100);
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'fail' });
    expect(run.ledger.at(-1)!.reason).toContain('There is no earlier version to go back to');
  });
});

describe('blue-green', () => {
  it('runs beside at weight 0, is reached by its arm, switches at once on consent, and keeps the old one warm', () => {
    const run = createWorld({ plan: builtInPlan('blue-green', task) });
    run.until(() => run.rollout.phase.kind === 'awaiting-approval', 100);
    expect(run.log.servedByCandidate).toBe(0);
    expect(run.endpoint).toMatchObject({ target: FROM, pins: [TO] });
    expect(run.endpoint.traffic.split!.arms.map((arm) => arm.name)).toContain('canary');
    run.ask({ kind: 'approve', by: 'ann', stage: 0 });
    run.until(() => run.rollout.phase.kind === 'soaking', 20);
    expect(run.endpoint).toMatchObject({ target: TO, pins: [FROM] });
    run.until(run.isEnded, 1000);
    expect(run.rollout.phase).toMatchObject({ kind: 'completed', isPromoted: true, isWarm: true });
  });
});

describe('a controller that dies', () => {
  const normalEnd = (options: Partial<WorldOptions>) => {
    const run = world({ callsPerS: 100, ...options });
    expect(run.until(run.isEnded, 4000)).toBe(true);
    run.until(() => false, 5);
    return run;
  };

  it.each([
    ['a healthy rollout', {}],
    ['one that is rolled back', { candidate: () => ({ isFailed: true }) }],
  ] as const)('at any of its writes, resumes right: %s', (_title, options) => {
    const whole = normalEnd(options);
    const last = whole.writes;
    // every write around a transition, and a sample of those between, which are alike; all of them with SLIPWAY_ALL_WRITES=1
    const every = process.env['SLIPWAY_ALL_WRITES'] ? 1 : 29;
    const tried = new Set(whole.transitionWrites.flatMap((at) => [at - 1, at, at + 1, at + 2, at + 3, at + 4]));
    for (let at = 1; at <= last; at += every) tried.add(at);
    tried.delete(0);
    for (const at of tried) {
      const run = world({ callsPerS: 100, ...options, killAtWrite: at });
      expect(run.until(run.isEnded, 4000), `killed at write ${at}`).toBe(true);
      run.until(() => false, 5);
      expect(run.rollout.phase.kind, `killed at write ${at}`).toBe(whole.rollout.phase.kind);
      expect(run.endpoint.target).toBe(whole.endpoint.target);
      expect(run.endpoint.traffic.split).toBeNull();
      expect(run.log).toMatchObject({ flips: 0, weightWhileUnready: 0 });
      // the ledger has every revision once, in order: nothing was done twice and nothing without a record
      const revisions = run.ledger.map((one) => one.revision);
      expect(revisions).toEqual(revisions.map((_, place) => place + 2));
    }
  });
});

describe('size', () => {
  it('is below 100 kB with the largest plan, after twenty stages of as many slices and outputs as are counted', () => {
    const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
    const tenants = Array.from({ length: 21 }, (_, at) => `${at} `.padEnd(256, 'é'));
    const keys = [ERRORS, ...LATENCY_LEVELS.map(latencyKey)].flatMap((key) => [
      key,
      ...tenants.map((tenant) => sliceKey(key, tenant)),
    ]);
    keys.push(...Array.from({ length: 33 }, (_, bin) => outputKey('label', bin)));
    let strata: Strata = {};
    for (let stage = 0; stage < 20; stage++)
      strata = keepStrata(
        strata,
        Object.fromEntries(
          keys.map((key, at) => [
            key,
            { share: 1 / 3, canaryEvents: 1e9 + at, events: 4e9 + at, canaryExposures: 9e15 },
          ]),
        ),
      );
    // what all calls had is kept of every stage, whatever has to go
    expect(strata[ERRORS]).toHaveLength(20);
    expect(strata[latencyKey('p99')]).toHaveLength(20);
    const run = world();
    run.until(run.isEnded, 3000);
    const { plan, readings, ...rest } = run.rollout;
    const largest = planOf(40_000);
    expect(planFaults(largest, facts)).toEqual([]);
    expect(planFaults(planOf(41_000), facts)).toMatchObject([{ message: expect.stringContaining('fewer stages') }]);
    const most = Array.from({ length: 20 }, () => ({ ...readings[0]!, text: 'é'.repeat(400) }));
    expect(bytes({ ...rest, strata, plan: largest, readings: most })).toBeLessThan(100_000);
    expect(bytes(run.rollout)).toBeLessThan(20_000);
    expect(bytes(plan)).toBeLessThan(10_000);
  });

  /** A plan of so many bytes, by the values that a rule lists. */
  function planOf(size: number): Plan {
    const of = (values: string[]): Plan =>
      quick({ rules: [{ kind: 'never', name: 'banks', of: { kind: 'header', name: 'x-bank' }, values }] });
    return of(['b'.repeat(size - JSON.stringify(of([''])).length)]);
  }
});

describe('the built-in plans', () => {
  it.each(['canary', 'blue-green', 'shadow'] as const)('%s has no fault', (strategy) => {
    expect(planFaults(builtInPlan(strategy, task), facts)).toEqual([]);
  });
});
