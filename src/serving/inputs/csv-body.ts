/** A CSV body as tensors: one row a prediction, cells read by the signature. Every fault is told with its line and column. */
import { isUtf8 } from 'node:buffer';
import { closestWord } from '../../base/closest-word.ts';
import { CsvFault, type CsvRow, createCsvScanner } from '../../base/csv.ts';
import { CELL_RULES, INVALID_CELL, readCell } from '../../base/csv-cell.ts';
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { type InputTarget, invalidInput } from '../tensors/input-check.ts';
import { FP32_LIMIT, readElements } from '../tensors/json-elements.ts';
import type { PlainInputs } from '../tensors/plain-codec.ts';
import { elementCount } from '../tensors/shape.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import { type InputColumn, type InputColumns, inputColumns } from './input-columns.ts';
import type { MediaType } from './media-type.ts';

/** Longer tables are read row by row, so that their cells are not all in memory at once. */
const PLAIN_CHARS = 1024 * 1024;
/** Rows that room is made for at first. */
const FIRST_ROWS = 64;

/**
 * @param type its parameter `header` says whether the first line holds the column names (`present`, unless told) or values (`absent`): then
 * columns are taken in the order of the signature
 * @throws SlipwayError `unsupported_media`, `invalid_input`
 */
export function readCsvBody(body: Uint8Array, type: MediaType, target: InputTarget): PlainInputs {
  const hasHeader = assessParameters(type);
  const columns = inputColumns(target);
  const faults: FieldError[] = [];
  if (!isUtf8(body)) throw invalidInput(target, [{ pointer: '', message: 'is not valid UTF-8' }]);
  const text = Buffer.from(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength).toString();
  const plain = hasHeader || text.length > PLAIN_CHARS ? null : readPlainTable(text, target);
  if (plain !== null) return plain;
  try {
    return readTable(text, hasHeader, columns, target, faults);
  } catch (error) {
    if (!(error instanceof CsvFault)) throw error;
    const message = `is not CSV: field ${error.column} of line ${error.line} ${error.message}`;
    throw invalidInput(
      target,
      [...faults, { pointer: '', message }],
      'A field with quotes, separators or line breaks stands in quotes, and its own quotes are doubled.',
    );
  }
}

function assessParameters({ parameters }: MediaType): boolean {
  const charset = parameters.get('charset')?.toLowerCase();
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'us-ascii') {
    throw new SlipwayError('unsupported_media', `The body has the charset ${JSON.stringify(charset)}`, {
      hint: 'Send it as UTF-8.',
    });
  }
  const header = parameters.get('header')?.toLowerCase() ?? 'present';
  if (header === 'present') return true;
  if (header === 'absent') return false;
  throw new SlipwayError('unsupported_media', `The body says header=${JSON.stringify(header)}`, {
    hint: 'Send Content-Type: text/csv for a table whose first line holds the column names, text/csv; header=absent for one without.',
  });
}

/**
 * Lines of nothing but numbers for one FP32 input, which are most of what comes without names. Null sends anything else, and whatever is wrong, to the careful way.
 */
function readPlainTable(text: string, { signature }: InputTarget): PlainInputs | null {
  const [spec, other] = signature.inputs;
  if (other !== undefined || spec?.datatype !== 'FP32' || spec.shape[0] === 1 || text.includes('"')) return null;
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const width = elementCount(spec.shape.slice(1))!;
  const data = new Float32Array(lines.length * width);
  for (let row = 0, place = 0; row < lines.length; row++) {
    const line = lines[row]!;
    const cells = (line.endsWith('\r') ? line.slice(0, -1) : line).split(',');
    if (cells.length !== width) return null;
    for (let at = 0; at < width; at++, place++) {
      const value = readCell(cells[at]!, 'float');
      if (typeof value !== 'number' || !(Math.abs(value) < FP32_LIMIT)) return null;
      data[place] = value;
    }
  }
  if (lines.length === 0) return null;
  const shape = [lines.length, ...spec.shape.slice(1)];
  return { inputs: [{ name: spec.name, datatype: 'FP32', shape, data }], rows: lines.length };
}

/** Where the values of one input gather. */
type Gathered = { readonly spec: TensorSpec; readonly width: number; floats: Float32Array | null; values: unknown[] };

function readTable(
  text: string,
  hasHeader: boolean,
  columns: InputColumns,
  target: InputTarget,
  faults: FieldError[],
): PlainInputs {
  const { inputs } = target.signature;
  // Without names a separator could only be guessed from values.
  const rows = createCsvScanner(hasHeader ? null : ',').scan(text, true);
  let fields: readonly InputColumn[] | null = null;
  let gathered: readonly (Gathered | null)[] = [];
  const lines: number[] = [];
  let nextLine = 1;
  for (const row of rows) {
    if (fields === null) {
      fields = hasHeader ? namedFields(row, columns, target) : fieldsInOrder(row, columns, target);
      gathered = gather(fields, columns, inputs);
      nextLine = row.nextLine;
      if (hasHeader) continue;
    }
    // A blank line of a table of one column might be a missing value or nothing.
    if (fields.length === 1 && row.line !== nextLine && lines.length > 0) {
      faults.push({
        pointer: '',
        message: `has a blank line ${nextLine}; a missing value in a table of one column is written NaN or ""`,
      });
    }
    nextLine = row.nextLine;
    if (row.fields.length !== fields.length) {
      const message = `has ${row.fields.length} fields in line ${row.line}, but ${fields.length} columns`;
      faults.push({ pointer: '', message });
    } else readRow(row, fields, gathered, lines.length, faults);
    lines.push(row.line);
    if (faults.length >= MAX_FIELD_ERRORS) break;
  }
  if (lines.length === 0 && faults.length === 0) {
    faults.push({ pointer: '', message: hasHeader ? 'has no rows below its line of column names' : 'has no rows' });
  }
  if (lines.length > 1 && inputs.some((spec) => spec.shape[0] === 1)) {
    faults.push({ pointer: '', message: 'must have exactly one row: this model computes one at a time' });
  }
  if (faults.length > 0) throw invalidInput(target, faults, hasHeader ? undefined : HEADER_ABSENT_HINT);
  const tensors = gathered.flatMap((one, input): Tensor[] => {
    if (one === null) return [];
    const places = fields!.filter((field) => field.input === input);
    const data = elementsOf(one, places, fields!, lines, faults);
    if (data === null) return [];
    const { name, datatype, shape } = one.spec;
    return [{ name, datatype, shape: [lines.length, ...shape.slice(1)], data }];
  });
  if (faults.length > 0) throw invalidInput(target, faults);
  return { inputs: tensors, rows: lines.length };
}

const HEADER_ABSENT_HINT =
  'With header=absent the first line holds values, in the order of the signature. Leave the parameter out if it holds names.';

/** What each field of a row is, by the names in the first line. */
function namedFields(row: CsvRow, columns: InputColumns, target: InputTarget): readonly InputColumn[] {
  const { inputs } = target.signature;
  const faults: FieldError[] = [];
  const given = new Set<string>();
  const fields: InputColumn[] = [];
  const names = columns.all.map((column) => column.name);
  for (const [at, raw] of row.fields.entries()) {
    const name = raw.trim();
    const column = columns.byName.get(name);
    const pointer = pointerOf([name.slice(0, 100)]);
    const where = `at line ${row.line}, column ${at + 1}`;
    if (column === undefined) {
      const near = faults.length < MAX_FIELD_ERRORS ? closestWord(name.slice(0, 100), names) : null;
      faults.push({
        pointer,
        message: `${where} is not a column of this model${near === null ? '' : `; did you mean ${near}?`}`,
      });
    } else if (given.has(name)) faults.push({ pointer, message: `${where} stands twice in the header` });
    else fields.push(column);
    given.add(name);
  }
  const used = new Set(fields.map((field) => field.input));
  for (const column of columns.all) {
    const spec = inputs[column.input]!;
    if (given.has(column.name) || (spec.optional && !used.has(column.input))) continue;
    faults.push({ pointer: pointerOf([column.name]), message: `is missing from the header (${spec.datatype})` });
  }
  if (faults.length === 0) return fields;
  const shown = names.slice(0, 20).join(', ');
  const takes = `This model takes the columns ${shown}${names.length > 20 ? `, … ${names.length} in all` : ''}.`;
  const allUnknown = fields.length === 0 && row.fields.length === columns.all.length;
  throw invalidInput(
    target,
    faults,
    allUnknown ? `${takes} A table without a line of names is sent as text/csv; header=absent.` : takes,
  );
}

/** All columns, or those of the inputs that are not optional, in the order of the signature. */
function fieldsInOrder(row: CsvRow, columns: InputColumns, target: InputTarget): readonly InputColumn[] {
  const { inputs } = target.signature;
  const needed = columns.all.filter((column) => inputs[column.input]!.optional !== true);
  const found = row.fields.length;
  if (found === columns.all.length) return columns.all;
  if (found === needed.length) return needed;
  const wanted =
    needed.length === columns.all.length ? `${needed.length}` : `${needed.length} or ${columns.all.length}`;
  const message = `has ${found} fields in line ${row.line}, but this model takes ${wanted} columns`;
  throw invalidInput(target, [{ pointer: '', message }], HEADER_ABSENT_HINT);
}

function gather(
  fields: readonly InputColumn[],
  { widths }: InputColumns,
  inputs: readonly TensorSpec[],
): readonly (Gathered | null)[] {
  return inputs.map((spec, input) => {
    if (!fields.some((field) => field.input === input)) return null;
    const width = widths[input]!;
    const floats = spec.datatype === 'FP32' ? new Float32Array(width * FIRST_ROWS) : null;
    return { spec, width, floats, values: [] };
  });
}

function readRow(
  { fields: cells, line }: CsvRow,
  fields: readonly InputColumn[],
  gathered: readonly (Gathered | null)[],
  row: number,
  faults: FieldError[],
): void {
  for (let at = 0; at < fields.length; at++) {
    const { kind, input, offset, name } = fields[at]!;
    const value = readCell(cells[at]!, kind);
    if (value === INVALID_CELL) {
      const blank = cells[at]!.trim() === '' ? `is blank and ` : '';
      faults.push(faultAt(name, line, at, `${blank}must be ${CELL_RULES[kind]}`));
      if (faults.length >= MAX_FIELD_ERRORS) return;
      continue;
    }
    const target = gathered[input]!;
    const place = row * target.width + offset;
    if (target.floats === null) target.values[place] = value;
    else {
      const number = value as number;
      if (place >= target.floats.length) target.floats = grown(target.floats);
      target.floats[place] = number;
      if (Math.abs(number) >= FP32_LIMIT && Number.isFinite(number)) {
        faults.push(faultAt(name, line, at, 'is too large for FP32'));
      }
    }
  }
}

function grown(floats: Float32Array): Float32Array {
  const larger = new Float32Array(floats.length * 2);
  larger.set(floats);
  return larger;
}

function elementsOf(
  { spec, width, floats, values }: Gathered,
  places: readonly InputColumn[],
  fields: readonly InputColumn[],
  lines: readonly number[],
  faults: FieldError[],
): NumericData | readonly string[] | null {
  const count = lines.length * width;
  if (floats !== null) return floats.length === count ? floats : floats.slice(0, count);
  const mine: FieldError[] = [];
  const data = readElements(spec.datatype, [count], count, values, '', mine);
  for (const { pointer, message } of mine) {
    const at = Number(pointer.slice(1));
    const field = places.find((one) => one.offset === at % width)!;
    faults.push(faultAt(field.name, lines[Math.floor(at / width)]!, fields.indexOf(field), message));
  }
  return data;
}

/** @param at place of the field in its row, from 0 */
function faultAt(name: string, line: number, at: number, message: string): FieldError {
  return { pointer: pointerOf([name]), message: `at line ${line}, column ${at + 1} ${message}` };
}
