/** Rules and the profile of a window: what holds, what does not, and what cannot be told. Pure. */
import { applyAction, type Tokens } from '../predictions/apply-policy.ts';
import type { FieldAction } from '../predictions/privacy-policy.ts';
import type { ColumnProfile } from '../profiles/column-profile.ts';
import { ddCount, ddShareUpTo } from '../profiles/dd-sketch.ts';
import { hllEstimate } from '../profiles/hyper-log-log.ts';
import type { ColumnRules, QualityRules } from './quality-rules.ts';

export const RULE_NAMES = [
  'schema',
  'type',
  'missing',
  'nan',
  'range',
  'values',
  'length',
  'constant',
  'duplicates',
  'freshness',
  'volume',
] as const;
export type RuleName = (typeof RULE_NAMES)[number];

export type Finding = {
  readonly rule: RuleName;
  /** null: of the whole endpoint. */
  readonly column: string | null;
  /** `unknown`: there are too few rows, or the policy leaves nothing to look at. */
  readonly outcome: 'passed' | 'failed' | 'unknown';
  /** What was seen: a share, an age in seconds, rows an hour; null where nothing was. */
  readonly seen: number | null;
  /** What is tolerated, in the same unit. */
  readonly allowed: number | null;
  readonly message: string;
};

export type QualityFacts = {
  readonly columns: ReadonlyMap<string, ColumnProfile>;
  readonly wholeRows: ColumnProfile | null;
  readonly rows: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly nowMs: number;
  /** When the youngest row came; null where none is known. */
  readonly lastMs: number | null;
  /** What the policy does to values before they are profiled: rules speak of values as they come. */
  readonly actionOf: (column: string) => FieldAction;
  readonly tokens: Tokens;
};

/** Fewer rows say nothing of shares. */
export const MIN_ROWS = 30;
const HOUR_MS = 3_600_000;
/** The relative standard error of HyperLogLog is 1.6 %: differences below two of them are none. */
const DISTINCT_NOISE = 0.033;

export function checkQuality(rules: QualityRules, facts: QualityFacts): Finding[] {
  const findings = Object.entries(rules.columns).flatMap(([name, column]) => checkColumn(name, column, facts));
  if (rules.unknownColumns === 'tell') {
    for (const name of facts.columns.keys()) {
      if (Object.hasOwn(rules.columns, name)) continue;
      findings.push(finding('schema', name, 'failed', null, null, 'is a column that no rule names'));
    }
  }
  return [...findings, ...checkWhole(rules, facts)];
}

function checkColumn(name: string, rules: ColumnRules, facts: QualityFacts): Finding[] {
  const profile = facts.columns.get(name);
  const action = facts.actionOf(name);
  const all = rulesOf(rules);
  if (action.action === 'drop') {
    return all.map((rule) =>
      finding(rule, name, 'unknown', null, null, 'the policy drops it: nothing of it is looked at'),
    );
  }
  if (profile === undefined) {
    if (facts.rows === 0) return all.map((rule) => finding(rule, name, 'unknown', null, null, 'there are no rows'));
    return [finding('schema', name, 'failed', null, null, 'is missing in all rows')];
  }
  const n = profile.values + profile.missing;
  if (n < MIN_ROWS) {
    return all.map((rule) => finding(rule, name, 'unknown', null, null, `${n} rows are too few to tell`));
  }
  return all.map((rule) => checkOne(rule, name, rules, profile, action, facts));
}

/** What is looked at of a column: what its rules name, and whether it is constant. */
function rulesOf(rules: ColumnRules): RuleName[] {
  return [
    ...(rules.type === undefined ? [] : (['type'] as const)),
    ...(rules.missing === undefined ? [] : (['missing'] as const)),
    ...(rules.nan === undefined ? [] : (['nan'] as const)),
    ...(rules.range === undefined ? [] : (['range'] as const)),
    ...(rules.values === undefined ? [] : (['values'] as const)),
    ...(rules.length === undefined ? [] : (['length'] as const)),
    ...(rules.constant === true ? [] : (['constant'] as const)),
  ];
}

function checkOne(
  rule: RuleName,
  name: string,
  rules: ColumnRules,
  profile: ColumnProfile,
  action: FieldAction,
  facts: QualityFacts,
): Finding {
  const of = (seen: number, allowed: number, words: string): Finding =>
    finding(rule, name, seen <= allowed ? 'passed' : 'failed', seen, allowed, words);
  const unknown = (words: string): Finding => finding(rule, name, 'unknown', null, null, words);
  const { values, missing, moments } = profile;
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  switch (rule) {
    case 'type': {
      const wanted = action.action === 'hash' ? 'text' : rules.type!;
      const right = profile[`${wanted}s`];
      return of(share(values - right, values), 0, `values that are no ${rules.type}`);
    }
    case 'missing':
      return of(share(missing, values + missing), rules.missing!, 'rows without a value');
    case 'nan':
      return of(share(profile.nan + profile.infinite, values), rules.nan!, 'values that are NaN or infinite');
    case 'range': {
      if (action.action === 'hash') return unknown('the policy hashes it: it has no range');
      const low = Number(applyAction(action, rules.range![0], facts.tokens) ?? rules.range![0]);
      return of(
        outside(profile, low, rules.range![1]),
        rules.outside ?? 0,
        `numbers outside of ${rules.range![0]} to ${rules.range![1]}`,
      );
    }
    case 'length':
      if (action.action !== 'keep') return unknown('the policy changes it: its length is not known');
      return of(
        outside(profile, ...rules.length!),
        0,
        `texts shorter than ${rules.length![0]} or longer than ${rules.length![1]}`,
      );
    case 'values':
      return of(
        newShare(rules.values!, profile, action, facts.tokens),
        rules.new ?? 0,
        'values of categories that are not known',
      );
    default: {
      const isConstant = moments.n > 0 && moments.min === moments.max && hllEstimate(profile.distinct) < 1.5;
      return of(isConstant ? 1 : 0, 0, isConstant ? 'it has one value only' : 'it has more than one value');
    }
  }
}

/** Share of the numbers that lie outside; none where the smallest and the largest do not. */
function outside({ moments, sketch }: ColumnProfile, low: number, high: number): number {
  if (moments.n === 0) return 0;
  const n = ddCount(sketch);
  // A bucket may stand for a number on the other side of the limit: what is there counts once at least.
  const below = moments.min >= low ? 0 : Math.max(1 / n, ddShareUpTo(sketch, low - Math.abs(low) * 0.01) ?? 0);
  const above = moments.max <= high ? 0 : Math.max(1 / n, 1 - (ddShareUpTo(sketch, high + Math.abs(high) * 0.01) ?? 1));
  return Math.min(1, below + above);
}

/** Values are compared by their keyed hashes, so that rare ones, which are kept as that only, are compared too. */
function newShare(
  known: ColumnRules['values'] & {},
  profile: ColumnProfile,
  action: FieldAction,
  tokens: Tokens,
): number {
  if (profile.values === 0) return 0;
  const hashes = new Set(known.map((value) => tokens(String(applyAction(action, value, tokens))).slice(0, 16)));
  let others = 0;
  for (const { hash, count } of profile.top.values) if (!hashes.has(hash)) others += count;
  return others / profile.values;
}

function checkWhole(rules: QualityRules, facts: QualityFacts): Finding[] {
  const findings: Finding[] = [];
  const { duplicates, freshnessMs, rowsPerHour } = rules;
  if (duplicates !== null) {
    const { wholeRows } = facts;
    if (wholeRows === null || wholeRows.values < MIN_ROWS) {
      findings.push(finding('duplicates', null, 'unknown', null, null, 'there are too few rows to tell'));
    } else {
      const share = Math.max(0, 1 - hllEstimate(wholeRows.distinct) / wholeRows.values);
      const seen = share < DISTINCT_NOISE ? 0 : share;
      findings.push(judged('duplicates', seen, duplicates, 'rows whose inputs were there before'));
    }
  }
  if (freshnessMs !== null) {
    if (facts.lastMs === null) {
      findings.push(finding('freshness', null, 'failed', null, freshnessMs / 1000, 'there is no row in this time'));
    } else {
      const ageS = Math.max(0, facts.nowMs - facts.lastMs) / 1000;
      findings.push(judged('freshness', ageS, freshnessMs / 1000, 'seconds since the youngest row'));
    }
  }
  if (rowsPerHour !== null) {
    const perHour = (facts.rows * HOUR_MS) / Math.max(1, Math.min(facts.toMs, facts.nowMs) - facts.fromMs);
    const [least, most] = rowsPerHour;
    const isWrong = perHour < least || perHour > most;
    const allowed = perHour < least ? least : most;
    findings.push(
      finding(
        'volume',
        null,
        isWrong ? 'failed' : 'passed',
        perHour,
        allowed,
        `rows an hour; ${least} to ${most} are usual`,
      ),
    );
  }
  return findings;
}

function judged(rule: RuleName, seen: number, allowed: number, words: string): Finding {
  return finding(rule, null, seen <= allowed ? 'passed' : 'failed', seen, allowed, words);
}

function finding(
  rule: RuleName,
  column: string | null,
  outcome: Finding['outcome'],
  seen: number | null,
  allowed: number | null,
  message: string,
): Finding {
  return { rule, column, outcome, seen, allowed, message };
}
