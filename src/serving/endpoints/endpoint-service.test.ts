import { afterEach, expect, test } from 'vitest';
import { eachDialect } from '../../../test/fixtures/databases.ts';
import { modelBytes, type RegistryUnderTest, startRegistry } from '../../../test/fixtures/registry.ts';
import { systemClock as clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { readSettings } from '../../base/settings.ts';
import { limitsOfSettings } from '../../registry/limits.ts';
import type { ObservedState } from './desired-state.ts';
import { numberDesiredState } from './desired-state-store.ts';
import { endpointFacts } from './endpoint-facts.ts';
import { createEndpointService } from './endpoint-service.ts';
import { lastChange, listChanges } from './live-history-store.ts';

/** Versions that set no delay never wait, whatever the operator allows. */
const limits = { ...limitsOfSettings(readSettings({}).settings), maxDelayMs: 0 };
let registry: RegistryUnderTest | null = null;
afterEach(async () => {
  await registry?.close();
  registry = null;
});

/** A registry with `adder` in versions 1 and 2 and a version 3 that breaks callers, and the endpoints' service over it. */
async function setUp(database: Database) {
  registry = await startRegistry({ database, endpoints: endpointFacts });
  const { call } = registry;
  for (const file of ['add.onnx', 'add-two.onnx', 'int64.onnx']) {
    await registry.push('adder', { 'model.onnx': modelBytes(file) });
  }
  for (const version of ['1', '2', '3'])
    await registry.registry.versions.get(call, 'adder', version, { waitMs: 10_000 });
  let published = 0;
  const observed: ObservedState[] = [];
  const publisher = {
    publish: async () => {
      published++;
    },
    current: () => null,
    sendAhead: () => {},
    beforeReading: () => {},
    generation: () => 1,
    gateways: () => [],
    observed: () => observed,
  };
  const service = createEndpointService({ database, publisher, clock });
  const { registry: services, callWith } = registry;
  return { service, services, call, callWith, observed, published: () => published };
}

eachDialect('the endpoint service', ({ open }) => {
  test('creates, moves and deletes an endpoint, each with its audit record, and publishes each change', async () => {
    const database = await open();
    const { service, call, published } = await setUp(database);
    const made = await service.create(call, { name: 'adder', model: 'adder', target: { version: 1 } });
    expect(made).toMatchObject({ environment: 'production', targetVersion: 1, pins: [], revision: 1, url: null });
    expect(made.status.state).toBe('unknown'); // no gateway has said anything
    const moved = await service.update(call, 'adder', { target: { version: 2 }, pins: [1, 1], reason: 'better' });
    expect(moved).toMatchObject({ targetVersion: 2, pins: [1], revision: 2 });
    expect(await service.get(call, 'adder')).toMatchObject({ targetVersion: 2, pins: [1], revision: 2 });
    expect((await service.list(call, { after: null, limit: 10 })).map((one) => one.name)).toEqual(['adder']);
    await service.remove(call, 'adder');
    await expect(service.get(call, 'adder')).rejects.toMatchObject({
      code: 'endpoint_not_found',
      hint: expect.stringContaining('slipway versions show adder@latest'),
    });
    await expect(service.get(call, 'other')).rejects.toMatchObject({ hint: expect.stringContaining('slipway deploy') });
    expect(published()).toBe(3);
    const audit = await database.db.selectFrom('audit').select(['action', 'reason']).orderBy('seq').execute();
    expect(audit.filter((one) => one.action.startsWith('endpoint.'))).toEqual([
      { action: 'endpoint.create', reason: null },
      { action: 'endpoint.update', reason: 'better' },
      { action: 'endpoint.delete', reason: null },
    ]);
  });

  test('what was live when is kept: by whom, why, down to the digest, also where an alias moved', async () => {
    const database = await open();
    const { service, services, call } = await setUp(database);
    await services.aliases.set(call, 'adder', 'champion', { version: 1 });
    await service.create(call, { name: 'adder', model: 'adder', target: { alias: 'champion' } });
    await services.aliases.set(call, 'adder', 'champion', { version: 2, reason: 'better' });
    await service.update(call, 'adder', { environment: 'staging' }); // nothing that answers has changed
    await service.remove(call, 'adder');
    const changes = await listChanges(database.db, call.project.id, 'adder', { before: null, limit: 10 });
    expect(changes.map((one) => [one.live?.target?.version ?? null, one.reason])).toEqual([
      [null, null],
      [2, 'better'],
      [1, null],
    ]);
    expect(changes[1]).toMatchObject({ actor: call.principal.actor, live: { model: 'adder', arms: null } });
    expect(changes[1]!.live!.target!.digest).toMatch(/^sha256:/);
    const then = await lastChange(database.db, call.project.id, 'adder', changes[2]!.at);
    expect(then).not.toBeNull();
    expect(await lastChange(database.db, call.project.id, 'adder', '2000-01-01T00:00:00.000Z')).toBeNull();
  });

  test('a dry run checks everything and changes nothing', async () => {
    const database = await open();
    const { service, call, callWith, published } = await setUp(database);
    const dry = callWith({ dryRun: true });
    expect(await service.create(dry, { name: 'adder', model: 'adder', target: { version: 1 } })).toMatchObject({
      targetVersion: 1,
    });
    await expect(service.create(dry, { name: 'x', model: 'none', target: { version: 1 } })).rejects.toMatchObject({
      code: 'model_not_found',
    });
    await expect(service.get(call, 'adder')).rejects.toMatchObject({ code: 'endpoint_not_found' });
    await service.create(call, { name: 'adder', model: 'adder', target: { version: 1 } });
    expect(await service.update(dry, 'adder', { target: { version: 2 } })).toMatchObject({
      targetVersion: 2,
      revision: 1,
    });
    await service.remove(dry, 'adder');
    expect(await service.get(call, 'adder')).toMatchObject({ targetVersion: 1, revision: 1 });
    expect(published()).toBe(1);
  });

  test('refuses what cannot be, and says what to do', async () => {
    const database = await open();
    const { service, call, callWith } = await setUp(database);
    const create = (change: object) =>
      service.create(call, { name: 'adder', model: 'adder', target: { version: 1 }, ...change });
    await expect(create({ target: { version: 9 } })).rejects.toMatchObject({ code: 'version_not_found' });
    await expect(create({ target: { alias: 'champion' } })).rejects.toMatchObject({ code: 'alias_not_found' });
    await expect(create({ name: 'No Name' })).rejects.toMatchObject({ code: 'invalid_name' });
    await expect(create({ pins: [1, 9] })).rejects.toMatchObject({ code: 'version_not_found' });
    await create({});
    await expect(create({})).rejects.toMatchObject({ code: 'already_exists' });
    await expect(service.update(callWith({ ifMatch: 7 }), 'adder', { pins: [2] })).rejects.toMatchObject({
      code: 'revision_conflict',
    });
    await expect(service.update(call, 'adder', { target: { version: 3 } })).rejects.toMatchObject({
      code: 'signature_breaking',
      extra: { diff: { breaking: true } },
    });
    expect(await service.update(call, 'adder', { target: { version: 3 }, allowBreaking: true })).toMatchObject({
      targetVersion: 3,
    });
    await expect(service.remove(callWith({ ifMatch: 7 }), 'adder')).rejects.toMatchObject({
      code: 'revision_conflict',
    });
    const reader = callWith({ scopes: ['read'] });
    await expect(service.remove(reader, 'adder')).rejects.toMatchObject({ code: 'not_permitted' });
    const ofOthers = callWith({ scopes: ['read:another'] });
    expect(await service.list(ofOthers, { after: null, limit: 10 })).toEqual([]);
    const [there, absent] = await Promise.all(
      ['adder', 'absent'].map((name) => service.get(ofOthers, name).catch((error: Error) => error)),
    );
    expect(there).toMatchObject({ code: 'not_permitted' });
    expect(absent).toEqual(there); // not even whether there is one
  });

  test('a version that is not validated yet, or failed, is not served', async () => {
    const database = await open();
    const { service, call } = await setUp(database);
    for (const [status, reason] of [
      ['validating', 'adder@2 is still being validated'],
      ['failed', 'adder@2 did not pass validation: golden case 1 differs'],
    ] as const) {
      await database.db
        .updateTable('versions')
        .set({ status, status_reason: 'golden case 1 differs' })
        .where('number', '=', 2)
        .execute();
      await expect(service.create(call, { name: 'e', model: 'adder', target: { version: 2 } })).rejects.toMatchObject({
        code: 'version_not_servable',
        message: reason,
      });
    }
  });

  test('an endpoint that follows an alias moves with it, but never to what would break its callers', async () => {
    const database = await open();
    const { service, services, call } = await setUp(database);
    await services.aliases.set(call, 'adder', 'champion', { version: 1 });
    await service.create(call, { name: 'followed', model: 'adder', target: { alias: 'champion' } });
    await services.aliases.set(call, 'adder', 'champion', { version: 2 });
    expect(await service.get(call, 'followed')).toMatchObject({ targetVersion: 2 });
    await expect(services.aliases.set(call, 'adder', 'champion', { version: 3 })).rejects.toMatchObject({
      code: 'signature_breaking',
    });
    await expect(services.versions.remove(call, 'adder', '2')).rejects.toMatchObject({ code: 'in_use' });
  });
});

eachDialect('the desired state', ({ open }) => {
  test('names the aliases of the versions that an endpoint holds', async () => {
    const database = await open();
    const { service, services, call } = await setUp(database);
    await services.aliases.set(call, 'adder', 'stable', { version: 1 });
    await services.aliases.set(call, 'adder', 'canary', { version: 2 });
    await service.create(call, { name: 'e', model: 'adder', target: { version: 1 } });
    const labels = async () =>
      (await database.transaction((tx) => numberDesiredState(tx, limits))).endpoints.find(({ name }) => name === 'e')
        ?.labels;
    expect(await labels()).toEqual({ stable: 1 });
    await service.update(call, 'e', { pins: [2] });
    expect(await labels()).toEqual({ canary: 2, stable: 1 });
    await services.aliases.set(call, 'adder', 'stable', { version: 2 });
    expect(await labels()).toEqual({ canary: 2, stable: 2 });
  });

  test('gets a new number when, and only when, its content changed', async () => {
    const database = await open();
    const { service, call } = await setUp(database);
    const number = () => database.transaction((tx) => numberDesiredState(tx, limits));
    const first = await number();
    expect(first).toMatchObject({ schema: 1, generation: 1, endpoints: [], versions: [] });
    expect((await number()).generation).toBe(1);
    await service.create(call, { name: 'adder', model: 'adder', target: { version: 2 }, pins: [1] });
    const second = await number();
    expect(second.generation).toBe(2);
    expect(second.endpoints).toEqual([
      {
        project: call.project.name,
        name: 'adder',
        environment: 'production',
        model: 'adder',
        version: 2,
        pins: [1],
        loaded: true,
      },
    ]);
    expect(second.versions.map((one) => one.version)).toEqual([1, 2]);
    expect(second.versions[0]).toMatchObject({
      engine: 'onnxruntime',
      entry: 'model.onnx',
      blobFolder: `artifacts/${call.project.id}`,
      files: [{ path: 'model.onnx', sizeBytes: modelBytes('add.onnx').length }],
    });
    await service.update(call, 'adder', { loaded: false });
    const unloaded = await number();
    expect(unloaded.generation).toBe(3);
    expect(unloaded.endpoints).toMatchObject([{ name: 'adder', loaded: false }]);
    expect(unloaded.versions).toEqual([]);
    await service.update(call, 'adder', { loaded: true });
    expect((await number()).versions.map((one) => one.version)).toEqual([1, 2]);
    await service.update(call, 'adder', { loaded: false });
    await service.remove(call, 'adder');
    const removed = (await number()).generation;
    expect((await number()).generation).toBe(removed);
    // A gateway has seen 40: the database was restored from a backup.
    expect((await database.transaction((tx) => numberDesiredState(tx, limits, 40))).generation).toBe(41);
    expect((await number()).generation).toBe(41);
  });

  test("limits are the operator's of today, or the version's where they are lower, whenever it was made", async () => {
    const database = await open();
    const { service, call } = await setUp(database);
    await service.create(call, { name: 'adder', model: 'adder', target: { version: 2 }, pins: [1] });
    // As releases before this one stored them: in full.
    const ofOld = JSON.stringify({ ...limits, runTimeoutMs: 500 });
    await database.db.updateTable('versions').set({ limits: ofOld }).where('number', '=', 1).execute();
    const limitsAt = async (ceiling: typeof limits) => {
      const { generation, versions } = await database.transaction((tx) => numberDesiredState(tx, ceiling));
      return { generation, limits: versions.map((one) => one.limits) };
    };
    expect(await limitsAt(limits)).toEqual({ generation: 1, limits: [{ ...limits, runTimeoutMs: 500 }, limits] });
    const more = { ...limits, memoryBytes: limits.memoryBytes * 2 };
    expect(await limitsAt(more)).toEqual({ generation: 2, limits: [{ ...limits, runTimeoutMs: 500 }, more] });
    const less = { ...limits, memoryBytes: limits.memoryBytes / 2 };
    expect(await limitsAt(less)).toEqual({ generation: 3, limits: [{ ...less, runTimeoutMs: 500 }, less] });
  });
});
