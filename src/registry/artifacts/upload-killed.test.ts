import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { UPLOAD_CALL, UPLOAD_DIGEST, UPLOAD_SIZE } from '../../../test/fixtures/upload-content.ts';
import { createFileStore } from './file-store.ts';
import type { Upload } from './upload-service.ts';

const VICTIM = fileURLToPath(new URL('../../../test/fixtures/upload-victim.ts', import.meta.url));
const KILLS = Number(process.env['SLIPWAY_TEST_KILLS'] ?? 6);
const folder = mkdtempSync(join(tmpdir(), 'slipway-killed-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the receiver until it ends, or until it has acknowledged so many pieces; then it is killed, in the middle of the next one. */
async function receive(pieces: number): Promise<{ said: Upload[]; signal: string | null }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', VICTIM, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<string | null>((resolve) => child.on('exit', (_code, signal) => resolve(signal)));
  const said: Upload[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(JSON.parse(line) as Upload);
    if (said.length === pieces + 1) setTimeout(() => child.kill('SIGKILL'), Math.random() * 8);
  }
  return { said, signal: await ended };
}

it('an upload whose server is killed again and again loses no acknowledged byte and ends whole', async () => {
  const store = createFileStore({ root: join(folder, 'artifacts') });
  let acknowledged = 0;
  let kills = 0;
  for (let round = 0; ; round++) {
    const { said, signal } = await receive(
      round < KILLS ? 1 + Math.floor(Math.random() * 8) : Number.POSITIVE_INFINITY,
    );
    const [first] = said;
    expect(first!.offsetBytes, 'what was acknowledged before the kill is there after it').toBeGreaterThanOrEqual(
      acknowledged,
    );
    acknowledged = said.at(-1)!.offsetBytes;
    if (signal === 'SIGKILL') kills += 1;
    if (said.at(-1)!.state === 'complete') break;
    expect(signal).toBe('SIGKILL');
    // Nothing is visible before it is whole.
    expect(await store.stat(UPLOAD_CALL.project.id, UPLOAD_DIGEST)).toBeNull();
  }
  expect(kills).toBeGreaterThan(0);
  const path = await store.localPath(UPLOAD_CALL.project.id, UPLOAD_DIGEST);
  expect(statSync(path).size).toBe(UPLOAD_SIZE);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  expect(`sha256:${hash.digest('hex')}`).toBe(UPLOAD_DIGEST);
}, 120_000);
