import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import {
  modelBytes,
  passed,
  type RegistryOptions,
  type RegistryUnderTest,
  startRegistry,
} from '../../test/fixtures/registry.ts';
import { digestOf } from './manifest.ts';
import type { Signature } from './signature.ts';
import type { ValidationJob, ValidationOutcome } from './validation.ts';

const add = modelBytes('add.onnx');
const about = Buffer.from('golden:\n  - inputs: {records: [{X: [1, 2, 3]}]}\n    outputs: {Y: [[2, 3, 4]]}\n');
let under: RegistryUnderTest;
afterEach(() => under.close());
const start = async (options: RegistryOptions = {}) => {
  under = await startRegistry(options);
  return under;
};
const settled = (model: string, ref: string) => under.registry.versions.get(under.call, model, ref, { waitMs: 10_000 });

eachDialect('versions', (dialect) => {
  const open = async (options: RegistryOptions = {}) => start({ database: await dialect.open(), ...options });

  it('a pushed model is a version with its signature, its manifest and a sample request', async () => {
    const { registry, call, push } = await open();
    const made = await push('churn', { 'slipway.yaml': about, 'model.onnx': add });
    expect(made).toMatchObject({
      project: 'default',
      model: 'churn',
      version: 1,
      status: 'pending',
      format: 'onnx',
      engine: 'onnxruntime',
      entry: 'model.onnx',
      sampleRequest: { records: [{ X: [1, 2, 3] }] },
      validation: null,
      revision: 1,
      createdBy: 'key:test',
    });
    expect(made.files.map((file) => file.path)).toEqual(['model.onnx', 'slipway.yaml']);
    expect(made.sameBytesAs).toBeUndefined();
    const { digest, text: manifest } = await registry.versions.manifest(call, 'churn', '1');
    expect(digest).toBe(made.digest);
    expect(`sha256:${createHash('sha256').update(manifest).digest('hex')}`).toBe(digest);
    expect(JSON.parse(manifest)).toMatchObject({
      schemaVersion: 2,
      artifactType: 'application/vnd.slipway.model.v1',
      layers: [{ digest: digestOf(add), size: add.length }, { digest: digestOf(about) }],
    });
    const ready = await settled('churn', '1');
    expect(ready).toMatchObject({ status: 'ready', canBatch: true, measuredMemoryBytes: 1000 });
    const models = await registry.models.list(call, { after: null, limit: 10 });
    expect(models).toMatchObject([{ name: 'churn', latestVersion: 1, aliases: {} }]);
  });

  it('the same bytes again are a new version, and the answer says so', async () => {
    const { push } = await open();
    await push('churn', { 'model.onnx': add });
    await push('churn', { 'model.onnx': modelBytes('add-two.onnx') });
    const third = await push('churn', { 'model.onnx': add });
    expect(third).toMatchObject({ version: 3, sameBytesAs: 1 });
    const other = await push('churn', { 'model.onnx': add, 'README.md': Buffer.from('# more') });
    expect(other.sameBytesAs).toBeUndefined();
  });

  it('numbers are not given twice, also after a version was deleted', async () => {
    const { registry, call, push } = await open();
    await push('churn', { 'model.onnx': add });
    await push('churn', { 'model.onnx': add });
    await registry.versions.remove(call, 'churn', '2');
    expect((await push('churn', { 'model.onnx': add })).version).toBe(3);
    await expect(settled('churn', '2')).rejects.toMatchObject({ code: 'version_not_found' });
    expect((await settled('churn', 'latest')).version).toBe(3);
  });

  it('one key, a thousand requests at once: one version and one answer, and the same after a restart', async () => {
    const { registry, call, callWith, upload, restart, database } = await open();
    await registry.models.create(call, { name: 'churn' });
    const files = [{ path: 'model.onnx', digest: await upload(add) }];
    const keyed = callWith({ idempotencyKey: 'deploy-1' });
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => registry.versions.create(keyed, 'churn', { files })),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    await settled('churn', '1');
    registry.stop();
    const later = await Promise.all(
      Array.from({ length: 20 }, () => restart().versions.create(keyed, 'churn', { files })),
    );
    expect(new Set([...answers, ...later].map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await database.db.selectFrom('versions').select('number').execute()).toEqual([{ number: 1 }]);
    const created = await database.db
      .selectFrom('audit')
      .where('action', '=', 'version.create')
      .select('seq')
      .execute();
    expect(created).toHaveLength(1);
  });

  it('a key is for one request: the same with other words is refused, never answered with the first', async () => {
    const { registry, call, callWith, upload } = await open();
    await registry.models.create(call, { name: 'words' });
    const files = [{ path: 'model.onnx', digest: await upload(modelBytes('add.onnx')) }];
    const keyed = callWith({ idempotencyKey: 'one' });
    const first = await registry.versions.create(keyed, 'words', { files, tags: { a: '1' } });
    expect((await registry.versions.create(keyed, 'words', { tags: { a: '1' }, files })).version).toBe(first.version);
    await expect(registry.versions.create(keyed, 'words', { files, tags: { a: '2' } })).rejects.toMatchObject({
      code: 'already_exists',
    });
  });

  it('a key that was used for other files is refused', async () => {
    const { push } = await open();
    await push('churn', { 'model.onnx': add }, { idempotencyKey: 'k' });
    const other = push('churn', { 'model.onnx': modelBytes('add-two.onnx') }, { idempotencyKey: 'k' });
    await expect(other).rejects.toMatchObject({ code: 'already_exists' });
  });

  it('a dry run checks everything and writes nothing', async () => {
    const { registry, callWith, push, database } = await open();
    await push('churn', { 'model.onnx': add });
    await settled('churn', '1');
    const before = await database.db.selectFrom('audit').select('seq').execute();
    const planned = await push('churn', { 'model.onnx': add }, { dryRun: true });
    expect(planned).toMatchObject({ version: 2, status: 'pending' });
    const refused = push('churn', { 'model.pkl': Buffer.from('x') }, { dryRun: true });
    await expect(refused).rejects.toMatchObject({ code: 'model_refused' });
    await registry.versions.update(callWith({ dryRun: true }), 'churn', '1', { tags: { a: 'b' } });
    await registry.versions.remove(callWith({ dryRun: true }), 'churn', '1');
    await registry.models.update(callWith({ dryRun: true }), 'churn', { description: 'x' });
    await registry.models.remove(callWith({ dryRun: true }), 'churn');
    await registry.aliases.set(callWith({ dryRun: true }), 'churn', 'champion', { version: 1 });
    expect(await database.db.selectFrom('audit').select('seq').execute()).toEqual(before);
    expect(await settled('churn', '1')).toMatchObject({ tags: {}, aliases: [], revision: 1 });
  });

  it('pages go from the newest to the oldest', async () => {
    const { registry, call, push } = await open();
    for (let i = 0; i < 5; i++) await push('churn', { 'model.onnx': add });
    const numbers = async (before: number | null) =>
      (await registry.versions.list(call, 'churn', { before, limit: 2 })).map((version) => version.version);
    expect(await numbers(null)).toEqual([5, 4]);
    expect(await numbers(4)).toEqual([3, 2]);
    expect(await numbers(2)).toEqual([1]);
  });

  it('tags and card change under their revision; the digest does not', async () => {
    const { registry, call, callWith, push } = await open();
    const made = await push('churn', { 'model.onnx': add });
    const changed = await registry.versions.update(call, 'churn', '1', { tags: { stage: 'trial' }, card: '# Hi' });
    expect(changed).toMatchObject({ revision: 2, tags: { stage: 'trial' }, card: '# Hi', digest: made.digest });
    const late = registry.versions.update(callWith({ ifMatch: 1 }), 'churn', '1', { card: null });
    await expect(late).rejects.toMatchObject({ code: 'revision_conflict', extra: { revision: 2 } });
    const right = await registry.versions.update(callWith({ ifMatch: 2 }), 'churn', '1', { card: null });
    expect(right).toMatchObject({ revision: 3, card: null, tags: { stage: 'trial' } });
  });

  it('a version that is served or named is not deleted', async () => {
    const { registry, call, push } = await open({
      endpoints: { serving: async (_db, _model, version) => (version === 1 ? ['churn-live'] : []) },
    });
    await push('churn', { 'model.onnx': add });
    await push('churn', { 'model.onnx': add });
    await expect(registry.versions.remove(call, 'churn', '1')).rejects.toMatchObject({
      code: 'in_use',
      message: 'churn@1 is served by churn-live',
    });
    await registry.aliases.set(call, 'churn', 'candidate', { version: 2 });
    await expect(registry.versions.remove(call, 'churn', '2')).rejects.toMatchObject({
      code: 'in_use',
      message: 'churn@2 is named by the alias candidate',
    });
    await registry.aliases.remove(call, 'churn', 'candidate');
    await registry.versions.remove(call, 'churn', '2');
  });

  it('a model with an endpoint is not deleted; without, it goes with its versions and aliases', async () => {
    const users = ['live'];
    const { registry, call, push, database } = await open({ endpoints: { ofModel: async () => users } });
    await push('churn', { 'model.onnx': add });
    await registry.aliases.set(call, 'churn', 'champion', { version: 1 });
    await expect(registry.models.remove(call, 'churn')).rejects.toMatchObject({ code: 'in_use' });
    users.pop();
    await registry.models.remove(call, 'churn');
    for (const table of ['models', 'versions', 'version_files', 'aliases'] as const) {
      expect(await database.db.selectFrom(table).selectAll().execute()).toEqual([]);
    }
    const history = await database.db
      .selectFrom('alias_history')
      .select(['from_version', 'to_version'])
      .orderBy('id')
      .execute();
    expect(history).toEqual([
      { from_version: null, to_version: 1 },
      { from_version: 1, to_version: null },
    ]);
  });

  it('a signature that would break an endpoint is refused, with what changes, unless that is wanted', async () => {
    let served: Signature | null = null;
    const { registry, call, push, upload } = await open({
      endpoints: {
        signature: async (_db, _project, name) =>
          name === 'live' ? { model: 'churn', version: 1, signature: served } : null,
      },
    });
    served = (await push('churn', { 'model.onnx': add })).signature;
    await settled('churn', '1');
    const files = [{ path: 'model.onnx', digest: await upload(modelBytes('add-breaking.onnx')) }];
    const broken = registry.versions.create(call, 'churn', { files, endpoint: 'live' });
    await expect(broken).rejects.toMatchObject({ code: 'signature_breaking', extra: { diff: { breaking: true } } });
    const absent = registry.versions.create(call, 'churn', { files, endpoint: 'nowhere' });
    await expect(absent).rejects.toMatchObject({ code: 'endpoint_not_found' });
    const meant = await registry.versions.create(call, 'churn', { files, endpoint: 'live', allowBreaking: true });
    expect(meant.version).toBe(2);
    const wider = [{ path: 'model.onnx', digest: await upload(modelBytes('add-wider.onnx')) }];
    expect((await registry.versions.create(call, 'churn', { files: wider, endpoint: 'live' })).version).toBe(3);
    const diff = await registry.versions.diff(call, 'churn', '3', '1');
    expect(diff.breaking).toBe(false);
    expect(diff.changes.length).toBeGreaterThan(0);
    expect((await registry.versions.diff(call, 'churn', '2', '1')).breaking).toBe(true);
  });

  it('lineage is kept and names a parent that exists', async () => {
    const { registry, call, push } = await open();
    const first = await push('churn', { 'model.onnx': add });
    const files = [{ path: 'model.onnx', digest: digestOf(add) }];
    const lineage = { data: 's3://sets/7', codeCommit: 'abc', parentVersion: first.version, trainedBy: 'ada' };
    const second = await registry.versions.create(call, 'churn', { files, lineage });
    expect((await settled('churn', String(second.version))).lineage).toEqual(lineage);
    const wrong = registry.versions.create(call, 'churn', { files, lineage: { parentVersion: 9 } });
    await expect(wrong).rejects.toMatchObject({
      code: 'invalid_request',
      fields: [{ pointer: '/lineage/parentVersion', message: 'churn has no version 9' }],
    });
  });
});

describe('what cannot become a version', () => {
  it('files that were not uploaded are all named', async () => {
    const { registry, call, upload } = await start();
    await registry.models.create(call, { name: 'churn' });
    const missing = digestOf('never sent');
    const files = [
      { path: 'model.onnx', digest: await upload(add) },
      { path: 'weights.bin', digest: missing },
    ];
    await expect(registry.versions.create(call, 'churn', { files })).rejects.toMatchObject({
      code: 'blob_not_found',
      fields: [{ pointer: '/files/1/digest', message: 'the bytes of weights.bin are not here' }],
    });
  });

  it('a model that does not exist, or an engine that does not', async () => {
    const { registry, call, upload } = await start();
    const files = [{ path: 'model.onnx', digest: await upload(add) }];
    await expect(registry.versions.create(call, 'gone', { files })).rejects.toMatchObject({ code: 'model_not_found' });
    await registry.models.create(call, { name: 'churn' });
    const engine = registry.versions.create(call, 'churn', { files, engine: 'onnxrutnime' });
    await expect(engine).rejects.toMatchObject({ code: 'unsupported_option' });
    expect((await registry.versions.create(call, 'churn', { files, engine: 'auto' })).engine).toBe('onnxruntime');
  });

  it('limits come from the settings, then slipway.yaml, then the request', async () => {
    const { registry, call, upload } = await start();
    await registry.models.create(call, { name: 'churn' });
    const files = [
      { path: 'model.onnx', digest: await upload(add) },
      { path: 'slipway.yaml', digest: await upload(Buffer.from('limits: {queueLimit: 5, runTimeoutMs: 500}')) },
    ];
    const { limits } = await registry.versions.create(call, 'churn', { files, limits: { runTimeoutMs: 700 } });
    expect(limits).toMatchObject({ queueLimit: 5, runTimeoutMs: 700, maxBatchRows: 256 });
  });

  it('limits above those of the operator are refused, with where they stand and the setting that bounds them', async () => {
    const { registry, call, upload, push, database } = await start();
    await registry.models.create(call, { name: 'churn' });
    const files = [{ path: 'model.onnx', digest: await upload(add) }];
    const greedy = registry.versions.create(call, 'churn', { files, limits: { threads: 200 } });
    await expect(greedy).rejects.toMatchObject({
      code: 'invalid_request',
      fields: [{ pointer: '/limits/threads', message: '200 is more than 1, which SLIPWAY_RUNNER_THREADS allows' }],
    });
    const yaml = Buffer.from('limits:\n  queueLimit: 5\n  memoryBytes: 68719476736\n');
    await expect(push('churn', { 'model.onnx': add, 'slipway.yaml': yaml })).rejects.toMatchObject({
      code: 'invalid_request',
      fields: [{ pointer: '/limits/memoryBytes', message: expect.stringContaining('line 3 of slipway.yaml: ') }],
      hint: expect.stringContaining('raise SLIPWAY_RUNNER_MEMORY'),
    });
    expect(await database.db.selectFrom('versions').select('id').execute()).toEqual([]);
  });

  it("the operator's limits of today hold for versions of any age, whichever is lower", async () => {
    const jobs: ValidationJob[] = [];
    const { call, push, registry, restart, database } = await start({ validate: () => new Promise(() => undefined) });
    const yaml = Buffer.from('limits: {runTimeoutMs: 20000, queueLimit: 5}');
    const made = await push('churn', { 'model.onnx': add, 'slipway.yaml': yaml });
    const stored = await database.db.selectFrom('versions').select('limits').executeTakeFirstOrThrow();
    expect(JSON.parse(stored.limits)).toEqual({ runTimeoutMs: 20_000, queueLimit: 5 });
    registry.stop();
    const limits = { ...made.limits, memoryBytes: 2 ** 33, runTimeoutMs: 10_000, queueLimit: 100 };
    const validate = async (job: ValidationJob) => {
      jobs.push(job);
      return passed();
    };
    const next = restart({ limits, validate });
    await next.start();
    const wanted = { ...made.limits, memoryBytes: 2 ** 33, runTimeoutMs: 10_000, queueLimit: 5 };
    // The file now asks for more than it may: that was checked when the version was made.
    expect(await next.versions.get(call, 'churn', '1', { waitMs: 10_000 })).toMatchObject({
      status: 'ready',
      limits: wanted,
    });
    expect(jobs[0]!.limits).toEqual(wanted);
    expect((await next.versions.list(call, 'churn', { before: null, limit: 1 }))[0]!.limits).toEqual(wanted);
  });

  it('keys need the scope for the model', async () => {
    const { registry, callWith, push, upload } = await start();
    await push('churn', { 'model.onnx': add });
    await push('fraud', { 'model.onnx': add });
    const files = [{ path: 'model.onnx', digest: await upload(add) }];
    const churn = callWith({ scopes: ['deploy:churn'] });
    expect((await registry.versions.create(churn, 'churn', { files })).version).toBe(2);
    await expect(registry.versions.create(churn, 'fraud', { files })).rejects.toMatchObject({ code: 'not_permitted' });
    await expect(registry.versions.get(churn, 'fraud', '1')).rejects.toMatchObject({ code: 'not_permitted' });
    const seen = await registry.models.list(churn, { after: null, limit: 1 });
    expect(seen.map((model) => model.name)).toEqual(['churn']);
    const fraud = await registry.models.list(callWith({ scopes: ['read:fraud'] }), { after: null, limit: 1 });
    expect(fraud.map((model) => model.name)).toEqual(['fraud']);
  });
});

describe('validation in the background', () => {
  const failed: ValidationOutcome = passed({
    validation: {
      ...passed().validation,
      outcome: 'failed',
      reason: 'it spoke in riddles',
      exitSignal: 'SIGKILL',
      lastStep: 'load',
    },
    canBatch: false,
    canPad: false,
    measuredMemoryBytes: null,
  });

  it('gets the files, the golden set and the limits, two versions at a time, in order', async () => {
    const jobs: ValidationJob[] = [];
    let running = 0;
    let most = 0;
    const { push, artifacts, call } = await start({
      validate: async (job) => {
        most = Math.max(most, ++running);
        jobs.push(job);
        await new Promise((done) => setTimeout(done, 100));
        running -= 1;
        return passed();
      },
    });
    for (let i = 0; i < 4; i++) await push('churn', { 'model.onnx': add, 'slipway.yaml': about });
    for (const ref of ['1', '2', '3', '4']) await settled('churn', ref);
    expect(most).toBe(2);
    expect(jobs.map((job) => job.version)).toEqual([1, 2, 3, 4]);
    expect(jobs[0]).toMatchObject({
      project: 'default',
      model: 'churn',
      engine: 'onnxruntime',
      entry: 'model.onnx',
      golden: [{ outputs: { Y: [[2, 3, 4]] } }],
      sampleRequest: { records: [{ X: [1, 2, 3] }] },
    });
    expect(jobs[0]!.files[0]!.blobPath).toBe(await artifacts.localPath(call.project.id, digestOf(add)));
  });

  it('a failure is kept with all that was seen, and is no secret', async () => {
    let changes = 0;
    const onChange = (): void => {
      changes += 1;
    };
    const { push, database } = await start({ validate: async () => failed, onChange });
    await push('churn', { 'model.onnx': add });
    expect(await settled('churn', '1')).toMatchObject({
      status: 'failed',
      statusReason: 'it spoke in riddles',
      validation: { exitSignal: 'SIGKILL', lastStep: 'load' },
    });
    expect(changes).toBe(1);
    const audit = await database.db.selectFrom('audit').where('action', '=', 'version.validate').selectAll().execute();
    expect(audit).toHaveLength(1);
    expect(audit[0]).toMatchObject({ actor: 'system', resource: 'version/churn@1' });
  });

  it('what was left by a process that ended is done after the restart', async () => {
    const never = new Promise<never>(() => undefined);
    const { registry, call, push, restart } = await start({ validate: () => never });
    await push('churn', { 'model.onnx': add });
    await push('churn', { 'model.onnx': add });
    const waited = await registry.versions.get(call, 'churn', '1', { waitMs: 50 });
    expect(waited.status).toBe('validating');
    registry.stop();
    const next = restart({ validate: async () => passed() });
    await next.start();
    for (const ref of ['1', '2']) {
      expect(await next.versions.get(call, 'churn', ref, { waitMs: 10_000 })).toMatchObject({ status: 'ready' });
    }
  });

  it('a validator that keeps throwing fails the version, not the server', async () => {
    const { push } = await start({
      retryMs: 1,
      validate: async (job) => {
        if (job.version === 1) throw new Error('no process could be started in /secret/place');
        return passed();
      },
    });
    await push('churn', { 'model.onnx': add });
    await push('churn', { 'model.onnx': add });
    const first = await settled('churn', '1');
    expect(first.status).toBe('failed');
    expect(JSON.stringify(first)).not.toContain('/secret/place');
    expect((await settled('churn', '2')).status).toBe('ready');
  });

  it('a fault of the server leaves the version pending, says so, and is tried again until it is over', async () => {
    let isFull = true;
    let attempts = 0;
    const { push, registry, call, restart } = await start({
      retryMs: 1,
      validate: async (job) => {
        if (job.version === 2) return passed();
        attempts += 1;
        if (isFull) throw Object.assign(new Error('ENOSPC: no space left, write /secret'), { code: 'ENOSPC' });
        return passed();
      },
    });
    await push('churn', { 'model.onnx': add });
    await push('churn', { 'model.onnx': add });
    expect((await settled('churn', '2')).status).toBe('ready');
    while (attempts < 6) await pause(2);
    const stuck = await vi.waitUntil(async () => {
      const one = await registry.versions.get(call, 'churn', '1');
      return one.status === 'pending' && one;
    });
    expect(stuck.validation).toBeNull();
    expect(stuck.statusReason).toMatch(/^It could not be validated yet: There is no space left in the data folder\./);
    isFull = false;
    expect(await settled('churn', '1')).toMatchObject({ status: 'ready', statusReason: null });

    // Nor is it forgotten by a restart.
    isFull = true;
    await push('churn', { 'model.onnx': add });
    await vi.waitUntil(async () => (await registry.versions.get(call, 'churn', '3')).statusReason !== null);
    registry.stop();
    const next = restart({ validate: async () => passed() });
    await next.start();
    expect(await next.versions.get(call, 'churn', '3', { waitMs: 10_000 })).toMatchObject({ status: 'ready' });
  });

  it('bytes that are gone from the disk fail the validation by name', async () => {
    const { push, artifacts, call, registry, restart } = await start({ validate: () => new Promise(() => undefined) });
    await push('churn', { 'model.onnx': add });
    await push('churn', { 'model.onnx': modelBytes('add-two.onnx') });
    registry.stop();
    rmSync(await artifacts.localPath(call.project.id, digestOf(add)));
    const next = restart({ validate: async () => passed() });
    await next.start();
    expect(await next.versions.get(call, 'churn', '1', { waitMs: 10_000 })).toMatchObject({
      status: 'failed',
      statusReason: 'The stored bytes of model.onnx are gone or were altered',
    });
    expect(await next.versions.get(call, 'churn', '2', { waitMs: 10_000 })).toMatchObject({ status: 'ready' });
  });

  it('a version that was deleted meanwhile does not come back', async () => {
    const { promise, resolve } = Promise.withResolvers<ValidationOutcome>();
    const { registry, call, push, database } = await start({ validate: () => promise });
    await push('churn', { 'model.onnx': add });
    await registry.versions.get(call, 'churn', '1', { waitMs: 50 });
    await registry.versions.remove(call, 'churn', '1');
    resolve(passed());
    await push('churn', { 'model.onnx': add });
    await settled('churn', '2');
    expect(await database.db.selectFrom('versions').select('number').execute()).toEqual([{ number: 2 }]);
  });
});

describe('the files of a version', () => {
  it('are read by their path in the manifest', async () => {
    const { registry, call, push } = await start();
    await push('churn', { 'model.onnx': add, 'docs/räd me.md': Buffer.from('hello') });
    const file = await registry.versions.file(call, 'churn', '1', 'docs/räd me.md');
    expect(await text(file.stream)).toBe('hello');
  });

  it.each([
    '../model.onnx',
    '/etc/passwd',
    'model.onnx/',
    './model.onnx',
    'MODEL.ONNX',
    '%2e%2e/x',
    'model.onnx\u0000',
    '',
  ])('the path %j names none', async (path) => {
    const { registry, call, push } = await start();
    await push('churn', { 'model.onnx': add });
    await expect(registry.versions.file(call, 'churn', '1', path)).rejects.toMatchObject({ code: 'blob_not_found' });
  });
});
