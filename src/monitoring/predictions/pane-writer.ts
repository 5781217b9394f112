/** Profiles on their way to control: one file a minute, complete when it has its name. */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** A minute of one stream, as a line of a file of panes. */
export type PaneLine = {
  readonly project: string;
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  readonly versionDigest: string;
  /** Start of the minute, ms since 1970. */
  readonly startMs: number;
  /** Of what it is at least a part; a minute unless told. Hours are of imports: of a past whose minutes nobody keeps. */
  readonly span?: 'hour';
  /** Empty for all rows, else `<column>=<value>`. */
  readonly slice: string;
  /** Counted exactly, also where profiles saw a part of the rows only; 0 in slices. */
  readonly predictions: number;
  readonly failed: number;
  readonly rows: number;
  /** Rows that the profiles saw. */
  readonly profiled: number;
  readonly unrecorded: number;
  /** Base64 of encoded profiles, by column. */
  readonly columns: Readonly<Record<string, string>>;
  /** A few rows, where payloads are logged; null otherwise. */
  readonly reservoir: { readonly columns: readonly string[]; readonly rows: readonly unknown[] } | null;
};

/** @throws the file system's error; nothing with a final name is left then */
export function writePanes(folder: string, name: string, lines: readonly PaneLine[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  const fd = openSync(`${path}.open`, 'wx', 0o600);
  try {
    for (const line of lines) {
      const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.open`, path);
}
