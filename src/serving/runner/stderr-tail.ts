import type { Readable } from 'node:stream';
import { cleanNativeMessage } from '../engines/native-message.ts';

const TAIL_BYTES = 8 * 1024;
/** Lines of stack traces and of V8's reports, which name files and addresses and help no reader. */
const NOISE = /^\s+at |^\s*\d+: (?:0x)?[0-9a-f]{6,}|^-+ .*stack trace -+|^<---|^\s*$|^Node\.js v/i;
const PROCESS_TAG = /^\[\d+:[^\]]*\]\s*/;

/** Keeps the end of what a process writes. The stream is always read, so that the process never waits for us. */
export function createStderrTail(stream: Readable): () => string {
  let tail = Buffer.alloc(0);
  let cut = false;
  stream.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk.subarray(-TAIL_BYTES)]);
    if (tail.length <= TAIL_BYTES) return;
    tail = Buffer.from(tail.subarray(-TAIL_BYTES));
    cut = true;
  });
  stream.on('error', () => {});
  return () => {
    const lines = tail.toString('utf8').split('\n');
    if (cut) lines.shift(); // it starts in the middle
    return lines
      .filter((line) => !NOISE.test(line))
      .map((line) => cleanNativeMessage(line.replace(PROCESS_TAG, '')))
      .join('\n');
  };
}
