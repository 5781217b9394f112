import type { Datatype, Signature } from '../../sdk/src/types.ts';
import { CsvFault, type CsvRow, readCsv } from '../base/csv.ts';
import { CELL_RULES, type CellValue, cellKindOf, INVALID_CELL, readCell } from '../base/csv-cell.ts';
import { MAX_FIELD_ERRORS } from '../base/errors.ts';
import { CliError } from './cli-error.ts';
import { featuresAdvice, namesText, positionalInput } from './positional.ts';
import type { PredictRecord, Row } from './records.ts';
import { count } from './terminal.ts';

export type CsvOptions = {
  /** Its name, for messages. */
  readonly file: string;
  readonly ignoreUnknown: boolean;
  /** Told when columns are taken by their order. */
  readonly note: (text: string) => void;
};

/** One column of the file: what it is to the model, and where its value goes. */
type Cell = { readonly at: number; readonly name: string; readonly type: Datatype };

type Fault = { pointer: string; message: string };

/**
 * Records of a CSV file, each cell read by the type that the signature gives its column. A blank cell of a floating-point column, and what
 * pandas and R write for one, is missing: NaN. All faults are reported together, with their lines.
 */
export async function* readCsvRecords(
  chunks: AsyncIterable<string>,
  signature: Signature,
  options: CsvOptions,
): AsyncGenerator<Row> {
  const faults: Fault[] = [];
  let header: readonly string[] | null = null;
  let cells: readonly Cell[] = [];
  let inOrder: string | null = null;
  for await (const row of rowsOf(chunks, options.file)) {
    if (header === null) {
      header = row.fields.map((name) => name.trim());
      inOrder = takenInOrder(header, signature, options);
      const type = signature.inputs[0]?.datatype ?? 'FP32';
      cells =
        inOrder === null
          ? namedCells(header, signature, options)
          : header.map((name, at): Cell => ({ at, name, type }));
      continue;
    }
    if (row.fields.length !== header.length) {
      faults.push({
        pointer: `line ${row.line}`,
        message: `${count(row.fields.length, 'field')}, but the header has ${header.length}`,
      });
    }
    const values = readCells(row.fields, cells, row.line, faults);
    if (faults.length >= MAX_FIELD_ERRORS) break;
    if (faults.length > 0) continue;
    const record: PredictRecord =
      inOrder === null ? Object.fromEntries(cells.map(({ name }, at) => [name, values[at]])) : { [inOrder]: values };
    yield { record, line: row.line };
  }
  if (header === null) {
    throw new CliError('validation', `${options.file} is empty`, {
      code: 'invalid_input',
      hint: 'Its first line must hold the column names, each further line one row.',
    });
  }
  if (faults.length === 0) return;
  throw new CliError(
    'validation',
    `${faults.length >= MAX_FIELD_ERRORS ? 'At least ' : ''}${count(faults.length, 'cell')} of ${options.file} ${faults.length === 1 ? 'does' : 'do'} not fit the model`,
    { code: 'invalid_input', fields: faults, hint: 'Mend these lines of the file, then repeat the command.' },
  );
}

async function* rowsOf(chunks: AsyncIterable<string>, file: string): AsyncGenerator<CsvRow> {
  try {
    yield* readCsv(chunks);
  } catch (error) {
    if (!(error instanceof CsvFault)) throw error;
    throw new CliError('validation', `${file}, line ${error.line}: field ${error.column} ${error.message}`, {
      code: 'invalid_input',
      hint: 'A field that holds quotes, separators or line breaks stands in quotes, and its own quotes are doubled.',
    });
  }
}

function readCells(fields: readonly string[], cells: readonly Cell[], line: number, faults: Fault[]): unknown[] {
  const values: unknown[] = [];
  for (const { at, name, type } of cells) {
    const text = fields[at];
    if (text === undefined) continue; // told as a row of too few fields
    const kind = cellKindOf(type);
    const value = readCell(text, kind);
    if (value !== INVALID_CELL) values.push(asJson(value));
    else {
      const wanted = CELL_RULES[kind];
      const said = text.trim() === '' ? `is blank; it must be ${wanted}` : `${JSON.stringify(text)} is not ${wanted}`;
      faults.push({ pointer: `line ${line}, ${name}`, message: said });
    }
  }
  return values;
}

/** What a column of a table means to a model, by column name. */
function columnTypes(signature: Signature): Map<string, { type: Datatype; optional: boolean }> {
  const types = new Map<string, { type: Datatype; optional: boolean }>();
  for (const input of signature.inputs) {
    const column = { type: input.datatype, optional: input.optional === true };
    for (const name of input.features ?? [input.name]) types.set(name, column);
  }
  return types;
}

/** The name of the input that the columns fill in their order, when none of them is named by the model; else null. */
function takenInOrder(header: readonly string[], signature: Signature, options: CsvOptions): string | null {
  const positional = positionalInput(signature);
  if (positional === null || header.includes(positional.spec.name)) return null;
  const { spec, columns } = positional;
  const advice = `or ${featuresAdvice(spec)}`;
  if (header.length !== columns) {
    const many =
      header.length > columns ? 'leave only those in the file (pandas: `to_csv(path, index=False)`)' : 'add the others';
    throw new CliError(
      'validation',
      `${options.file} has ${count(header.length, 'column')} (${namesText(header)}), but the model takes one input ${spec.name} of ${columns} columns without names`,
      {
        code: 'invalid_input',
        hint: `The file needs exactly ${columns} columns in the order of the training: ${many}, ${advice}.`,
      },
    );
  }
  if (isFirstRow(header)) {
    throw new CliError('validation', `The first line of ${options.file} holds values instead of column names`, {
      code: 'invalid_input',
      hint: `Put a line with ${columns} column names before it: any names, because the model has none.`,
    });
  }
  options.note(
    `The model does not name the columns of ${spec.name}: taken in the order of the file, ${namesText(header)}. To have them checked by name, ${featuresAdvice(spec)}.`,
  );
  return spec.name;
}

/** Numbers only, but not the 0, 1, 2 … that pandas calls columns without names. */
function isFirstRow(header: readonly string[]): boolean {
  return header.every((name) => NUMBER.test(name)) && !header.every((name, at) => name === String(at));
}

function namedCells(header: readonly string[], signature: Signature, options: CsvOptions): Cell[] {
  const types = columnTypes(signature);
  const unknown = header.filter((name) => !types.has(name));
  const missing = [...types]
    .filter(([name, { optional }]) => !optional && !header.includes(name))
    .map(([name]) => name);
  const takes = `The model takes: ${namesText([...types.keys()])}.`;
  if (unknown.length === header.length) {
    throw new CliError(
      'validation',
      `The first line of ${options.file} names none of the model's inputs: ${namesText(header)}`,
      {
        code: 'invalid_input',
        hint: `The first line must hold the column names. ${takes}`,
      },
    );
  }
  if (missing.length > 0) {
    const others =
      unknown.length === 0
        ? ''
        : ` If ${unknown.length === 1 ? 'it has' : 'they have'} another name there (the model does not know ${namesText(unknown)}), rename in the first line.`;
    throw new CliError('validation', `${options.file} has no column ${namesText(missing)}, which the model needs`, {
      code: 'invalid_input',
      hint: `Add ${missing.length === 1 ? 'this column' : 'these columns'}.${others} ${takes}`,
    });
  }
  if (unknown.length > 0 && !options.ignoreUnknown) {
    throw new CliError('validation', `The model has no input named ${namesText(unknown)}`, {
      code: 'invalid_input',
      hint: 'Add --ignore-columns to leave such columns out.',
    });
  }
  return header.flatMap((name, at) => {
    const column = types.get(name);
    return column === undefined ? [] : [{ at, name, type: column.type }];
  });
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** JSON has no NaN and no infinities; the server reads these strings. */
function asJson(value: CellValue): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}
