/**
 * A small file in which a runner notes, before each run, when it starts and which calls are in it. A run holds the runner's event loop, and
 * a crash ends it at once: the diary is how its parent knows afterwards which calls were in the run, without a word crossing the
 * socket on the way. Writing a note costs about 2 us; nobody is woken up by it.
 *
 *     0 f64 host milliseconds of the start · 8 u32 number of calls · 12 u32 0 · 16 their ids, u32 each
 */
import { readSync, writeSync } from 'node:fs';

const HEAD_BYTES = 16;
/** More calls than this are never in one run; a larger number in the file is damage. */
const MOST_CALLS = 65_536;

export type RunNote = {
  /** In host milliseconds, see host-time.ts. */
  readonly startedMs: number;
  readonly ids: readonly number[];
};

/** What a note of many calls takes. The parent writes this much before the start, so that notes need no more of a disk that gets full. */
export const DIARY_BYTES = 64 * 1024;

/** The runner's side. */
export function createDiaryWriter(fd: number): (startedMs: number, calls: readonly { readonly id: number }[]) => void {
  let bytes = new Uint8Array(HEAD_BYTES + 256 * 4);
  let words = new Uint32Array(bytes.buffer);
  let start = new Float64Array(bytes.buffer, 0, 1);
  return (startedMs, calls) => {
    const size = HEAD_BYTES + calls.length * 4;
    if (size > bytes.length) {
      bytes = new Uint8Array(2 * size);
      words = new Uint32Array(bytes.buffer);
      start = new Float64Array(bytes.buffer, 0, 1);
    }
    start[0] = startedMs;
    words[2] = calls.length;
    for (let i = 0; i < calls.length; i++) words[4 + i] = calls[i]!.id;
    try {
      writeSync(fd, bytes, 0, size, 0);
    } catch {
      // A full disk ends no run. Without the note the parent, should we die, counts all that we had as under way.
    }
  };
}

/** The parent's side. Null when no run was ever noted, or when what stands there is no note: the file is written by the untrusted side. */
export function readDiary(fd: number): RunNote | null {
  const head = Buffer.alloc(HEAD_BYTES);
  if (readSync(fd, head, 0, HEAD_BYTES, 0) < HEAD_BYTES) return null;
  const startedMs = head.readDoubleLE(0);
  const count = head.readUInt32LE(8);
  if (count > MOST_CALLS || !Number.isFinite(startedMs)) return null;
  const list = Buffer.alloc(count * 4);
  if (readSync(fd, list, 0, list.length, HEAD_BYTES) < list.length) return null;
  return { startedMs, ids: Array.from({ length: count }, (_, i) => list.readUInt32LE(i * 4)) };
}
