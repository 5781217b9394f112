/** Faults that rollouts must see, and those that they must not be misled by. Time is passed in; an hour takes a second. */
import { describe, expect, it } from 'vitest';
import { createWorld, FROM, steady, TO, type WorldOptions } from '../../test/fixtures/rollout-world.ts';
import type { Plan } from './plan.ts';
import { parsePlan } from './plan-file.ts';
import { lnE } from './statistics/rate-ratio.ts';
import { taskOf } from './task.ts';

const task = taskOf({
  inputs: [],
  outputs: [{ name: 'label', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] }],
});
const plan = (written: object = {}): Plan =>
  parsePlan(
    {
      sliceBy: { header: 'x-tenant' },
      stages: [
        { kind: 'canary', weights: ['5%', '25%', '50%'], minDwell: '1m' },
        { kind: 'promote', soak: '1m', keepWarm: '10m' },
      ],
      stageBudget: '1h',
      deadline: '3h',
      ...written,
    },
    () => task,
  );
const world = (options: Partial<WorldOptions> = {}) => createWorld({ plan: plan(), callsPerS: 100, ...options });
const reason = (of: ReturnType<typeof world>): string => of.ledger.at(-1)?.reason ?? '';

describe('harm', () => {
  it('a canary that answers 200 with a constant: it pauses, because outputs are spread otherwise', () => {
    const run = world({ candidate: (call) => ({ ...steady(call), isFailed: false, label: 1 }) });
    expect(run.until(() => run.rollout.phase.kind === 'paused', 2000)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ cause: 'signal' });
    expect(reason(run)).toContain('label of the canary is spread otherwise');
    expect(run.endpoint.target).toBe(FROM);
  });

  it('a regression that only the slowest calls have: it is rolled back by p99', () => {
    const run = world({
      candidate: (call) => {
        const got = steady(call);
        return call.random() < 0.04 ? { ...got, latencyMs: 60 } : got;
      },
    });
    expect(run.until(run.isEnded, 4000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('rolled-back');
    expect(reason(run)).toMatch(/slower than control's p9[59]/);
    const seen = run.ledger.find((one) => one.to === 'rolling-back')!;
    // its median is that of control: nothing that looks at the middle would see it
    expect(seen.evidence.filter((one) => one.verdict === 'FAIL').map((one) => one.gate)).not.toContain('errors');
  });

  it('a regression of one tenant in ten: it is rolled back, and the tenant is named', () => {
    const run = world({
      candidate: (call) => ({ ...steady(call), ...(call.tenant === 't7' && { isFailed: call.random() < 0.15 }) }),
      current: (call) => ({ ...steady(call), isFailed: call.random() < 0.01 }),
    });
    expect(run.until(run.isEnded, 6000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('rolled-back');
    expect(reason(run)).toMatch(/^In slice t7: \d+ of [\d,]+ predictions of the canary failed/);
  });

  it('errors that double: it is rolled back before half of the traffic is there', () => {
    const run = world({
      current: (call) => ({ ...steady(call), isFailed: call.random() < 0.02 }),
      candidate: (call) => ({ ...steady(call), isFailed: call.random() < 0.06 }),
    });
    expect(run.until(run.isEnded, 6000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('rolled-back');
    expect(run.ledger.filter((one) => one.to === 'ramping').map((one) => one.stage)).not.toContain(2);
  });

  it('errors that begin after promotion: the old version is warm, and has all traffic within three seconds', () => {
    let isBad = false;
    const run = world({ candidate: (call) => ({ ...steady(call), ...(isBad && { isFailed: true }) }) });
    expect(run.until(() => run.rollout.phase.kind === 'soaking', 9000)).toBe(true);
    isBad = true;
    const from = run.second;
    expect(run.until(() => run.endpoint.target === FROM, 20)).toBe(true);
    expect(run.second - from).toBeLessThanOrEqual(3);
  });
});

describe('what is no harm', () => {
  it('a base rate that swings during the ramp does not look like an effect, although pooled it would', () => {
    let rate = 0.1;
    const behaviour: WorldOptions['current'] = (call) => ({ ...steady(call), isFailed: call.random() < rate });
    const run = world({ current: behaviour, candidate: behaviour });
    // one in ten fails while the canary has 5 %, one in a hundred once it has more
    run.until(() => run.rollout.phase.kind === 'ramping' && run.rollout.phase.stage === 1, 3000);
    rate = 0.01;
    expect(run.until(run.isEnded, 9000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
    const strata = run.rollout.strata['errors']!;
    expect(strata.length).toBe(3);
    const events = strata.reduce((sum, one) => sum + one.events, 0);
    const canaryEvents = strata.reduce((sum, one) => sum + one.canaryEvents, 0);
    const exposures = strata.reduce((sum, one) => sum + one.canaryExposures, 0);
    const all = strata.reduce((sum, one) => sum + one.canaryExposures / one.share, 0);
    expect(lnE([[exposures / all, canaryEvents, events]], 1, -1)).toBeGreaterThan(Math.log(20));
    expect(
      lnE(
        strata.map((one) => [one.share, one.canaryEvents, one.events] as const),
        1,
        -1,
      ),
    ).toBeLessThan(Math.log(20));
  });

  it('a fault that both versions have pauses, because going back would not help', () => {
    let isDown = false;
    const behaviour: WorldOptions['current'] = (call) => ({ ...steady(call), ...(isDown && { isFailed: true }) });
    const run = world({ current: behaviour, candidate: behaviour });
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.until(() => false, 30);
    isDown = true;
    expect(run.until(() => run.rollout.phase.kind === 'paused', 30)).toBe(true);
    expect(run.rollout.phase).toMatchObject({ cause: 'invalid' });
    expect(reason(run)).toContain('so did');
    expect(run.endpoint.target).toBe(FROM);
  });

  it('twenty healthy rollouts end in promotion; alpha allows one to be stopped', () => {
    const ends = Array.from({ length: 20 }, (_, at) => {
      const run = world({ seed: 1000 + at, callsPerS: 50 });
      run.until(() => run.isEnded() || run.rollout.phase.kind === 'paused', 9000);
      return run.rollout.phase.kind;
    });
    expect(ends.filter((kind) => kind !== 'completed').length).toBeLessThanOrEqual(2);
  });
});

describe('what goes wrong around', () => {
  it('a metrics outage of ten minutes pauses, promotes nothing, and the rollout goes on after it', () => {
    const run = world({ plan: plan({ onTelemetryLoss: { after: '1m', do: 'pause' } }) });
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.knobs.isTelemetryLost = true;
    run.until(() => false, 600);
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'telemetry' });
    expect(run.endpoint.target).toBe(FROM);
    run.knobs.isTelemetryLost = false;
    expect(run.until(run.isEnded, 9000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
  });

  it('a gateway that is lost during a stage: its evidence stays, and the stage is not passed on less', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.until(() => false, 20);
    const before = [...run.evidence.values()].at(-1)!.arms['canary']!.answered;
    run.knobs.gateways = 0;
    run.until(() => false, 20);
    expect(run.rollout.phase.kind).toBe('baking');
    run.knobs.gateways = 1;
    run.until(() => false, 2);
    expect([...run.evidence.values()].at(-1)!.arms['canary']!.answered).toBeGreaterThanOrEqual(before);
    expect(run.until(run.isEnded, 9000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
  });

  it('two controllers: the one that read an older revision changes nothing', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    const stale = run.rollout;
    run.ask({ kind: 'abort', by: 'ann', reason: 'stop' });
    run.tick();
    const endpoint = run.endpoint;
    expect(endpoint.traffic.split).toBeNull();
    // what the late one wants has an older revision of the traffic
    expect(stale.trafficRevision).toBeLessThan(endpoint.traffic.revision);
    expect(stale.revision).toBeLessThan(run.rollout.revision);
  });

  it('evidence of the stage before that comes late is not counted in the next', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'ramping' && run.rollout.phase.stage === 1, 3000);
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.tick();
    const exposures = run.rollout.readings.find((one) => one.gate === 'latency-p99')?.evidence ?? 0;
    const first = run.rollout.strata['errors']![0]!;
    expect(run.rollout.strata['errors']).toHaveLength(1);
    expect(first.canaryExposures).toBeGreaterThan(0);
    expect(exposures).toBeGreaterThan(0);
  });

  it('traffic that stops in the middle is waited for, and goes on where it was', () => {
    const run = world({ callsPerS: (second) => (second > 60 && second < 1200 ? 0 : 100) });
    run.until(() => run.second > 1100, 1200);
    expect(['baking', 'ramping']).toContain(run.rollout.phase.kind);
    expect(run.until(run.isEnded, 9000)).toBe(true);
    expect(run.rollout.phase.kind).toBe('completed');
  });

  it('a router that applies 0.9 of the weight is seen as a mismatch of shares', () => {
    const run = world();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    const seen = run.until(() => {
      for (const { arms } of run.evidence.values()) {
        const canary = arms['canary'];
        if (canary !== undefined) canary.assigned = Math.floor(canary.assigned * 0.9);
      }
      return run.rollout.phase.kind === 'paused';
    }, 3000);
    expect(seen).toBe(true);
    expect(run.rollout.phase).toMatchObject({ cause: 'invalid' });
  });
});

describe('external metrics', () => {
  const external = {
    kind: 'external',
    name: 'revenue',
    webhook: { url: 'http://127.0.0.1:1/x' },
    every: '10s',
    timeout: '1s',
    failBelow: 5,
    passAfter: 2,
    failAfter: 2,
  };
  const withExternal = () =>
    world({
      plan: plan({
        stages: [
          {
            kind: 'canary',
            weight: '50%',
            minDwell: '20s',
            gates: [{ kind: 'rate-ratio', passBelow: '5%' }, external],
          },
          { kind: 'promote', soak: '10s' },
        ],
      }),
    });
  const readings = (run: ReturnType<typeof world>, ...values: (number | string)[]): void => {
    run.knobs.external['revenue'] = {
      values: values.map((one, at) => {
        const atMs = run.rollout.now.atMs - at * 10_000;
        return typeof one === 'number' ? { kind: 'value', value: one, atMs } : { kind: 'outage', reason: one, atMs };
      }),
    };
  };

  it('that cannot be read is invalid: it pauses and is neither good nor bad', () => {
    const run = withExternal();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    readings(run, 'connection refused');
    run.tick();
    expect(run.rollout.phase).toMatchObject({ kind: 'paused', cause: 'invalid' });
  });

  it('that is bad twice rolls back', () => {
    const run = withExternal();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    readings(run, 1, 2);
    run.tick();
    expect(run.rollout.phase.kind).toBe('rolling-back');
  });

  it('that was never read is waited for', () => {
    const run = withExternal();
    run.until(() => run.rollout.phase.kind === 'baking', 100);
    run.until(() => false, 600);
    expect(run.rollout.phase.kind).toBe('baking');
    expect(run.rollout.waitingFor).toContain('revenue was not read yet');
    const again = run.until(() => {
      readings(run, 9, 8);
      return run.endpoint.target === TO;
    }, 600);
    expect(again).toBe(true);
  });
});
