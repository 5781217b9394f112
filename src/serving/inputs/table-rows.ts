/** Rows of a table that came as JSON values, such as a data frame, as tensors: columns go where the signature has them. */
import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { type InputTarget, invalidInput, shapeText } from '../tensors/input-check.ts';
import { FP32_LIMIT, kindOf, readElements } from '../tensors/json-elements.ts';
import { type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import { type InputColumn, type InputColumns, inputColumns } from './input-columns.ts';

export type TableRows = {
  /** Null where columns have no names: then they are in the order of the signature. */
  readonly names: readonly (string | number)[] | null;
  readonly rows: readonly (readonly unknown[])[];
  readonly pointerOfNames: string;
  readonly pointerOfRow: (row: number) => string;
  /** The pointer to a value, where that is not the row's and the column's number. */
  readonly pointerOfCell?: (row: number, column: number) => string;
};

/**
 * A null stands for a missing number, as data frames are written, where the datatype has NaN. Names that are the columns' numbers, and names of a
 * model that names no columns, do not count: such columns are taken in their order.
 * @throws SlipwayError `invalid_input` with every fault and its pointer, at most 50
 */
export function readTableRows(table: TableRows, target: InputTarget): PlainInputs {
  const { inputs } = target.signature;
  const { rows } = table;
  if (rows.length === 0) throw invalidInput(target, [{ pointer: table.pointerOfRow(0), message: 'has no rows' }]);
  if (holdsInputs(table, inputs)) return readWholeInputs(table, target);
  const columns = inputColumns(target);
  const faults: FieldError[] = [];
  const fields = fieldsOf(table, columns, target, faults);
  if (fields === null) throw invalidInput(target, faults, columnsHint(columns));
  for (let row = 0; row < rows.length && faults.length < MAX_FIELD_ERRORS; row++) {
    const { length } = rows[row]!;
    if (length === fields.length) continue;
    faults.push({ pointer: table.pointerOfRow(row), message: `has ${length} values, but ${fields.length} columns` });
  }
  if (rows.length > 1 && inputs.some((spec) => spec.shape[0] === 1)) {
    faults.push({ pointer: table.pointerOfRow(1), message: 'is a second row: this model computes one at a time' });
  }
  if (faults.length > 0) throw invalidInput(target, faults);
  const tensors: Tensor[] = [];
  for (const [input, spec] of inputs.entries()) {
    const places = placesOf(fields, input, columns.widths[input]!);
    if (places === null) continue;
    const data = readColumns(spec, places, table, faults);
    if (data !== null)
      tensors.push({ name: spec.name, datatype: spec.datatype, shape: [rows.length, ...spec.shape.slice(1)], data });
  }
  if (faults.length > 0) throw invalidInput(target, faults);
  return { inputs: tensors, rows: rows.length };
}

/** Whether columns are whole inputs whose values are lists, or files. */
function holdsInputs({ names, rows }: TableRows, inputs: readonly TensorSpec[]): boolean {
  if (names === null) return false;
  return rows[0]!.some(
    (value, at) => typeof value === 'object' && value !== null && inputs.some(({ name }) => name === names[at]),
  );
}

function readWholeInputs(table: TableRows, target: InputTarget): PlainInputs {
  const names = table.names!.map(String);
  const records = table.rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at]])));
  return readPlainBody(target, { records });
}

function fieldsOf(
  table: TableRows,
  columns: InputColumns,
  target: InputTarget,
  faults: FieldError[],
): readonly InputColumn[] | null {
  const { names, rows } = table;
  const { inputs } = target.signature;
  if (names === null || countsOnly(names) || namesNothing(names, columns, inputs)) {
    const width = names?.length ?? rows[0]!.length;
    const needed = columns.all.filter((column) => inputs[column.input]!.optional !== true);
    if (width === columns.all.length) return columns.all;
    if (width === needed.length) return needed;
    const wanted =
      needed.length === columns.all.length ? `${needed.length}` : `${needed.length} or ${columns.all.length}`;
    const pointer = names === null ? table.pointerOfRow(0) : table.pointerOfNames;
    faults.push({ pointer, message: `has ${width} columns, but this model takes ${wanted}` });
    return null;
  }
  const known = columns.all.map((column) => column.name);
  const given = new Set<string>();
  const fields: InputColumn[] = [];
  for (const [at, raw] of names.entries()) {
    const name = String(raw);
    const column = columns.byName.get(name);
    const pointer = `${table.pointerOfNames}/${at}`;
    if (faults.length >= MAX_FIELD_ERRORS) break;
    if (column === undefined) {
      const near = closestWord(name.slice(0, 100), known);
      const shown = JSON.stringify(name.slice(0, 80));
      faults.push({
        pointer,
        message: `${shown} is not a column of this model${near === null ? '' : `; did you mean ${near}?`}`,
      });
    } else if (given.has(name)) faults.push({ pointer, message: `${name} stands twice` });
    else fields.push(column);
    given.add(name);
  }
  const used = new Set(fields.map((field) => field.input));
  for (const column of columns.all) {
    const spec = inputs[column.input]!;
    if (given.has(column.name) || (spec.optional && !used.has(column.input)) || faults.length >= MAX_FIELD_ERRORS)
      continue;
    faults.push({ pointer: table.pointerOfNames, message: `lacks ${column.name} (${shapeText(spec)})` });
  }
  return faults.length > 0 ? null : fields;
}

/** As pandas names the columns of a frame that has none. */
function countsOnly(names: readonly (string | number)[]): boolean {
  return names.every((name, at) => name === at || name === `${at}`);
}

/** Whether the model cannot know better than the order: it names no columns, and the caller's are no names of its own. */
function namesNothing(
  names: readonly (string | number)[],
  columns: InputColumns,
  inputs: readonly TensorSpec[],
): boolean {
  const needed = inputs.filter((spec) => spec.optional !== true);
  return (
    needed.length === 1 &&
    needed[0]!.features === undefined &&
    columns.widths[inputs.indexOf(needed[0]!)]! > 1 &&
    !names.some((name) => columns.byName.has(String(name)))
  );
}

function columnsHint({ all }: InputColumns): string {
  const shown = all.slice(0, 20).map((column) => column.name);
  return `This model takes the columns ${shown.join(', ')}${all.length > 20 ? `, … ${all.length} in all` : ''}.`;
}

/** For each value in a row of an input, the column that holds it; null for an input that is not given. */
function placesOf(fields: readonly InputColumn[], input: number, width: number): Int32Array | null {
  let found = false;
  const places = new Int32Array(width);
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at]!;
    if (field.input !== input) continue;
    places[field.offset] = at;
    found = true;
  }
  return found ? places : null;
}

function readColumns(
  spec: TensorSpec,
  places: Int32Array,
  table: TableRows,
  faults: FieldError[],
): NumericData | readonly string[] | null {
  if (spec.datatype === 'FP32') {
    const fast = readSingles(places, table.rows);
    if (fast !== null) return fast;
  }
  const { rows } = table;
  const before = faults.length;
  const width = places.length;
  const hasNaN = /^(FP|BF)/.test(spec.datatype);
  const values = new Array<unknown>(rows.length * width);
  for (let row = 0, at = 0; row < rows.length; row++) {
    const cells = rows[row]!;
    for (let offset = 0; offset < width; offset++, at++) {
      const value = cells[places[offset]!];
      if (Array.isArray(value)) {
        faults.push({
          pointer: cellPointer(table, row, places[offset]!),
          message: `must be one value, not ${kindOf(value)}`,
        });
        if (faults.length >= MAX_FIELD_ERRORS) return null;
      }
      values[at] = value === null && hasNaN ? Number.NaN : value;
    }
  }
  if (faults.length > before) return null;
  const mine: FieldError[] = [];
  const data = readElements(spec.datatype, [values.length], values.length, values, '', mine);
  for (const { pointer, message } of mine) {
    const at = Number(pointer.slice(1));
    faults.push({ pointer: cellPointer(table, Math.floor(at / width), places[at % width]!), message });
  }
  return data;
}

/** The usual table: numbers only. Null sends anything else to the careful way. */
function readSingles(places: Int32Array, rows: TableRows['rows']): Float32Array | null {
  const width = places.length;
  const data = new Float32Array(rows.length * width);
  for (let row = 0, at = 0; row < rows.length; row++) {
    const cells = rows[row]!;
    for (let offset = 0; offset < width; offset++, at++) {
      const value = cells[places[offset]!];
      if (typeof value !== 'number' || value >= FP32_LIMIT || value <= -FP32_LIMIT) return null;
      data[at] = value;
    }
  }
  return data;
}

function cellPointer(table: TableRows, row: number, column: number): string {
  return table.pointerOfCell?.(row, column) ?? `${table.pointerOfRow(row)}/${column}`;
}
