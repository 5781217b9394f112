import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { eachDialect } from '../../../test/fixtures/databases.ts';
import {
  modelBytes,
  type RegistryOptions,
  type RegistryUnderTest,
  startRegistry,
} from '../../../test/fixtures/registry.ts';
import { createProjectService } from '../../base/access/project-service.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { SlipwayError } from '../../base/errors.ts';
import { digestOf } from '../manifest.ts';
import type { ArtifactStore } from './artifact-store.ts';

const DAY_MS = 24 * 3_600_000;
const model = modelBytes('add.onnx');
let under: RegistryUnderTest;
afterEach(() => under.close());
const start = async (options: RegistryOptions = {}) => {
  under = await startRegistry(options);
  return under;
};

function movableClock(): Clock & { advance(ms: number): void } {
  let offset = 0;
  return {
    ...systemClock,
    now: () => new Date(Date.now() + offset),
    advance: (ms) => {
      offset += ms;
    },
  };
}

/** Every file that a version names has its row and its bytes. In a transaction, so that nothing is collected meanwhile. */
async function assertWhole({ database, artifacts, call }: RegistryUnderTest): Promise<void> {
  await database.transaction(async (tx) => {
    for (const file of await tx.selectFrom('version_files').selectAll().execute()) {
      const rows = await tx.selectFrom('blobs').where('digest', '=', file.digest).selectAll().execute();
      expect(rows, `the row of ${file.path}`).toHaveLength(1);
      expect(await artifacts.stat(call.project.id, file.digest), `the bytes of ${file.path}`).not.toBeNull();
    }
  });
}

eachDialect('collecting', (dialect) => {
  it('removes what no version refers to, after a day, and nothing else', async () => {
    const clock = movableClock();
    const { registry, push, upload, artifacts, call } = await start({ database: await dialect.open(clock), clock });
    await push('kept', { 'model.onnx': model });
    const loose = await upload(Buffer.from('nobody wants this'));
    const path = await artifacts.localPath(call.project.id, loose);
    expect(await registry.collector.collect({ dryRun: false })).toMatchObject({ blobs: 0 });
    clock.advance(DAY_MS + 1);
    expect(await registry.collector.collect({ dryRun: true })).toMatchObject({ blobs: 1, bytes: 17 });
    expect(existsSync(path)).toBe(true);
    expect(await registry.collector.collect({ dryRun: false })).toMatchObject({ blobs: 1, bytes: 17 });
    expect(existsSync(path)).toBe(false);
    expect(await registry.collector.collect({ dryRun: false })).toMatchObject({ blobs: 0 });
    await assertWhole(under);
  });

  it('bytes that were announced again stay for their version', async () => {
    const clock = movableClock();
    const { registry, call, upload } = await start({ database: await dialect.open(clock), clock });
    const digest = await upload(model);
    await registry.models.create(call, { name: 'churn' });
    clock.advance(2 * DAY_MS);
    expect((await registry.uploads.announce(call, { digest, sizeBytes: model.length })).state).toBe('complete');
    await registry.collector.collect({ dryRun: false });
    await registry.versions.create(call, 'churn', { files: [{ path: 'model.onnx', digest }] });
    clock.advance(2 * DAY_MS);
    await registry.collector.collect({ dryRun: false });
    await assertWhole(under);
  });

  it('a deleted project leaves no bytes behind, without waiting a day', async () => {
    const clock = systemClock;
    const { registry, call, push, database, artifacts, upload } = await start({
      database: await dialect.open(clock),
      clock,
    });
    await push('kept', { 'model.onnx': model });
    const projects = createProjectService({ database, clock });
    await projects.create(call, { name: 'fraud' });
    const fraud = (await projects.find('fraud'))!;
    const there = { ...call, project: fraud };
    const digest = digestOf(model);
    const whole = await registry.uploads.announce(there, { digest, sizeBytes: model.length });
    await registry.uploads.append(there, whole.id, 0, Readable.from([model]));
    await registry.models.create(there, { name: 'churn' });
    await registry.versions.create(there, 'churn', { files: [{ path: 'model.onnx', digest }] });
    await registry.models.remove(there, 'churn');
    const open = await registry.uploads.announce(there, { digest: digestOf('later'), sizeBytes: 5 });
    await registry.uploads.append(there, open.id, 0, Readable.from([Buffer.from('la')]));
    await upload(Buffer.from('stays for a day'));

    await projects.remove(call, 'fraud');
    expect(await projects.find('fraud')).toBeNull();
    expect(await registry.collector.collect({ dryRun: true })).toMatchObject({ blobs: 1, uploads: 1 });
    expect(await registry.collector.collect({ dryRun: false })).toEqual({ blobs: 1, bytes: model.length, uploads: 1 });
    const left: string[] = [];
    for await (const projectId of artifacts.projects()) left.push(projectId);
    expect(left).toEqual([call.project.id]);
    expect(await registry.collector.collect({ dryRun: false })).toEqual({ blobs: 0, bytes: 0, uploads: 0 });
    await assertWhole(under);
  });

  it('the bytes of a deleted version go, those it shared stay', async () => {
    const clock = movableClock();
    const { registry, call, push, database } = await start({ database: await dialect.open(clock), clock });
    await push('churn', { 'model.onnx': model, 'notes.txt': Buffer.from('one') });
    await push('churn', { 'model.onnx': model });
    await registry.versions.remove(call, 'churn', '1');
    clock.advance(2 * DAY_MS);
    expect(await registry.collector.collect({ dryRun: false })).toMatchObject({ blobs: 1, bytes: 3 });
    expect(await database.db.selectFrom('blobs').select('digest').execute()).toEqual([{ digest: digestOf(model) }]);
    await assertWhole(under);
  });
});

describe('collecting while others upload and register, without any grace', () => {
  it('never leaves a version without its bytes', async () => {
    const clock: Clock = { ...systemClock, now: () => new Date(Date.now() + 1) };
    const { registry, call, upload } = await start({ graceMs: -1000, clock });
    await registry.models.create(call, { name: 'churn' });
    const files = [model, modelBytes('add-two.onnx'), modelBytes('mixed.onnx')];
    const outcomes = { made: 0, missing: 0, removed: 0 };
    let done = false;
    const collecting = (async () => {
      while (!done) {
        outcomes.removed += (await registry.collector.collect({ dryRun: false })).blobs;
        await pause(Math.random() * 3);
      }
    })();
    const pushing = async (bytes: Buffer): Promise<void> => {
      for (let round = 0; round < 40; round++) {
        try {
          const digest = await upload(bytes);
          if (round % 3 === 0) await pause(Math.random() * 4);
          const { version } = await registry.versions.create(call, 'churn', {
            files: [{ path: 'model.onnx', digest }],
          });
          outcomes.made += 1;
          await assertWhole(under);
          // A blob is free to be collected between its versions; the last ones stay.
          if (round < 36) await registry.versions.remove(call, 'churn', String(version));
        } catch (error) {
          // Collected between its upload and its version: told, and to be repeated.
          if (!(error instanceof SlipwayError) || !['blob_not_found', 'artifact_corrupt'].includes(error.code))
            throw error;
          outcomes.missing += 1;
        }
      }
    };
    await Promise.all(files.map(pushing));
    done = true;
    await collecting;
    await assertWhole(under);
    // Both must have happened, or nothing was tested.
    expect(outcomes.made).toBeGreaterThan(5);
    expect(outcomes.removed).toBeGreaterThan(0);
  });

  /** A store whose first removal waits until it is told to go on. */
  function gated() {
    const reached = Promise.withResolvers<string>();
    const go = Promise.withResolvers<void>();
    const wrapStore = (store: ArtifactStore): ArtifactStore => ({
      ...store,
      remove: async (projectId, digest) => {
        reached.resolve(digest);
        await go.promise;
        await store.remove(projectId, digest);
      },
    });
    return { wrapStore, reached: reached.promise, go: go.resolve };
  }

  it('bytes that are uploaded again while they are being removed are there afterwards', async () => {
    const gate = gated();
    const { registry, call, upload, artifacts } = await start({ graceMs: -1000, wrapStore: gate.wrapStore });
    await registry.models.create(call, { name: 'churn' });
    const digest = await upload(model);
    const collecting = registry.collector.collect({ dryRun: false });
    expect(await gate.reached).toBe(digest);
    const uploading = upload(model);
    await pause(50);
    gate.go();
    await Promise.all([collecting, uploading]);
    expect(await artifacts.stat(call.project.id, digest)).not.toBeNull();
    await registry.versions.create(call, 'churn', { files: [{ path: 'model.onnx', digest }] });
    await assertWhole(under);
  });

  it('a version that is made after its bytes were found unused keeps them', async () => {
    const gate = gated();
    const { registry, call, upload } = await start({ graceMs: -1000, wrapStore: gate.wrapStore });
    await registry.models.create(call, { name: 'churn' });
    const digests = [await upload(model), await upload(modelBytes('add-two.onnx'))];
    const collecting = registry.collector.collect({ dryRun: false });
    const removed = await gate.reached;
    const kept = digests.find((digest) => digest !== removed)!;
    await registry.versions.create(call, 'churn', { files: [{ path: 'model.onnx', digest: kept }] });
    gate.go();
    expect(await collecting).toMatchObject({ blobs: 1 });
    await assertWhole(under);
  });

  it('a crash between row and file leaves nothing but a file, which goes the next time', async () => {
    let crashes = 1;
    const { registry, call, upload, artifacts, database } = await start({
      graceMs: -1000,
      wrapStore: (store) => ({
        ...store,
        remove: async (projectId, digest) => {
          if (crashes-- > 0) throw new Error('the process ends here');
          await store.remove(projectId, digest);
        },
      }),
    });
    const digest = await upload(model);
    await expect(registry.collector.collect({ dryRun: false })).rejects.toThrow('the process ends here');
    expect(await database.db.selectFrom('blobs').selectAll().execute()).toEqual([]);
    expect(await artifacts.stat(call.project.id, digest)).not.toBeNull();
    expect(await registry.collector.collect({ dryRun: false })).toMatchObject({ blobs: 1 });
    expect(await artifacts.stat(call.project.id, digest)).toBeNull();
  });

  it('a file that no row names is removed, one of an unfinished upload is not', async () => {
    const { registry, call, artifacts, upload, database } = await start({ graceMs: -1000 });
    const digest = await upload(Buffer.from('stray'));
    await database.db.deleteFrom('blobs').execute();
    const open = await registry.uploads.announce(call, { digest: digestOf('later'), sizeBytes: 5 });
    const staged = await artifacts.stage(call.project.id, open.id);
    await staged.append(Buffer.from('la'));
    await staged.close();
    expect(await registry.collector.collect({ dryRun: false })).toEqual({ blobs: 1, bytes: 5, uploads: 0 });
    expect(await artifacts.stat(call.project.id, digest)).toBeNull();
    expect(await registry.uploads.get(call, open.id)).toMatchObject({ offsetBytes: 2 });
  });
});

it('only an administrator of everything may collect, and it is audited', async () => {
  const { registry, call, callWith, database } = await start();
  await expect(registry.collector.collectFor(callWith({ scopes: ['deploy'] }))).rejects.toMatchObject({
    code: 'not_permitted',
  });
  await registry.collector.collectFor(call);
  const actions = await database.db.selectFrom('audit').select('action').execute();
  expect(actions.map((row) => row.action)).toContain('artifacts.collect');
});
