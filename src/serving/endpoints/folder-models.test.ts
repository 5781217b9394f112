import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eachDialect } from '../../../test/fixtures/databases.ts';
import { type RegistryUnderTest, startRegistry } from '../../../test/fixtures/registry.ts';
import { systemClock as clock } from '../../base/clock.ts';
import { toWireError } from '../../base/wire-error.ts';
import { numberDesiredState } from './desired-state-store.ts';
import { NO_ROOM } from './endpoint-change.ts';
import { endpointFacts } from './endpoint-facts.ts';
import { createEndpointService } from './endpoint-service.ts';
import { createFolderModels } from './folder-models.ts';

const MODEL = join(import.meta.dirname, '../../../test/fixtures/models/half-plus-two.onnx');
let root: string;
let registry: RegistryUnderTest | null = null;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'slipway-folder-models-'));
  mkdirSync(join(root, 'a/model'), { recursive: true });
  cpSync(MODEL, join(root, 'a/model/model.onnx'));
});
afterEach(async () => {
  await registry?.close();
  registry = null;
  rmSync(root, { recursive: true, force: true });
});

eachDialect('models of a platform’s folder', ({ open }) => {
  test('a folder becomes a model that is served, and leaves nothing when it is unloaded or refused', async () => {
    const database = await open();
    registry = await startRegistry({ database, endpoints: endpointFacts });
    const { call, registry: rooms } = registry;
    const publisher = { publish: async () => {}, generation: () => 1, gateways: () => [], observed: () => [] };
    const endpoints = createEndpointService({ database, publisher, clock } as never);
    let free = 1e9;
    const models = createFolderModels({ root, registry: rooms, endpoints, freeBytes: () => free });
    const folder = join(root, 'a/model');

    await models.load(call, 'a', folder);
    const { versions } = await database.transaction((tx) =>
      numberDesiredState(tx, { maxBatchRows: 1, maxDelayMs: 0 } as never),
    );
    expect(versions.map((version) => [version.model, version.folder])).toEqual([['a', folder]]);
    await expect(models.load(call, 'a', folder)).rejects.toMatchObject({ code: 'already_exists' });
    await models.unload(call, 'a');
    await expect(rooms.models.get(call, 'a')).rejects.toMatchObject({ code: 'model_not_found' });

    free = 10;
    const refused = await models.load(call, 'a', folder).catch(toWireError);
    expect(refused).toMatchObject({ code: 'overloaded', extra: { [NO_ROOM]: true } });
    free = 1e9;
    // What a load that was broken off leaves behind.
    await rooms.models.create(call, { name: 'a' });
    await models.load(call, 'a', folder);
    expect((await endpoints.get(call, 'a')).targetVersion).toBe(1);
  }, 30_000);
});
