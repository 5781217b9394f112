/** A file of labels as feedback. */
import type { FeedbackItem } from '../../sdk/src/client.ts';
import { CliError } from './cli-error.ts';
import type { LabelRow } from './label-rows.ts';
import { count } from './terminal.ts';

export type LabelColumns = {
  /** Which prediction. */
  readonly subject: { readonly field: 'predictionId' | 'joinKey'; readonly column: string };
  readonly values: readonly {
    readonly kind: 'truth' | 'score' | 'rating' | 'correction' | 'text';
    readonly column: string;
  }[];
  readonly revision: string | null;
  readonly at: string | null;
};

/** `places` say where each item stands in the file. */
export type LabelBatch = { readonly items: readonly FeedbackItem[]; readonly places: readonly string[] };

const BATCH = 5_000;
const MAX_FAULTS = 20;

type Fault = { pointer: string; message: string };

export function namesOf({ subject, values, revision, at }: LabelColumns): string[] {
  const names = [subject.column, ...values.map((value) => value.column), revision, at];
  return [...new Set(names.filter((name) => name !== null))];
}

/**
 * Labels of a file, some thousand at a time; a file is checked as it is read, so faults of later rows come after earlier rows were sent.
 * A row whose value is blank says nothing yet and is left out.
 * @throws CliError with row and column of every fault
 */
export async function* readLabels(
  rows: AsyncIterable<LabelRow>,
  file: string,
  columns: LabelColumns,
): AsyncGenerator<LabelBatch> {
  let items: FeedbackItem[] = [];
  let places: string[] = [];
  const faults: Fault[] = [];
  for await (const row of rows) {
    const item = readItem(row, columns, faults);
    if (faults.length >= MAX_FAULTS) break;
    if (item === null) continue;
    items.push(item);
    places.push(row.place);
    if (items.length < BATCH || faults.length > 0) continue;
    yield { items, places };
    items = [];
    places = [];
  }
  if (faults.length > 0) {
    throw new CliError('validation', `${count(faults.length, 'cell')} of ${file} cannot be read`, {
      code: 'invalid_request',
      fields: faults,
      hint: 'Mend them, then repeat the import: what was sent before is recognised.',
    });
  }
  if (items.length > 0) yield { items, places };
}

function readItem(row: LabelRow, columns: LabelColumns, faults: Fault[]): FeedbackItem | null {
  const { subject, values, revision, at } = columns;
  const { cells, place, isTyped } = row;
  const fault = (column: string, message: string): void =>
    void faults.push({ pointer: `${place}, ${column}`, message });
  const item: FeedbackItem = {};
  let said = 0;
  for (const { kind, column } of values) {
    const value = cells(column);
    if (value === undefined) continue;
    said += 1;
    if (kind === 'score' || kind === 'rating') {
      const number = typeof value === 'boolean' ? Number.NaN : Number(value);
      if (Number.isFinite(number)) item[kind] = number;
      else fault(column, 'is no number');
    } else if (kind === 'text') item.text = String(value);
    else if (typeof value === 'number' && !Number.isFinite(value)) fault(column, 'is infinite, and no label');
    else item[kind] = typeof value === 'string' && !isTyped ? labelOf(value) : value;
  }
  if (said === 0) return null;
  const key = cells(subject.column);
  if (key === undefined) fault(subject.column, 'is blank: which prediction is it?');
  else if (typeof key === 'object') fault(subject.column, 'is a list or a structure: which prediction is it?');
  else item[subject.field] = String(key);
  if (revision !== null) {
    const number = Number(cells(revision));
    if (Number.isSafeInteger(number) && number >= 1) item.revision = number;
    else fault(revision, 'is no whole number from 1');
  }
  if (at !== null) {
    const time = cells(at);
    const ms = Date.parse(String(time));
    if (time !== undefined && Number.isFinite(ms)) item.at = new Date(ms).toISOString();
    else fault(at, 'is no time such as 2026-01-31T12:00:00Z');
  }
  return item;
}

/** What a cell of a CSV means: numbers and the words true and false mean themselves; anything else is text. */
function labelOf(text: string): unknown {
  const trimmed = text.trim();
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) {
    const value = Number(trimmed);
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? trimmed : value;
  }
  const word = trimmed.toLowerCase();
  return word === 'true' ? true : word === 'false' ? false : text;
}
