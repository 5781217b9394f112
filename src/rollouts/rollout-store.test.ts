/** What is kept of rollouts, on both databases. */
import { afterEach, expect, test } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import { armEvidence } from '../../test/fixtures/gate-evidence.ts';
import { type RolloutControl, startRolloutControl } from '../../test/fixtures/rollout-control.ts';
import type { Database } from '../base/db/database.ts';
import type { EvidenceReport } from '../serving/endpoints/arm-evidence.ts';
import type { Rollout, TransitionRecord } from './rollout.ts';
import * as store from './rollout-store.ts';

const PLAN = 'stages: [{ kind: approve, separateDuties: false }, { kind: promote, soak: 0s, keepWarm: 1h }]';
const ON = { isActive: true, endedAt: null };

let control: RolloutControl | null = null;
afterEach(async () => {
  await control?.close();
  control = null;
});

/** One rollout that was started and never stepped. */
async function setUp(database: Database) {
  control = await startRolloutControl(database);
  const { service, call } = control;
  await service.start(call, 'adder', { to: '2', plan: PLAN });
  const stored = (await store.findLatest(database.db, call.project.id, 'adder'))!;
  return { ...control, stored, state: stored.state, projectId: call.project.id };
}

const record = (state: Rollout, revision: number): TransitionRecord => ({
  revision,
  atMs: 0,
  from: 'provisioning',
  to: 'warming',
  stage: null,
  by: 'slipway',
  reason: `number ${revision}`,
  verdict: null,
  evidence: [],
  planVersion: state.planVersion,
});
const report = (state: Rollout, instance: string, sequence: number, stage = 0): EvidenceReport => ({
  instance,
  sequence,
  evidence: {
    id: state.id,
    epoch: 1,
    stage,
    arms: { canary: armEvidence({ answered: sequence }) },
    shadows: {},
  },
});

eachDialect('what is kept of rollouts', ({ open }) => {
  test('a state comes back as it was written', async () => {
    const { stored, database, projectId } = await setUp(await open());
    expect(await store.findRollout(database.db, projectId, stored.state.id)).toEqual(stored);
    expect(await store.findRollout(database.db, 'another-project', stored.state.id)).toBeNull();
    expect(store.underWay(stored)).toBe(stored);
    const phase = { kind: 'rolled-back', reason: 'no', since: { atMs: 0, watchedMs: 0 }, isWarm: true } as const;
    expect(store.underWay({ ...stored, state: { ...stored.state, phase } })).toBeNull();
    expect(store.underWay(null)).toBeNull();
  });

  test('a state that was made from an older one is not written', async () => {
    const { state, database, projectId } = await setUp(await open());
    const next = { ...state, revision: state.revision + 1, epoch: 2 };
    expect(await store.saveRollout(database.db, next, state, ON)).toBe(true);
    expect(await store.saveRollout(database.db, { ...next, epoch: 7 }, state, ON)).toBe(false);
    expect((await store.findRollout(database.db, projectId, state.id))!.state.epoch).toBe(2);
  });

  test('the ledger takes each revision once', async () => {
    const { state, database } = await setUp(await open());
    await store.appendRecords(database.db, state.id, [record(state, 2), record(state, 3)]);
    await expect(store.appendRecords(database.db, state.id, [record(state, 3)])).rejects.toThrow();
    await store.appendRecords(database.db, state.id, [record(state, 4)]);
    const kept = await store.listRecords(database.db, state.id);
    expect(kept.map((one) => one.revision)).toEqual([2, 3, 4]);
  });

  test('of each gateway and stage the last report is kept, in whatever order they come', async () => {
    const { state, database } = await setUp(await open());
    for (const [instance, sequence, stage] of [
      ['a', 5, 0],
      ['a', 3, 0],
      ['b', 1, 0],
      ['a', 5, 0],
      ['a', 2, 1],
    ] as const)
      await store.putEvidence(database.db, report(state, instance, sequence, stage), '2026-11-26T08:00:00Z');
    const kept = await store.listEvidence(database.db, state.id);
    expect(kept.map(({ instance, sequence, evidence }) => `${instance} ${evidence.stage} ${sequence}`).sort()).toEqual([
      'a 0 5',
      'a 1 2',
      'b 0 1',
    ]);
    expect(kept.every(({ sequence, evidence }) => evidence.arms['canary']!.answered === sequence)).toBe(true);
  });

  test('commands are taken in their order, once', async () => {
    const { state, database } = await setUp(await open());
    const at = '2026-11-26T08:00:00Z';
    for (const id of ['c2', 'c1', 'c3'])
      await store.insertCommand(database.db, {
        id,
        rolloutId: state.id,
        command: { kind: 'pause', by: id, reason: '' },
        at,
      });
    expect((await store.listCommands(database.db, state.id)).map((one) => one.id)).toEqual(['c1', 'c2', 'c3']);
    await store.deleteCommands(database.db, ['c1', 'c3']);
    await store.deleteCommands(database.db, []);
    expect((await store.listCommands(database.db, state.id)).map((one) => one.command)).toMatchObject([{ by: 'c2' }]);
  });

  test('those that are active are stepped until they are not, and pages list all, the newest first', async () => {
    const { stored, state, database, projectId } = await setUp(await open());
    const later = { ...state, id: `${state.id}-2` };
    await store.insertRollout(database.db, { ...stored, isActive: false, state: later });
    expect((await store.listActive(database.db)).map((one) => one.state.id)).toEqual([state.id]);
    await store.deactivate(database.db, state.id);
    expect(await store.listActive(database.db)).toEqual([]);
    const page = (before: string | null) =>
      store.listRollouts(database.db, projectId, { endpoint: 'adder' }, { before, limit: 1 });
    expect((await page(null)).map((one) => one.state.id)).toEqual([later.id]);
    expect((await page(later.id)).map((one) => one.state.id)).toEqual([state.id]);
    expect(await page(state.id)).toEqual([]);
    expect((await store.findLatest(database.db, projectId, 'adder'))!.state.id).toBe(later.id);
  });

  test('the salt of the installation is made once', async () => {
    const { database } = await setUp(await open());
    const known = await store.sharedSalt(database.db, () => 'another');
    expect(known).not.toBe('another');
    expect(await store.sharedSalt(database.db, () => 'a third')).toBe(known);
  });
});
