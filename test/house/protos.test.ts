/** What gRPC speaks is what the .proto files say. */
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

test('the compiled descriptors are those of the .proto files', () => {
  const run = spawnSync(process.execPath, [join(root, 'scripts/generate-descriptors.ts'), '--check'], {
    encoding: 'utf8',
  });
  expect(run.status, run.stderr).toBe(0);
}, 60_000);
