/**
 * Elements of tensors as JSON, both ways. Reading never rounds, cuts or wraps without a word: what the datatype cannot hold is a fault
 * with a pointer. The one loss is the rounding of decimal fractions to FP32, FP16 and BF16, which is what these types are.
 */
import { isUtf8 } from 'node:buffer';
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import type { Datatype } from '../../registry/signature.ts';
import { type Base64Value, bytesOfBase64, isBase64Value } from './base64-value.ts';
import { datatypeInfo } from './datatype.ts';
import { bfloat16BitsOf, float16BitsOf, numbersOfHalf } from './half.ts';
import { singlesToJson } from './single-text.ts';
import type { NumericData, Tensor } from './tensor.ts';

/** The largest double that rounds to a finite FP32: halfway between the largest FP32 and 2^128, which itself rounds up. */
export const FP32_LIMIT = 2 ** 127 * (2 - 2 ** -24);
/** The same for BF16 and FP16. */
const BF16_LIMIT = 2 ** 127 * (2 - 2 ** -8);
const FP16_LIMIT = 65_520;

/** A Map, because callers choose what is looked up: an object would find `constructor` too. */
const NON_FINITE: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/**
 * Reads `data` as the elements of a tensor.
 * @param data the elements in row-major order as one flat array, or nested exactly as the shape says; a scalar may stand alone. Numbers
 * that were read already may come as Float64Array
 * @param count the product of `shape`, at least 1
 * @param faults takes what is wrong, with pointers below `pointer`
 * @returns null when there was a fault
 */
export function readElements(
  datatype: Datatype,
  shape: readonly number[],
  count: number,
  data: unknown,
  pointer: string,
  faults: FieldError[],
): NumericData | string[] | null {
  const isFlat = data instanceof Float64Array;
  if (datatype === 'FP32' && (isFlat || Array.isArray(data)) && data.length === count) {
    const fast = isFlat ? narrow(data, count) : readFlatFloats(data, count);
    if (fast !== null) return fast;
  }
  const items: Items | null = isFlat || Array.isArray(data) ? data : shape.length === 0 ? [data] : null;
  if (items === null) {
    faults.push({ pointer, message: 'must be an array' });
    return null;
  }
  const before = faults.length;
  const nested = items.length > 0 && Array.isArray(items[0]);
  if (!nested && items.length !== count) {
    faults.push({ pointer, message: `has ${items.length} elements, the shape [${shape.join(',')}] needs ${count}` });
    return null;
  }
  const { array } = datatypeInfo(datatype);
  // A shape is only announced: memory is taken for what is there. Where they differ, reading comes upon the fault.
  const size = nested ? Math.min(count, leavesOf(items, shape.length - 1)) : count;
  const target: NumericData | string[] = array === null ? new Array<string>(size) : new array(size);
  const store = STORES[datatype] as Store;
  if (nested) readNested(items, shape, 0, 0, target, store, pointer, faults);
  else readRun(items, 0, target, store, pointer, faults);
  return faults.length === before ? target : null;
}

/** The hot path: plain numbers for FP32. Null sends anything else to the careful one. */
function readFlatFloats(data: readonly unknown[], count: number): Float32Array | null {
  const target = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const value = data[i];
    if (typeof value !== 'number' || value >= FP32_LIMIT || value <= -FP32_LIMIT) return null;
    target[i] = value;
  }
  return target;
}

/** The same where the numbers are known to be numbers. */
function narrow(data: Float64Array, count: number): Float32Array | null {
  const target = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const value = data[i]!;
    if (value >= FP32_LIMIT || value <= -FP32_LIMIT) return null;
    target[i] = value;
  }
  return target;
}

type Items = readonly unknown[] | Float64Array;

/** Items in all the arrays `depth` levels below. */
function leavesOf(items: Items, depth: number): number {
  if (depth <= 0) return items.length;
  let leaves = 0;
  for (const item of items) if (Array.isArray(item)) leaves += leavesOf(item, depth - 1);
  return leaves;
}

function readNested(
  items: Items,
  shape: readonly number[],
  axis: number,
  at: number,
  target: NumericData | string[],
  store: Store,
  pointer: string,
  faults: FieldError[],
): number {
  const wanted = shape[axis];
  if (items.length !== wanted) {
    faults.push({
      pointer,
      message: `has ${items.length} elements, the shape [${shape.join(',')}] needs ${wanted} here`,
    });
    return at;
  }
  if (axis === shape.length - 1) return readRun(items, at, target, store, pointer, faults);
  let next = at;
  for (let i = 0; i < items.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const item = items[i];
    if (Array.isArray(item)) next = readNested(item, shape, axis + 1, next, target, store, `${pointer}/${i}`, faults);
    else faults.push({ pointer: `${pointer}/${i}`, message: 'must be an array, like the items beside it' });
  }
  return next;
}

function readRun(
  items: Items,
  at: number,
  target: NumericData | string[],
  store: Store,
  pointer: string,
  faults: FieldError[],
): number {
  for (let i = 0; i < items.length; i++) {
    const fault = store(target, at + i, items[i]);
    if (fault !== null) {
      faults.push({ pointer: `${pointer}/${i}`, message: fault });
      if (faults.length >= MAX_FIELD_ERRORS) break;
    }
  }
  return at + items.length;
}

/** Puts one element in its place; a sentence when it is none. */
type Store = (target: NumericData | string[], at: number, value: unknown) => string | null;

const STORES: Readonly<Record<Datatype, Store>> = {
  BOOL(target, at, value) {
    if (typeof value !== 'boolean') return `must be true or false, not ${kindOf(value)}`;
    (target as Uint8Array)[at] = value ? 1 : 0;
    return null;
  },
  UINT8: wholeNumbers('UINT8', 0, 255),
  UINT16: wholeNumbers('UINT16', 0, 65_535),
  UINT32: wholeNumbers('UINT32', 0, 4_294_967_295),
  UINT64: exactIntegers('UINT64', 0n, 2n ** 64n - 1n),
  INT8: wholeNumbers('INT8', -128, 127),
  INT16: wholeNumbers('INT16', -32_768, 32_767),
  INT32: wholeNumbers('INT32', -2_147_483_648, 2_147_483_647),
  INT64: exactIntegers('INT64', -(2n ** 63n), 2n ** 63n - 1n),
  FP16: halves('FP16', FP16_LIMIT, float16BitsOf),
  BF16: halves('BF16', BF16_LIMIT, bfloat16BitsOf),
  FP32: floats('FP32', FP32_LIMIT),
  FP64: floats('FP64', Number.POSITIVE_INFINITY),
  BYTES(target, at, given) {
    const isBase64 = isBase64Value(given);
    const value = isBase64 ? textOfBase64(given) : given;
    if (isBase64 && value === null) return 'holds under b64 what is no base64 of UTF-8 text';
    if (typeof value !== 'string') return `must be a string, not ${kindOf(value)}`;
    if (value.includes('\0')) return 'holds the character NUL, at which the model would cut the string';
    (target as string[])[at] = value;
    return null;
  },
};

/** Strings that are hard to write in JSON may come as base64 of their UTF-8 bytes. */
function textOfBase64(value: Base64Value): string | null {
  const bytes = bytesOfBase64(value);
  return typeof bytes !== 'string' && isUtf8(bytes)
    ? Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength).toString()
    : null;
}

function wholeNumbers(datatype: Datatype, min: number, max: number): Store {
  return (target, at, value) => {
    if (typeof value === 'bigint') return outOfRange(datatype, min, max);
    if (typeof value !== 'number') return `must be a whole number, not ${kindOf(value)}`;
    if (!Number.isInteger(value)) return `must be a whole number for ${datatype}`;
    if (value < min || value > max) return outOfRange(datatype, min, max);
    (target as Int32Array)[at] = value;
    return null;
  };
}

/** 64-bit integers come as numbers where these are exact, as BigInt (see `parseJson`), or as strings of digits from callers without either. */
function exactIntegers(datatype: Datatype, min: bigint, max: bigint): Store {
  return (target, at, value) => {
    let exact: bigint;
    if (typeof value === 'bigint') exact = value;
    else if (typeof value === 'number') {
      if (!Number.isInteger(value)) return `must be a whole number for ${datatype}`;
      if (value < Number(min) || value > Number(max)) return outOfRange(datatype, min, max);
      if (!Number.isSafeInteger(value))
        return 'is beyond 2^53 and not written as a plain integer, so it may have been rounded';
      exact = BigInt(value);
    } else if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) exact = BigInt(value);
    else return `must be a whole number, not ${kindOf(value)}`;
    if (exact < min || exact > max) return outOfRange(datatype, min, max);
    (target as BigInt64Array)[at] = exact;
    return null;
  };
}

function floats(datatype: Datatype, limit: number): Store {
  return (target, at, value) => {
    const number = floatOf(value);
    if (typeof number === 'string') return number;
    if (Number.isFinite(number) && Math.abs(number) >= limit) return `is too large for ${datatype}`;
    (target as Float64Array)[at] = number;
    return null;
  };
}

function halves(datatype: Datatype, limit: number, bitsOf: (value: number) => number): Store {
  return (target, at, value) => {
    const number = floatOf(value);
    if (typeof number === 'string') return number;
    if (Number.isFinite(number) && Math.abs(number) >= limit) return `is too large for ${datatype}`;
    (target as Uint16Array)[at] = bitsOf(number);
    return null;
  };
}

function floatOf(value: unknown): number | string {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'string') {
    return (
      NON_FINITE.get(value) ?? 'must be a number; among strings only "NaN", "Infinity" and "-Infinity" stand for one'
    );
  }
  if (value === null)
    return 'must be a number, not null; a missing value is the string "NaN" where the model allows it';
  return `must be a number, not ${kindOf(value)}`;
}

function outOfRange(datatype: Datatype, min: number | bigint, max: number | bigint): string {
  return `is out of range for ${datatype}: ${min} to ${max}`;
}

export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'bigint') return 'a number';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * The elements, flat and comma separated, as the inside of a JSON array. FP32 is printed as the shortest decimal that rounds to it, see
 * single-text.ts. INT64 and UINT64 are printed digit by digit.
 */
export function elementsToJson(tensor: Tensor): string {
  const { datatype, data } = tensor;
  switch (datatype) {
    case 'BYTES':
      return (data as readonly string[]).map((text) => JSON.stringify(text)).join(',');
    case 'BOOL':
      return Array.from(data as Uint8Array, (bit) => (bit === 0 ? 'false' : 'true')).join(',');
    case 'FP16':
    case 'BF16':
      return quoteNonFinite(numbersOfHalf(datatype, data as Uint16Array).join(','));
    case 'FP32':
      return singlesToJson(data as Float32Array);
    case 'FP64':
      return quoteNonFinite(join(data as Float64Array));
    case 'INT64':
    case 'UINT64':
      return joinWide(data as BigInt64Array);
    default:
      return join(data as Int32Array);
  }
}

/** Few elements, the usual answer, are added up faster than `join` starts. */
function join(data: NumericData): string {
  if (data.length > 16) return data.join(',');
  let text = '';
  for (let i = 0; i < data.length; i++) text += i === 0 ? `${data[i]}` : `,${data[i]}`;
  return text;
}

/** Most 64-bit integers are small, and BigInt is slow to print: those that fit into 32 bits are printed as such. */
function joinWide(data: BigInt64Array): string {
  const words = new Int32Array(data.buffer, data.byteOffset, data.length * 2);
  let text = '';
  for (let i = 0; i < data.length; i++) {
    const low = words[2 * i]!;
    if (i > 0) text += ',';
    text += low >= 0 && words[2 * i + 1] === 0 ? low : data[i];
  }
  return text;
}

/** `NaN` and `Infinity` are no JSON. Numbers hold no capital letters otherwise. */
function quoteNonFinite(text: string): string {
  if (!text.includes('N') && !text.includes('I')) return text;
  return text.replace(/NaN|-?Infinity/g, '"$&"');
}

/** The elements as JavaScript values: booleans, numbers, BigInt for 64-bit integers, strings. */
export function elementValues(tensor: Tensor): readonly unknown[] {
  const { datatype, data } = tensor;
  if (datatype === 'BYTES') return data as readonly string[];
  if (datatype === 'BOOL') return Array.from(data as Uint8Array, (bit) => bit !== 0);
  if (datatype === 'FP16' || datatype === 'BF16') return numbersOfHalf(datatype, data as Uint16Array);
  return Array.from<unknown>(data as Float32Array);
}
