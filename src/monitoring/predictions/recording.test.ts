/** From rows of the gateway's event loop to SQL, on real files, with a real database and DuckDB. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { batchOf, CANARY, policy, type Recording, rowsOf, startRecording } from '../../../test/fixtures/recording.ts';
import { uuidv7 } from '../../base/ids.ts';
import { PANES_FOLDER, SEGMENTS_FOLDER } from './recording-file.ts';

let r: Recording;
beforeEach(async () => {
  r = await startRecording();
});
afterEach(() => r.stop());

describe('a logged prediction', () => {
  test('is read from its segment at once, and from Parquet later, the same', async () => {
    const { recorder, writer, end } = r.gateway();
    recorder.add(batchOf(rowsOf(100)));
    writer.tick();
    const before = await r.list("output.score >= 0.5 and input.country = 'DE'");
    expect(before).toHaveLength(50);
    expect(before.find((one) => one.inputs['amount'] === 75)).toMatchObject({
      version: 1,
      status: 'answered',
      latencyMs: 1.235,
      inputs: { age: 100, amount: 75, country: 'DE', customer: expect.stringMatching(/^[0-9a-f]{32}$/) },
      outputs: { score: 0.75 },
      joinKey: expect.stringMatching(/^[0-9a-f]{32}$/),
      unit: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    end();
    await r.monitoring.ingest();
    expect(
      readdirSync(join(r.folder, SEGMENTS_FOLDER), { recursive: true }).filter((name) =>
        String(name).includes('jsonl'),
      ),
    ).toEqual([]);
    expect(await r.list("output.score >= 0.5 and input.country = 'DE'")).toEqual(before);
    expect(await r.monitoring.predictions.count(r.call, 'churn', {})).toBe(100);
    const shown = await r.monitoring.predictions.show(r.call, 'churn', before[0]!.id);
    expect(shown.rows).toEqual([before[0]]);
  });

  test('what the policy drops is in no file, no log line and no error', async () => {
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(300)));
    end();
    await r.monitoring.ingest();
    expect(await r.filesWith('PAR1')).toHaveLength(1);
    for (const text of [CANARY, 'unit-raw-1', '"c1"']) expect(await r.filesWith(text), text).toEqual([]);
    const tables = ['profile_columns', 'profile_panes', 'audit', 'prediction_files'] as const;
    for (const table of tables) {
      const rows = await r.database.db.selectFrom(table).selectAll().execute();
      const text = rows
        .map((row) =>
          Object.values(row)
            .map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value)))
            .join(),
        )
        .join('\n');
      expect(text, table).not.toContain(CANARY);
    }
    const error = await r.list(`input.email = '${CANARY}'`).catch((thrown: Error) => thrown);
    expect(String((error as Error).message)).not.toContain(CANARY);
  });

  test('NaN, infinities and nulls come back as they are, and vectors as lists', async () => {
    const { recorder, end } = r.gateway();
    recorder.configure({ ...r.file(), policies: { 'default/churn': { ...policy, fields: {} } } });
    recorder.add(
      batchOf([
        { age: Number.NaN, amount: Number.POSITIVE_INFINITY, customer: 'a', score: -0 },
        { age: 1, amount: Number.NEGATIVE_INFINITY, customer: 'b', score: 1e-30 },
      ]),
    );
    end();
    for (const _ of ['segment', 'parquet']) {
      const rows = (await r.list()).toSorted((a, b) => Number(a.outputs['score']) - Number(b.outputs['score']));
      expect(rows.map((row) => [row.inputs['age'], row.inputs['amount'], row.outputs['score']])).toEqual([
        ['NaN', 'Infinity', 0],
        [1, '-Infinity', 1e-30],
      ]);
      expect(rows[0]!.inputs['embedding']).toEqual(Array.from({ length: 100 }, () => 7));
      await r.monitoring.ingest();
    }
  });

  test('pages follow one another, the youngest first, also over both kinds of files', async () => {
    const one = r.gateway();
    one.recorder.add(batchOf(rowsOf(30)));
    one.end();
    await r.monitoring.ingest();
    const two = r.gateway();
    two.recorder.add(batchOf(rowsOf(30)));
    two.writer.tick();
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await r.monitoring.predictions.list(r.call, 'churn', {}, { after, limit: 7 });
      seen.push(...page.map((row) => row.id));
      if (page.length < 7) break;
      const last = page.at(-1)!;
      after = JSON.stringify([Date.parse(last.at), last.id, last.row]);
    }
    expect(new Set(seen).size).toBe(60);
    expect(seen).toEqual((await r.list()).map((row) => row.id));
  });
});

describe('exports', () => {
  test('to Parquet, CSV and JSON lines, with what became of the predictions', async () => {
    const { recorder, end } = r.gateway();
    const rows = rowsOf(20).map((row) => ({ ...row, id: uuidv7() }));
    recorder.add(batchOf(rows));
    end();
    await r.monitoring.feedback
      .send(
        r.call,
        null,
        [
          { predictionId: rows[3]!.id, truth: 1 },
          { predictionId: rows[3]!.id, truth: 0, source: 'later' },
        ],
        '/items',
      )
      .catch(() => undefined);
    for (const format of ['parquet', 'csv', 'ndjson'] as const) {
      const file = await r.monitoring.predictions.export(r.call, 'churn', { where: 'input.amount < 10' }, format, true);
      expect(file!.rows).toBe(10);
      const chunks: Buffer[] = [];
      for await (const chunk of file!.stream) chunks.push(chunk as Buffer);
      expect(Buffer.concat(chunks).length).toBe(file!.sizeBytes);
      const text = Buffer.concat(chunks).toString();
      if (format === 'ndjson') expect(JSON.parse(text.split('\n')[0]!)).toHaveProperty('input.amount');
      if (format === 'csv') expect(text.split('\n')[0]).toContain('label_weight');
      if (format === 'parquet') expect(text.slice(0, 4)).toBe('PAR1');
    }
    expect(
      await r.monitoring.predictions.export(r.call, 'churn', { where: 'input.amount > 1000' }, 'csv', false),
    ).toBeNull();
  });
});

describe('profiles', () => {
  test('of two gateways, of slices and of minutes are merged to hours and days', async () => {
    const dayMs = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 86_400_000;
    for (const [at, country] of ['DE', 'FR'].entries()) {
      const { recorder, end } = r.gateway();
      recorder.add(batchOf(rowsOf(50, { country, atMs: dayMs + 3_600_000 * at + 1000 })));
      recorder.add(batchOf(rowsOf(50, { country, atMs: dayMs + 3_600_000 * at + 61_000 })));
      end();
    }
    await r.monitoring.ingest();
    const since = new Date(dayMs).toISOString();
    const until = new Date(dayMs + 86_400_000).toISOString();
    const day = await r.monitoring.profiles.show(r.call, 'churn', { since, until });
    expect(day).toMatchObject({
      predictions: 200,
      rows: 200,
      profiled: 200,
      slices: ['input.country=(other)', 'input.country=DE', 'input.country=FR'],
      distinctRows: expect.closeTo(100, -1),
    });
    const amount = day.columns.find((one) => one.column === 'input.amount')!;
    expect(amount).toMatchObject({ values: 200, zeros: 4, min: 0, max: 49, distinct: 50 });
    expect(amount.mean).toBeCloseTo(24.5, 9);
    const age = day.columns.find((one) => one.column === 'input.age')!;
    // 31 … 80 in tens: 30 (9 rows), 40 … 70 (10 each), 80 (1), four times; edges 0, 50, 100.
    expect(age.histogram).toEqual({ edges: [0, 50, 100], counts: [0, 76, 124, 0], revision: 1 });
    expect(day.columns.map((one) => one.column)).not.toContain('input.email');
    const sliced = await r.monitoring.profiles.show(r.call, 'churn', {
      since,
      until,
      slice: 'input.country=DE',
      column: 'input.amount',
    });
    expect(sliced.columns).toHaveLength(1);
    // The first ten of a value are anybody's yet.
    expect(sliced.columns[0]!.values).toBe(90);
    const hour = await r.monitoring.profiles.show(r.call, 'churn', {
      since: new Date(dayMs + 3_600_000).toISOString(),
      until: new Date(dayMs + 7_200_000).toISOString(),
    });
    expect(hour.predictions).toBe(100);
    const minute = await r.monitoring.profiles.show(r.call, 'churn', {
      since,
      until: new Date(dayMs + 60_000).toISOString(),
    });
    expect(minute.predictions).toBe(50);
    expect(
      await r.monitoring.profiles.show(r.call, 'churn', {
        since: '2020-01-01T00:00:00Z',
        until: '2020-01-02T00:00:00Z',
      }),
    ).toMatchObject({ predictions: 0, columns: [] });
  });

  test('a rare value of a slice is in no file, and the number of slices is bounded', async () => {
    const { recorder, end } = r.gateway();
    for (let i = 0; i < 30; i++) recorder.add(batchOf(rowsOf(20, { country: `c-${i}` })));
    recorder.configure({ ...r.file(), policies: { 'default/churn': { ...policy, sample: 0 } } });
    recorder.add(batchOf(rowsOf(9, { country: 'rare-canary' }), 1, false));
    end();
    await r.monitoring.ingest();
    expect((await r.monitoring.profiles.show(r.call, 'churn', {})).slices).toHaveLength(17);
    expect(await r.filesWith('rare-canary')).toEqual([]);
  });

  test('of the last so many rows take whole hours, and of the oldest of them the minutes that it takes', async () => {
    const hourMs = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 7_200_000;
    for (const minute of [0, 10, 50, 70]) {
      const { recorder, end } = r.gateway();
      recorder.add(batchOf(rowsOf(10, { atMs: hourMs + minute * 60_000 })));
      end();
    }
    await r.monitoring.ingest();
    const rows = async (last: number) => (await r.monitoring.profiles.show(r.call, 'churn', { last })).rows;
    expect(await Promise.all([1, 10, 11, 20, 21, 40, 1000].map(rows))).toEqual([10, 10, 20, 20, 30, 40, 40]);
    const early = await r.monitoring.profiles.show(r.call, 'churn', {
      since: new Date(hourMs - 400 * 86_400_000).toISOString(),
    });
    expect(early.rows).toBe(40);
  });

  test('a file that is taken twice, or was left behind after it was taken, counts once', async () => {
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    const [name] = readdirSync(join(r.folder, PANES_FOLDER));
    const bytes = readFileSync(join(r.folder, PANES_FOLDER, name!));
    await r.monitoring.ingest();
    writeFileSync(join(r.folder, PANES_FOLDER, name!), bytes);
    await r.monitoring.ingest();
    expect((await r.monitoring.profiles.show(r.call, 'churn', {})).predictions).toBe(10);
    writeFileSync(join(r.folder, PANES_FOLDER, 'broken-1.jsonl'), '{"project":"default"');
    await r.monitoring.ingest();
    expect(readdirSync(join(r.folder, PANES_FOLDER))).toEqual(['broken-1.jsonl.unreadable']);
  });

  test('a clock that jumps opens no end of minutes and loses none', async () => {
    const { recorder, end } = r.gateway();
    const now = Date.now();
    for (const jump of [0, -3_600_000, 7_200_000, 60_000, -86_400_000, 0, 0])
      recorder.add(batchOf(rowsOf(5, { atMs: now + jump })));
    end();
    await r.monitoring.ingest();
    const panes = await r.database.db
      .selectFrom('profile_panes')
      .selectAll()
      .where('span', '=', 'minute')
      .where('slice', '=', '')
      .execute();
    expect(panes.reduce((sum, pane) => sum + Number(pane.rows), 0)).toBe(35);
  });
});
