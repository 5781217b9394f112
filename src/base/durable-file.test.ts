import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeDurably } from './durable-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-durable-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('a file is replaced as a whole, for its owner only, and nothing is left beside it', async () => {
  const path = join(folder, 'admin.key');
  writeFileSync(path, 'an older and longer text', { mode: 0o644 });
  await writeDurably(path, 'new');
  expect(readFileSync(path, 'utf8')).toBe('new');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['admin.key']);
});

it('what a killed writer left is no obstacle, nor is a link followed that stands in its place', async () => {
  const path = join(folder, 'state.json');
  const elsewhere = join(folder, 'elsewhere');
  writeFileSync(elsewhere, 'untouched');
  symlinkSync(elsewhere, `${path}.new`);
  await writeDurably(path, 'first');
  writeFileSync(`${path}.new`, 'half a te', { mode: 0o666 });
  await writeDurably(path, 'second');
  expect(readFileSync(path, 'utf8')).toBe('second');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(elsewhere, 'utf8')).toBe('untouched');
});

it('a file that cannot be written leaves the old one', async () => {
  const path = join(folder, 'absent', 'state.json');
  await expect(writeDurably(path, 'x')).rejects.toMatchObject({ code: 'ENOENT' });
});
