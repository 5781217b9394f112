/** What the log may not keep any longer goes: by age, and the oldest where the quota is used up. A legal hold keeps it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { deleteFeedbackBefore, listFeedbackEndpoints } from '../feedback/feedback-store.ts';
import { deletePanesBefore, KEPT_DAYS } from '../profiles/profile-store.ts';
import type { LogCompactor } from './log-compactor.ts';
import * as store from './log-store.ts';
import { DEFAULT_POLICY } from './privacy-policy.ts';

const DAY_MS = 86_400_000;
/** Names of files that were taken: none comes again after this. */
const TAKEN_DAYS = 7;

export type RetentionCounts = {
  readonly files: number;
  readonly rows: number;
  readonly quotaFiles: number;
  readonly quotaRows: number;
  readonly feedback: number;
  readonly panes: number;
};

export async function runRetention(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly quotaBytes: number;
  readonly compactor: LogCompactor;
}): Promise<RetentionCounts> {
  const { database, clock, dataDir, quotaBytes, compactor } = deps;
  const nowMs = clock.now().getTime();
  const policies = await store.readPolicies(database.db);
  const held = new Set((await store.listHolds(database.db)).map((hold) => `${hold.project_id}/${hold.endpoint}`));
  const isHeld = (file: store.LogFile): boolean => held.has(`${file.project_id}/${file.endpoint}`);
  const retentionOf = (projectId: string, endpoint: string | null) =>
    (policies.find((one) => one.projectId === projectId && one.endpoint === endpoint)?.policy ?? DEFAULT_POLICY)
      .retention;
  const daysOf = (file: store.LogFile): number => retentionOf(file.project_id, file.endpoint).payloadDays;
  const all = await store.listAllFiles(database.db);
  const old = all.filter((file) => !isHeld(file) && Number(file.to_ms) < nowMs - daysOf(file) * DAY_MS);
  const kept = all.filter((file) => !old.includes(file));
  const over: store.LogFile[] = [];
  let used = (await compactor.usedBytes()) - old.reduce((sum, file) => sum + Number(file.size_bytes), 0);
  for (const file of kept) {
    if (used <= quotaBytes) break;
    if (isHeld(file)) continue;
    over.push(file);
    used -= Number(file.size_bytes);
  }
  const rowsOf = (files: readonly store.LogFile[]): number => files.reduce((sum, file) => sum + Number(file.rows), 0);
  const at = (days: number): number => nowMs - days * DAY_MS;
  const counts = await database.transaction(async (tx): Promise<RetentionCounts> => {
    await store.deleteFiles(
      tx,
      [...old, ...over].map((file) => file.id),
    );
    let feedback = 0;
    for (const about of await listFeedbackEndpoints(tx)) {
      if (held.has(`${about.projectId}/${about.endpoint}`)) continue;
      const { feedbackDays } = retentionOf(about.projectId, about.endpoint);
      feedback += await deleteFeedbackBefore(tx, about, new Date(at(feedbackDays)).toISOString());
    }
    let panes = 0;
    for (const [span, days] of Object.entries(KEPT_DAYS)) panes += await deletePanesBefore(tx, span, at(days));
    await store.deleteTakenBefore(tx, new Date(at(TAKEN_DAYS)).toISOString());
    const done = {
      files: old.length,
      rows: rowsOf(old),
      quotaFiles: over.length,
      quotaRows: rowsOf(over),
      feedback,
      panes,
    };
    if (Object.values(done).some((count) => count > 0)) {
      const entry = { project: null, actor: 'system', action: 'predictions.retain', resource: 'predictions/all' };
      await appendAudit(tx, { ...entry, detail: done }, clock);
    }
    return done;
  });
  for (const file of [...old, ...over]) await rm(join(dataDir, file.path), { force: true });
  return counts;
}
