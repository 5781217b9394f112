/** Rules that a reference keeps, for people to edit. Pure. */
import { type ColumnProfile, WHOLE_ROWS } from '../profiles/column-profile.ts';
import { hllEstimate } from '../profiles/hyper-log-log.ts';
import { publishedValues } from '../profiles/top-values.ts';
import type { ColumnRules, QualityRules } from './quality-rules.ts';

/** A column with more different values is no category. */
const MAX_CATEGORIES = 50;
/** Whole hours that have to be known before a usual number of rows is suggested. */
const MIN_HOURS = 24;

/**
 * @param reference profiles by column
 * @param hourlyRows rows of whole hours, for the usual volume
 */
export function suggestRules(
  reference: ReadonlyMap<string, ColumnProfile>,
  hourlyRows: readonly number[],
): QualityRules {
  const columns: Record<string, ColumnRules> = {};
  for (const [name, profile] of reference) if (name !== WHOLE_ROWS) columns[name] = suggestColumn(profile);
  const wholeRows = reference.get(WHOLE_ROWS);
  return {
    columns,
    unknownColumns: 'allow',
    duplicates:
      wholeRows === undefined
        ? null
        : tolerated(1 - hllEstimate(wholeRows.distinct) / wholeRows.values, wholeRows.values),
    freshnessMs: null,
    rowsPerHour: usualVolume(hourlyRows),
  };
}

function suggestColumn(profile: ColumnProfile): ColumnRules {
  const { values, missing, numbers, texts, booleans, vectors, moments, top } = profile;
  const n = values + missing;
  const type = numbers === values ? 'number' : texts === values ? 'text' : booleans === values ? 'boolean' : null;
  const distinct = Math.round(hllEstimate(profile.distinct));
  const published = publishedValues(top);
  const isCategory = (texts === values || booleans === values) && distinct <= MAX_CATEGORIES && published.length > 0;
  const unlisted = 1 - published.reduce((sum, one) => sum + one.count, 0) / Math.max(1, values);
  return {
    ...(vectors === values && values > 0 ? { type: 'vector' } : type === null || values === 0 ? {} : { type }),
    missing: tolerated(missing / n, n),
    ...(numbers > 0 ? { nan: tolerated((profile.nan + profile.infinite) / values, values) } : {}),
    ...(type === 'number' && moments.n > 0
      ? { range: [moments.min, moments.max] as const, outside: tolerated(0, moments.n) }
      : {}),
    ...(isCategory ? { values: published.map((one) => one.value), new: tolerated(unlisted, values) } : {}),
    ...(type === 'text' && !isCategory && moments.n > 0 ? { length: [moments.min, moments.max] as const } : {}),
    ...(distinct === 1 ? { constant: true } : {}),
  };
}

/**
 * A share that n rows had, and three standard deviations more; where none of n rows had it, 3/n, which is the upper end of what a share may
 * be that n rows show nothing of (the rule of three, Hanley and Lippman-Hand 1983).
 */
export function tolerated(share: number, n: number): number {
  const p = Math.min(1, Math.max(0, share));
  const most = Math.max(p + 3 * Math.sqrt((p * (1 - p)) / n), 3 / n);
  return Number(Math.min(1, most).toPrecision(3));
}

/** Mean and three standard deviations of the rows of an hour; null for too short a past. */
function usualVolume(hours: readonly number[]): readonly [number, number] | null {
  if (hours.length < MIN_HOURS) return null;
  const mean = hours.reduce((sum, rows) => sum + rows, 0) / hours.length;
  const deviation = Math.sqrt(hours.reduce((sum, rows) => sum + (rows - mean) ** 2, 0) / (hours.length - 1));
  return [Math.max(0, Math.floor(mean - 3 * deviation)), Math.ceil(mean + 3 * deviation)];
}
