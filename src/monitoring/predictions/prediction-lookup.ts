/** Which predictions feedback is about, as the log has them. */
import type { Database } from '../../base/db/database.ts';
import { timeOfPredictionId } from '../feedback/feedback.ts';
import type { LookUpPredictions, PredictionPlace } from '../feedback/feedback-match.ts';
import { endpointsWithLog } from './log-access.ts';
import { CLOCK_SLACK_MS, FAR_MS, type LogQuery } from './log-query.ts';
import { readKeys } from './log-store.ts';

/** Keys of one look into the log. */
const LOOKUP_KEYS = 10_000;

export function createPredictionLookUp(deps: {
  readonly database: Database;
  readonly query: LogQuery;
  readonly dataDir: string;
}): LookUpPredictions {
  const { database, query, dataDir } = deps;
  return async ({ projectId, endpoint, predictionIds, joinKeys }) => {
    const project = (await readKeys(database.db)).find((one) => one.projectId === projectId);
    const places = new Map<string, PredictionPlace[]>();
    if (project === undefined || predictionIds.length + joinKeys.length === 0) return () => null;
    const endpoints =
      endpoint === null
        ? await endpointsWithLog(database.db, dataDir, { id: projectId, name: project.project })
        : [endpoint];
    const times = predictionIds.map(timeOfPredictionId);
    const timed = joinKeys.length === 0 && times.every((ms) => ms !== null);
    const range = {
      project: { id: projectId, name: project.project },
      fromMs: timed ? Math.min(...(times as number[])) - CLOCK_SLACK_MS : 0,
      toMs: timed ? Math.max(...(times as number[])) + CLOCK_SLACK_MS : FAR_MS,
    };
    for (const one of endpoints)
      await query.run({ ...range, endpoint: one }, null, undefined, async (duck, relation, parameters) => {
        const found: Record<string, unknown>[] = [];
        for (const [column, keys] of [
          ['id', predictionIds],
          ['joinKey', joinKeys],
        ] as const) {
          for (let at = 0; at < keys.length; at += LOOKUP_KEYS) {
            const wanted = 'select distinct unnest(cast(? as varchar[])) as key';
            const part = `select "id", "row", "at", key, '${column}' as by from (${wanted}) w join ${relation} log on log."${column}" = w.key`;
            found.push(...(await duck.rows(part, [JSON.stringify(keys.slice(at, at + LOOKUP_KEYS)), ...parameters])));
          }
        }
        for (const row of found) {
          const name = `${row['by'] === 'joinKey' ? 'k' : 'p'}:${String(row['key'])}`;
          const place = {
            endpoint: one,
            predictionId: String(row['id']),
            row: Number(row['row']),
            predictedAt: new Date(Number(row['at'])).toISOString(),
          };
          places.set(name, [...(places.get(name) ?? []), place]);
        }
        return undefined;
      });
    return (subject) => {
      const list = places.get(subject.kind === 'join-key' ? `k:${subject.joinKey}` : `p:${subject.predictionId}`) ?? [];
      if (subject.kind === 'join-key') {
        // The youngest prediction that carries the key.
        return list.toSorted((a, b) => (a.predictedAt < b.predictedAt ? 1 : -1))[0] ?? null;
      }
      if (subject.row !== null) return list.find((place) => place.row === subject.row) ?? null;
      return list.length === 1 ? list[0]! : null;
    };
  };
}
