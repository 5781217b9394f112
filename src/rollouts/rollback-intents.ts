/**
 * Rollbacks that were promised while the database could not be written: on the disk before they are answered, entered into the database when it
 * is back. The file has its room from the beginning, so that a full disk does not keep them out.
 */
import { open, readFile } from 'node:fs/promises';
import { writeDurably } from '../base/durable-file.ts';

export type RollbackIntent = {
  readonly id: string;
  readonly at: string;
  readonly keyId: string;
  readonly actor: string;
  readonly requestId: string;
  readonly project: string;
  readonly endpoint: string;
  readonly version: number;
  readonly reason: string | null;
};

export type RollbackIntents = {
  /** In the order they were made. */
  all(): readonly RollbackIntent[];
  /** Resolves when it is on the disk. */
  add(intent: RollbackIntent): Promise<void>;
  /** Forgets them: the database has them. */
  clear(ids: readonly string[]): Promise<void>;
};

const ROOM_BYTES = 64 * 1024;

export async function openRollbackIntents(path: string): Promise<RollbackIntents> {
  let text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) {
    text = '';
    await writeDurably(path, withRoom(text)).catch(() => undefined); // without room it is tried again when there is something to write
  }
  let intents = text.split('\n').flatMap(parse);
  let used = Buffer.byteLength(linesOf(intents));
  let last: Promise<unknown> = Promise.resolve();
  /** Writers take turns. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  };

  return {
    all: () => intents,
    add: (intent) =>
      inTurn(async () => {
        const line = `${JSON.stringify(intent)}\n`;
        const file = await open(path, 'r+').catch(() => open(path, 'w+', 0o600));
        try {
          await file.write(line, used);
          await file.sync();
        } finally {
          await file.close();
        }
        used += Buffer.byteLength(line);
        intents = [...intents, intent];
      }),
    clear: (ids) =>
      inTurn(async () => {
        const kept = intents.filter(({ id }) => !ids.includes(id));
        const lines = linesOf(kept);
        await writeDurably(path, withRoom(lines));
        intents = kept;
        used = Buffer.byteLength(lines);
      }),
  };
}

function withRoom(lines: string): string {
  return lines.padEnd(ROOM_BYTES, '\n');
}

function linesOf(intents: readonly RollbackIntent[]): string {
  return intents.map((one) => `${JSON.stringify(one)}\n`).join('');
}

/** A line that was cut was never answered. */
function parse(line: string): RollbackIntent[] {
  try {
    return [JSON.parse(line) as RollbackIntent];
  } catch {
    return [];
  }
}
