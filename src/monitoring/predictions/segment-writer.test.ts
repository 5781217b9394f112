import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SEGMENTS_FOLDER } from './recording-file.ts';
import { createSegmentWriter } from './segment-writer.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-segments-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const segments = (): string[] =>
  readdirSync(join(folder, SEGMENTS_FOLDER), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

describe('the writer', () => {
  const make = (options: Partial<Parameters<typeof createSegmentWriter>[0]> = {}) =>
    createSegmentWriter({ folder: join(folder, SEGMENTS_FOLDER), instance: 'w', quotaBytes: 2 ** 40, ...options });

  test('a quota that is used up drops and counts', () => {
    let nowMs = 0;
    const writer = make({ quotaBytes: 1000, nowMs: () => nowMs });
    for (let i = 0; i < 100; i++) {
      writer.append('default/churn/a', () => 'h', 'x'.repeat(100));
      writer.tick();
      nowMs += 6000;
    }
    expect(writer.counts.written + writer.counts.droppedQuota).toBe(100);
    expect(writer.counts.written).toBeLessThan(12);
    writer.close();
  });

  test('a disk with less than its reserve left drops, counts, and says why', () => {
    const writer = make({ reserveBytes: 2 ** 60 });
    expect(writer.append('default/churn/a', () => 'h', 'x')).toBe(false);
    expect(writer.counts).toMatchObject({ written: 0, droppedDisk: 1, fault: 'ENOSPC' });
  });

  test('many endpoints share a bounded number of open files', () => {
    const writer = make();
    for (let i = 0; i < 200; i++) writer.append(`default/e${i}/a`, () => 'h', 'x');
    writer.tick();
    const open = segments().filter((path) => path.endsWith('.open'));
    expect(open.length).toBe(64);
    expect(writer.counts.written).toBe(200);
    writer.close();
  });

  test('a full disk is survived: what is there stays readable, and writing goes on when there is room', () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]).status !== 0) return;
    let nowMs = 0;
    const writer = make({ folder: small, reserveBytes: 0, nowMs: () => nowMs });
    try {
      for (let i = 0; i < 30; i++) {
        for (let j = 0; j < 1000; j++)
          writer.append('default/churn/a', () => 'h', `{"line":${j},"fill":"${'x'.repeat(80)}"}`);
      }
      expect(writer.counts.droppedDisk).toBeGreaterThan(5000);
      expect(writer.counts.written).toBeGreaterThan(5000);
      expect(writer.counts.fault).toBe('ENOSPC');
      for (const entry of readdirSync(small, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())) {
        rmSync(join(entry.parentPath, entry.name));
      }
      nowMs += 10_000;
      const before = writer.counts.written;
      writer.append('default/churn/a', () => 'h', '{}');
      writer.tick();
      expect(writer.counts.written).toBe(before + 1);
      expect(writer.counts.fault).toBeNull();
      writer.close();
    } finally {
      spawnSync('umount', ['-l', small]);
    }
  });

  test('killed at any moment it leaves whole lines but for the last one, and all that was synced', async () => {
    const victim = join(import.meta.dirname, '../../../test/fixtures/segment-victim.ts');
    for (const afterMs of [0, 3, 11, 30, 80]) {
      const into = join(folder, `killed-${afterMs}`);
      const run = spawnSync(process.execPath, [victim, into, String(afterMs)], { encoding: 'utf8', timeout: 20_000 });
      expect(run.signal, run.stderr).toBe('SIGKILL');
      const synced = Number(run.stdout.trim().split('\n').at(-1) || 0);
      const lines = readdirSync(into, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .flatMap((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8').split('\n'));
      const whole = lines.filter((line) => line.startsWith('{"n":') && line.endsWith('}'));
      expect(whole.length).toBeGreaterThanOrEqual(synced);
      const numbers = whole.map((line) => (JSON.parse(line) as { n: number }).n);
      expect(numbers).toEqual(numbers.map((_, at) => at));
    }
  });
});
