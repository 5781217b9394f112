/**
 * The protocol lets callers add parameters. One that were ignored would change an answer without a word, so each is either understood or
 * refused.
 */
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import type { Priority } from '../runner/runner.ts';
import { kindOf } from '../tensors/json-elements.ts';

/** What the parameters of a request ask for. */
export type RequestOptions = {
  priority: Priority | undefined;
  timeoutMs: number | undefined;
  /** Whether outputs are binary that do not say themselves. */
  binaryOutputs: boolean;
};

export type InputOptions = {
  /** Bytes of its elements behind the JSON; undefined where they are in it. */
  binarySize: number | undefined;
};

export type OutputOptions = {
  binary: boolean | undefined;
  /** Classes to name, best first; 0 for the tensor itself. */
  classes: number;
};

/** Takes a value into the options; a sentence when it cannot. */
type Take<Options> = (value: unknown, into: Options) => string | null;

/** Takes the values that say what is done anyway. */
const only =
  (advice: string, ...harmless: readonly unknown[]): Take<unknown> =>
  (value) =>
    harmless.includes(value) ? null : advice;

const NO_SEQUENCES = 'sequences are not offered: models here keep nothing from one call to the next; leave it out';
const NO_SHARED_MEMORY = 'shared memory is not offered; send the bytes behind the JSON, with binary_data_size';
const NO_STREAM = 'every call has one answer here, so there is no final response of its own; leave it out';
/** How other servers' clients name the decoding of a tensor; these are what is done anyway. */
const contentType = only('other decodings than np, str and pd are not offered', 'np', 'str', 'pd');

const REQUEST: ReadonlyMap<string, Take<RequestOptions>> = new Map<string, Take<RequestOptions>>([
  ['priority', takePriority],
  ['timeout', takeTimeout],
  ['binary_data_output', (value, into) => takeBoolean(value, (flag) => (into.binaryOutputs = flag))],
  ['content_type', contentType],
  ['sequence_id', only(NO_SEQUENCES, 0, '')],
  ['sequence_start', only(NO_SEQUENCES, false)],
  ['sequence_end', only(NO_SEQUENCES, false)],
  ['triton_enable_empty_final_response', only(NO_STREAM, false)],
  ['headers', only('send HTTP headers instead')],
]);

const INPUT: ReadonlyMap<string, Take<InputOptions>> = new Map<string, Take<InputOptions>>([
  ['binary_data_size', takeBinarySize],
  ['binary_data', only('an input is binary by binary_data_size', false)],
  ['content_type', contentType],
  ['shared_memory_region', only(NO_SHARED_MEMORY)],
  ['shared_memory_offset', only(NO_SHARED_MEMORY)],
  ['shared_memory_byte_size', only(NO_SHARED_MEMORY)],
]);

const OUTPUT: ReadonlyMap<string, Take<OutputOptions>> = new Map<string, Take<OutputOptions>>([
  ['binary_data', (value, into) => takeBoolean(value, (flag) => (into.binary = flag))],
  ['classification', takeClasses],
  ['content_type', contentType],
  ['shared_memory_region', only(NO_SHARED_MEMORY)],
  ['shared_memory_offset', only(NO_SHARED_MEMORY)],
  ['shared_memory_byte_size', only(NO_SHARED_MEMORY)],
]);

export function readRequestParameters(given: unknown, faults: FieldError[]): RequestOptions {
  const options: RequestOptions = { priority: undefined, timeoutMs: undefined, binaryOutputs: false };
  if (given !== undefined) takeAll(given, '/parameters', 'request', REQUEST, options, faults);
  return options;
}

export function readInputParameters(given: unknown, pointer: string, faults: FieldError[]): InputOptions {
  const options: InputOptions = { binarySize: undefined };
  takeAll(given, pointer, 'input', INPUT, options, faults);
  return options;
}

export function readOutputParameters(given: unknown, pointer: string, faults: FieldError[]): OutputOptions {
  const options: OutputOptions = { binary: undefined, classes: 0 };
  takeAll(given, pointer, 'output', OUTPUT, options, faults);
  return options;
}

function takeAll<Options>(
  given: unknown,
  pointer: string,
  place: string,
  table: ReadonlyMap<string, Take<Options>>,
  options: Options,
  faults: FieldError[],
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    faults.push({ pointer, message: `must be an object, not ${kindOf(given)}` });
    return;
  }
  for (const [key, value] of Object.entries(given)) {
    if (faults.length >= MAX_FIELD_ERRORS) return;
    const take = table.get(key);
    const fault = take === undefined ? `no such ${place} parameter is supported` : take(value, options);
    if (fault !== null) faults.push({ pointer: pointer + pointerOf([key.slice(0, 100)]), message: fault });
  }
}

/** 0 stands for the default, 1 for the highest. */
function takePriority(value: unknown, into: RequestOptions): string | null {
  const level = wholeNumber(value);
  if (level === null) return 'must be a whole number: 0 for the default, 1 high, 2 normal, 3 and above low';
  if (level === 1) into.priority = 'high';
  else if (level >= 3) into.priority = 'low';
  return null;
}

/** In microseconds; 0 stands for none. */
function takeTimeout(value: unknown, into: RequestOptions): string | null {
  const micros = wholeNumber(value);
  if (micros === null) return 'must be a whole number of microseconds; 0 for none';
  if (micros > 0) into.timeoutMs = micros / 1000;
  return null;
}

function takeBinarySize(value: unknown, into: InputOptions): string | null {
  const size = wholeNumber(value);
  if (size === null) return 'must be a whole number of bytes';
  into.binarySize = size;
  return null;
}

function takeClasses(value: unknown, into: OutputOptions): string | null {
  const classes = wholeNumber(value);
  if (classes === null) return 'must be a whole number of classes; 0 for the tensor itself';
  into.classes = classes;
  return null;
}

function takeBoolean(value: unknown, take: (flag: boolean) => void): string | null {
  if (typeof value !== 'boolean') return `must be true or false, not ${kindOf(value)}`;
  take(value);
  return null;
}

/** From 0 on; what is beyond 2^53 counts as the largest that is exact. Null for anything else. */
function wholeNumber(value: unknown): number | null {
  if (typeof value === 'bigint' && value >= 0n) return Number.MAX_SAFE_INTEGER;
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
    ? Math.min(value, Number.MAX_SAFE_INTEGER)
    : null;
}
