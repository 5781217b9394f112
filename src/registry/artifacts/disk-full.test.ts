import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { startRegistry } from '../../../test/fixtures/registry.ts';
import { digestOf } from '../manifest.ts';

const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'slipway-full-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]).status === 0;
const reason = mounted ? '' : ' (skipped: mounting a small file system is not allowed here)';

afterAll(() => {
  if (mounted) spawnSync('umount', [folder]);
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!mounted)(`a disk that fills up during an upload${reason}`, () => {
  it('the upload fails with what is missing, keeps what came, and continues when there is room again', async () => {
    const { registry, call, artifacts, close } = await startRegistry({ folder });
    try {
      const bytes = randomBytes(6 * MIB);
      const { id } = await registry.uploads.announce(call, { digest: digestOf(bytes), sizeBytes: bytes.length });
      writeFileSync(join(folder, 'filler'), Buffer.alloc(5 * MIB));

      const full = await registry.uploads.append(call, id, 0, Readable.from([bytes])).catch((error: unknown) => error);
      expect(full).toMatchObject({ code: 'disk_full', kind: 'unavailable' });
      const { offsetBytes, state } = await registry.uploads.get(call, id);
      expect(state).toBe('open');
      expect(offsetBytes).toBeGreaterThan(MIB);
      expect((full as Error).message).toBe(
        `The data folder has no room for the ${bytes.length - offsetBytes} bytes still to come`,
      );

      const again = registry.uploads.announce(call, { digest: digestOf(bytes), sizeBytes: bytes.length });
      await expect(again).rejects.toMatchObject({ code: 'disk_full' });

      rmSync(join(folder, 'filler'));
      const rest = Readable.from([bytes.subarray(offsetBytes)]);
      expect((await registry.uploads.append(call, id, offsetBytes, rest)).state).toBe('complete');
      expect(await artifacts.stat(call.project.id, digestOf(bytes))).toMatchObject({ sizeBytes: bytes.length });
    } finally {
      await close();
    }
  });
});
