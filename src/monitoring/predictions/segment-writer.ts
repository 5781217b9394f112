/**
 * Appends lines to segment files, in the recording thread. A line that was synced is on the disk; until then at most a second's or a thousand
 * rows' worth is not. No fault of the disk comes out of here: what cannot be written is dropped and counted, and it is tried again later.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

export const SYNC_ROWS = 1000;
const ROTATE_BYTES = 64 * 1024 * 1024;
const ROTATE_MS = 300_000;
/** Open files at one time; the one written to longest ago is closed for another. */
const MAX_OPEN = 64;
/** The log leaves this much of the disk to others: the database, uploads, logs. */
const RESERVE_BYTES = 256 * 1024 * 1024;
const LOOK_EVERY_MS = 5_000;
/** After a fault. */
const RETRY_MS = 5_000;

export type SegmentWriter = {
  /**
   * Appends one line to the segment of a key.
   * @param header first line of a new file
   * @returns whether it was taken
   */
  append(key: string, header: () => string, line: string): boolean;
  /** Makes what was appended safe, and closes files that are full or old. To be called every second. */
  tick(): void;
  /** Closes all files; control takes them from then on. */
  close(): void;
  readonly counts: { written: number; droppedDisk: number; droppedQuota: number; fault: string | null };
};

type OpenSegment = {
  readonly path: string;
  readonly fd: number;
  readonly openedMs: number;
  buffer: string[];
  buffered: number;
  bytes: number;
  unsynced: number;
  usedMs: number;
};

export type SegmentWriterOptions = {
  /** Segments of a key lie in `<folder>/<key>/`. */
  readonly folder: string;
  /** Of this process and run: no two have the same. */
  readonly instance: string;
  /** Most bytes that segments may take that control has not taken over yet. */
  readonly quotaBytes: number;
  readonly nowMs?: () => number;
  readonly reserveBytes?: number;
  readonly rotateBytes?: number;
};

export function createSegmentWriter(options: SegmentWriterOptions): SegmentWriter {
  const { folder, instance, quotaBytes, nowMs = () => performance.now() } = options;
  const { reserveBytes = RESERVE_BYTES, rotateBytes = ROTATE_BYTES } = options;
  const open = new Map<string, OpenSegment>();
  const counts = { written: 0, droppedDisk: 0, droppedQuota: 0, fault: null as string | null };
  let sequence = 0;
  let lookedMs = Number.NEGATIVE_INFINITY;
  let faultyUntilMs = Number.NEGATIVE_INFINITY;
  let usedBytes = 0;
  let lowOnDisk = false;

  /** How much room there is, looked at every few seconds: others write too, and control removes what it took. */
  const look = (): void => {
    if (nowMs() - lookedMs < LOOK_EVERY_MS) return;
    lookedMs = nowMs();
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const { bavail, bsize } = statfsSync(folder);
      lowOnDisk = bavail * bsize < reserveBytes;
      usedBytes = sizeOfFolder(folder);
    } catch (error) {
      failed(error);
    }
  };

  const failed = (error: unknown): void => {
    const { code, message } = error as NodeJS.ErrnoException;
    counts.fault = code ?? message;
    faultyUntilMs = nowMs() + RETRY_MS;
  };

  const openFor = (key: string, header: string): OpenSegment => {
    const into = join(folder, key);
    mkdirSync(into, { recursive: true, mode: 0o700 });
    for (;;) {
      const path = join(into, `${instance}-${String(sequence++).padStart(6, '0')}.jsonl`);
      try {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND;
        const fd = openSync(`${path}.open`, flags, 0o600);
        const segment = {
          path,
          fd,
          openedMs: nowMs(),
          buffer: [header],
          buffered: 0,
          bytes: 0,
          unsynced: 0,
          usedMs: nowMs(),
        };
        open.set(key, segment);
        return segment;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // somebody else's: the next number
      }
    }
  };

  /** Writes what is buffered; what does not fit is dropped with the file, which ends with a cut line that readers skip. */
  const flush = (key: string, segment: OpenSegment): boolean => {
    if (segment.buffer.length === 0) return true;
    const bytes = Buffer.from(`${segment.buffer.join('\n')}\n`);
    const rows = segment.buffered;
    segment.buffer = [];
    segment.buffered = 0;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(segment.fd, bytes, at);
      segment.bytes += bytes.length;
      usedBytes += bytes.length;
      segment.unsynced += rows;
      counts.written += rows;
      counts.fault = null;
      return true;
    } catch (error) {
      counts.droppedDisk += rows;
      failed(error);
      seal(key, segment);
      return false;
    }
  };

  const sync = (segment: OpenSegment): void => {
    if (segment.unsynced === 0) return;
    segment.unsynced = 0;
    try {
      fsyncSync(segment.fd);
    } catch (error) {
      failed(error);
    }
  };

  const seal = (key: string, segment: OpenSegment): void => {
    open.delete(key);
    sync(segment);
    try {
      closeSync(segment.fd);
      renameSync(`${segment.path}.open`, segment.path);
    } catch (error) {
      failed(error);
    }
  };

  return {
    counts,
    append(key, header, line) {
      look();
      if (nowMs() < faultyUntilMs || lowOnDisk) {
        counts.droppedDisk += 1;
        if (lowOnDisk) counts.fault = 'ENOSPC';
        return false;
      }
      if (usedBytes >= quotaBytes) {
        counts.droppedQuota += 1;
        return false;
      }
      try {
        let segment = open.get(key);
        if (segment === undefined) {
          if (open.size >= MAX_OPEN) {
            const [oldestKey, oldest] = [...open].reduce((a, b) => (a[1].usedMs <= b[1].usedMs ? a : b));
            if (flush(oldestKey, oldest)) seal(oldestKey, oldest);
          }
          segment = openFor(key, header());
        }
        segment.buffer.push(line);
        segment.buffered += 1;
        segment.usedMs = nowMs();
        if (segment.buffered + segment.unsynced < SYNC_ROWS) return true;
        if (!flush(key, segment)) return false;
        sync(segment);
        if (segment.bytes >= rotateBytes) seal(key, segment);
        return true;
      } catch (error) {
        counts.droppedDisk += 1;
        failed(error);
        return false;
      }
    },
    tick() {
      for (const [key, segment] of [...open]) {
        if (!flush(key, segment)) continue;
        sync(segment);
        if (segment.bytes >= rotateBytes || nowMs() - segment.openedMs >= ROTATE_MS) seal(key, segment);
      }
    },
    close() {
      for (const [key, segment] of [...open]) if (flush(key, segment)) seal(key, segment);
    },
  };
}

function sizeOfFolder(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    try {
      bytes += statSync(join(entry.parentPath, entry.name)).size;
    } catch {
      // control took it meanwhile
    }
  }
  return bytes;
}
