import type { UploadProgress } from '../../sdk/src/client.ts';
import type { Output } from './output.ts';
import { formatBytes, formatMs } from './terminal.ts';

/** Shows bytes, speed and the time left on a terminal; elsewhere a line every few seconds, so that a long upload is never silent. */
export function createUploadProgress(out: Output, totalBytes: number, now: () => number = () => performance.now()) {
  const sent = new Map<string, number>();
  let startedAt: number | null = null;
  let startBytes = 0;
  let notedAt = now();
  return (progress: UploadProgress): void => {
    sent.set(progress.path, progress.sentBytes);
    const done = [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
    if (startedAt === null) {
      startedAt = now();
      startBytes = done; // what the server had already costs no time
    }
    if (done >= totalBytes) {
      out.progress(null);
      return;
    }
    const text = uploadText(done, totalBytes, done - startBytes, now() - startedAt);
    out.progress(text);
    if (!process.stderr.isTTY && now() - notedAt > 2000) {
      notedAt = now();
      out.note(text);
    }
  };
}

export function uploadText(doneBytes: number, totalBytes: number, sentBytes: number, elapsedMs: number): string {
  const percent = totalBytes === 0 ? 100 : Math.floor((doneBytes / totalBytes) * 100);
  const speed = elapsedMs > 0 ? (sentBytes / elapsedMs) * 1000 : 0;
  const left =
    speed > 0 ? `  ${formatBytes(speed)}/s  ${formatMs(((totalBytes - doneBytes) / speed) * 1000)} left` : '';
  return `Uploading ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}  ${percent} %${left}`;
}
