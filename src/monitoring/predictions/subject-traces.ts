/** Where something of a subject is kept: rows of the log, what was said of them or by its key, rows in the samples of profiles. */
import type { Call } from '../../base/access/call.ts';
import type { Database } from '../../base/db/database.ts';
import { type FeedbackEvent, listFeedbackAbout } from '../feedback/feedback-store.ts';
import { listProfiledEndpoints, listReservoirRows, type ReservoirRowsOf } from '../profiles/profile-store.ts';
import { endpointsWithLog } from './log-access.ts';
import { FAR_MS, type LogQuery } from './log-query.ts';

/** Rows that are given out of one endpoint. */
const MAX_ROWS = 10_000;

export type SubjectTraces = {
  readonly endpoints: readonly {
    readonly endpoint: string;
    /** Rows of the log, the oldest first. */
    readonly rows: readonly Record<string, unknown>[];
    readonly rowCount: number;
    readonly predictionIds: readonly string[];
  }[];
  readonly feedback: readonly FeedbackEvent[];
  readonly reservoirs: readonly ReservoirRowsOf[];
};

/**
 * @param subject.token its keyed hash, as the log has it
 * @param subject.text as people write it: feedback may name it by a join key that is kept as it came
 */
export async function findTraces(
  deps: { readonly database: Database; readonly dataDir: string; readonly query: LogQuery },
  project: Call['project'],
  subject: { readonly token: string; readonly text: string },
): Promise<SubjectTraces> {
  const { database, dataDir, query } = deps;
  const logged = await endpointsWithLog(database.db, dataDir, project);
  const profiled = await listProfiledEndpoints(database.db, project.id);
  const endpoints = [];
  for (const endpoint of new Set([...logged, ...profiled])) {
    const scope = { project, endpoint, fromMs: 0, toMs: FAR_MS };
    const found = await query.run(scope, null, null, async (duck, relation, parameters) => {
      const of = `from ${relation} where "subject" = ?`;
      const values = [...parameters, subject.token];
      const rows = await duck.rows(`select * ${of} order by "at" limit ${MAX_ROWS}`, values);
      const ids = await duck.rows(`select "id", count(*) as n ${of} group by "id"`, values);
      const rowCount = ids.reduce((sum, row) => sum + Number(row['n']), 0);
      return { rows, rowCount, predictionIds: ids.map((row) => String(row['id'])) };
    });
    if (found !== null && found.rowCount > 0) endpoints.push({ endpoint, ...found });
  }
  // Feedback may have come before its prediction was in the log, without its endpoint.
  const places = new Map(endpoints.flatMap((one) => one.predictionIds.map((id) => [id, one.endpoint] as const)));
  const feedback = await listFeedbackAbout(database.db, project.id, [...places.keys()], [subject.text, subject.token]);
  return {
    endpoints,
    feedback: feedback.map((event) => ({
      ...event,
      endpoint: event.endpoint ?? places.get(event.predictionId ?? '') ?? null,
    })),
    reservoirs: await listReservoirRows(database.db, project.id, subject.token),
  };
}
