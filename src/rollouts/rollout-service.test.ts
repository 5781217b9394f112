/** Rollouts in control: what is refused before anything moves, two controllers on one database, rollbacks, and what was promised without it. */
import { afterEach, expect, test } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import { type RolloutControl, startRolloutControl } from '../../test/fixtures/rollout-control.ts';
import { listAudit } from '../base/audit.ts';
import type { Database } from '../base/db/database.ts';
import { putPolicy } from '../monitoring/predictions/log-store.ts';
import { DEFAULT_POLICY } from '../monitoring/predictions/privacy-policy.ts';

const SWITCH = 'stages: [{ kind: approve, separateDuties: false }, { kind: promote, soak: 0s, keepWarm: 1h }]';

let control: RolloutControl | null = null;
afterEach(async () => {
  await control?.close();
  control = null;
});

async function setUp(database: Database) {
  const started = await startRolloutControl(database);
  control = started;
  const { service, call, tick, phase } = started;
  const promote = async (to: string): Promise<void> => {
    await service.start(call, 'adder', { to, plan: SWITCH });
    await tick(4);
    await service.command(call, 'adder', 'approve');
    await tick(6);
    expect(await phase()).toBe('completed');
  };
  return { ...started, promote };
}

eachDialect('rollouts', ({ open }) => {
  test('what cannot work is refused with its reason, and nothing moves', async () => {
    const { service, call, spec, tick } = await setUp(await open());
    const before = await spec();
    const refusal = (input: Parameters<typeof service.start>[2]) =>
      service.start(call, 'adder', input).then(
        () => 'it was started',
        (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
      );
    expect(await refusal({ to: '7' })).toBe('version_not_found: There is no adder@7');
    expect(await refusal({ to: '1' })).toMatch(/^invalid_request: .* serves version 1 already/);
    expect(await refusal({ to: 'champion' })).toMatch(/^alias_not_found: /);
    expect(await refusal({ to: '3' })).toMatch(/^signature_breaking: /);
    expect(await refusal({ to: '2', plan: SWITCH.replace('soak', 'saok') })).toMatch(/^invalid_request: .*soak/);
    const shadows = { stages: [{ kind: 'shadow', also: [3] }] };
    expect(await refusal({ to: '2', plan: shadows })).toMatch(/^signature_breaking: /);
    const feedback = { stages: [{ kind: 'canary', weight: '5%', gates: [{ kind: 'rate-ratio', metric: 'wrong' }] }] };
    expect(await refusal({ to: '2', plan: feedback })).toMatch(/no prediction of adder is logged/);
    expect(await refusal({ to: '2', plan: SWITCH, sample: '5%' })).toBe(
      'unsupported_option: A plan says its own sample',
    );
    expect(await refusal({ to: '2', plan: SWITCH, strategy: 'shadow' })).toMatch(/^unsupported_option: .*strategy/);
    expect(await refusal({ to: '2', sample: '5%' })).toMatch(/^unsupported_option: A sample belongs/);
    expect(await spec()).toEqual(before);
    await service.start(call, 'adder', { to: '2', plan: SWITCH });
    await tick();
    expect(await refusal({ to: '2' })).toMatch(/^in_use: adder is in a rollout to version 2 already/);
  });

  test('the task that a plan names decides how answers are compared', async () => {
    const { service, call, spec, tick } = await setUp(await open());
    await service.start(call, 'adder', { to: '2', plan: { task: 'ranking', stages: [{ kind: 'shadow' }] } });
    await tick(4);
    expect((await spec()).traffic?.shadows[0]?.compare).toMatchObject({ kind: 'ranking', output: 'Y' });
  });

  test('what the privacy policy does not keep is in no slice and in no pair', async () => {
    const { service, call, database } = await setUp(await open());
    const dryRun = { ...call, dryRun: true };
    const sliced = { sliceBy: { field: 'X' }, stages: [{ kind: 'approve' }, { kind: 'promote' }] };
    const shadowed = { stages: [{ kind: 'shadow' }] };
    const keep = async (fields: Record<string, { action: string }>): Promise<void> => {
      const policy = JSON.stringify({ ...DEFAULT_POLICY, fields });
      const row = {
        project_id: call.project.id,
        endpoint: 'adder',
        policy,
        revision: 1,
        updated_at: '',
        updated_by: '',
      };
      await database.transaction((tx) => putPolicy(tx, row));
    };
    for (const plan of [sliced, shadowed]) await service.start(dryRun, 'adder', { to: '2', plan });
    await keep({ 'input.*': { action: 'hash' } });
    await expect(service.start(dryRun, 'adder', { to: '2', plan: sliced })).rejects.toMatchObject({
      fields: [
        { pointer: '/sliceBy', message: expect.stringMatching(/^writes down input\.X.*, which the policy of adder/) },
      ],
    });
    await service.start(dryRun, 'adder', { to: '2', plan: shadowed });
    await keep({ 'output.*': { action: 'drop' } });
    await service.start(dryRun, 'adder', { to: '2', plan: sliced });
    await expect(service.start(dryRun, 'adder', { to: '2', plan: shadowed })).rejects.toMatchObject({
      fields: [{ pointer: '/stages/0', message: expect.stringContaining('output.Y') }],
    });
    const followed = { sliceBy: { pointer: '/tenant' }, stages: [{ kind: 'approve' }, { kind: 'promote' }] };
    await expect(service.start(dryRun, 'adder', { to: '2', plan: followed })).rejects.toMatchObject({
      fields: [{ pointer: '/sliceBy/pointer' }],
    });
  });

  test('two controllers on one database: each step is taken once', async () => {
    const { service, call, tick, controller, intents, phase, database } = await setUp(await open());
    const other = controller(intents);
    await service.start(call, 'adder', { to: '2', plan: SWITCH });
    for (let i = 0; i < 5; i++) {
      await tick();
      await Promise.all([other.loop.round(), tick(1, other)]);
    }
    await service.command(call, 'adder', 'approve');
    for (let i = 0; i < 8; i++) await Promise.all([tick(), tick(1, other)]);
    expect(await phase()).toBe('completed');
    const { records } = await service.get(call, 'adder');
    expect(records.map((one) => one.revision)).toEqual(records.map((_, at) => at + 2));
    expect(records.map((one) => one.to)).toEqual([
      'warming',
      'awaiting-approval',
      'awaiting-approval',
      'promoting',
      'soaking',
      'completed',
    ]);
    const audit = await listAudit(database.db, { beforeSeq: null, limit: 100 });
    expect(audit.filter((one) => one.action === 'rollout.completed')).toHaveLength(1);
  });

  test('a rollout that supersedes another takes its place when that has gone back, and what cannot work ends nothing', async () => {
    const { service, call, spec, tick, knobs, phase } = await setUp(await open());
    knobs.calls = () => ({ answered: 50, failed: 0 });
    const slow = 'stages: [{ kind: canary, weight: 50%, minDwell: 1h }, { kind: promote }]';
    const first = (await service.start(call, 'adder', { to: '2', plan: slow })).rollout!;
    await tick(4);
    expect(await phase()).toBe('baking');
    const again = { to: '2', plan: SWITCH, supersede: true };
    await expect(service.start(call, 'adder', { to: '2', plan: SWITCH })).rejects.toMatchObject({ code: 'in_use' });
    await expect(service.start(call, 'adder', { ...again, to: '7' })).rejects.toMatchObject({
      code: 'version_not_found',
    });
    await expect(service.start(call, 'adder', { ...again, to: '1' })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    const planned = await service.start({ ...call, dryRun: true }, 'adder', again);
    expect(planned.rollout).toBeNull();
    expect((await spec()).traffic?.split?.id).toBe(first.id);
    const ticking = setInterval(() => void tick(), 30);
    try {
      const second = (await service.start(call, 'adder', again)).rollout!;
      expect(second.id).not.toBe(first.id);
      const [, before] = await service.list(call, { endpoint: 'adder' }, { before: null, limit: 10 });
      expect(before).toMatchObject({ id: first.id, phase: 'superseded' });
      expect(before!.text).toContain(`Superseded by rollout ${second.id}`);
    } finally {
      clearInterval(ticking);
    }
  });

  test('going back is one step, and one more goes further back, never forward to what was left', async () => {
    const { rollBack, call, spec, promote } = await setUp(await open());
    await expect(rollBack(call, 'adder', {})).rejects.toMatchObject({ code: 'rollout_refused' });
    await promote('2');
    expect((await spec()).targetVersion).toBe(2);
    expect(await rollBack({ ...call, dryRun: true }, 'adder', {})).toEqual({ version: 1, isEntered: true });
    expect((await spec()).targetVersion).toBe(2);
    expect(await rollBack(call, 'adder', { reason: 'slow' })).toEqual({ version: 1, isEntered: true });
    expect(await spec()).toMatchObject({ targetVersion: 1, traffic: { split: null } });
    await expect(rollBack(call, 'adder', {})).rejects.toMatchObject({
      code: 'rollout_refused',
      message: 'Nothing is known of an earlier version of adder',
    });
    expect(await rollBack(call, 'adder', { to: 2 })).toMatchObject({ version: 2 });
  });

  test('what was promised without the database is entered once, with who decided it and when', async () => {
    const { call, spec, intents, openIntents, promote, prepare, service, database, controller } = await setUp(
      await open(),
    );
    await promote('2');
    const intent = {
      id: 'i1',
      at: '2026-11-26T08:30:00.000Z',
      keyId: 'gone',
      actor: 'key:gone',
      requestId: 'r1',
      project: 'default',
      endpoint: 'adder',
      version: 1,
      reason: 'no database',
    };
    await intents.add(intent);
    const entered = async () =>
      (await listAudit(database.db, { beforeSeq: null, limit: 100 })).filter(
        (one) => one.action === 'endpoint.rollback',
      );
    await prepare();
    expect((await spec()).targetVersion).toBe(1);
    expect(await entered()).toMatchObject([
      { actor: 'key:gone', reason: 'no database', detail: { from: 2, to: 1, decidedAt: intent.at } },
    ]);
    expect(intents.all()).toEqual([]);
    // A crash left the line in its file; meanwhile somebody went forward again.
    await intents.add(intent);
    await promote('2');
    controller(await openIntents());
    await prepare();
    expect((await spec()).targetVersion).toBe(2);
    expect(await entered()).toHaveLength(1);
    const [last] = await service.history(call, 'adder', { before: null, limit: 1 });
    expect(last).toMatchObject({ live: { target: { version: 2 } } });
  });
});
