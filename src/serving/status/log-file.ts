import { open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';

const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 300;

/**
 * The log file as a stream of whole lines: the last `lines` of it, then, with `follow`, what is added until the reader goes away. A
 * rotated or shortened file is read from its new start.
 */
export function readLog(path: string, options: { lines: number; follow: boolean; signal: AbortSignal }): Readable {
  return Readable.from(generate(path, options), { objectMode: false });
}

async function* generate(path: string, options: { lines: number; follow: boolean; signal: AbortSignal }) {
  let { at, inode } = await findTail(path, options.lines);
  let pending = Buffer.alloc(0);
  for (;;) {
    const now = await stat(path).catch(() => null);
    if (now !== null) {
      if (now.ino !== inode || now.size < at) {
        at = 0;
        inode = now.ino;
        pending = Buffer.alloc(0);
      }
      while (at < now.size && !options.signal.aborted) {
        const chunk = await readAt(path, at, Math.min(CHUNK_BYTES, now.size - at));
        if (chunk.length === 0) break;
        at += chunk.length;
        const bytes = Buffer.concat([pending, chunk]);
        const end = bytes.lastIndexOf(10) + 1;
        if (end > 0) yield bytes.subarray(0, end);
        pending = Buffer.from(bytes.subarray(end));
      }
    }
    if (!options.follow || options.signal.aborted) return;
    await pause(POLL_MS, options.signal);
  }
}

/** Where the last `lines` lines begin; reads backwards in chunks, so a large file costs little. */
async function findTail(path: string, lines: number): Promise<{ at: number; inode: number }> {
  const now = await stat(path).catch(() => null);
  if (now === null) return { at: 0, inode: 0 };
  let newlines = 0;
  for (let end = now.size; end > 0; ) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const chunk = await readAt(path, start, end - start);
    for (let i = chunk.length - 1; i >= 0; i--) {
      if (chunk[i] !== 10) continue;
      if (newlines++ === lines) return { at: start + i + 1, inode: now.ino };
    }
    end = start;
  }
  return { at: 0, inode: now.ino };
}

async function readAt(path: string, at: number, sizeBytes: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(sizeBytes);
    const { bytesRead } = await file.read(buffer, 0, sizeBytes, at);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });
}
