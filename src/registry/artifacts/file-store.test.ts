import { createHash, randomUUID } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeArtifactStore } from './artifact-store-conformance.ts';
import { createFileStore } from './file-store.ts';

describeArtifactStore({
  name: 'file-store',
  async create() {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-store-'));
    const close = async () => rmSync(folder, { recursive: true, force: true });
    return { store: createFileStore({ root: join(folder, 'artifacts') }), close };
  },
});

describe('blobs as files', () => {
  let folder: string;
  let root: string;
  const project = randomUUID();
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'slipway-store-')));
    root = join(folder, 'artifacts');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const put = async (text: string): Promise<string> => {
    const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    const staged = await createFileStore({ root }).stage(project, randomUUID());
    await staged.append(Buffer.from(text));
    await staged.publish(digest);
    return digest;
  };

  it('lie where other processes look for them, and nobody may write them', async () => {
    const digest = await put('hello');
    const hex = digest.slice('sha256:'.length);
    const path = join(root, project, 'sha256', hex.slice(0, 2), hex);
    expect(await createFileStore({ root }).localPath(project, digest)).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o444);
    expect(statSync(join(root, project)).mode & 0o077).toBe(0);
  });

  it('links in place of a file or an upload are not followed', async () => {
    const digest = await put('hello');
    const store = createFileStore({ root });
    const secret = join(folder, 'secret');
    writeFileSync(secret, 'secret');
    const path = await store.localPath(project, digest);
    rmSync(path);
    symlinkSync(secret, path);
    expect(await store.stat(project, digest)).toBeNull();
    await expect(store.read(project, digest)).rejects.toMatchObject({ code: 'ELOOP' });
    const upload = randomUUID();
    symlinkSync(secret, join(root, project, 'uploads', upload));
    await expect(store.stage(project, upload)).rejects.toMatchObject({ code: 'ELOOP' });
    expect(await store.stagedBytes(project, upload)).toBe(0);
  });

  it('a folder that leads elsewhere is refused', async () => {
    const elsewhere = join(folder, 'elsewhere');
    mkdirSync(elsewhere);
    mkdirSync(root);
    symlinkSync(elsewhere, join(root, project));
    await expect(put('hello')).rejects.toThrow('leads elsewhere');
    expect(readdirSync(join(elsewhere, 'uploads'))).toEqual([]);
  });

  it('free space is known before the first upload', async () => {
    expect(await createFileStore({ root }).freeBytes()).toBeGreaterThan(0);
  });
});
