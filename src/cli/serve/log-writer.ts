import { closeSync, fstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';

export type LogWriter = {
  /** Whole lines, each one JSON object, newline included. */
  write(lines: string): void;
  close(): void;
};

const MAX_BYTES = 10 * 1024 * 1024;
const KEPT = 4;

/**
 * Appends to the file and turns it over at 10 MiB, keeping four older ones (`.1` is the youngest). Writes at once: the lines before
 * a crash are those that matter. A full disk costs lines, never the server; `onTrouble` is told once per spell.
 */
export function createLogWriter(path: string, onTrouble: (reason: string) => void, maxBytes = MAX_BYTES): LogWriter {
  let file = openSync(path, 'a', 0o600);
  let size = fstatSync(file).size;
  let inTrouble = false;

  function turnOver(): void {
    closeSync(file);
    rmSync(`${path}.${KEPT}`, { force: true });
    for (let age = KEPT - 1; age >= 1; age--) renameIfThere(`${path}.${age}`, `${path}.${age + 1}`);
    renameIfThere(path, `${path}.1`);
    file = openSync(path, 'a', 0o600);
    size = 0;
  }

  return {
    write(lines) {
      const bytes = Buffer.from(lines);
      try {
        if (size > 0 && size + bytes.length > maxBytes) turnOver();
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
        size += bytes.length;
        inTrouble = false;
      } catch (error) {
        if (!inTrouble) onTrouble((error as NodeJS.ErrnoException).code ?? 'unknown error');
        inTrouble = true;
      }
    },
    close: () => closeSync(file),
  };
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
