import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileOf, MODELS } from '../../../test/fixtures/runner-specs.ts';
import { copyFiles, readVerified, safeParts, verifyFile } from './verified-files.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-verified-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('every flipped bit of a model file is found before its bytes are used, and every truncation', async () => {
  const file = fileOf('mixed.onnx', join(MODELS, 'mixed.onnx'));
  const good = readFileSync(file.blobPath);
  const at = join(folder, 'mixed.onnx');
  writeFileSync(at, good);
  expect(await readVerified(file, at)).toEqual(good);
  await verifyFile(file, at);
  let found = 0;
  for (let byte = 0; byte < good.length; byte++) {
    const bad = Buffer.from(good);
    bad[byte]! ^= 1 << (byte % 8);
    writeFileSync(at, bad);
    await expect(byte % 2 === 0 ? readVerified(file, at) : verifyFile(file, at)).rejects.toMatchObject({
      code: 'artifact_corrupt',
    });
    found++;
  }
  expect(found).toBe(good.length);
  for (const size of [0, 1, good.length - 1]) {
    writeFileSync(at, good);
    truncateSync(at, size);
    await expect(readVerified(file, at)).rejects.toMatchObject({ code: 'artifact_corrupt' });
    await expect(verifyFile(file, at)).rejects.toMatchObject({ code: 'artifact_corrupt' });
  }
  writeFileSync(at, Buffer.concat([good, Buffer.of(0)]));
  await expect(readVerified(file, at)).rejects.toMatchObject({ code: 'artifact_corrupt' });
  await expect(verifyFile(file, at)).rejects.toMatchObject({ code: 'artifact_corrupt' });
});

test('copies keep the folders of the artifact, and are no links to the store', async () => {
  const target = mkdtempSync(join(folder, 'copy-'));
  const blobs = mkdtempSync(join(folder, 'blobs-'));
  writeFileSync(join(blobs, 'a'), 'first');
  await copyFiles([fileOf('parts/deep/a.bin', join(blobs, 'a'))], target);
  writeFileSync(join(target, 'parts/deep/a.bin'), 'changed by the model');
  expect(readFileSync(join(blobs, 'a'), 'utf8')).toBe('first');
  expect(readdirSync(target)).toEqual(['parts']);
});

test.each(['', '/a', '../a', 'a/../b', './a', 'a//b', 'a\\b', 'a\0b', '..'])(
  'the path %j is none of an artifact',
  (path) => {
    expect(() => safeParts(path)).toThrow(expect.objectContaining({ code: 'model_refused' }));
  },
);

test('a file of 2 GiB is refused before any of it is read', async () => {
  const file = { path: 'x.onnx', digest: 'sha256:0', sizeBytes: 2 ** 31, blobPath: '' };
  await expect(readVerified(file, join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'model_unsupported' });
});
