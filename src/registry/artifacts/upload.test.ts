import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { eachDialect } from '../../../test/fixtures/databases.ts';
import { type RegistryOptions, type RegistryUnderTest, startRegistry } from '../../../test/fixtures/registry.ts';
import type { Clock } from '../../base/clock.ts';
import { digestOf } from '../manifest.ts';

const MIB = 1024 * 1024;
let under: RegistryUnderTest;
afterEach(() => under.close());
const start = async (options: RegistryOptions = {}) => {
  under = await startRegistry(options);
  return under;
};

function movableClock(): Clock & { advance(ms: number): void } {
  let offset = 0;
  return {
    now: () => new Date(Date.now() + offset),
    monotonicMs: () => performance.now() + offset,
    advance: (ms) => {
      offset += ms;
    },
  };
}

const body = (bytes: Uint8Array): Readable => Readable.from([Buffer.from(bytes)]);

/** A body that gives some bytes and then breaks, as a connection does. */
function broken(bytes: Uint8Array): Readable {
  let given = false;
  return new Readable({
    read() {
      if (!given) this.push(Buffer.from(bytes));
      // Only when it is read from: before, nobody would hear of it.
      else setTimeout(() => this.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })), 20);
      given = true;
    },
  });
}

eachDialect('uploads', (dialect) => {
  it('bytes are announced, sent in pieces, and become a blob when the last one came', async () => {
    const { registry, call, artifacts } = await start({ database: await dialect.open() });
    const bytes = randomBytes(100_000);
    const digest = digestOf(bytes);
    const upload = await registry.uploads.announce(call, { digest, sizeBytes: bytes.length });
    expect(upload).toMatchObject({ digest, sizeBytes: bytes.length, offsetBytes: 0, state: 'open' });
    const half = await registry.uploads.append(call, upload.id, 0, body(bytes.subarray(0, 40_000)));
    expect(half).toMatchObject({ offsetBytes: 40_000, state: 'open' });
    expect(await artifacts.stat(call.project.id, digest)).toBeNull();
    const whole = await registry.uploads.append(call, upload.id, 40_000, body(bytes.subarray(40_000)));
    expect(whole).toMatchObject({ offsetBytes: 100_000, state: 'complete' });
    expect(await registry.uploads.get(call, upload.id)).toMatchObject({ state: 'complete' });
    expect(await artifacts.stat(call.project.id, digest)).toMatchObject({ sizeBytes: 100_000 });
  });

  it('bytes that are there need no sending', async () => {
    const { registry, call, upload } = await start({ database: await dialect.open() });
    const bytes = randomBytes(1000);
    const digest = await upload(bytes);
    const again = await registry.uploads.announce(call, { digest, sizeBytes: 1000 });
    expect(again).toMatchObject({ state: 'complete', offsetBytes: 1000 });
    expect(await registry.uploads.get(call, again.id)).toMatchObject({ state: 'complete' });
  });

  it('another project has neither the upload nor the bytes', async () => {
    const { registry, call, callWith, upload, database } = await start({ database: await dialect.open() });
    const other = { id: randomUUID(), name: 'other' };
    await database.db
      .insertInto('projects')
      .values({ ...other, created_at: new Date().toISOString() })
      .execute();
    const digest = await upload(randomBytes(1000));
    const mine = await registry.uploads.announce(call, { digest: digestOf(Buffer.from('x')), sizeBytes: 1 });
    const theirs = callWith({ project: other });
    expect((await registry.uploads.announce(theirs, { digest, sizeBytes: 1000 })).state).toBe('open');
    await expect(registry.uploads.get(theirs, mine.id)).rejects.toMatchObject({ code: 'upload_not_found' });
  });

  it('abandoned uploads are forgotten after a day, with their bytes', async () => {
    const clock = movableClock();
    const { registry, call, artifacts } = await start({ database: await dialect.open(clock), clock });
    const upload = await registry.uploads.announce(call, { digest: digestOf(randomBytes(8)), sizeBytes: 10 });
    await registry.uploads.append(call, upload.id, 0, body(Buffer.from('half')));
    clock.advance(20 * 3_600_000);
    await registry.uploads.append(call, upload.id, 4, body(Buffer.from('!')));
    clock.advance(20 * 3_600_000);
    expect(await registry.uploads.get(call, upload.id)).toMatchObject({ offsetBytes: 5 });
    clock.advance(5 * 3_600_000);
    await expect(registry.uploads.get(call, upload.id)).rejects.toMatchObject({ code: 'upload_not_found' });
    expect(await registry.uploads.expire(call.project.id, { dryRun: true })).toBe(1);
    expect(await artifacts.stagedBytes(call.project.id, upload.id)).toBe(5);
    expect(await registry.uploads.expire(call.project.id, { dryRun: false })).toBe(1);
    expect(await artifacts.stagedBytes(call.project.id, upload.id)).toBe(0);
  });
});

describe('an upload that breaks off', () => {
  const bytes = randomBytes(3 * MIB);
  const announce = () =>
    under.registry.uploads.announce(under.call, { digest: digestOf(bytes), sizeBytes: bytes.length });

  it('keeps what came and goes on there', async () => {
    const { registry, call } = await start();
    const { id } = await announce();
    const first = registry.uploads.append(call, id, 0, broken(bytes.subarray(0, MIB)));
    await expect(first).rejects.toMatchObject({ code: 'client_closed' });
    expect(await registry.uploads.get(call, id)).toMatchObject({ offsetBytes: MIB, state: 'open' });
    const rest = await registry.uploads.append(call, id, MIB, body(bytes.subarray(MIB)));
    expect(rest.state).toBe('complete');
  });

  it('goes on after the server was restarted, hashing what is on disk once more', async () => {
    const { registry, call, restart } = await start();
    const { id } = await announce();
    await registry.uploads.append(call, id, 0, body(bytes.subarray(0, 2 * MIB)));
    const next = restart();
    expect(await next.uploads.get(call, id)).toMatchObject({ offsetBytes: 2 * MIB });
    expect((await next.uploads.append(call, id, 2 * MIB, body(bytes.subarray(2 * MIB)))).state).toBe('complete');
  });

  it('is found again by its digest when the client lost its id', async () => {
    const { registry, call } = await start();
    const { id } = await announce();
    await registry.uploads.append(call, id, 0, body(bytes.subarray(0, MIB)));
    expect(await announce()).toMatchObject({ id, offsetBytes: MIB });
  });

  it('bytes that were altered on disk meanwhile are found and removed', async () => {
    const { registry, call, restart, folder, artifacts } = await start();
    const { id } = await announce();
    await registry.uploads.append(call, id, 0, body(bytes.subarray(0, MIB)));
    writeFileSync(`${folder}/artifacts/${call.project.id}/uploads/${id}`, randomBytes(MIB));
    const rest = restart().uploads.append(call, id, MIB, body(bytes.subarray(MIB)));
    await expect(rest).rejects.toMatchObject({ code: 'invalid_digest' });
    expect(await artifacts.stagedBytes(call.project.id, id)).toBe(0);
    expect(await artifacts.stat(call.project.id, digestOf(bytes))).toBeNull();
  });

  it('bytes that were published just before a crash, without their row, are taken over', async () => {
    const { registry, database, upload } = await start();
    const digest = await upload(bytes);
    await database.db.deleteFrom('blobs').execute();
    expect((await announce()).state).toBe('complete');
    expect(await database.db.selectFrom('blobs').select('digest').execute()).toEqual([{ digest }]);
    expect(await registry.collector.collect({ dryRun: false })).toMatchObject({ blobs: 0 });
  });

  it('a blob whose file is gone is uploaded again', async () => {
    const { call, upload, artifacts } = await start();
    const digest = await upload(bytes);
    rmSync(await artifacts.localPath(call.project.id, digest));
    await upload(bytes);
    expect(await artifacts.stat(call.project.id, digest)).toMatchObject({ sizeBytes: bytes.length });
  });
});

describe('bytes that are not what was announced', () => {
  it('another digest: refused, removed, and the upload starts over', async () => {
    const { registry, call, artifacts } = await start();
    const good = Buffer.from('good');
    const { id } = await registry.uploads.announce(call, { digest: digestOf(good), sizeBytes: 4 });
    const bad = registry.uploads.append(call, id, 0, body(Buffer.from('evil')));
    await expect(bad).rejects.toMatchObject({
      code: 'invalid_digest',
      extra: { received: digestOf(Buffer.from('evil')) },
    });
    expect(await registry.uploads.get(call, id)).toMatchObject({ offsetBytes: 0, state: 'open' });
    expect(await artifacts.stat(call.project.id, digestOf(good))).toBeNull();
    expect((await registry.uploads.append(call, id, 0, body(good))).state).toBe('complete');
  });

  it('more bytes than announced: refused', async () => {
    const { registry, call } = await start();
    const { id } = await registry.uploads.announce(call, { digest: digestOf(Buffer.from('abc')), sizeBytes: 3 });
    const more = registry.uploads.append(call, id, 0, body(Buffer.from('abcd')));
    await expect(more).rejects.toMatchObject({ code: 'too_large' });
  });

  it('another offset: refused, and the right one is told', async () => {
    const { registry, call } = await start();
    const { id } = await registry.uploads.announce(call, { digest: digestOf(Buffer.from('abc')), sizeBytes: 3 });
    await registry.uploads.append(call, id, 0, body(Buffer.from('a')));
    const wrong = registry.uploads.append(call, id, 0, body(Buffer.from('a')));
    await expect(wrong).rejects.toMatchObject({ code: 'offset_conflict', extra: { offsetBytes: 1 } });
  });

  it('a size that is not allowed, or a digest that is none: refused before any byte', async () => {
    const { registry, call } = await start({ maxUploadBytes: 100 });
    const digest = digestOf(Buffer.from('x'));
    await expect(registry.uploads.announce(call, { digest, sizeBytes: 101 })).rejects.toMatchObject({
      code: 'too_large',
    });
    for (const bad of ['', 'sha256:', `sha256:${'A'.repeat(64)}`, `sha512:${'a'.repeat(64)}`]) {
      const announced = registry.uploads.announce(call, { digest: bad, sizeBytes: 1 });
      await expect(announced).rejects.toMatchObject({ code: 'invalid_request', fields: [{ pointer: '/digest' }] });
    }
    const empty = registry.uploads.announce(call, { digest, sizeBytes: 0 });
    await expect(empty).rejects.toMatchObject({ code: 'invalid_digest' });
    const none = await registry.uploads.announce(call, { digest: digestOf(''), sizeBytes: 0 });
    expect(none.state).toBe('complete');
  });

  it('more bytes than the disk has room for are refused when they are announced', async () => {
    const { registry, call, artifacts } = await start();
    const sizeBytes = (await artifacts.freeBytes())! + 2 ** 32;
    const huge = startRegistry({ maxUploadBytes: sizeBytes });
    const other = await huge;
    try {
      const announced = other.registry.uploads.announce(other.call, { digest: digestOf('x'), sizeBytes });
      await expect(announced).rejects.toMatchObject({ code: 'disk_full' });
    } finally {
      await other.close();
    }
    expect((await registry.uploads.announce(call, { digest: digestOf('x'), sizeBytes: 1 })).state).toBe('open');
  });
});

describe('two writers of one upload', () => {
  it('the second is refused while the first is sending, and takes over when the first has stalled', async () => {
    const clock = movableClock();
    const { registry, call } = await start({ clock });
    const bytes = randomBytes(2 * MIB);
    const { id } = await registry.uploads.announce(call, { digest: digestOf(bytes), sizeBytes: bytes.length });
    const stalled = new Readable({ read: () => undefined });
    stalled.push(bytes.subarray(0, MIB));
    const first = registry.uploads.append(call, id, 0, stalled);
    first.catch(() => undefined);
    await pause(100);
    const early = registry.uploads.append(call, id, 0, body(bytes));
    await expect(early).rejects.toMatchObject({ code: 'offset_conflict' });
    clock.advance(6000);
    const later = registry.uploads.append(call, id, MIB, body(bytes.subarray(MIB)));
    await expect(first).rejects.toMatchObject({ code: 'client_closed' });
    expect((await later).state).toBe('complete');
  });

  it('an announcement while another sends the same bytes gets an upload of its own', async () => {
    const { registry, call } = await start();
    const bytes = randomBytes(MIB);
    const announced = { digest: digestOf(bytes), sizeBytes: bytes.length };
    const one = await registry.uploads.announce(call, announced);
    const slow = new Readable({ read: () => undefined });
    const sending = registry.uploads.append(call, one.id, 0, slow);
    await pause(50);
    const two = await registry.uploads.announce(call, announced);
    expect(two.id).not.toBe(one.id);
    expect((await registry.uploads.append(call, two.id, 0, body(bytes))).state).toBe('complete');
    slow.push(bytes);
    slow.push(null);
    expect((await sending).state).toBe('complete');
  });

  it('removing an upload ends its writer and its bytes', async () => {
    const { registry, call, folder } = await start();
    const { id } = await registry.uploads.announce(call, { digest: digestOf('ab'), sizeBytes: 2 });
    const slow = new Readable({ read: () => undefined });
    const sending = registry.uploads.append(call, id, 0, slow);
    sending.catch(() => undefined);
    await pause(50);
    await registry.uploads.remove(call, id);
    await expect(sending).rejects.toMatchObject({ code: 'client_closed' });
    expect(existsSync(`${folder}/artifacts/${call.project.id}/uploads/${id}`)).toBe(false);
  });
});

describe('who may upload', () => {
  it('a key that may deploy, be it one model only', async () => {
    const { registry, callWith } = await start();
    const announced = { digest: digestOf('x'), sizeBytes: 1 };
    for (const scopes of [['read'], ['predict'], ['promote']]) {
      const refused = registry.uploads.announce(callWith({ scopes }), announced);
      await expect(refused).rejects.toMatchObject({ code: 'not_permitted' });
    }
    const { state } = await registry.uploads.announce(callWith({ scopes: ['deploy:churn'] }), announced);
    expect(state).toBe('open');
  });

  it('a dry run announces nothing', async () => {
    const { registry, callWith, database } = await start();
    const announced = await registry.uploads.announce(callWith({ dryRun: true }), {
      digest: digestOf('x'),
      sizeBytes: 1,
    });
    expect(announced.state).toBe('open');
    expect(await database.db.selectFrom('uploads').selectAll().execute()).toEqual([]);
    const sent = registry.uploads.append(callWith({ dryRun: true }), announced.id, 0, body(Buffer.from('x')));
    await expect(sent).rejects.toMatchObject({ code: 'unsupported_option' });
  });
});

it('a folder that cannot be written fails without a path, and works again when it can', async () => {
  const { registry, call, folder, upload } = await start();
  await upload(Buffer.from('first'));
  const uploads = `${folder}/artifacts/${call.project.id}/uploads`;
  const { id } = await registry.uploads.announce(call, { digest: digestOf('second'), sizeBytes: 6 });
  rmSync(uploads, { recursive: true });
  writeFileSync(uploads, 'in the way');
  const error = await registry.uploads
    .append(call, id, 0, body(Buffer.from('second')))
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'internal' });
  expect((error as Error).message).not.toContain('/');
  rmSync(uploads);
  expect((await registry.uploads.append(call, id, 0, body(Buffer.from('second')))).state).toBe('complete');
});
