/** What the values of an endpoint have to be like, as people agreed on it. Pure. */
import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, SlipwayError } from '../../base/errors.ts';
import { duration } from '../../base/settings-values.ts';
import { mapOf, type TellFault, tellUnknown } from '../document-faults.ts';

export const COLUMN_TYPES = ['number', 'boolean', 'text', 'vector'] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

/** Shares are from 0 to 1 and tell the most that is tolerated; what is left out is not looked at. */
export type ColumnRules = {
  /** All values are of this type. */
  readonly type?: ColumnType;
  /** Rows without a value. */
  readonly missing?: number;
  /** Values that are NaN or infinite. */
  readonly nan?: number;
  /** Smallest and largest number. */
  readonly range?: readonly [number, number];
  /** Numbers outside of the range; 0 unless given. */
  readonly outside?: number;
  /** The categories that are known. */
  readonly values?: readonly (string | number | boolean)[];
  /** Values of other categories; 0 unless given. */
  readonly new?: number;
  /** Shortest and longest text, in UTF-16 units. */
  readonly length?: readonly [number, number];
  /** Whether it may have one value only; false unless given. */
  readonly constant?: boolean;
};

export type QualityRules = {
  readonly columns: Readonly<Record<string, ColumnRules>>;
  /** Whether columns that no rule names are faults. */
  readonly unknownColumns: 'allow' | 'tell';
  /** Rows whose inputs were there before in the window. */
  readonly duplicates: number | null;
  /** The youngest row is at most this old. */
  readonly freshnessMs: number | null;
  /** Fewest and most rows in an hour, on average over the window. */
  readonly rowsPerHour: readonly [number, number] | null;
};

export const NO_RULES: QualityRules = {
  columns: {},
  unknownColumns: 'allow',
  duplicates: null,
  freshnessMs: null,
  rowsPerHour: null,
};

const RULES = ['columns', 'unknownColumns', 'duplicates', 'freshness', 'rowsPerHour'];
const COLUMN_RULES = ['type', 'missing', 'nan', 'range', 'outside', 'values', 'new', 'length', 'constant'] as const;
const SHARES = ['missing', 'nan', 'outside', 'new'] as const;
const MAX_COLUMNS = 2000;
const MAX_VALUES = 1000;

/**
 * Rules as people write them, checked. Every fault is told at once.
 * @param names of the columns that the endpoint has; null where they are not known
 * @throws SlipwayError `invalid_request`
 */
export function parseQualityRules(document: unknown, names: readonly string[] | null): QualityRules {
  const faults: FieldError[] = [];
  const fault: TellFault = (pointer, message) => void faults.push({ pointer, message });
  const given = mapOf(document, '', fault);
  tellUnknown(given, RULES, '', fault);
  const columns: Record<string, ColumnRules> = {};
  const entries = Object.entries(mapOf(given['columns'] ?? {}, '/columns', fault));
  if (entries.length > MAX_COLUMNS) fault('/columns', `has more than ${MAX_COLUMNS} columns`);
  for (const [name, rules] of entries.slice(0, MAX_COLUMNS)) {
    const pointer = `/columns/${name}`;
    if (names !== null && !names.includes(name)) {
      const near = closestWord(name, [...names]);
      fault(pointer, near ? `is no column here; did you mean ${near}?` : 'is no column of this endpoint');
    }
    columns[name] = parseColumn(rules, pointer, fault);
  }
  const unknownColumns = given['unknownColumns'] ?? 'allow';
  if (unknownColumns !== 'allow' && unknownColumns !== 'tell') fault('/unknownColumns', 'must be allow or tell');
  const duplicates = given['duplicates'] ?? null;
  if (duplicates !== null && !isShare(duplicates)) fault('/duplicates', 'must be a share from 0 to 1');
  const rules: QualityRules = {
    columns,
    unknownColumns: unknownColumns as 'allow' | 'tell',
    duplicates: duplicates as number | null,
    freshnessMs: freshnessOf(given['freshness'], fault),
    rowsPerHour: given['rowsPerHour'] == null ? null : pairOf(given['rowsPerHour'], '/rowsPerHour', fault),
  };
  if (faults.length === 0) return rules;
  const first = faults[0]!;
  const message =
    faults.length === 1
      ? `The rules are not valid: ${first.pointer || 'they'} ${first.message}`
      : `The rules have ${faults.length} faults`;
  throw new SlipwayError('invalid_request', message, {
    fields: faults.slice(0, 100),
    hint: 'Mend them, then send them again.',
  });
}

/** Rules as people write them. */
export function writeQualityRules(rules: QualityRules): Record<string, unknown> {
  const { columns, unknownColumns, duplicates, freshnessMs, rowsPerHour } = rules;
  return {
    columns,
    ...(unknownColumns === 'allow' ? {} : { unknownColumns }),
    ...(duplicates === null ? {} : { duplicates }),
    ...(freshnessMs === null ? {} : { freshness: `${freshnessMs / 1000}s` }),
    ...(rowsPerHour === null ? {} : { rowsPerHour }),
  };
}

function parseColumn(document: unknown, pointer: string, fault: TellFault): ColumnRules {
  const given = mapOf(document, pointer, fault);
  tellUnknown(given, COLUMN_RULES, pointer, fault);
  const rules: { -readonly [key in keyof ColumnRules]: ColumnRules[key] } = {};
  if (given['type'] !== undefined) {
    if (COLUMN_TYPES.includes(given['type'] as ColumnType)) rules.type = given['type'] as ColumnType;
    else fault(`${pointer}/type`, `must be ${COLUMN_TYPES.join(', ')}`);
  }
  for (const name of SHARES) {
    const value = given[name];
    if (value === undefined) continue;
    if (isShare(value)) rules[name] = value;
    else fault(`${pointer}/${name}`, 'must be a share from 0 to 1');
  }
  for (const name of ['range', 'length'] as const) {
    if (given[name] !== undefined) rules[name] = pairOf(given[name], `${pointer}/${name}`, fault);
  }
  const values = given['values'];
  if (values !== undefined) {
    const isList = Array.isArray(values) && values.every((one) => ['string', 'number', 'boolean'].includes(typeof one));
    if (isList && values.length <= MAX_VALUES) rules.values = values;
    else fault(`${pointer}/values`, `must be a list of at most ${MAX_VALUES} values`);
  }
  if (given['constant'] !== undefined) {
    if (typeof given['constant'] === 'boolean') rules.constant = given['constant'];
    else fault(`${pointer}/constant`, 'must be true or false');
  }
  if (rules.outside !== undefined && rules.range === undefined) fault(`${pointer}/outside`, 'needs a range');
  if (rules.new !== undefined && rules.values === undefined) fault(`${pointer}/new`, 'needs values');
  return rules;
}

function freshnessOf(value: unknown, fault: TellFault): number | null {
  if (value == null) return null;
  try {
    return duration(String(value));
  } catch {
    fault('/freshness', 'must be a duration with its unit, such as 15m');
    return null;
  }
}

function pairOf(value: unknown, pointer: string, fault: TellFault): readonly [number, number] {
  if (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((one) => typeof one === 'number' && Number.isFinite(one))
  ) {
    if (value[0] <= value[1]) return [value[0], value[1]];
  }
  fault(pointer, 'must be the smallest and the largest number, such as [0, 100]');
  return [0, 0];
}

function isShare(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 1;
}
