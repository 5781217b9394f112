/** Rollouts one after the other, on both databases: good and bad versions in every order, aborted and tried again, and back in or after their time. */
import { afterEach, expect, test } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import { type RolloutControl, startRolloutControl } from '../../test/fixtures/rollout-control.ts';
import * as store from './rollout-store.ts';

const PLAN = (more = ''): string => `
stages:
  - kind: canary
    weights: [20%, 50%]
    minDwell: 2s
    minExposures: 50
    gates: [{ kind: rate-ratio, passMargin: 4, passBelow: 20% }, { kind: ceiling, consecutiveErrors: 20 }]
  - { kind: promote, soak: 2s, keepWarm: 30s }
${more}`;
const WELL = { answered: 200, failed: 0 };
const HARM = { answered: 0, failed: 200 };

let control: RolloutControl | null = null;
afterEach(async () => {
  await control?.close();
  control = null;
});

/** A rollout to the other version, which is well or does harm, until it has ended. */
async function rollOut(of: RolloutControl, is: 'good' | 'bad'): Promise<string> {
  const { service, call, tick, phase, knobs, spec } = of;
  const to = 3 - (await spec()).targetVersion!;
  knobs.calls = (version) => (is === 'bad' && version === to ? HARM : WELL);
  await service.start(call, 'adder', { to: String(to), plan: PLAN() });
  for (let second = 0; second < 40; second++) {
    await tick();
    if (['completed', 'rolled-back'].includes(await phase())) break;
  }
  return phase();
}

eachDialect('one rollout after the other', ({ open }) => {
  test.each([
    ['good, then bad', ['good', 'bad'], ['completed', 'rolled-back'], 2],
    ['bad, then good', ['bad', 'good'], ['rolled-back', 'completed'], 2],
    ['bad, then bad', ['bad', 'bad'], ['rolled-back', 'rolled-back'], 1],
    ['bad, good, good', ['bad', 'good', 'good'], ['rolled-back', 'completed', 'completed'], 1],
  ] as const)('%s', async (_title, versions, ends, serves) => {
    control = await startRolloutControl(await open());
    const { spec, service, call } = control;
    const seen: string[] = [];
    for (const is of versions) seen.push(await rollOut(control, is));
    expect(seen).toEqual(ends);
    expect(await spec()).toMatchObject({ targetVersion: serves, traffic: { split: null } });
    // each began with salts and evidence of its own
    const all = await store.listRollouts(
      control.database.db,
      call.project.id,
      { endpoint: 'adder' },
      { before: null, limit: 9 },
    );
    expect(new Set(all.map((one) => one.state.salt)).size).toBe(versions.length);
    expect((await service.get(call, 'adder')).records[0]!.revision).toBe(2);
  });

  test('aborted, tried again from its first stage without the old evidence, and promoted', async () => {
    control = await startRolloutControl(await open());
    const { service, call, tick, phase, knobs, spec } = control;
    knobs.calls = () => WELL;
    const slow = PLAN().replace('minDwell: 2s', 'minDwell: 20s');
    await service.start(call, 'adder', { to: '2', plan: slow });
    await tick(30);
    const first = (await service.get(call, 'adder')).rollout;
    expect(first).toMatchObject({ phase: 'baking', stage: 1 });
    await service.command(call, 'adder', 'abort', { reason: 'wait' });
    await tick(3);
    expect(await phase()).toBe('rolled-back');
    await service.start(call, 'adder', { to: '2', plan: slow });
    await tick(6);
    const again = (await service.get(call, 'adder')).rollout;
    expect(again).toMatchObject({ phase: 'baking', stage: 0 });
    expect(again.stages[0]!.gates.find((gate) => gate.kind === 'rate-ratio')!.evidence).toBeLessThan(1000);
    await service.command(call, 'adder', 'promote', { reason: 'sure' });
    await tick(6);
    expect(await phase()).toBe('completed');
    expect((await spec()).targetVersion).toBe(2);
  });

  test.each([
    ['while the old version is warm', 5],
    ['after it was let go', 40],
  ])('going back %s is one move and no further rollout', async (_title, seconds) => {
    control = await startRolloutControl(await open());
    const { rollBack, call, tick, spec, service } = control;
    expect(await rollOut(control, 'good')).toBe('completed');
    await tick(seconds);
    expect((await spec()).pins).toEqual(seconds < 30 ? [1] : []);
    expect(await rollBack(call, 'adder', { reason: 'slow' })).toEqual({ version: 1, isEntered: true });
    expect(await spec()).toMatchObject({ targetVersion: 1, traffic: { split: null } });
    expect(await service.list(call, { endpoint: 'adder' }, { before: null, limit: 9 })).toHaveLength(1);
    await tick(5);
    expect((await spec()).targetVersion).toBe(1);
  });
});
