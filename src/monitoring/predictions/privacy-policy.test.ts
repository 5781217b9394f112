import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SlipwayError } from '../../base/errors.ts';
import { applyAction, createTokens } from './apply-policy.ts';
import { actionOf, DEFAULT_POLICY, type FieldAction, parsePolicy, planFields } from './privacy-policy.ts';

const FIELDS = [
  { name: 'input.age', kind: 'number' },
  { name: 'input.email', kind: 'text' },
  { name: 'input.embedding', kind: 'vector' },
  { name: 'output.score', kind: 'number' },
];
const faultsOf = (document: unknown): { pointer: string; message: string }[] => {
  try {
    parsePolicy(document, FIELDS);
  } catch (error) {
    return [...(error as SlipwayError).fields];
  }
  return [];
};

describe('a policy', () => {
  test('that says nothing logs nothing and makes profiles', () => {
    expect(parsePolicy({}, FIELDS)).toEqual(DEFAULT_POLICY);
    expect(DEFAULT_POLICY).toMatchObject({ sample: 0, profile: true });
  });

  test('is read as it is written, and as it is shown', () => {
    const policy = parsePolicy(
      {
        sample: 0.05,
        fields: {
          'input.*': 'hash',
          'input.age': { bucket: 10 },
          'input.email': { truncate: 3 },
          'input.embedding': 'drop',
        },
        subject: 'input.email',
        slices: ['output.score'],
        retention: { payloadDays: 7 },
      },
      FIELDS,
    );
    expect(policy).toMatchObject({ sample: 0.05, retention: { payloadDays: 7, feedbackDays: 730 } });
    expect(parsePolicy(JSON.parse(JSON.stringify(policy)), FIELDS)).toEqual(policy);
    expect(planFields(policy, FIELDS).map(({ field, action, by, uses }) => [field, action.action, by, uses])).toEqual([
      ['input.age', 'bucket', 'input.age', []],
      ['input.email', 'truncate', 'input.email', ['subject']],
      ['input.embedding', 'drop', 'input.embedding', []],
      ['output.score', 'keep', null, ['slice']],
      ['unit', 'hash', null, []],
      ['feedback.text', 'keep', null, []],
      ['feedback.truth', 'keep', null, []],
      ['feedback.correction', 'keep', null, []],
    ]);
  });

  test('what an action cannot be done to is dropped, not kept', () => {
    const policy = parsePolicy({ fields: { 'input.*': 'hash', 'output.*': { truncate: 2 } } }, FIELDS);
    expect(
      planFields(policy, FIELDS)
        .map(({ action }) => action.action)
        .slice(0, 4),
    ).toEqual(['hash', 'hash', 'drop', 'drop']);
  });

  test('with faults tells all of them, each with its place', () => {
    const wrong = {
      sample: 2,
      profil: true,
      fields: { 'input.aeg': 'drop', 'input.age': 'dorp', 'input.email': { bucket: 5 }, 'input.embedding': 'hash' },
      subject: 'feedback.text',
      joinKey: 'input.embedding',
      slices: ['input.age', 'unit', 'nothing'],
      retention: { payloadDays: 0, days: 1 },
    };
    expect(faultsOf(wrong).map(({ pointer, message }) => `${pointer} ${message}`)).toEqual([
      '/profil is not known here; did you mean profile?',
      '/sample must be a share from 0 to 1',
      '/fields/input.aeg is no field here; did you mean input.age?',
      '/fields/input.age must be keep, drop, hash, {truncate: characters} or {bucket: width}',
      '/fields/input.email bucket is for numbers, and this is text',
      '/fields/input.embedding a vector cannot be hashed; drop it or keep it',
      '/subject must be an input, an output or unit',
      '/joinKey is a vector: it names nobody',
      '/slices/1 must be an input or an output',
      '/slices/2 is no field of this endpoint',
      '/slices/2 must be an input or an output',
      '/retention/days is not known here',
      '/retention/payloadDays must be a number of days above 0',
    ]);
    expect(faultsOf({ fields: { 'input.email': 'drop' }, subject: 'input.email' })).toMatchObject([
      { pointer: '/subject' },
    ]);
    for (const none of [null, [], 'text', 7]) expect(faultsOf(none)).toMatchObject([{ pointer: '' }]);
  });

  test('has no field of that name by the way of prototypes', () => {
    for (const name of ['constructor', 'toString', '__proto__'])
      expect(actionOf(DEFAULT_POLICY, `input.${name}`).action).toEqual({ action: 'keep' });
    expect(
      actionOf({ ...DEFAULT_POLICY, fields: JSON.parse('{"__proto__": {"action": "drop"}}') }, 'unit').action,
    ).toEqual({
      action: 'hash',
    });
  });
});

describe('an action', () => {
  const tokens = createTokens('a-key');

  test('hash is the first half of HMAC-SHA-256, the same for 7 and "7"', () => {
    const whole = createHmac('sha256', 'a-key').update('7').digest('hex');
    expect(applyAction({ action: 'hash' }, '7', tokens)).toBe(whole.slice(0, 32));
    expect(applyAction({ action: 'hash' }, 7, tokens)).toBe(whole.slice(0, 32));
    expect(applyAction({ action: 'hash' }, '7', createTokens('another'))).not.toBe(whole.slice(0, 32));
  });

  test('truncate cuts between characters, not within one', () => {
    expect(applyAction({ action: 'truncate', chars: 2 }, 'a🐟bc', tokens)).toBe('a🐟');
  });

  test.each([
    [37, 5, 35],
    [-0.5, 1, -1],
    [0.35, 0.1, 0.3],
    [Number.NaN, 5, Number.NaN],
    [Number.POSITIVE_INFINITY, 5, Number.POSITIVE_INFINITY],
  ])('bucket of %d by %d is %d', (value, width, bucket) => {
    expect(applyAction({ action: 'bucket', width }, value, tokens)).toBe(bucket);
  });

  test('drops whatever it cannot be done to, and never gives out what it was to hide', () => {
    const any = fc.oneof(
      fc.string({ minLength: 12 }).filter((text) => text.trim().length > 10),
      fc.double(),
      fc.boolean(),
      fc.array(fc.double()).map((list) => Float64Array.from(list)),
    );
    const action = fc.constantFrom<FieldAction>(
      { action: 'drop' },
      { action: 'hash' },
      { action: 'truncate', chars: 2 },
      { action: 'bucket', width: 10 },
    );
    fc.assert(
      fc.property(any, action, (value, how) => {
        const kept = applyAction(how, value, tokens);
        if (typeof value === 'string' && kept !== null) expect(String(kept)).not.toContain(value);
        if (how.action === 'drop') expect(kept).toBeNull();
        if (value instanceof Float64Array || (how.action === 'bucket') !== (typeof value === 'number'))
          expect([null, 'string']).toContain(kept === null ? null : typeof kept);
      }),
    );
  });
});
