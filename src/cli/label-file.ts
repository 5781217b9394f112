import type { FeedbackItem } from '../../sdk/src/client.ts';
import { closestWord } from '../base/closest-word.ts';
import { CsvFault, type CsvRow, readCsv } from '../base/csv.ts';
import { CliError } from './cli-error.ts';
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

export type LabelBatch = { readonly items: readonly FeedbackItem[]; readonly lines: readonly number[] };

const BATCH = 5_000;
const MAX_FAULTS = 20;

type Fault = { pointer: string; message: string };
/** The cell of a column: its text in CSV, any JSON value in JSON lines; undefined when it is blank or missing. */
type Cells = (column: string) => unknown;

/**
 * Labels of a file, some thousand at a time; a file is checked as it is read, so faults of later lines come after earlier lines were sent.
 * A row whose value is blank says nothing yet and is left out.
 * @throws CliError with line and column of every fault
 */
export async function* readLabels(
  chunks: AsyncIterable<string>,
  file: string,
  columns: LabelColumns,
): AsyncGenerator<LabelBatch> {
  const rows = /\.(ndjson|jsonl)$/i.test(file) ? jsonRows(chunks, file) : csvRows(chunks, file, columns);
  let items: FeedbackItem[] = [];
  let lines: number[] = [];
  const faults: Fault[] = [];
  for await (const { cells, line } of rows) {
    const item = readItem(cells, columns, line, faults);
    if (faults.length >= MAX_FAULTS) break;
    if (item === null) continue;
    items.push(item);
    lines.push(line);
    if (items.length < BATCH || faults.length > 0) continue;
    yield { items, lines };
    items = [];
    lines = [];
  }
  if (faults.length > 0) {
    throw new CliError('validation', `${count(faults.length, 'cell')} of ${file} cannot be read`, {
      code: 'invalid_request',
      fields: faults,
      hint: 'Mend these lines, then repeat the import: what was sent before is recognised.',
    });
  }
  if (items.length > 0) yield { items, lines };
}

function readItem(cells: Cells, columns: LabelColumns, line: number, faults: Fault[]): FeedbackItem | null {
  const { subject, values, revision, at } = columns;
  const fault = (column: string, message: string): void =>
    void faults.push({ pointer: `line ${line}, ${column}`, message });
  const item: FeedbackItem = {};
  let said = 0;
  for (const { kind, column } of values) {
    const value = cells(column);
    if (value === undefined) continue;
    said += 1;
    if (kind === 'score' || kind === 'rating') {
      const number = typeof value === 'number' ? value : Number(value);
      if (Number.isFinite(number)) item[kind] = number;
      else fault(column, 'is no number');
    } else if (kind === 'text') item.text = String(value);
    else item[kind] = typeof value === 'string' ? labelOf(value) : value;
  }
  if (said === 0) return null;
  const key = cells(subject.column);
  if (key === undefined) fault(subject.column, 'is blank: which prediction is it?');
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

/** Numbers and the words true and false mean themselves; anything else is text. */
function labelOf(text: string): unknown {
  const trimmed = text.trim();
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) {
    const value = Number(trimmed);
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? trimmed : value;
  }
  const word = trimmed.toLowerCase();
  return word === 'true' ? true : word === 'false' ? false : text;
}

type Row = { readonly cells: Cells; readonly line: number };

async function* csvRows(chunks: AsyncIterable<string>, file: string, columns: LabelColumns): AsyncGenerator<Row> {
  let header: Map<string, number> | null = null;
  let width = 0;
  for await (const row of csvLines(chunks, file)) {
    if (header === null) {
      width = row.fields.length;
      header = new Map(row.fields.map((name, at) => [name.trim(), at]));
      assertColumns(header, file, columns);
      continue;
    }
    if (row.fields.length !== width) {
      throw new CliError(
        'validation',
        `${file}, line ${row.line}: ${count(row.fields.length, 'field')}, but the header has ${width}`,
        {
          code: 'invalid_request',
          hint: 'Is a separator missing, or a quote?',
        },
      );
    }
    const places = header;
    const cells: Cells = (column) => {
      const text = row.fields[places.get(column)!];
      return text === undefined || text.trim() === '' ? undefined : text;
    };
    yield { cells, line: row.line };
  }
  if (header !== null) return;
  throw new CliError('validation', `${file} is empty`, {
    code: 'invalid_request',
    hint: 'Its first line must hold the column names.',
  });
}

async function* csvLines(chunks: AsyncIterable<string>, file: string): AsyncGenerator<CsvRow> {
  try {
    yield* readCsv(chunks);
  } catch (error) {
    if (!(error instanceof CsvFault)) throw error;
    throw new CliError('validation', `${file}, line ${error.line}: field ${error.column} ${error.message}`, {
      code: 'invalid_request',
      hint: 'A field that holds quotes, separators or line breaks stands in quotes, and its own quotes are doubled.',
    });
  }
}

function assertColumns(header: ReadonlyMap<string, number>, file: string, columns: LabelColumns): void {
  const { subject, values, revision, at } = columns;
  const wanted = [subject.column, ...values.map((value) => value.column), revision, at].filter((name) => name !== null);
  const missing = wanted.filter((name) => !header.has(name));
  if (missing.length === 0) return;
  const names = [...header.keys()];
  const near = closestWord(missing[0]!, names);
  throw new CliError('validation', `${file}, line 1: there is no column ${missing.join(', ')}`, {
    code: 'invalid_request',
    fields: missing.map((name) => ({ pointer: `line 1, ${name}`, message: 'is no column of the file' })),
    hint: `${near ? `Did you mean ${near}? ` : ''}Its columns are ${names.slice(0, 20).join(', ')}.`,
  });
}

async function* jsonRows(chunks: AsyncIterable<string>, file: string): AsyncGenerator<Row> {
  let rest = '';
  let line = 0;
  const rowOf = (text: string): Row | null => {
    line += 1;
    if (text.trim() === '') return null;
    const object = parseLine(text, file, line);
    const cells: Cells = (column) => {
      const value = Object.hasOwn(object, column) ? object[column] : undefined;
      return value === null || value === '' ? undefined : value;
    };
    return { cells, line };
  };
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const text of lines) {
      const row = rowOf(text);
      if (row !== null) yield row;
    }
  }
  const last = rowOf(rest);
  if (last !== null) yield last;
}

function parseLine(text: string, file: string, line: number): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new CliError('validation', `${file}, line ${line}: is no JSON object`, {
    code: 'invalid_request',
    hint: 'Each line must hold one object, such as {"prediction_id": "…", "truth": 1}.',
  });
}
