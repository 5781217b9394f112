/** The reference set of a version: rows that its predictions will be compared with, as CSV, with a column for each input and output that it knows of. */
import { createReadStream } from 'node:fs';
import { CsvFault, type CsvRow, readCsv } from '../../base/csv.ts';
import { CELL_RULES, type CellKind, INVALID_CELL, readCell } from '../../base/csv-cell.ts';
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../signature.ts';
import { columnsOfSignature, type SignatureColumn } from '../signature-columns.ts';
import type { StoredFile } from '../validation.ts';
import { faulty } from './file-fault.ts';

export const MAX_REFERENCE_BYTES = 256 * 1024 * 1024;

export type ReferenceValue = number | string | boolean;
export type Reference = {
  /** What it has values of, in the order of the file. */
  readonly columns: readonly SignatureColumn[];
  /** Columns of the file that are neither inputs nor outputs, such as the label. */
  readonly unused: readonly string[];
};

/**
 * Reads a reference set.
 * @param take gets every row, in the order of `columns`; undefined where a cell is blank: there is no value
 * @throws SlipwayError `model_invalid` with line and column of every fault
 */
export async function readReference(
  file: StoredFile,
  signature: Signature,
  take: (values: readonly (ReferenceValue | undefined)[], columns: readonly SignatureColumn[]) => void,
): Promise<Reference & { readonly rows: number }> {
  if (!/\.csv$/i.test(file.path))
    throw faulty(file.path, [
      { pointer: '', message: 'a reference set is a .csv file with column names in its first line' },
    ]);
  if (file.sizeBytes > MAX_REFERENCE_BYTES) {
    throw new SlipwayError('model_invalid', `${file.path} is larger than ${MAX_REFERENCE_BYTES / 1024 / 1024} MiB`, {
      hint: 'A sample of some ten thousand rows is a good reference.',
    });
  }
  let header: Header | null = null;
  let rows = 0;
  const faults: FieldError[] = [];
  for await (const row of rowsOf(file)) {
    if (header === null) {
      header = headerOf(row, file, signature);
      continue;
    }
    const { cells, width, columns } = header;
    if (row.fields.length !== width) {
      const message = `has ${row.fields.length} fields, but the header ${width}`;
      throw faulty(file.path, [{ pointer: `line ${row.line}`, message }]);
    }
    const values = cells.map(({ at, name, kind }): ReferenceValue | undefined => {
      const text = row.fields[at]!;
      if (text.trim() === '') return undefined;
      const value = readCell(text, kind);
      if (value === INVALID_CELL) {
        faults.push({ pointer: `line ${row.line}, ${name}`, message: `is not ${CELL_RULES[kind]}` });
        return undefined;
      }
      return typeof value === 'bigint' ? Number(value) : value;
    });
    if (faults.length >= MAX_FIELD_ERRORS) break;
    take(values, columns);
    rows += 1;
  }
  if (faults.length > 0) throw faulty(file.path, faults);
  if (header === null || rows === 0) throw faulty(file.path, [{ pointer: '', message: 'has no rows' }]);
  return { columns: header.columns, unused: header.unused, rows };
}

type Header = Reference & {
  readonly width: number;
  readonly cells: readonly { readonly at: number; readonly name: string; readonly kind: CellKind }[];
};

function headerOf(row: CsvRow, file: StoredFile, signature: Signature): Header {
  const known = columnsOfSignature(signature).columns;
  const header = row.fields.map((name) => name.trim());
  const twice = header.find((name, at) => header.indexOf(name) !== at);
  if (twice !== undefined) throw faulty(file.path, [{ pointer: `line 1, ${twice}`, message: 'stands there twice' }]);
  const found = header.flatMap((name, at) => {
    const column = columnNamed(name, known);
    return column === null || column.kind === 'vector' ? [] : [{ at, name, column, kind: kindOf(column) }];
  });
  if (found.length === 0) {
    const names = known.slice(0, 10).map((column) => column.name.replace(/^input\./, ''));
    const message = `names no input or output; the model has ${names.join(', ')}${known.length > 10 ? ', …' : ''}`;
    throw faulty(file.path, [{ pointer: 'line 1', message }]);
  }
  return {
    width: header.length,
    cells: found,
    columns: found.map(({ column }) => column),
    unused: header.filter((_name, at) => !found.some((one) => one.at === at)),
  };
}

/** By its whole name, or that without its side: then inputs come first. */
function columnNamed(name: string, known: readonly SignatureColumn[]): SignatureColumn | null {
  for (const whole of [name, `input.${name}`, `output.${name}`]) {
    const column = known.find((one) => one.name === whole);
    if (column !== undefined) return column;
  }
  return null;
}

function kindOf({ kind }: SignatureColumn): CellKind {
  return kind === 'text' || kind === 'boolean' ? kind : 'float';
}

async function* rowsOf(file: StoredFile): AsyncGenerator<CsvRow> {
  try {
    yield* readCsv(createReadStream(file.blobPath, { encoding: 'utf8' }));
  } catch (error) {
    if (!(error instanceof CsvFault)) throw error;
    throw faulty(file.path, [{ pointer: `line ${error.line}`, message: `field ${error.column} ${error.message}` }]);
  }
}
