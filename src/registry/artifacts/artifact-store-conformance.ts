/**
 * What every artifact store has to do. A store's own test file calls this with a way to make one; tests that a store cannot pass are named
 * with the reason.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it as test } from 'vitest';
import type { ArtifactStore, StagedFile } from './artifact-store.ts';

export type ArtifactStoreUnderTest = {
  readonly name: string;
  /** A fresh, empty store. */
  create(): Promise<{ store: ArtifactStore; close(): Promise<void> }>;
  readonly skip?: readonly { readonly test: string; readonly reason: string }[];
};

export function describeArtifactStore(member: ArtifactStoreUnderTest): void {
  const it = (title: string, work: (store: ArtifactStore) => Promise<void>): void => {
    const skipped = member.skip?.find((one) => one.test === title);
    if (skipped) return void test.skip(`${title} (${skipped.reason})`, () => undefined);
    test(title, async () => {
      const made = await member.create();
      opened = made;
      await work(made.store);
    });
  };
  let opened: { close(): Promise<void> } | undefined;
  afterEach(async () => {
    await opened?.close();
    opened = undefined;
  });

  const project = randomUUID();
  const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const put = async (store: ArtifactStore, bytes: Uint8Array, projectId = project): Promise<string> => {
    const staged = await store.stage(projectId, randomUUID());
    await staged.append(bytes);
    await staged.publish(digestOf(bytes));
    return digestOf(bytes);
  };
  const all = async (chunks: AsyncIterable<Uint8Array>): Promise<Buffer> => {
    const parts: Buffer[] = [];
    for await (const chunk of chunks) parts.push(Buffer.from(chunk));
    return Buffer.concat(parts);
  };
  const list = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
    const found: T[] = [];
    for await (const item of items) found.push(item);
    return found;
  };

  describe(`artifact store ${member.name}`, () => {
    it('forgets all bytes of one project and none of another', async (store) => {
      const other = randomUUID();
      const mine = await put(store, Buffer.from('mine'));
      const staged = await store.stage(project, randomUUID());
      await staged.append(Buffer.from('half'));
      await staged.close();
      const theirs = await put(store, Buffer.from('theirs'), other);
      expect((await list(store.projects())).sort()).toEqual([project, other].sort());
      await store.removeProject(project);
      await store.removeProject(project);
      expect(await list(store.projects())).toEqual([other]);
      expect(await store.stat(project, mine)).toBeNull();
      expect(await list(store.staged(project))).toEqual([]);
      expect(await store.stat(other, theirs)).not.toBeNull();
      await expect(async () => store.removeProject('..')).rejects.toThrow(TypeError);
    });

    it('gives back what was published, as a stream and as a local file', async (store) => {
      const bytes = randomBytes(3 * 1024 * 1024 + 17);
      const digest = await put(store, bytes);
      expect((await all(await store.read(project, digest))).equals(bytes)).toBe(true);
      expect((await readFile(await store.localPath(project, digest))).equals(bytes)).toBe(true);
      expect(await store.stat(project, digest)).toMatchObject({ digest, sizeBytes: bytes.length });
    });

    it('shows nothing of what is staged until it is published', async (store) => {
      const bytes = randomBytes(1000);
      const id = randomUUID();
      const staged = await store.stage(project, id);
      await staged.append(bytes);
      await staged.sync();
      expect(await store.stat(project, digestOf(bytes))).toBeNull();
      expect(await list(store.blobs(project))).toEqual([]);
      await staged.publish(digestOf(bytes));
      expect((await list(store.blobs(project))).map((blob) => blob.digest)).toEqual([digestOf(bytes)]);
      expect(await store.stagedBytes(project, id)).toBe(0);
    });

    it('continues staged bytes where they ended, and reads them back from any offset', async (store) => {
      const bytes = randomBytes(5000);
      const id = randomUUID();
      const first = await store.stage(project, id);
      await first.append(bytes.subarray(0, 2000));
      await first.sync();
      await first.close();
      expect(await store.stagedBytes(project, id)).toBe(2000);
      const second = await store.stage(project, id);
      expect(second.sizeBytes).toBe(2000);
      await second.append(bytes.subarray(2000));
      expect((await all(second.read(0))).equals(bytes)).toBe(true);
      expect((await all(second.read(1999))).equals(bytes.subarray(1999))).toBe(true);
      await second.publish(digestOf(bytes));
      expect((await all(await store.read(project, digestOf(bytes)))).equals(bytes)).toBe(true);
    });

    it('holds empty bytes', async (store) => {
      const digest = await put(store, Buffer.alloc(0));
      expect(await store.stat(project, digest)).toMatchObject({ sizeBytes: 0 });
      expect((await all(await store.read(project, digest))).length).toBe(0);
    });

    it('publishing the same bytes again replaces them', async (store) => {
      const bytes = randomBytes(100);
      await put(store, bytes);
      const digest = await put(store, bytes);
      expect((await list(store.blobs(project))).length).toBe(1);
      expect((await all(await store.read(project, digest))).equals(bytes)).toBe(true);
    });

    it('knows what is staged, and forgets it when told', async (store) => {
      const ids = [randomUUID(), randomUUID()].sort();
      for (const id of ids) {
        const staged = await store.stage(project, id);
        await staged.append(Buffer.from('x'));
        await staged.close();
      }
      expect((await list(store.staged(project))).sort()).toEqual(ids);
      await store.discard(project, ids[0]!);
      await store.discard(project, ids[0]!);
      expect(await list(store.staged(project))).toEqual([ids[1]]);
      expect(await store.stagedBytes(project, ids[0]!)).toBe(0);
    });

    it('removes a blob, and does not mind when there is none', async (store) => {
      const digest = await put(store, randomBytes(10));
      await store.remove(project, digest);
      await store.remove(project, digest);
      expect(await store.stat(project, digest)).toBeNull();
      await expect(store.read(project, digest).then(all)).rejects.toMatchObject({ code: 'ENOENT' });
    });

    it('keeps projects apart', async (store) => {
      const digest = await put(store, randomBytes(10));
      const other = randomUUID();
      expect(await store.stat(other, digest)).toBeNull();
      expect(await list(store.blobs(other))).toEqual([]);
      await store.remove(other, digest);
      expect(await store.stat(project, digest)).not.toBeNull();
    });

    it('refuses every text that is not an id or a digest', async (store) => {
      const digest = `sha256:${'a'.repeat(64)}`;
      for (const bad of ['', '.', '..', '../x', '/etc', 'a/b', '%2e%2e', 'A'.repeat(36), '\u0000', `${project}/..`]) {
        await expect((async () => store.stat(bad, digest))()).rejects.toBeInstanceOf(TypeError);
        await expect((async () => store.stage(bad, randomUUID()))()).rejects.toBeInstanceOf(TypeError);
        await expect((async () => store.stage(project, bad))()).rejects.toBeInstanceOf(TypeError);
        await expect((async () => store.discard(project, bad))()).rejects.toBeInstanceOf(TypeError);
        await expect((async () => store.localPath(project, bad))()).rejects.toBeInstanceOf(TypeError);
      }
      const upper = `sha256:${'A'.repeat(64)}`;
      for (const bad of [upper, `sha256:${'a'.repeat(63)}`, `md5:${'a'.repeat(64)}`, `${digest}/../x`, `${digest}\n`]) {
        await expect((async () => store.stat(project, bad))()).rejects.toBeInstanceOf(TypeError);
        await expect((async () => store.remove(project, bad))()).rejects.toBeInstanceOf(TypeError);
        const staged: StagedFile = await store.stage(project, randomUUID());
        await expect(staged.publish(bad)).rejects.toBeInstanceOf(TypeError);
        await staged.close();
      }
    });
  });
}
