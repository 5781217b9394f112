import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readArtifact } from './artifact-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(files: Record<string, string>, inside = folder): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(inside, path, '..'), { recursive: true });
    writeFileSync(join(inside, path), text);
  }
}

const read = async (path: string) => {
  const artifact = await readArtifact(path, new AbortController().signal);
  return {
    paths: artifact.files.map((file) => file.path),
    name: artifact.suggestedName,
    sizeBytes: artifact.sizeBytes,
  };
};

test('of a folder with a list, only what is listed, under the name it gives', async () => {
  write({
    'slipway.yaml': 'name: credit-risk\nfiles: [model.onnx, ./golden.json]\n',
    'model.onnx': 'm',
    'golden.json': '[]',
    'train.py': 'x',
  });
  const artifact = await read(folder);
  expect(artifact).toMatchObject({ paths: ['slipway.yaml', 'model.onnx', 'golden.json'], name: 'credit-risk' });
});

test('of a folder without a list, everything but hidden files and links, named after the folder', async () => {
  const inside = join(folder, 'My Model V2');
  mkdirSync(inside);
  write({ 'model.onnx': 'm', 'weights/a.bin': 'w', '.git/config': 'x' }, inside);
  symlinkSync('/etc/hostname', join(inside, 'link'));
  expect(await read(inside)).toEqual({ paths: ['model.onnx', 'weights/a.bin'], name: 'my-model-v2', sizeBytes: 2 });
});

test.each([
  ['churn.onnx', 'churn'],
  ['Churn Model (final).onnx', 'churn-model-final'],
])('a file %s is named %s', async (file, name) => {
  write({ [file]: 'm' });
  expect(await read(join(folder, file))).toEqual({ paths: [file], name, sizeBytes: 1 });
});

test('model.onnx is named after its folder, because its own name says nothing', async () => {
  write({ 'fraud/model.onnx': 'm' });
  expect((await read(join(folder, 'fraud/model.onnx'))).name).toBe('fraud');
});

test.each([
  ['files: [../secret]', '../secret'],
  ['files: [gone.onnx]', 'gone.onnx'],
  ['files: model.onnx', 'must be a list'],
  ['files: [', 'cannot be read'],
])('%s is refused before anything is sent', async (yaml, said) => {
  write({ 'model/slipway.yaml': yaml, 'model/model.onnx': 'm', secret: 'x' });
  await expect(read(join(folder, 'model'))).rejects.toThrow(said);
});

test('an empty folder and an absent path are told apart', async () => {
  await expect(read(folder)).rejects.toMatchObject({ reason: 'validation' });
  await expect(read(join(folder, 'gone'))).rejects.toMatchObject({ reason: 'notFound' });
});
