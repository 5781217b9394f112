import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { uuidv7 } from '../../base/ids.ts';
import { type FeedbackInput, parseFeedback, parsePredictionRef, timeOfPredictionId } from './feedback.ts';
import { canonicalJson, type KnownRevision, planFeedback } from './feedback-plan.ts';

const ID = '0198f3c2-7a10-7def-8a44-0123456789ab';
const parse = (items: FeedbackInput[], endpoint: string | null = 'churn') =>
  parseFeedback(items, { endpoint, source: 'app', pointer: '/items' });

describe('a prediction is named', () => {
  test.each([
    [ID, { predictionId: ID, row: null }],
    [ID.toUpperCase(), { predictionId: ID, row: null }],
    [`${ID}.17`, { predictionId: ID, row: 17 }],
    [`${ID}.x`, { predictionId: `${ID}.x`, row: null }],
    ['order-4711', { predictionId: 'order-4711', row: null }],
    ['', null],
    ['a b', null],
    ['x'.repeat(129), null],
  ])('by %j', (text, ref) => expect(parsePredictionRef(text)).toEqual(ref));

  test('and a UUIDv7 tells its time, no other id does', () => {
    const ms = 1_780_000_000_123;
    expect(timeOfPredictionId(uuidv7(ms))).toBe(ms);
    expect(timeOfPredictionId('0198f3c2-7a10-4def-8a44-0123456789ab')).toBeNull();
    expect(timeOfPredictionId('order-4711')).toBeNull();
  });
});

describe('what is sent', () => {
  test('one item may hold several values; each becomes a record', () => {
    const records = parse([{ predictionId: `${ID}.0`, truth: { class: 'a' }, rating: 5, text: 'good' }]);
    expect(records.map(({ kind, value, weight, source }) => [kind, value, weight, source])).toEqual([
      ['truth', { class: 'a' }, 1, 'app'],
      ['rating', 5, 1, 'app'],
      ['text', 'good', 1, 'app'],
    ]);
  });

  test('all faults are told at once, each with its place', () => {
    const faults = (): unknown =>
      parse([
        { predictionId: ID },
        { truth: 1 },
        { predictionId: ID, joinKey: 'x', truth: 1 },
        { predictionId: 'a b', truth: null },
        { predictionId: ID, score: Number.NaN, rating: Number.POSITIVE_INFINITY, text: '' },
        { predictionId: ID, truth: 'x'.repeat(70_000), weight: 0, revision: 0 },
      ]);
    expect(faults).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        fields: [
          { pointer: '/items/0', message: 'says nothing: it needs one of truth, score, rating, correction, text' },
          { pointer: '/items/1', message: 'must name its prediction by either predictionId or joinKey' },
          { pointer: '/items/2', message: 'must name its prediction by either predictionId or joinKey' },
          { pointer: '/items/3/predictionId', message: expect.stringContaining('is no prediction id') },
          { pointer: '/items/3/truth', message: 'is null; leave it out while it is not known' },
          { pointer: '/items/4/score', message: 'must be a finite number' },
          { pointer: '/items/4/rating', message: 'must be a finite number' },
          { pointer: '/items/4/text', message: 'must be text' },
          { pointer: '/items/5/truth', message: 'is longer than 65536 characters as JSON' },
          { pointer: '/items/5/revision', message: 'must be a whole number from 1' },
          { pointer: '/items/5/weight', message: 'must be a number above 0' },
        ],
      }),
    );
  });

  test('a join key needs an endpoint', () => {
    expect(() => parse([{ joinKey: 'order-1', truth: 1 }], null)).toThrow(/\/joinKey needs an endpoint/);
    expect(parse([{ joinKey: 'order-1', truth: 1 }])[0]?.subject).toEqual({
      kind: 'join-key',
      endpoint: 'churn',
      joinKey: 'order-1',
    });
  });
});

describe('late, repeated and revised', () => {
  const plan = (known: KnownRevision[], ...items: FeedbackInput[]) =>
    planFeedback(parse(items), known).map(({ outcome, revision }) => [outcome, revision]);
  const known = (revision: number, value: string, change: Partial<KnownRevision> = {}): KnownRevision => ({
    id: `r${revision}`,
    subject: `p:${ID}`,
    kind: 'truth',
    source: 'app',
    weight: 1,
    revision,
    value,
    ...change,
  });

  test.each<[string, KnownRevision[], FeedbackInput, [string, number]]>([
    ['the first', [], { predictionId: ID, truth: 1 }, ['accepted', 1]],
    ['the same again', [known(1, '1')], { predictionId: ID, truth: 1 }, ['repeated', 1]],
    ['the same under its revision', [known(2, '1')], { predictionId: ID, truth: 1, revision: 2 }, ['repeated', 2]],
    ['another value', [known(1, '1')], { predictionId: ID, truth: 0 }, ['revised', 2]],
    ['another weight', [known(1, '1')], { predictionId: ID, truth: 1, weight: 2 }, ['revised', 2]],
    ['a jump of revisions', [known(1, '1')], { predictionId: ID, truth: 0, revision: 7 }, ['revised', 7]],
    ['an older one that is late', [known(7, '1')], { predictionId: ID, truth: 0, revision: 3 }, ['superseded', 3]],
    ['a taken revision', [known(7, '1')], { predictionId: ID, truth: 0, revision: 7 }, ['conflict', 7]],
    ['another source', [known(1, '1', { source: 'crm' })], { predictionId: ID, truth: 0 }, ['accepted', 1]],
    ['another kind', [known(1, '1', { kind: 'score' })], { predictionId: ID, truth: 0 }, ['accepted', 1]],
    ['back to an earlier value', [known(1, '1'), known(2, '0')], { predictionId: ID, truth: 1 }, ['revised', 3]],
  ])('%s', (_what, there, item, outcome) => expect(plan(there, item)).toEqual([outcome]));

  test('items of one request see the earlier ones', () => {
    const items = [1, 1, 0, 0].map((truth) => ({ predictionId: ID, truth }));
    expect(plan([], ...items)).toEqual([
      ['accepted', 1],
      ['repeated', 1],
      ['revised', 2],
      ['repeated', 2],
    ]);
  });

  test('what is sent twice is never written twice, in any order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        if (value === null) return;
        const item = { predictionId: ID, truth: value };
        const [first] = planFeedback(parse([item]), []);
        const there = known(1, canonicalJson(first!.record.value));
        expect(plan([there], { predictionId: ID, truth: JSON.parse(JSON.stringify(value)) })).toEqual([
          ['repeated', 1],
        ]);
      }),
    );
    expect(canonicalJson({ b: 1, a: [{ d: 1, c: null }] })).toBe(canonicalJson({ a: [{ c: null, d: 1 }], b: 1 }));
  });
});
