/** Rollouts in control: what is refused before anything moves, two controllers on one database, rollbacks, and what was promised without it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import { modelBytes, type RegistryUnderTest, startRegistry } from '../../test/fixtures/registry.ts';
import { listAudit } from '../base/audit.ts';
import type { Database } from '../base/db/database.ts';
import { createLogger } from '../base/log.ts';
import { createArmOutcomes } from '../monitoring/predictions/arm-outcomes.ts';
import { createDamagedFiles } from '../monitoring/predictions/damaged-files.ts';
import { createDuckStore } from '../monitoring/predictions/duck-store.ts';
import { createLogQuery } from '../monitoring/predictions/log-query.ts';
import type { ObservedState } from '../serving/endpoints/desired-state.ts';
import { endpointFacts } from '../serving/endpoints/endpoint-facts.ts';
import { createEndpointService } from '../serving/endpoints/endpoint-service.ts';
import { findEndpoint } from '../serving/endpoints/endpoint-store.ts';
import { openRollbackIntents, type RollbackIntents } from './rollback-intents.ts';
import { createRollouts } from './rollouts.ts';

const SWITCH = 'stages: [{ kind: approve, separateDuties: false }, { kind: promote, soak: 0s, keepWarm: 1h }]';

let registry: RegistryUnderTest | null = null;
let folder = '';
afterEach(async () => {
  await registry?.close();
  registry = null;
  rmSync(folder, { recursive: true, force: true });
});

/** `adder` in versions 1 and 2 and a version 3 that breaks callers, at version 1; gateways that follow when they are told to. */
async function setUp(database: Database) {
  folder = mkdtempSync(join(tmpdir(), 'slipway-rollouts-'));
  registry = await startRegistry({ database, endpoints: endpointFacts });
  const { call } = registry;
  for (const file of ['add.onnx', 'add-two.onnx', 'int64.onnx'])
    await registry.push('adder', { 'model.onnx': modelBytes(file) });
  for (const version of ['1', '2', '3'])
    await registry.registry.versions.get(call, 'adder', version, { waitMs: 10_000 });
  let ms = Date.parse('2026-11-26T08:00:00Z');
  const clock = { now: () => new Date(ms), monotonicMs: () => ms };
  let prepare = async (): Promise<void> => {};
  const observed: ObservedState[] = [];
  const publisher = {
    publish: () => prepare(),
    current: () => null,
    sendAhead: () => {},
    beforeReading: (work: () => Promise<void>) => {
      prepare = work;
    },
    generation: () => 1,
    gateways: () => [],
    observed: () => observed,
  };
  const log = createLogger('control', 'fatal');
  const duck = createDuckStore({ temporary: folder });
  const query = createLogQuery({
    database,
    duck,
    dataDir: folder,
    damaged: createDamagedFiles({ dataDir: folder, log }),
  });
  const controller = (intents: RollbackIntents) =>
    createRollouts({
      database,
      publisher,
      clock,
      log,
      settings: { externalHosts: [] },
      intents,
      outcomes: createArmOutcomes({ database, query }),
      factsOf: () => ({ callsPerS: null, errorRate: null, latencyMs: null, bodyBytes: null, capacityPerS: null }),
    });
  const intents = await openRollbackIntents(join(folder, 'rollbacks.ndjson'));
  const rollouts = controller(intents);
  const endpoints = createEndpointService({ database, publisher, clock });
  await endpoints.create(call, { name: 'adder', model: 'adder', target: { version: 1 } });
  const spec = async () => (await findEndpoint(database.db, call.project.id, 'adder'))!;

  /** A second goes by, and every gateway does what the endpoint says. */
  const tick = async (rounds = 1, by = rollouts): Promise<void> => {
    for (let i = 0; i < rounds; i++) {
      ms += 1000;
      const { targetVersion, traffic } = await spec();
      const seen = { reason: null, since: '', memoryBytes: null, restarts: 0, waiting: 0 };
      observed[0] = {
        instance: 'g',
        httpUrl: '',
        grpcAddress: null,
        generation: 1,
        observedAt: clock.now().toISOString(),
        versions: [1, 2].map((version) => ({ project: 'default', model: 'adder', version, state: 'ready', ...seen })),
        endpoints: [
          {
            project: 'default',
            name: 'adder',
            servingVersion: targetVersion,
            ready: true,
            reason: null,
            trafficRevision: traffic?.revision ?? null,
          },
        ],
      };
      await by.loop.round();
    }
  };
  const phase = async (): Promise<string> => (await rollouts.service.get(call, 'adder')).rollout.phase;
  const promote = async (to: string): Promise<void> => {
    await rollouts.service.start(call, 'adder', { to, plan: SWITCH });
    await tick(4);
    await rollouts.service.command(call, 'adder', 'approve');
    await tick(6);
    expect(await phase()).toBe('completed');
  };
  return { ...rollouts, intents, controller, call, spec, tick, phase, promote, database, prepare: () => prepare() };
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
    expect(await spec()).toEqual(before);
    await service.start(call, 'adder', { to: '2', plan: SWITCH });
    await tick();
    expect(await refusal({ to: '2' })).toMatch(/^in_use: adder is in a rollout to version 2 already/);
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
    const { call, spec, intents, promote, prepare, service, database, controller } = await setUp(await open());
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
    controller(await openRollbackIntents(join(folder, 'rollbacks.ndjson')));
    await prepare();
    expect((await spec()).targetVersion).toBe(2);
    expect(await entered()).toHaveLength(1);
    const [last] = await service.history(call, 'adder', { before: null, limit: 1 });
    expect(last).toMatchObject({ live: { target: { version: 2 } } });
  });
});
