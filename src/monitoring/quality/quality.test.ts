import { describe, expect, test } from 'vitest';
import { createTokens } from '../predictions/apply-policy.ts';
import type { FieldAction } from '../predictions/privacy-policy.ts';
import { addMissing, addNumber, addRow, addText, openProfile, sealProfile } from '../profiles/column-profile.ts';
import { checkQuality, type QualityFacts } from './check-quality.ts';
import { parseQualityRules, writeQualityRules } from './quality-rules.ts';
import { suggestRules, tolerated } from './suggest-rules.ts';

const tokens = createTokens('key');
const hashOf = (value: string): string => tokens(value).slice(0, 16);
type Value = number | string | undefined;

function profileOf(values: readonly Value[], atMs = 1000) {
  const open = openProfile(null);
  for (const value of values) {
    if (value === undefined) addMissing(open, atMs);
    else if (typeof value === 'number') addNumber(open, value, atMs);
    else addText(open, value, atMs);
  }
  return sealProfile(open, hashOf);
}

function factsOf(columns: Record<string, readonly Value[]>, change: Partial<QualityFacts> = {}): QualityFacts {
  const rows = openProfile(null);
  const n = Object.values(columns)[0]?.length ?? 0;
  for (let at = 0; at < n; at++) {
    addRow(
      rows,
      Object.values(columns).map((values) => values[at]),
      1000,
    );
  }
  return {
    columns: new Map(Object.entries(columns).map(([name, values]) => [name, profileOf(values)])),
    wholeRows: sealProfile(rows, hashOf),
    rows: n,
    fromMs: 0,
    toMs: 3_600_000,
    nowMs: 3_600_000,
    lastMs: 3_600_000 - 60_000,
    actionOf: () => ({ action: 'keep' }),
    tokens,
    ...change,
  };
}

const numbers = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i);
const rules = (document: unknown) => parseQualityRules(document, null);
const failed = (document: unknown, facts: QualityFacts): string[] =>
  checkQuality(rules(document), facts)
    .filter((one) => one.outcome === 'failed')
    .map((one) => `${one.column ?? ''}:${one.rule}`);

describe('rules', () => {
  test('every fault is told at once, with its place', () => {
    const parse = () =>
      parseQualityRules(
        {
          colums: {},
          columns: { 'input.aeg': { range: [5, 1], missing: 2, typ: 'number' }, 'input.age': { outside: 0.1 } },
          freshness: 'soon',
          rowsPerHour: 7,
        },
        ['input.age'],
      );
    expect(parse).toThrow(
      expect.objectContaining({
        fields: [
          { pointer: '/colums', message: 'is not known here; did you mean columns?' },
          { pointer: '/columns/input.aeg', message: 'is no column here; did you mean input.age?' },
          { pointer: '/columns/input.aeg/typ', message: 'is not known here; did you mean type?' },
          { pointer: '/columns/input.aeg/missing', message: 'must be a share from 0 to 1' },
          expect.objectContaining({ pointer: '/columns/input.aeg/range' }),
          { pointer: '/columns/input.age/outside', message: 'needs a range' },
          expect.objectContaining({ pointer: '/freshness' }),
          expect.objectContaining({ pointer: '/rowsPerHour' }),
        ],
      }),
    );
  });

  test('what is written is what was read', () => {
    const document = {
      columns: { a: { type: 'number', range: [0, 1], outside: 0.1 } },
      freshness: '90s',
      duplicates: 0.5,
    };
    expect(writeQualityRules(rules(document))).toEqual(document);
  });
});

describe('a check', () => {
  test('finds wrong types, missing values, NaN, what is out of range, new categories, lengths and constants', () => {
    const facts = factsOf({
      type: [...numbers(99), 'x'],
      missing: [...numbers(90), ...Array.from({ length: 10 }, () => undefined)],
      nan: [...numbers(99), Number.NaN],
      range: numbers(100),
      values: numbers(100).map((i) => (i < 96 ? 'free' : `new-${i}`)),
      length: numbers(100).map((i) => 'x'.repeat(1 + (i % 9))),
      constant: numbers(100).map(() => 7),
    });
    const columns = {
      type: { type: 'number' },
      missing: { missing: 0.05 },
      nan: { nan: 0 },
      range: { range: [0, 98] },
      values: { values: ['free'], new: 0.01 },
      length: { length: [1, 8] },
      constant: {},
    };
    expect(failed({ columns }, facts)).toEqual(Object.keys(columns).map((name) => `${name}:${name}`));
    const seen = checkQuality(rules({ columns }), facts).filter((one) => one.outcome === 'failed');
    expect(seen.map((one) => one.seen)).toEqual([0.01, 0.1, 0.01, 0.01, 0.04, expect.closeTo(0.11, 6), 1]);
  });

  test('holds where all is as it was, zero being no missing value', () => {
    const facts = factsOf({ a: numbers(100).map((i) => i % 2), b: numbers(100).map((i) => (i % 2 === 0 ? 'x' : 'y')) });
    const columns = {
      a: { type: 'number', missing: 0, nan: 0, range: [0, 1] },
      b: { type: 'text', values: ['x', 'y'] },
    };
    expect(checkQuality(rules({ columns }), facts).map((one) => one.outcome)).toEqual(
      Array.from({ length: 8 }, () => 'passed'),
    );
  });

  test('finds columns that are gone or unknown, duplicates, staleness and unusual volume', () => {
    const facts = factsOf({ a: numbers(1000).map((i) => i % 500) });
    const whole = { unknownColumns: 'tell', duplicates: 0.4, freshness: '30s', rowsPerHour: [10, 900] };
    expect(failed({ columns: { gone: { missing: 0 } }, ...whole }, facts)).toEqual([
      'gone:schema',
      'a:schema',
      ':duplicates',
      ':freshness',
      ':volume',
    ]);
    const calm = { duplicates: 0.6, freshness: '61s', rowsPerHour: [10, 1001] };
    expect(failed({ ...calm }, facts)).toEqual([]);
  });

  test('says nothing of too few rows or an empty time, but that nothing came', () => {
    const few = checkQuality(rules({ columns: { a: { missing: 0 } }, duplicates: 0 }), factsOf({ a: numbers(29) }));
    expect(few.map((one) => one.outcome)).toEqual(['unknown', 'unknown', 'unknown']);
    const none = factsOf({}, { lastMs: null, wholeRows: null });
    expect(failed({ columns: { a: { missing: 0 } }, freshness: '1h', rowsPerHour: [1, 2] }, none)).toEqual([
      ':freshness',
      ':volume',
    ]);
  });

  test('speaks of values as they come, whatever the policy makes of them before they are profiled', () => {
    const action = (action: FieldAction) => ({ actionOf: () => action });
    const hashed = factsOf(
      { plan: numbers(100).map((i) => tokens(i % 2 === 0 ? 'free' : 'pro')) },
      action({ action: 'hash' }),
    );
    const columns = { plan: { type: 'text', values: ['free', 'pro'] } };
    expect(failed({ columns }, hashed)).toEqual([]);
    expect(failed({ columns: { plan: { values: ['free'] } } }, hashed)).toEqual(['plan:values']);
    const inTens = factsOf(
      { age: numbers(100, 18).map((x) => Math.floor(x / 10) * 10) },
      action({ action: 'bucket', width: 10 }),
    );
    expect(failed({ columns: { age: { range: [18, 120] } } }, inTens)).toEqual([]);
    const dropped = checkQuality(
      rules({ columns: { age: { missing: 0 } } }),
      factsOf({ a: numbers(99) }, action({ action: 'drop' })),
    );
    expect(dropped.every((one) => one.outcome === 'unknown')).toBe(true);
  });
});

describe('suggestions', () => {
  test('hold for the reference that they were made of, also for one of ten rows', () => {
    for (const n of [10, 1000]) {
      const values = {
        age: numbers(n).map((i) => (i % 10 === 3 ? undefined : 20 + i)),
        plan: numbers(n).map((i) => (i % 3 === 0 ? 'free' : 'pro')),
        one: numbers(n).map(() => 1),
        words: numbers(n).map((i) => `word ${i}`),
      };
      const facts = factsOf(values);
      const suggested = suggestRules(new Map([...facts.columns, ['(rows)', facts.wholeRows!]]), []);
      expect(Object.keys(suggested.columns)).toEqual(['age', 'plan', 'one', 'words']);
      expect(failed(writeQualityRules(suggested), facts)).toEqual([]);
      if (n < 1000) continue;
      expect(suggested.columns['plan']).toEqual({ type: 'text', missing: 0.003, values: ['pro', 'free'], new: 0.003 });
      expect(suggested.columns['age']).toMatchObject({ type: 'number', range: [20, 1019], outside: tolerated(0, 900) });
      expect(suggested.columns['one']).toMatchObject({ constant: true });
    }
  });

  test('a share is tolerated up to three standard deviations, and to 3/n where there was none', () => {
    // 0.1 + 3·√(0.1·0.9/1000) = 0.1285; 3/1000
    expect([tolerated(0.1, 1000), tolerated(0, 1000), tolerated(1, 5)]).toEqual([0.128, 0.003, 1]);
  });

  test('the usual volume is the mean of whole hours and three standard deviations', () => {
    const hours = Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? 90 : 110));
    expect(suggestRules(new Map(), hours).rowsPerHour).toEqual([69, 131]);
    expect(suggestRules(new Map(), hours.slice(1)).rowsPerHour).toBeNull();
  });
});
