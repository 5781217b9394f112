import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ManagementUnderTest, startManagement } from '../../../test/fixtures/management.ts';
import type { Clock } from '../../base/clock.ts';
import { registerProjectRoutes } from '../../base/http/management-server.ts';
import { uuidv7 } from '../../base/ids.ts';
import { createTokens } from '../predictions/apply-policy.ts';
import { createFeedbackGuard } from './feedback-guard.ts';
import { type FoundPrediction, settleParked } from './feedback-match.ts';
import { registerFeedbackRoutes } from './feedback-routes.ts';
import { createFeedbackService } from './feedback-service.ts';
import { readCurrentFeedback, readFeedback } from './feedback-store.ts';
import { createItemRate } from './item-rate.ts';

const DAY_MS = 86_400_000;
let nowMs = Date.parse('2026-03-01T12:00:00Z');
const clock: Clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs };
/** Predictions that the log holds, by id or join key. */
let logged: Record<string, { endpoint: string; predictionId: string; rows: number }>;
let server: ManagementUnderTest;
let perSecond = 1000;
let projectId: string;

const found: FoundPrediction = (subject) => {
  const place = logged[subject.kind === 'prediction' ? subject.predictionId : subject.joinKey];
  if (place === undefined) return null;
  const row = subject.kind === 'prediction' ? subject.row : null;
  if (row === null && place.rows !== 1) return null;
  return {
    endpoint: place.endpoint,
    predictionId: place.predictionId,
    row: row ?? 0,
    predictedAt: '2026-03-01T11:00:00.000Z',
  };
};
const lookUp = async (): Promise<FoundPrediction> => found;

async function start(): Promise<void> {
  server = await startManagement({
    clock,
    routes: (app, { database }) => {
      const rate = createItemRate({ perSecond, burst: perSecond * 10, clock });
      const guardOf = async () => createFeedbackGuard([], createTokens('key'));
      const feedback = createFeedbackService({
        database,
        clock,
        dataDir: '/nowhere',
        rate,
        parkedMs: 30 * DAY_MS,
        lookUp,
        guardOf,
      });
      registerProjectRoutes(app, (scope) => registerFeedbackRoutes(scope, feedback));
    },
  });
  const { db } = server.database;
  projectId = (await db.selectFrom('projects').select('id').executeTakeFirstOrThrow()).id;
  const at = clock.now().toISOString();
  await db
    .insertInto('models')
    .values({
      id: 'm1',
      project_id: projectId,
      name: 'churn-model',
      description: null,
      card: null,
      tags: '{}',
      revision: 1,
      next_version: 2,
      created_at: at,
      created_by: 'test',
    })
    .execute();
  await db
    .insertInto('endpoints')
    .values({
      id: 'e1',
      project_id: projectId,
      name: 'churn',
      environment: 'production',
      model_id: 'm1',
      target: '{"version":1}',
      pins: '[]',
      loaded: 1,
      revision: 1,
      created_at: at,
      created_by: 'test',
      updated_at: at,
    })
    .execute();
}

beforeEach(async () => {
  logged = {};
  perSecond = 1000;
  await start();
});
afterEach(() => server.close());

const send = (body: unknown, key?: string) =>
  server.call('POST', '/api/v1/endpoints/churn/feedback', { body, ...(key === undefined ? {} : { key }) });

describe('feedback over HTTP', () => {
  test('is taken once, recognised again, corrected, and read back in order', async () => {
    const predictionId = uuidv7();
    logged[predictionId] = { endpoint: 'churn', predictionId, rows: 1 };
    const first = await send({ predictionId, truth: 1, source: 'crm', weight: 2 });
    expect(first.status, first.text).toBe(200);
    expect(first.json).toMatchObject({ accepted: 1, matched: 1, parked: 0, revision: 1, conflicts: [] });
    const again = await send({ predictionId, truth: 1, source: 'crm', weight: 2 });
    expect(again.json).toMatchObject({ accepted: 0, repeated: 1, id: first.json.id, revision: 1 });
    expect((await send({ predictionId, truth: 0, source: 'crm', weight: 2 })).json).toMatchObject({
      accepted: 1,
      revised: 1,
      revision: 2,
    });
    const { json } = await server.call('GET', '/api/v1/endpoints/churn/feedback?limit=1');
    expect(json.items).toMatchObject([
      { seq: 1, kind: 'truth', value: 1, revision: 1, source: 'crm', weight: 2, state: 'matched', row: 0 },
    ]);
    const next = await server.call('GET', `/api/v1/endpoints/churn/feedback?limit=1&cursor=${json.nextCursor}`);
    expect(next.json).toMatchObject({ items: [{ seq: 2, value: 0, revision: 2 }], nextCursor: null });
    const current = await readCurrentFeedback(server.database.db, projectId, [predictionId]);
    expect(current.get(predictionId)).toMatchObject([{ revision: 2, value: 0 }]);
  });

  test('a taken revision with another value is a conflict, and the others of the request are taken', async () => {
    const predictionId = uuidv7();
    await send({ predictionId, truth: 1, revision: 1 });
    const alone = await send({ predictionId, truth: 0, revision: 1 });
    expect([alone.status, alone.json.code]).toEqual([409, 'already_exists']);
    const both = await send({
      items: [
        { predictionId, truth: 0, revision: 1 },
        { predictionId: uuidv7(), truth: 0 },
      ],
    });
    expect(both.json).toMatchObject({ accepted: 1, conflicts: [{ index: 0 }] });
  });

  test('a row that is not named is only matched where there is one', async () => {
    const predictionId = uuidv7();
    logged[predictionId] = { endpoint: 'churn', predictionId, rows: 3 };
    expect((await send({ predictionId, truth: 1 })).json).toMatchObject({ matched: 0, parked: 1 });
    expect((await send({ predictionId: `${predictionId}.2`, truth: 1 })).json).toMatchObject({ matched: 1 });
  });

  test('before its prediction it is parked, matched when that comes, and given up in the end', async () => {
    const [early, never] = [uuidv7(), uuidv7()];
    const sent = await send({
      items: [
        { predictionId: early, truth: 1 },
        { joinKey: 'order-1', score: 3 },
        { predictionId: never, truth: 1 },
      ],
    });
    expect(sent.json).toMatchObject({ accepted: 3, parked: 3 });
    logged[early] = { endpoint: 'churn', predictionId: early, rows: 1 };
    logged['order-1'] = { endpoint: 'churn', predictionId: 'p-of-order', rows: 1 };
    const deps = { database: server.database, clock, lookUp };
    expect(await settleParked(deps)).toEqual({ matched: 2, expired: 0 });
    expect(await settleParked(deps)).toEqual({ matched: 0, expired: 0 });
    const events = await readFeedback(server.database.db, projectId, { afterSeq: 0, limit: 10 });
    expect(events.map(({ predictionId, state }) => [predictionId, state])).toEqual([
      [early, 'matched'],
      ['p-of-order', 'matched'],
      [never, 'parked'],
    ]);
    nowMs += 31 * DAY_MS;
    expect(await settleParked(deps)).toEqual({ matched: 0, expired: 1 });
    expect(await readFeedback(server.database.db, projectId, { afterSeq: 0, limit: 10 })).toHaveLength(2);
    const audit = await server.database.db.selectFrom('audit').selectAll().orderBy('seq', 'desc').executeTakeFirst();
    expect(audit).toMatchObject({ action: 'feedback.expire', detail: '{"records":1}' });
  });

  test('a malformed item takes nothing of the request', async () => {
    const answer = await send({ items: [{ predictionId: uuidv7(), truth: 1 }, { truth: 1 }] });
    expect([answer.status, answer.json.pointer]).toEqual([400, '/items/1']);
    expect((await server.call('GET', '/api/v1/feedback')).json.items).toEqual([]);
  });

  test('an unknown field, and fields beside a list, are told', async () => {
    expect((await send({ predictionId: uuidv7(), thruth: 1 })).json.errors[0].message).toMatch(/did you mean truth/);
    expect((await send({ items: [], source: 'crm' })).status).toBe(400);
  });

  test('a dry run writes nothing', async () => {
    const answer = await server.call('POST', '/api/v1/endpoints/churn/feedback?dryRun=1', {
      body: { predictionId: uuidv7(), truth: 1 },
    });
    expect(answer.json).toMatchObject({ accepted: 1 });
    expect((await server.call('GET', '/api/v1/feedback')).json.items).toEqual([]);
  });

  test('needs the right to predict with this model, and reading the right to read', async () => {
    const body = { predictionId: uuidv7(), truth: 1 };
    expect((await send(body, await server.makeKey('one', ['predict:churn-model']))).status).toBe(200);
    expect((await send(body, await server.makeKey('other', ['predict:another']))).json.code).toBe('not_permitted');
    expect((await send(body, await server.makeKey('reader', ['read']))).json.code).toBe('not_permitted');
    const key = await server.makeKey('predictor', ['predict']);
    expect((await server.call('GET', '/api/v1/endpoints/churn/feedback', { key })).json.code).toBe('not_permitted');
    const limited = await server.makeKey('limited', ['predict:churn-model']);
    expect((await server.call('POST', '/api/v1/feedback', { body, key: limited })).json.code).toBe('not_permitted');
    const absent = await server.call('POST', '/api/v1/endpoints/absent/feedback', { body });
    expect(absent.json.code).toBe('endpoint_not_found');
  });

  test('more than a key may send is refused, with the time to wait', async () => {
    await server.close();
    perSecond = 10;
    await start();
    const items = (n: number) => ({ items: Array.from({ length: n }, () => ({ predictionId: uuidv7(), truth: 1 })) });
    expect((await send(items(90))).status).toBe(200);
    const refused = await send(items(30));
    expect([refused.status, refused.json.code, refused.headers['retry-after']]).toEqual([429, 'rate_limited', '2']);
    nowMs += 2000;
    expect((await send(items(30))).status).toBe(200);
    expect((await send(items(1), await server.makeKey('another', ['predict']))).status).toBe(200);
  });

  test('ten thousand labels in one request', async () => {
    await server.close();
    perSecond = 0;
    await start();
    const items = Array.from({ length: 10_000 }, (_, at) => ({ predictionId: uuidv7(), truth: at % 2 }));
    const answer = await send({ items });
    expect(answer.json).toMatchObject({ accepted: 10_000, parked: 10_000 });
    expect((await send({ items })).json).toMatchObject({ accepted: 0, repeated: 10_000 });
    expect((await send({ items: [...items, items[0]] })).status).toBe(400);
  });
});
