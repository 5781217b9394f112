/**
 * The plain form, the one people type by hand: `{"records":[{feature: value, …}]}` or `{"inputs":{name: value, …}}`. Also what
 * versions keep as sample request and golden cases are written in. Its answers are made in plain-predictions.ts.
 */
import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import { sampleRequestFor } from '../../registry/sample-request.ts';
import { isRowWise, type Signature, type TensorSpec } from '../../registry/signature.ts';
import type { EncodedInput } from './encoded-input.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, rowsOf, shapeText } from './input-check.ts';
import { kindOf, readElements } from './json-elements.ts';
import { givesFiles, readFiles, readWholeFiles } from './plain-files.ts';
import { elementCount } from './shape.ts';
import type { Tensor } from './tensor.ts';

export type PlainInputs = {
  readonly inputs: Tensor[];
  readonly rows: number;
  /** Inputs that came as files and are to be decoded; absent when there are none. */
  readonly encoded?: readonly EncodedInput[];
};

/**
 * Reads a body of either form.
 * @param target a signature with the name to use in messages
 * @throws SlipwayError `invalid_input` with every fault and its pointer, at most 50
 */
export function readPlainBody(target: InputTarget, body: unknown): PlainInputs {
  const faults: FieldError[] = [];
  const encoded: EncodedInput[] = [];
  const inputs = readForm(target.signature, body, encoded, faults);
  if (faults.length === 0 && encoded.length === 0) {
    const pointer = (body as { inputs?: unknown }).inputs === undefined ? '/records' : '/inputs';
    assessSizes(
      target,
      inputs,
      (index) => (pointer === '/inputs' ? pointer + pointerOf([inputs[index]!.name]) : pointer),
      faults,
    );
  }
  if (faults.length > 0) throw invalidInput(target, faults, recordHint(target.signature, body));
  return encoded.length === 0 ? { inputs, rows: rowsOf(inputs) } : { inputs, rows: encoded[0]!.files.length, encoded };
}

const MAX_HINT_CHARS = 1000;

/** What a record has to look like, for bodies whose records name none of an input's parts; and how its columns get names. */
function recordHint(signature: Signature, body: unknown): string | undefined {
  const [first] = isObject(body) && Array.isArray(body['records']) ? (body['records'] as unknown[]) : [];
  if (!isObject(first)) return undefined;
  const isNamed = ({ name, features }: TensorSpec): boolean => Object.hasOwn(first, name) || features !== undefined;
  const unnamed = signature.inputs.find((spec) => !isNamed(spec) && !spec.optional);
  if (unnamed === undefined) return undefined;
  const sample = sampleRequestFor(signature);
  const record = JSON.stringify('records' in sample ? sample.records[0] : sample.inputs);
  const form =
    record.length <= MAX_HINT_CHARS
      ? `A record of this model looks like ${record}.`
      : `A record of this model names ${signature.inputs.map((spec) => spec.name).join(', ')}.`;
  const width = unnamed.shape.length === 2 && isRowWise(signature.inputs) ? unnamed.shape[1]! : 0;
  if (width < 2) return form;
  const where = `signature.inputs.${unnamed.name}.features of slipway.yaml`;
  return `${form} To send its ${width} values by name, list the names in ${where} and deploy it again.`;
}

/** As `readPlainBody`, for callers that know a signature only. */
export function recordsToTensors(signature: Signature, body: unknown): PlainInputs {
  return readPlainBody({ name: 'the request', signature, canBatch: false }, body);
}

/** Keys that an object of a body has at most: as a record of this model has names, with room for mistakes that are told by name. */
export function mostKeysOf({ inputs }: Signature): number {
  let names = 1000;
  for (const { features } of inputs) names += 1 + (features?.length ?? 0);
  return names;
}

const FORMS = 'either "records" (a list of objects) or "inputs" (an object by input name)';

function readForm(signature: Signature, body: unknown, encoded: EncodedInput[], faults: FieldError[]): Tensor[] {
  if (!isObject(body)) {
    faults.push({ pointer: '', message: `must be an object with ${FORMS}` });
    return [];
  }
  const { records, inputs } = body;
  for (const key in body) {
    if (key === 'records' || key === 'inputs') continue;
    faults.push({ pointer: pointerOf([key]), message: `is not known here; a request has ${FORMS}` });
    if (faults.length >= MAX_FIELD_ERRORS) return [];
  }
  if ((records === undefined) === (inputs === undefined)) {
    faults.push({ pointer: '', message: `must have ${FORMS}${records === undefined ? '' : ', not both'}` });
    return [];
  }
  return records === undefined
    ? readInputs(signature, inputs, encoded, faults)
    : readRecords(signature, records, encoded, faults);
}

// ---- {"inputs": {name: value}}

function readInputs(signature: Signature, given: unknown, encoded: EncodedInput[], faults: FieldError[]): Tensor[] {
  if (!isObject(given)) {
    faults.push({ pointer: '/inputs', message: `must be an object by input name, not ${kindOf(given)}` });
    return [];
  }
  const tensors: Tensor[] = [];
  for (const spec of signature.inputs) {
    const pointer = `/inputs${pointerOf([spec.name])}`;
    const value = Object.hasOwn(given, spec.name) ? given[spec.name] : undefined;
    if (value === undefined) {
      if (!spec.optional) faults.push({ pointer, message: `is missing (${shapeText(spec)})` });
      continue;
    }
    if (givesFiles(spec, value)) {
      encoded.push(readWholeFiles(spec, value, pointer, faults));
      continue;
    }
    const tensor = readWhole(spec, value, pointer, faults);
    if (tensor !== null) tensors.push(tensor);
  }
  refuseUnknown(
    given,
    signature.inputs.map((spec) => spec.name),
    '/inputs',
    'an input',
    faults,
  );
  return tensors;
}

/** A whole tensor from nested arrays. A column [N,1] may be given as a flat list. */
function readWhole(spec: TensorSpec, value: unknown, pointer: string, faults: FieldError[]): Tensor | null {
  const shape = shapeOf(value);
  const rank = spec.shape.length;
  if (shape.length === rank - 1 && spec.shape[rank - 1] === 1) shape.push(1);
  const fault = assessShape(spec, shape);
  if (fault !== null) {
    faults.push({ pointer, message: fault });
    return null;
  }
  const count = elementCount(shape)!;
  const data = readElements(spec.datatype, shape, count, value, pointer, faults);
  return data === null ? null : { name: spec.name, datatype: spec.datatype, shape, data };
}

/** The sizes of nested arrays, taken along their first items; that the others agree is checked while reading. */
function shapeOf(value: unknown): number[] {
  const shape: number[] = [];
  for (let at = value; Array.isArray(at); at = at[0]) shape.push(at.length);
  return shape;
}

// ---- {"records": [{…}]}

function readRecords(signature: Signature, records: unknown, encoded: EncodedInput[], faults: FieldError[]): Tensor[] {
  if (!Array.isArray(records)) {
    faults.push({ pointer: '/records', message: `must be a list of objects, not ${kindOf(records)}` });
    return [];
  }
  const rowWise = isRowWise(signature.inputs);
  const most = rowWise && signature.inputs.every((spec) => spec.shape[0] === -1) ? Number.POSITIVE_INFINITY : 1;
  if (records.length === 0 || records.length > most) {
    const rule = most === 1 ? 'exactly one record: this model computes one at a time' : 'at least one record';
    faults.push({ pointer: '/records', message: `must have ${rule}` });
    return [];
  }
  const rows: Record<string, unknown>[] = [];
  const only = signature.inputs.length === 1 ? signature.inputs[0]! : null;
  for (let i = 0; i < records.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const record: unknown = records[i];
    if (isObject(record)) rows.push(record);
    else if (only !== null && Array.isArray(record)) rows.push({ [only.name]: record });
    else faults.push({ pointer: `/records/${i}`, message: `must be an object by feature name, not ${kindOf(record)}` });
  }
  if (faults.length > 0) return [];
  const tensors: Tensor[] = [];
  for (const spec of signature.inputs) {
    if (faults.length >= MAX_FIELD_ERRORS) break;
    if (spec.decoder !== undefined && rows.some((row) => givesFiles(spec, row[spec.name]))) {
      encoded.push(readRecordFiles(spec, rows, rowWise, faults));
      continue;
    }
    const tensor = rowWise ? readColumnInput(spec, rows, faults) : readWholeRecord(spec, rows[0]!, faults);
    if (tensor !== null) tensors.push(tensor);
  }
  const known = new Set(signature.inputs.flatMap((spec) => [spec.name, ...(spec.features ?? [])]));
  const proposals = signature.inputs.flatMap((spec) => spec.features ?? [spec.name]);
  for (let i = 0; i < rows.length && faults.length < MAX_FIELD_ERRORS; i++) {
    refuseUnknown(rows[i]!, proposals, `/records/${i}`, 'a feature', faults, known);
  }
  return tensors;
}

function readRecordFiles(
  spec: TensorSpec,
  rows: readonly Record<string, unknown>[],
  rowWise: boolean,
  faults: FieldError[],
): EncodedInput {
  const name = pointerOf([spec.name]);
  if (!rowWise) return readWholeFiles(spec, rows[0]![spec.name], `/records/0${name}`, faults);
  const values = rows.map((row) => row[spec.name]);
  return readFiles(spec, values, (row) => `/records/${row}${name}`, faults);
}

function readWholeRecord(spec: TensorSpec, record: Record<string, unknown>, faults: FieldError[]): Tensor | null {
  const pointer = `/records/0${pointerOf([spec.name])}`;
  if (!Object.hasOwn(record, spec.name)) {
    if (!spec.optional) faults.push({ pointer, message: `is missing (${shapeText(spec)})` });
    return null;
  }
  return readWhole(spec, record[spec.name], pointer, faults);
}

/** One input from all rows: its features by name, or the value under the input's own name. */
function readColumnInput(
  spec: TensorSpec,
  rows: readonly Record<string, unknown>[],
  faults: FieldError[],
): Tensor | null {
  const { name, features } = spec;
  if (features !== undefined && !(Object.hasOwn(rows[0]!, name) && !features.includes(name))) {
    return readFeatures(spec, features, rows, faults);
  }
  if (spec.optional && rows.every((row) => !Object.hasOwn(row, name))) return null;
  const rowShape = spec.shape.slice(1);
  const isScalar = rowShape.length === 0 || (rowShape.length === 1 && rowShape[0] === 1);
  const before = faults.length;
  const values: unknown[] = [];
  let first: number[] | null = null;
  for (let i = 0; i < rows.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const row = rows[i]!;
    const pointer = `/records/${i}${pointerOf([name])}`;
    if (!Object.hasOwn(row, name)) {
      const some = spec.optional ? '; an optional input is given in all records or in none' : '';
      faults.push({ pointer, message: `is missing (${shapeText(spec)})${some}` });
      continue;
    }
    const value = row[name];
    if (isScalar && !Array.isArray(value)) {
      values.push(value);
      continue;
    }
    const shape = shapeOf(value);
    const fault = assessShape({ ...spec, shape: rowShape, symbols: spec.symbols?.slice(1) ?? [] }, shape);
    if (fault !== null) faults.push({ pointer, message: fault.replace('dimensions,', 'dimensions here, a row of') });
    else if (first !== null && shape.some((size, axis) => size !== first![axis])) {
      faults.push({ pointer, message: `is [${shape.join(',')}], but the first record has [${first.join(',')}]` });
    } else {
      first ??= shape;
      values.push(rowShape.length === 1 && isScalar ? (value as unknown[])[0] : value);
    }
  }
  if (faults.length > before) return null;
  const shape = [rows.length, ...(first ?? rowShape)];
  return readRows(spec, shape, values, (row) => `/records/${row}${pointerOf([name])}`, faults);
}

function readFeatures(
  spec: TensorSpec,
  features: readonly string[],
  rows: readonly Record<string, unknown>[],
  faults: FieldError[],
): Tensor | null {
  const before = faults.length;
  if (spec.optional && rows.every((row) => features.every((feature) => !Object.hasOwn(row, feature)))) return null;
  const width = features.length;
  const flat = new Array<unknown>(rows.length * width);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < width; j++) {
      const feature = features[j]!;
      const value = Object.hasOwn(rows[i]!, feature) ? rows[i]![feature] : undefined;
      flat[i * width + j] = value;
      if (value !== undefined) continue;
      faults.push({ pointer: `/records/${i}${pointerOf([feature])}`, message: `is missing (${spec.datatype})` });
      if (faults.length >= MAX_FIELD_ERRORS) return null;
    }
  }
  if (faults.length > before) return null;
  const mine: FieldError[] = [];
  const shape = [rows.length, width];
  const data = readElements(spec.datatype, shape, flat.length, flat, '', mine);
  for (const fault of mine) {
    const at = Number(fault.pointer.slice(1));
    const pointer = `/records/${Math.floor(at / width)}${pointerOf([features[at % width]!])}`;
    faults.push({ pointer, message: fault.message });
  }
  return data === null ? null : { name: spec.name, datatype: spec.datatype, shape, data };
}

function readRows(
  spec: TensorSpec,
  shape: readonly number[],
  values: readonly unknown[],
  pointerOfRow: (row: number) => string,
  faults: FieldError[],
): Tensor | null {
  const mine: FieldError[] = [];
  const data = readElements(spec.datatype, shape, elementCount(shape)!, values, '', mine);
  for (const fault of mine) {
    const [, row = '0', ...rest] = fault.pointer.split('/');
    faults.push({ pointer: pointerOfRow(Number(row)) + pointerOf(rest), message: fault.message });
  }
  return data === null ? null : { name: spec.name, datatype: spec.datatype, shape, data };
}

function refuseUnknown(
  given: Record<string, unknown>,
  proposals: readonly string[],
  pointer: string,
  what: string,
  faults: FieldError[],
  known: ReadonlySet<string> = new Set(proposals),
): void {
  for (const key in given) {
    if (known.has(key)) continue;
    if (faults.length >= MAX_FIELD_ERRORS) return;
    const near = closestWord(key, proposals);
    const all = proposals.length <= 12 ? `; known: ${proposals.join(', ')}` : '';
    faults.push({
      pointer: pointer + pointerOf([key]),
      message: `is not ${what} of this model${near === null ? all : `; did you mean ${near}?`}`,
    });
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
