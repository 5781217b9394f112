import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readLog } from './log-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-log-'));
  path = join(folder, 'slipway.log');
});
afterEach(() => rmSync(folder, { recursive: true }));

async function readAll(lines: number): Promise<string[]> {
  const parts: Buffer[] = [];
  for await (const part of readLog(path, { lines, follow: false, signal: new AbortController().signal }))
    parts.push(part as Buffer);
  return Buffer.concat(parts).toString().split('\n').filter(Boolean);
}

test('gives the last lines, whole, also of a file larger than one chunk', async () => {
  const all = Array.from({ length: 5000 }, (_, i) => `{"n":${i},"text":"${'x'.repeat(50)}"}`);
  writeFileSync(path, `${all.join('\n')}\n`);
  expect(await readAll(3)).toEqual(all.slice(-3));
  expect(await readAll(4000)).toEqual(all.slice(-4000));
  expect(await readAll(99_999)).toEqual(all);
});

test('a line that is still being written is not given', async () => {
  writeFileSync(path, '{"n":1}\n{"n":');
  expect(await readAll(10)).toEqual(['{"n":1}']);
});

test('a missing file is an empty log', async () => {
  expect(await readAll(10)).toEqual([]);
});

test('follows what is added, also past a rotation, until the reader goes away', async () => {
  writeFileSync(path, '{"n":1}\n');
  const gone = new AbortController();
  const seen: string[] = [];
  const done = (async () => {
    for await (const part of readLog(path, { lines: 10, follow: true, signal: gone.signal })) {
      seen.push(...(part as Buffer).toString().split('\n').filter(Boolean));
      if (seen.length === 1) appendFileSync(path, '{"n":2}\n');
      if (seen.length === 2) {
        renameSync(path, `${path}.1`);
        writeFileSync(path, '{"n":3}\n');
      }
      if (seen.length === 3) gone.abort();
    }
  })();
  await done;
  expect(seen).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
});
