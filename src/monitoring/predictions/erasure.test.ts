/** What is kept of people: their words under a policy, and their right to be forgotten, searched for in every byte. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { batchOf, policy, type Recording, rowsOf, startRecording } from '../../../test/fixtures/recording.ts';
import { systemClock } from '../../base/clock.ts';
import { uuidv7 } from '../../base/ids.ts';
import { runRetention } from './log-retention.ts';

let r: Recording;
beforeEach(async () => {
  r = await startRecording();
});
afterEach(() => r.stop());

describe('feedback under a policy', () => {
  const WORDS = 'words-canary-51c9';
  const guarded = (fields: Record<string, unknown>) =>
    r.monitoring.policies.set(r.call, 'churn', { ...(JSON.parse(JSON.stringify(policy)) as object), fields });

  test('what is dropped is in no file and no answer; what is masked is masked before it is written', async () => {
    await guarded({
      'feedback.text': 'drop',
      'feedback.truth': 'hash',
      'feedback.correction': { truncate: 5 },
      'input.customer': 'hash',
    });
    const id = uuidv7();
    const receipt = await r.monitoring.feedback.send(
      r.call,
      'churn',
      [
        { predictionId: id, text: WORDS, truth: WORDS, correction: `short${WORDS}`, score: 1 },
        { joinKey: `key-${WORDS}`, truth: 1 },
      ],
      '/items',
    );
    expect(receipt).toMatchObject({ accepted: 4, dropped: 1 });
    // Nobody says which endpoint it is about, and the log does not know it: the strictest policy of the project holds.
    expect(
      await r.monitoring.feedback.send(r.call, null, [{ predictionId: uuidv7(), text: WORDS }], '/items'),
    ).toMatchObject({ accepted: 0, dropped: 1 });
    const { items } = { items: await r.monitoring.feedback.list(r.call, { after: null, limit: 100 }, {}) };
    expect(items.map((one) => [one.kind, one.value])).toEqual([
      ['truth', expect.stringMatching(/^[0-9a-f]{32}$/)],
      ['score', 1],
      ['correction', 'short'],
      ['truth', expect.stringMatching(/^[0-9a-f]{32}$/)],
    ]);
    expect(items[3]!.joinKey).toMatch(/^[0-9a-f]{32}$/);
    expect(await r.filesWith(WORDS)).toEqual([]);
  });

  test('a hashed join key finds its prediction, and the same feedback again is recognised', async () => {
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    await guarded({ 'feedback.truth': 'hash', 'input.customer': 'hash', 'input.email': 'drop' });
    const item = { joinKey: 'c3', truth: 'yes' };
    expect(await r.monitoring.feedback.send(r.call, 'churn', [item], '/items')).toMatchObject({
      accepted: 1,
      matched: 1,
    });
    expect(await r.monitoring.feedback.send(r.call, 'churn', [item], '/items')).toMatchObject({
      accepted: 0,
      repeated: 1,
    });
    expect((await r.monitoring.erasures.erase(r.call, 'c3', null)).feedback).toBe(1);
  });
});

describe('the right to be forgotten', () => {
  test('what was erased is in no byte of the data r.folder, also when it was said of somebody by a key', async () => {
    await r.monitoring.policies.set(r.call, 'churn', {
      sample: 1,
      subject: 'input.customer',
      joinKey: 'input.customer',
    });
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10, { customer: 'person-canary-88' })));
    recorder.add(batchOf(rowsOf(10)));
    end();
    await r.monitoring.ingest();
    await r.monitoring.feedback.send(
      r.call,
      'churn',
      [{ joinKey: 'person-canary-88', text: 'said-canary-88' }],
      '/items',
    );
    expect(await r.filesWith('said-canary-88')).not.toEqual([]);
    const found = await r.monitoring.erasures.find(r.call, 'person-canary-88');
    expect(found.endpoints[0]).toMatchObject({ endpoint: 'churn', feedback: [{ value: 'said-canary-88' }] });
    expect(found.endpoints[0]!.samples).toHaveLength(30); // of the minute, the hour and the day
    const proof = await r.monitoring.erasures.erase(r.call, 'person-canary-88', null);
    expect(proof).toMatchObject({ rows: 10, feedback: 1, reservoirRows: 30, left: 0 });
    expect(await r.filesWith('canary-88')).toEqual([]);
  });

  test('a minute that a gateway still held brings nothing back, and an erasure that was cut off is ended', async () => {
    const held = r.gateway();
    held.recorder.add(batchOf(rowsOf(20)));
    const other = r.gateway();
    other.recorder.add(batchOf(rowsOf(20)));
    other.end();
    await r.monitoring.ingest();
    const proof = await r.monitoring.erasures.erase(r.call, 'c3', null);
    expect(proof).toMatchObject({ rows: 2, left: 0 });
    held.end();
    await r.monitoring.ingest();
    expect((await r.monitoring.erasures.find(r.call, 'c3')).endpoints).toEqual([]);
    const panes = await r.database.db.selectFrom('profile_panes').select('reservoir').execute();
    expect(panes.map((pane) => pane.reservoir).join()).not.toContain(proof.subject);

    // As a kill between the mark and the rewriting leaves it.
    const again = r.gateway();
    again.recorder.add(batchOf(rowsOf(10, { atMs: Date.now() + 1 })));
    again.end();
    await r.monitoring.ingest();
    const mark = { id: uuidv7(), project_id: r.call.project.id, subject: proof.subject, actor: 'key:test' };
    await r.database.db
      .insertInto('prediction_erasures')
      .values({ ...mark, at_ms: Date.now() + 1000, proof: '{}' })
      .execute();
    await r.monitoring.start();
    expect((await r.filesWith(proof.subject)).filter((path) => !path.startsWith('slipway.db'))).toEqual([]);
    const row = await r.database.db.selectFrom('prediction_erasures').selectAll().where('id', '=', mark.id).execute();
    expect(JSON.parse(row[0]!.proof)).toMatchObject({ rows: 1, left: 0 });
  });

  test('a subject is found, given out and erased in segments, Parquet, reservoirs and feedback, with proof', async () => {
    const one = r.gateway();
    const old = rowsOf(40, { atMs: Date.now() - 7_200_000 }).map((row) => ({ ...row, id: uuidv7() }));
    one.recorder.add(batchOf(old));
    one.end();
    await r.monitoring.ingest();
    const two = r.gateway();
    const young = rowsOf(20).map((row) => ({ ...row, id: uuidv7() }));
    two.recorder.add(batchOf(young));
    two.writer.tick();
    await r.monitoring.feedback.send(
      r.call,
      null,
      [old, young].flatMap((rows) => rows.map((row) => ({ predictionId: row.id, truth: 1 }))),
      '/items',
    );
    const found = await r.monitoring.erasures.find(r.call, 'c3');
    expect(found.endpoints[0]!.predictions).toHaveLength(6);
    expect(found.endpoints[0]!.feedback).toHaveLength(6);
    const proof = await r.monitoring.erasures.erase(r.call, 'c3', 'asked by letter');
    expect(proof).toMatchObject({ rows: 4, feedback: 6, left: 0, openSegments: 1 });
    expect(proof.reservoirRows).toBeGreaterThan(0);
    expect(proof.files).toEqual([
      { before: expect.stringMatching(/^sha256:/), after: expect.stringMatching(/^sha256:/), rows: 4 },
    ]);
    // The two rows that the second gateway still holds open are hidden at once, and gone when it closes.
    expect(await r.list()).toHaveLength(54);
    two.end();
    await r.monitoring.ingest();
    expect(await r.list()).toHaveLength(54);
    expect((await r.filesWith(found.subject)).filter((path) => !path.startsWith('slipway.db'))).toEqual([]);
    expect((await r.monitoring.erasures.find(r.call, 'c3')).endpoints).toEqual([]);
    // A later prediction of the same subject is a new one.
    const three = r.gateway();
    three.recorder.add(batchOf(rowsOf(10, { atMs: Date.now() + 1000 })));
    three.end();
    expect((await r.monitoring.erasures.find(r.call, 'c3')).endpoints[0]!.predictions).toHaveLength(1);
    const audit = await r.database.db
      .selectFrom('audit')
      .selectAll()
      .where('action', '=', 'predictions.erase')
      .execute();
    expect(audit[0]).toMatchObject({ reason: 'asked by letter' });
  });

  test('a legal hold keeps all of it, and says why', async () => {
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    await r.monitoring.erasures.hold(r.call, 'churn', 'case 17');
    await expect(r.monitoring.erasures.erase(r.call, 'c3', null)).rejects.toMatchObject({
      code: 'in_use',
      message: expect.stringContaining('case 17'),
    });
    // Also where only a sample of a profile, or feedback, has something of it.
    await r.database.db.deleteFrom('prediction_files').execute();
    await expect(r.monitoring.erasures.erase(r.call, 'c3', null)).rejects.toMatchObject({ code: 'in_use' });
    await r.database.db.deleteFrom('profile_panes').execute();
    await r.monitoring.feedback.send(r.call, 'churn', [{ joinKey: 'c3', truth: 1 }], '/items');
    await expect(r.monitoring.erasures.erase(r.call, 'c3', null)).rejects.toMatchObject({ code: 'in_use' });
    await r.monitoring.erasures.hold(r.call, 'churn', null);
    expect((await r.monitoring.erasures.erase(r.call, 'c3', null)).feedback).toBe(1);
  });
});

describe('retention', () => {
  const days = 86_400_000;
  const retain = (quotaBytes = 2 ** 40) =>
    runRetention({
      database: r.database,
      clock: { ...systemClock, now: () => new Date(Date.now() + 100) },
      dataDir: r.folder,
      quotaBytes,
      compactor: r.monitoring.compactor,
    });
  const record = async (atMs: number) => {
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10, { atMs })));
    end();
    await r.monitoring.ingest();
  };

  test('takes what is too old by class, tells how much in the audit log, and leaves what is held', async () => {
    await record(Date.now() - 31 * days);
    await record(Date.now());
    for (const endpoint of ['churn', null]) {
      await r.monitoring.feedback.send(r.call, endpoint, [{ predictionId: uuidv7(), truth: 1 }], '/items');
    }
    await r.database.db
      .updateTable('feedback')
      .set({ arrived_at: new Date(Date.now() - 731 * days).toISOString() })
      .execute();
    await r.monitoring.erasures.hold(r.call, 'churn', 'case 17');
    // What names no endpoint is under nobody's hold.
    expect(await retain()).toMatchObject({ files: 0, rows: 0, feedback: 1 });
    await r.monitoring.erasures.hold(r.call, 'churn', null);
    const done = await retain();
    expect(done).toMatchObject({ files: 1, rows: 10, quotaFiles: 0, feedback: 1 });
    expect(await r.list()).toHaveLength(10);
    const audit = await r.database.db
      .selectFrom('audit')
      .selectAll()
      .where('action', '=', 'predictions.retain')
      .execute();
    expect(JSON.parse(audit.at(-1)!.detail)).toEqual(done);
  });

  test('takes the oldest first where the quota is used up, but nothing that is held', async () => {
    for (const hours of [3, 2, 1]) await record(Date.now() - hours * 3_600_000);
    const [, second, third] = await r.database.db.selectFrom('prediction_files').selectAll().orderBy('to_ms').execute();
    const quota = Number(second!.size_bytes) + Number(third!.size_bytes);
    expect(await retain(quota)).toMatchObject({ files: 0, quotaFiles: 1, quotaRows: 10 });
    expect(await r.list()).toHaveLength(20);
    await r.monitoring.erasures.hold(r.call, 'churn', 'case 17');
    expect(await retain(1)).toMatchObject({ quotaFiles: 0 });
  });
});
