/** Feedback beside predictions: what counts now of each prediction, as a table of DuckDB. */
import { DOUBLE, DuckDBDataChunk, INTEGER, VARCHAR } from '@duckdb/node-api';
import type { Db } from '../../base/db/database.ts';
import { readLabels } from '../feedback/feedback-store.ts';
import type { Duck } from './duck-store.ts';

const PAGE = 50_000;
const CHUNK = 2048;

/** Columns that an export has besides those of the log. */
export const EXPORT_COLUMNS = 'labels.truth, labels.score, labels.rating, labels.correction, labels.label_weight';

/**
 * Makes the table `labels` with one row for each prediction: of each kind the highest revision of the source that spoke last. Values are JSON.
 */
export async function loadLabels(duck: Duck, db: Db, projectId: string, endpoint: string): Promise<void> {
  await duck.run(
    'create or replace temp table events (prediction_id varchar, prediction_row integer, kind varchar, value varchar, revision integer, source varchar, weight double, seq double)',
  );
  const appender = await duck.connection.createAppender('events');
  const types = [VARCHAR, INTEGER, VARCHAR, VARCHAR, INTEGER, VARCHAR, DOUBLE, DOUBLE];
  for (let afterSeq = 0; ; ) {
    const page = await readLabels(db, projectId, endpoint, { afterSeq, limit: PAGE });
    if (page.length === 0) break;
    afterSeq = Number(page.at(-1)!.seq);
    for (let at = 0; at < page.length; at += CHUNK) {
      const part = page.slice(at, at + CHUNK);
      const chunk = DuckDBDataChunk.create(types, part.length);
      chunk.setColumns([
        part.map((label) => label.prediction_id),
        part.map((label) => label.prediction_row ?? 0),
        part.map((label) => label.kind),
        part.map((label) => label.value),
        part.map((label) => label.revision),
        part.map((label) => label.source),
        part.map((label) => label.weight),
        part.map((label) => Number(label.seq)),
      ]);
      appender.appendDataChunk(chunk);
    }
  }
  appender.closeSync();
  await duck.run(`create or replace temp table labels as
    with newest as (select prediction_id, prediction_row, kind, source, max_by(value, revision) as value, max_by(weight, revision) as weight, max(seq) as seq
                    from events group by all),
         last_said as (select prediction_id, prediction_row, kind, max_by(value, seq) as value, max_by(weight, seq) as weight from newest group by 1, 2, 3)
    select prediction_id, prediction_row,
           max(value) filter (kind = 'truth') as truth, max(value) filter (kind = 'score') as score,
           max(value) filter (kind = 'rating') as rating, max(value) filter (kind = 'correction') as correction,
           max(weight) filter (kind = 'truth') as label_weight
    from last_said group by 1, 2`);
  await duck.run('drop table events');
}
