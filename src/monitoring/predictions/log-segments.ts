/** The lines that gateways wrote and that are no Parquet yet. */
import { closeSync, createReadStream, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { ColumnKind } from '../../registry/signature-columns.ts';
import { SEGMENTS_FOLDER } from './recording-file.ts';

export type Segment = {
  readonly path: string;
  /** Relative to the folder of segments: by it control knows what it took. Without `.open`, so that it stays when the gateway closes it. */
  readonly name: string;
  /** Whether its gateway may still append to it. */
  readonly open: boolean;
  readonly bytes: number;
  readonly columns: Readonly<Record<string, ColumnKind>>;
};

const HEADER_BYTES = 4 * 1024 * 1024;

/** Segments of one endpoint. One whose first line is no header holds nothing that can be read; it is told by `onUnreadable`. */
export function listSegments(
  dataDir: string,
  project: string,
  endpoint: string,
  onUnreadable: (path: string) => void = () => undefined,
): Segment[] {
  const root = join(dataDir, SEGMENTS_FOLDER);
  const segments: Segment[] = [];
  for (const path of filesBelow(join(root, project, endpoint))) {
    if (!/\.jsonl(\.open)?$/.test(path)) continue;
    try {
      const { size } = statSync(path);
      const columns = size === 0 ? null : readHeader(path);
      if (columns === null) {
        // An open one may get its header in a moment.
        if (!path.endsWith('.open')) onUnreadable(path);
        continue;
      }
      const name = relative(root, path).replace(/\.open$/, '');
      segments.push({ path, name, open: path.endsWith('.open'), bytes: size, columns });
    } catch (error) {
      // Closed, or taken, meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return segments.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Projects and endpoints of which there are segments. */
export function endpointsWithSegments(dataDir: string): { project: string; endpoint: string }[] {
  const root = join(dataDir, SEGMENTS_FOLDER);
  return foldersIn(root).flatMap((project) =>
    foldersIn(join(root, project)).map((endpoint) => ({ project, endpoint })),
  );
}

export function filesBelow(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readHeader(path: string): Record<string, ColumnKind> | null {
  const fd = openSync(path, 'r');
  try {
    let text = '';
    const buffer = Buffer.alloc(64 * 1024);
    while (text.length < HEADER_BYTES) {
      const read = readSync(fd, buffer);
      if (read === 0) return null;
      const chunk = buffer.toString('utf8', 0, read);
      const end = chunk.indexOf('\n');
      text += end === -1 ? chunk : chunk.slice(0, end);
      if (end !== -1) break;
    }
    const header = JSON.parse(text) as { slipway?: unknown; schema?: unknown; columns?: Record<string, ColumnKind> };
    return header.slipway === 'predictions' && header.schema === 1 ? (header.columns ?? {}) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Lines behind the header, blank ones left out; a last one without an end counts too. */
export async function countLines(path: string): Promise<number> {
  let lines = 0;
  let inLine = false;
  for await (const chunk of createReadStream(path)) {
    for (const byte of chunk as Buffer) {
      if (byte === 10) {
        if (inLine) lines += 1;
        inLine = false;
      } else inLine = true;
    }
  }
  return Math.max(0, lines + (inLine ? 1 : 0) - 1);
}
