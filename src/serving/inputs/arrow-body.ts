/** An Arrow IPC stream as tensors: columns by feature or input name, all record batches as one table. */
import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import { isRowWise, type Signature, type TensorSpec } from '../../registry/signature.ts';
import type { ArrowChunk } from '../arrow/arrow-columns.ts';
import { ArrowFault } from '../arrow/arrow-fault.ts';
import type { ArrowField } from '../arrow/arrow-schema.ts';
import { type ArrowBatch, readArrowStream } from '../arrow/arrow-stream.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, shapeText } from '../tensors/input-check.ts';
import { readElements } from '../tensors/json-elements.ts';
import type { PlainInputs } from '../tensors/plain-codec.ts';
import { elementCount } from '../tensors/shape.ts';
import type { Tensor } from '../tensors/tensor.ts';

/** Columns that make up one input: one per feature, or a single one that holds its rows. */
type Source = { readonly spec: TensorSpec; readonly fields: readonly number[]; readonly isWhole: boolean };

/** @throws SlipwayError `invalid_input` */
export function readArrowBody(body: Uint8Array, target: InputTarget): PlainInputs {
  const { inputs } = target.signature;
  if (!isRowWise(inputs)) {
    throw invalidInput(
      target,
      [{ pointer: '', message: 'is a table, but this model takes whole tensors, not rows' }],
      'Send JSON.',
    );
  }
  let sources: readonly Source[] = [];
  let names: readonly string[] = [];
  let batches: ArrowBatch[];
  try {
    batches = readArrowStream(body, (fields) => {
      names = fields.map((field) => field.name);
      sources = findSources(fields, target);
    });
  } catch (error) {
    if (!(error instanceof ArrowFault)) throw error;
    throw invalidInput(
      target,
      [{ pointer: '', message: error.message }],
      'Send a stream as pyarrow.ipc.new_stream writes it.',
    );
  }
  const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
  const faults: FieldError[] = [];
  if (rows === 0) faults.push({ pointer: '', message: 'has no rows' });
  if (rows > 1 && inputs.some((spec) => spec.shape[0] === 1)) {
    faults.push({ pointer: '', message: 'must have exactly one row: this model computes one at a time' });
  }
  const tensors: Tensor[] = [];
  const encoded: EncodedInput[] = [];
  for (const source of faults.length > 0 ? [] : sources) {
    const read = source.isWhole
      ? readWhole(source, batches, rows, faults)
      : readFeatures(source, names, batches, rows, faults);
    if (read !== null && 'files' in read) encoded.push(read);
    else if (read !== null) tensors.push(read);
    if (faults.length >= MAX_FIELD_ERRORS) break;
  }
  if (faults.length === 0 && encoded.length === 0) {
    assessSizes(target, tensors, (at) => pointerOf([tensors[at]!.name]), faults);
  }
  if (faults.length > 0) throw invalidInput(target, faults);
  return encoded.length === 0 ? { inputs: tensors, rows } : { inputs: tensors, rows, encoded };
}

type Place = { readonly input: number; readonly offset: number | null };
const placesOf = new WeakMap<Signature, ReadonlyMap<string, Place>>();
/** Inputs of more columns than this are sent as lists. */
const MAX_NUMBERED = 10_000;

/** What a column may be called; `offset` is null where it holds the whole row of an input. */
function places(signature: Signature): ReadonlyMap<string, Place> {
  const known = placesOf.get(signature);
  if (known !== undefined) return known;
  const all = new Map<string, Place>();
  for (const [input, spec] of signature.inputs.entries()) {
    const width = elementCount(spec.shape.slice(1)) ?? 0;
    const numbered = width > 1 && width <= MAX_NUMBERED ? width : 0;
    const features = spec.features ?? Array.from({ length: numbered }, (_, at) => `${spec.name}.${at}`);
    for (const [offset, name] of features.entries()) all.set(name, { input, offset });
  }
  for (const [input, spec] of signature.inputs.entries()) {
    if (!all.has(spec.name)) all.set(spec.name, { input, offset: null });
  }
  placesOf.set(signature, all);
  return all;
}

function findSources(fields: readonly ArrowField[], target: InputTarget): readonly Source[] {
  const { inputs } = target.signature;
  const known = places(target.signature);
  const faults: FieldError[] = [];
  const whole = new Map<number, number>();
  const parts = new Map<number, Map<number, number>>();
  for (const [at, { name }] of fields.entries()) {
    const pointer = pointerOf([name.slice(0, 100)]);
    const place = known.get(name);
    if (place === undefined) {
      const near = faults.length < MAX_FIELD_ERRORS ? closestWord(name.slice(0, 100), [...known.keys()]) : null;
      faults.push({
        pointer,
        message: `is not a column of this model${near === null ? '' : `; did you mean ${near}?`}`,
      });
    } else if (place.offset === null) {
      if (whole.has(place.input)) faults.push({ pointer, message: 'is there twice' });
      whole.set(place.input, at);
    } else {
      const mine = parts.get(place.input) ?? new Map<number, number>();
      if (mine.has(place.offset)) faults.push({ pointer, message: 'is there twice' });
      parts.set(place.input, mine.set(place.offset, at));
    }
    if (faults.length >= MAX_FIELD_ERRORS) break;
  }
  const sources: Source[] = [];
  for (const [input, spec] of inputs.entries()) {
    const [one, several] = [whole.get(input), parts.get(input)];
    if (one !== undefined && several !== undefined) {
      faults.push({ pointer: pointerOf([spec.name]), message: 'is given as a whole and by its columns' });
    } else if (one !== undefined) sources.push({ spec, fields: [one], isWhole: true });
    else if (several !== undefined || (spec.features !== undefined && !spec.optional)) {
      const width = elementCount(spec.shape.slice(1))!;
      const at = Array.from({ length: width }, (_, offset) => several?.get(offset) ?? -1);
      for (let offset = 0; offset < width && faults.length < MAX_FIELD_ERRORS; offset++) {
        if (at[offset] !== -1) continue;
        const name = spec.features?.[offset] ?? `${spec.name}.${offset}`;
        faults.push({ pointer: pointerOf([name]), message: `is missing (${spec.datatype})` });
      }
      sources.push({ spec, fields: at, isWhole: false });
    } else if (!spec.optional) {
      faults.push({ pointer: pointerOf([spec.name]), message: `is missing (${shapeText(spec)})` });
    }
  }
  if (faults.length > 0) throw invalidInput(target, faults);
  return sources;
}

function readFeatures(
  { spec, fields }: Source,
  names: readonly string[],
  batches: readonly ArrowBatch[],
  rows: number,
  faults: FieldError[],
): Tensor | null {
  const width = fields.length;
  const flat = newFlat(spec, rows * width, faults);
  if (flat === null) return null;
  let first = 0;
  const before = faults.length;
  for (const batch of batches) {
    for (let offset = 0; offset < width && faults.length < MAX_FIELD_ERRORS; offset++) {
      const field = fields[offset]!;
      const chunk = batch.columns[field]!;
      const fault =
        chunk.dims.length > 0
          ? 'must hold plain values, not lists'
          : copy(spec, chunk, flat, first * width + offset, width);
      if (fault !== null) faults.push({ pointer: pointerOf([names[field]!]), message: fault });
    }
    if (faults.length > before) return null;
    first += batch.rows;
  }
  const place = (at: number) => ({ pointer: pointerOf([names[fields[at % width]!]!]), row: Math.floor(at / width) });
  const data = elementsOf(spec, flat, place, faults);
  return data === null
    ? null
    : { name: spec.name, datatype: spec.datatype, shape: [rows, ...spec.shape.slice(1)], data };
}

function readWhole(
  { spec, fields }: Source,
  batches: readonly ArrowBatch[],
  rows: number,
  faults: FieldError[],
): Tensor | EncodedInput | null {
  const chunks = batches.filter((batch) => batch.rows > 0).map((batch) => batch.columns[fields[0]!]!);
  const { dims } = chunks[0]!;
  const pointer = pointerOf([spec.name]);
  const other = chunks.find((chunk) => chunk.dims.join() !== dims.join());
  if (other !== undefined) {
    faults.push({ pointer, message: `has lists of [${dims.join(',')}] and of [${other.dims.join(',')}] items` });
    return null;
  }
  if (spec.decoder?.kind === 'image' && dims.length === 0) return readPictures(spec, chunks, pointer, faults);
  const rowShape = rowShapeOf(spec, dims);
  const width = elementCount(rowShape);
  const misfit = assessShape(spec, [rows, ...rowShape]);
  if (misfit !== null || width === null) {
    faults.push({ pointer, message: `with lists of [${dims.join(',')}] ${misfit}` });
    return null;
  }
  const flat = newFlat(spec, rows * width, faults);
  if (flat === null) return null;
  let at = 0;
  for (const chunk of chunks) {
    const fault = copy(spec, chunk, flat, at, 1);
    if (fault !== null) {
      faults.push({ pointer, message: fault });
      return null;
    }
    at += chunk.values.length;
  }
  const data = elementsOf(spec, flat, (place) => ({ pointer, row: Math.floor(place / width) }), faults);
  return data === null ? null : { name: spec.name, datatype: spec.datatype, shape: [rows, ...rowShape], data };
}

/** Lists may be nested as the row is, or lie flat (as tensor columns do); a plain value is a row of one. */
function rowShapeOf(spec: TensorSpec, dims: readonly number[]): readonly number[] {
  const wanted = spec.shape.slice(1);
  return elementCount(wanted) !== null && elementCount(wanted) === elementCount(dims) ? wanted : dims;
}

function readPictures(
  spec: TensorSpec,
  chunks: readonly ArrowChunk[],
  pointer: string,
  faults: FieldError[],
): EncodedInput {
  const files: Uint8Array[] = [];
  const pointers: string[] = [];
  for (const { values, isNull } of chunks) {
    for (let i = 0; i < values.length && faults.length < MAX_FIELD_ERRORS; i++) {
      const value = values[i];
      pointers.push(`${pointer}/${pointers.length}`);
      if (value instanceof Uint8Array && !isNull?.(i)) files.push(value);
      else
        faults.push({
          pointer,
          message: `at row ${pointers.length} must be a picture as Binary, or a tensor as lists`,
        });
    }
  }
  return { name: spec.name, files, pointers };
}

/** Elements in row-major order: numbers for floating-point inputs, else what the columns hold. */
type Flat = Float64Array | unknown[];

const FLOATS: readonly TensorSpec['datatype'][] = ['FP16', 'BF16', 'FP32', 'FP64'];
/** JavaScript's arrays become slow tables beyond 32 million items. */
const MAX_ITEMS = 16 * 1024 * 1024;

function newFlat(spec: TensorSpec, count: number, faults: FieldError[]): Flat | null {
  if (FLOATS.includes(spec.datatype)) return new Float64Array(count);
  if (count <= MAX_ITEMS) return new Array<unknown>(count);
  const message = `has ${count} values; at most ${MAX_ITEMS} of ${spec.datatype} are taken at once`;
  faults.push({ pointer: pointerOf([spec.name]), message });
  return null;
}

/** A missing value is NaN where there is one, the empty string of text, and a fault elsewhere. */
function missingOf({ datatype }: TensorSpec): unknown {
  return datatype === 'BYTES' ? '' : null;
}

/** Copies values to every `step`-th place from `at` on. Gives a sentence when the column is no column of numbers and must be. */
function copy(spec: TensorSpec, chunk: ArrowChunk, flat: Flat, at: number, step: number): string | null {
  const { values, isNull } = chunk;
  if (!(flat instanceof Float64Array)) {
    for (let i = 0; i < values.length; i++) flat[at + i * step] = isNull?.(i) ? missingOf(spec) : values[i];
    return null;
  }
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (isNull?.(i)) flat[at + i * step] = Number.NaN;
    else if (typeof value === 'number') flat[at + i * step] = value;
    else if (typeof value === 'bigint') flat[at + i * step] = Number(value);
    else
      return `must hold numbers, not ${typeof value === 'string' ? 'text' : typeof value === 'boolean' ? 'booleans' : 'bytes'}`;
  }
  return null;
}

function elementsOf(
  spec: TensorSpec,
  flat: Flat,
  placeOf: (at: number) => { readonly pointer: string; readonly row: number },
  faults: FieldError[],
): Tensor['data'] | null {
  const mine: FieldError[] = [];
  const data = readElements(spec.datatype, [flat.length], flat.length, flat, '', mine);
  for (const { pointer, message } of mine) {
    const place = placeOf(Number(pointer.slice(1)));
    faults.push({ pointer: place.pointer, message: `at row ${place.row + 1} ${message}` });
  }
  return data;
}
