/** Rows of a file of labels: CSV, JSON lines or Parquet, by the ending of its name. */
import { createReadStream } from 'node:fs';
import { closestWord } from '../base/closest-word.ts';
import { CsvFault, type CsvRow, readCsv } from '../base/csv.ts';
import { CliError } from './cli-error.ts';
import { count } from './terminal.ts';

/** The cell of a column, undefined when it is blank or missing: its text in CSV, in the others any value that JSON has. */
export type Cells = (column: string) => unknown;

export type LabelRow = {
  readonly cells: Cells;
  /** Where it stands, for messages: `line 3` of a text, `row 3` of a table. */
  readonly place: string;
  /** Whether its texts are texts; in a CSV everything is one. */
  readonly isTyped: boolean;
};

/**
 * @param columns that the file must have
 * @throws CliError for a file that cannot be read, or has other columns
 */
export function labelRows(file: string, columns: readonly string[]): AsyncGenerator<LabelRow> {
  const ending = /\.(\w+)$/.exec(file)?.[1]?.toLowerCase();
  if (ending === 'parquet') return parquetRows(file, columns);
  const chunks = createReadStream(file, { encoding: 'utf8' });
  return ending === 'ndjson' || ending === 'jsonl' ? jsonRows(chunks, file) : csvRows(chunks, file, columns);
}

export async function* csvRows(
  chunks: AsyncIterable<string>,
  file: string,
  columns: readonly string[],
): AsyncGenerator<LabelRow> {
  let header: Map<string, number> | null = null;
  let width = 0;
  for await (const row of csvLines(chunks, file)) {
    if (header === null) {
      width = row.fields.length;
      header = new Map(row.fields.map((name, at) => [name.trim(), at]));
      assertColumns([...header.keys()], columns, file, 'line 1');
      continue;
    }
    const place = `line ${row.line}`;
    if (row.fields.length !== width) {
      throw new CliError(
        'validation',
        `${file}, ${place}: ${count(row.fields.length, 'field')}, but the header has ${width}`,
        { code: 'invalid_request', hint: 'Is a separator missing, or a quote?' },
      );
    }
    const places = header;
    const cells: Cells = (column) => {
      const text = row.fields[places.get(column)!];
      return text === undefined || text.trim() === '' ? undefined : text;
    };
    yield { cells, place, isTyped: false };
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

export async function* jsonRows(chunks: AsyncIterable<string>, file: string): AsyncGenerator<LabelRow> {
  let rest = '';
  let line = 0;
  const rowOf = (text: string): LabelRow | null => {
    line += 1;
    if (text.trim() === '') return null;
    const object = parseLine(text, file, line);
    const cells: Cells = (column) => {
      const value = Object.hasOwn(object, column) ? object[column] : undefined;
      return value === null || value === '' ? undefined : value;
    };
    return { cells, place: `line ${line}`, isTyped: true };
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

export async function* parquetRows(file: string, columns: readonly string[]): AsyncGenerator<LabelRow> {
  const { openParquet } = await import('./parquet-rows.ts');
  const table = await openParquet(file);
  try {
    assertColumns([...table.columns.keys()], columns, file, 'the schema');
    for (const name of columns) {
      const type = table.columns.get(name)!;
      if (/BLOB|BIT|INTERVAL|GEOMETRY/.test(type)) {
        throw new CliError('validation', `${file}: column ${name} is of the type ${type}, which is no label`, {
          code: 'invalid_request',
          fields: [{ pointer: `the schema, ${name}`, message: `is of the type ${type}` }],
          hint: 'Labels are numbers, texts, booleans, or lists and structures of them.',
        });
      }
    }
    let row = 0;
    for await (const values of table.rows(columns)) {
      row += 1;
      const cells: Cells = (column) => {
        const value = plainValue(values[columns.indexOf(column)]);
        // pandas writes what is missing among numbers as NaN.
        return value === null || value === '' || Number.isNaN(value) ? undefined : value;
      };
      yield { cells, place: `row ${row}`, isTyped: true };
    }
  } finally {
    table.close();
  }
}

/** As JSON has it: times are texts, whole numbers beyond 2^53 too. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plainValue(inner)]));
  }
  return value;
}

function assertColumns(names: readonly string[], wanted: readonly string[], file: string, place: string): void {
  const missing = wanted.filter((name) => !names.includes(name));
  if (missing.length === 0) return;
  const near = closestWord(missing[0]!, [...names]);
  throw new CliError('validation', `${file}, ${place}: there is no column ${missing.join(', ')}`, {
    code: 'invalid_request',
    fields: missing.map((name) => ({ pointer: `${place}, ${name}`, message: 'is no column of the file' })),
    hint: `${near ? `Did you mean ${near}? ` : ''}Its columns are ${names.slice(0, 20).join(', ')}.`,
  });
}
