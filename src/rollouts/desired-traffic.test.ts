/** What rollouts want of an endpoint, over random plans: shares that are whole, and units that never go back while the weight rises. */
import { describe, expect, it } from 'vitest';
import { randomNumbers } from '../base/random-numbers.ts';
import { assign } from '../serving/endpoints/assignment.ts';
import type { TrafficSplit } from '../serving/endpoints/traffic.ts';
import { wantedTraffic } from './desired-traffic.ts';
import { parsePlan } from './plan-file.ts';
import type { Rollout } from './rollout.ts';
import { startRollout } from './start.ts';
import { CANARY } from './strata.ts';
import { taskOf } from './task.ts';

const SEED = Number(process.env['SLIPWAY_TEST_SEED'] ?? 20_261_126);
const PLANS = 20;
const UNITS = Array.from({ length: 500 }, (_, at) => `user-${at}`);
const task = taskOf({ inputs: [], outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 1] }] });

/** A rollout through one to five weights that rise, with or without a holdout and a layer. */
function rolloutOf(random: () => number): Rollout {
  const weights = Array.from({ length: 1 + Math.floor(random() * 5) }, () => 0.001 + 0.998 * random()).sort(
    (a, b) => a - b,
  );
  const stages = weights.map((weight) => ({
    kind: 'canary',
    weight: `${(weight * 100).toFixed(3)}%`,
    control: weight <= 0.5 && random() < 0.5 ? 'concurrent-equal' : 'rest',
  }));
  const plan = parsePlan(
    {
      stages: [...stages, { kind: 'promote' }],
      ...(random() < 0.5 && { holdout: '5%' }),
      ...(random() < 0.5 && { layer: { name: 'ranking', from: '20%', to: '90%' } }),
    },
    () => task,
  );
  return startRollout({
    id: 'r1',
    project: 'default',
    endpoint: 'churn',
    model: 'churn',
    from: { version: 1, digest: 'sha256:1' },
    to: { version: 2, digest: 'sha256:2' },
    plan,
    planVersion: 'sha256:plan',
    salt: String(random()),
    sharedSalt: String(random()),
    startedBy: 'ann',
    versionBy: 'bob',
    startedAtMs: 0,
    trafficRevision: 0,
    outputs: task.outputs,
    compare: task.compare,
  });
}

/** The split of every stage of a canary, in their order. */
function splitsOf(rollout: Rollout): TrafficSplit[] {
  return rollout.plan.stages.flatMap((stage, at) => {
    if (stage.kind !== 'canary') return [];
    const phase = { kind: 'baking', stage: at, since: rollout.now, extensions: 0 } as const;
    return [wantedTraffic({ ...rollout, phase })!.split!];
  });
}

const armOf = (split: TrafficSplit, unit: string, isReady = true): string | null =>
  assign(split, { unit, pinnedArm: null, readValue: () => null, isReady: () => isReady }).arm;

describe(`random plans (seed ${SEED})`, () => {
  const random = randomNumbers(SEED);
  const rollouts = Array.from({ length: PLANS }, () => rolloutOf(random));

  it('have arms whose ranges are disjoint and together everything', () => {
    for (const split of rollouts.flatMap(splitsOf)) {
      const ranges = split.arms.flatMap((arm) => arm.ranges).sort(([a], [b]) => a - b);
      expect(ranges[0]![0]).toBe(0);
      ranges.forEach(([, to], at) => {
        expect(to).toBe(ranges[at + 1]?.[0] ?? 1);
      });
    }
  });

  it('keep a unit on the canary once it is there, also when the version was away in between', () => {
    let moved = 0;
    for (const splits of rollouts.map(splitsOf))
      for (const unit of UNITS) {
        const arms = splits.map((split) => armOf(split, unit));
        const first = arms.indexOf(CANARY);
        if (first === -1) continue;
        moved++;
        expect(arms.slice(first).every((arm) => arm === CANARY)).toBe(true);
        expect(armOf(splits[first]!, unit, false)).not.toBe(CANARY);
        expect(armOf(splits[first]!, unit)).toBe(CANARY);
      }
    expect(moved).toBeGreaterThan(UNITS.length);
  });

  it('give other units to the canary when the comparison starts again', () => {
    const rollout = rollouts.find((one) => one.plan.holdoutShare === 0 && one.plan.layer === null)!;
    const [before] = splitsOf(rollout);
    const [after] = splitsOf({ ...rollout, epoch: rollout.epoch + 1 });
    const changed = UNITS.filter((unit) => armOf(before!, unit) !== armOf(after!, unit));
    expect(changed.length).toBeGreaterThan(0);
    expect(after!.salts.arm).not.toBe(before!.salts.arm);
  });
});
