import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { writeDurably } from '../../base/durable-file.ts';
import * as store from './log-store.ts';
import { PREDICTIONS_FOLDER, RECORDING_FILE, type RecordingFile } from './recording-file.ts';

export type RecordingPublisher = {
  /** Writes what gateways are to record, when it is another than before. On the disk when it resolves; gateways see it within a second. */
  publish(): Promise<void>;
};

export function createRecordingPublisher(deps: {
  readonly database: Database;
  readonly dataDir: string;
  readonly clock: Clock;
}): RecordingPublisher {
  const { database, dataDir, clock } = deps;
  let written = '';
  let turn: Promise<void> = Promise.resolve();

  const publishNow = async (): Promise<void> => {
    const projects = await store.readKeys(database.db);
    for (const { projectId, key } of projects) {
      if (key === null) await database.transaction((tx) => store.ensureKey(tx, projectId));
    }
    const keys = Object.fromEntries(
      (await store.readKeys(database.db)).map(({ project, key }) => [project, key ?? '']),
    );
    const policies = Object.fromEntries(
      (await store.readPolicies(database.db)).map(({ project, endpoint, policy }) => [
        `${project}/${endpoint}`,
        policy,
      ]),
    );
    const text = JSON.stringify({ keys, policies });
    if (text === written) return;
    const file: RecordingFile = { schema: 1, revision: clock.now().getTime(), keys, policies };
    await mkdir(join(dataDir, PREDICTIONS_FOLDER), { recursive: true, mode: 0o700 });
    await writeDurably(join(dataDir, RECORDING_FILE), JSON.stringify(file));
    written = text;
  };

  return {
    publish() {
      turn = turn.catch(() => undefined).then(publishNow);
      return turn;
    },
  };
}
