import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import type { Datatype, TensorSpec } from '../../registry/signature.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, rowsOf, shapeText } from '../tensors/input-check.ts';
import { kindOf, readElements } from '../tensors/json-elements.ts';
import { readRaw } from '../tensors/raw-elements.ts';
import { elementCount } from '../tensors/shape.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { readTensorBody, type TensorBody } from './json-body.ts';
import { type AnswerForm, type AskedOutput, formOf } from './open-inference-answer.ts';
import { BinaryPart, jsonSizeOf, readRawRequest } from './open-inference-binary.ts';
import {
  type OutputOptions,
  type RequestOptions,
  readInputParameters,
  readOutputParameters,
  readRequestParameters,
} from './open-inference-parameters.ts';
import type { InferRequest, WireCall } from './protocol.ts';

const NO_OPTIONS: RequestOptions = { priority: undefined, timeoutMs: undefined, binaryOutputs: false };
const NONE: OutputOptions = { binary: undefined, classes: 0 };

/**
 * Reads a request: a JSON document, one with binary tensors behind it, or the bytes of the only input alone.
 * @throws SlipwayError `unsupported_media`, `invalid_json`, `invalid_request`, `invalid_input` with the pointers of all faults
 */
export function parseInfer(call: WireCall, target: InputTarget): InferRequest {
  const jsonSize = jsonSizeOf(call);
  if (jsonSize === null) return parseDocument(readTensorBody(call), null, target);
  if (jsonSize === 0) {
    const input = readRawRequest(call.body, target);
    const form = formOf(target.signature.outputs, null, true);
    return { id: null, inputs: [input], rows: rowsOf([input]), outputs: null, form };
  }
  const json = readTensorBody({ body: call.body.subarray(0, jsonSize), headers: {} });
  return parseDocument(json, new BinaryPart(call.body, jsonSize), target);
}

/** What is known while a request is read. */
type Reading = {
  readonly target: InputTarget;
  readonly numbersOf: TensorBody['numbersOf'];
  readonly binary: BinaryPart | null;
  readonly faults: FieldError[];
};

function parseDocument(document: TensorBody, binary: BinaryPart | null, target: InputTarget): InferRequest {
  const { value: body, numbersOf } = document;
  const faults: FieldError[] = [];
  if (!isObject(body)) throw invalidInput(target, [{ pointer: '', message: 'must be an object with "inputs"' }]);
  for (const key in body) {
    if (key !== 'id' && key !== 'inputs' && key !== 'outputs' && key !== 'parameters') {
      faults.push({
        pointer: pointerOf([key.slice(0, 100)]),
        message: 'is not known; a request has id, parameters, inputs, outputs',
      });
      if (faults.length >= MAX_FIELD_ERRORS) throw invalidInput(target, faults);
    }
  }
  const { id, parameters } = body;
  if (id !== undefined && typeof id !== 'string') faults.push({ pointer: '/id', message: 'must be a string' });
  const options = parameters === undefined ? NO_OPTIONS : readRequestParameters(parameters, faults);
  const inputs = parseInputs(body['inputs'], { target, numbersOf, binary, faults });
  if (binary !== null && binary.left > 0 && faults.length === 0) {
    faults.push({ pointer: '', message: `has ${binary.left} bytes behind the JSON that belong to no input` });
  }
  const asked = body['outputs'] === undefined ? null : parseOutputs(body['outputs'], target, faults);
  const form =
    asked === null && !options.binaryOutputs
      ? undefined
      : formOf(target.signature.outputs, asked, options.binaryOutputs);
  assessHalves(target.signature.outputs, asked, form, faults);
  if (faults.length > 0) throw invalidInput(target, faults);
  const outputs = asked === null ? null : asked.map(({ name }) => name);
  const request = { id: (id as string | undefined) ?? null, inputs, rows: rowsOf(inputs), outputs, form };
  const { priority, timeoutMs } = options;
  if (priority === undefined && timeoutMs === undefined) return request;
  return {
    ...request,
    ...(priority === undefined ? {} : { priority }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function parseInputs(given: unknown, reading: Reading): Tensor[] {
  const { target, faults } = reading;
  const specs = target.signature.inputs;
  if (!Array.isArray(given)) {
    faults.push({
      pointer: '/inputs',
      message: given === undefined ? 'is missing' : `must be an array, not ${kindOf(given)}`,
    });
    return [];
  }
  const found: InputHead[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < given.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const head = parseHead(given[i], `/inputs/${i}`, seen, reading);
    if (head !== null) found.push(head);
  }
  for (const spec of specs) {
    if (seen.has(spec.name) || spec.optional) continue;
    faults.push({ pointer: '/inputs', message: `lacks the input ${spec.name} (${shapeText(spec)})` });
  }
  // Sizes that do not agree are told before anybody reads millions of elements.
  if (faults.length === 0) {
    assessSizes(target, found, (index) => `${found[index]!.at}/shape`, faults);
    if (faults.length > 0) return [];
  }
  const tensors: Tensor[] = [];
  for (let i = 0; i < found.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const tensor = readTensor(found[i]!, reading);
    if (tensor !== null) tensors.push(tensor);
  }
  return tensors;
}

/** An input whose elements are still to be read. */
type InputHead = {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly count: number;
  readonly data: unknown;
  /** Undefined where the elements are in `data`. */
  readonly binary: Uint8Array | undefined;
  /** Its pointer. */
  readonly at: string;
};

function readTensor({ name, datatype, shape, count, data, binary, at }: InputHead, reading: Reading): Tensor | null {
  const { numbersOf, faults } = reading;
  const elements =
    binary !== undefined
      ? readRaw(datatype, count, binary, `${at}/parameters/binary_data_size`, faults)
      : readElements(datatype, shape, count, numbersOf(data) ?? data, `${at}/data`, faults);
  return elements === null ? null : { name, datatype, shape, data: elements };
}

function parseHead(given: unknown, at: string, seen: Set<string>, reading: Reading): InputHead | null {
  const { target, faults } = reading;
  const specs = target.signature.inputs;
  if (!isObject(given)) {
    faults.push({ pointer: at, message: `must be an object, not ${kindOf(given)}` });
    return null;
  }
  const { name, datatype, shape, data, parameters } = given;
  const before = faults.length;
  for (const key in given) {
    if (key !== 'name' && key !== 'datatype' && key !== 'shape' && key !== 'data' && key !== 'parameters') {
      faults.push({
        pointer: at + pointerOf([key.slice(0, 100)]),
        message: 'is not known; an input has name, shape, datatype, parameters, data',
      });
      if (faults.length >= MAX_FIELD_ERRORS) return null;
    }
  }
  const binary = parameters === undefined ? undefined : takeBinary(parameters, at, reading);
  const spec = typeof name === 'string' ? specs.find((one) => one.name === name) : undefined;
  if (spec === undefined) {
    faults.push({ pointer: `${at}/name`, message: unknownName(name, 'an input', specs) });
    return null;
  }
  if (seen.has(spec.name)) faults.push({ pointer: `${at}/name`, message: `${spec.name} is given twice` });
  seen.add(spec.name);
  if (datatype !== spec.datatype) {
    const what =
      typeof datatype === 'string'
        ? JSON.stringify(datatype.slice(0, 20))
        : datatype === undefined
          ? 'missing'
          : kindOf(datatype);
    faults.push({ pointer: `${at}/datatype`, message: `is ${what}, but ${spec.name} is ${spec.datatype}` });
  } else if (isHalf(spec.datatype) && binary === undefined) {
    faults.push({ pointer: `${at}/datatype`, message: halfMessage(spec.name, spec.datatype) });
  }
  const count = parseShape(shape, `${at}/shape`, spec, faults);
  if (data === undefined && binary === undefined) faults.push({ pointer: `${at}/data`, message: 'is missing' });
  if (data !== undefined && binary !== undefined) {
    faults.push({ pointer: `${at}/data`, message: 'is given beside binary_data_size; it is one or the other' });
  }
  if (faults.length > before || count === null) return null;
  return {
    name: spec.name,
    datatype: spec.datatype,
    shape: shape as number[],
    count,
    data,
    binary: binary ?? undefined,
    at,
  };
}

/**
 * The bytes of an input whose elements are behind the JSON; undefined where they are in it, null when they are not there. Taken also
 * for an input that is at fault otherwise, so that the next one finds its own.
 */
function takeBinary(parameters: unknown, at: string, { binary, faults }: Reading): Uint8Array | null | undefined {
  const { binarySize } = readInputParameters(parameters, `${at}/parameters`, faults);
  if (binarySize === undefined) return undefined;
  const pointer = `${at}/parameters/binary_data_size`;
  if (binary === null) {
    const message = 'needs the header Inference-Header-Content-Length, which says where the JSON ends';
    faults.push({ pointer, message });
    return null;
  }
  const left = binary.left;
  const bytes = binary.take(binarySize);
  if (bytes === null) faults.push({ pointer, message: `is ${binarySize}, but ${left} bytes are left behind the JSON` });
  return bytes;
}

/** @returns the number of elements, null when there was a fault */
function parseShape(shape: unknown, at: string, spec: TensorSpec, faults: FieldError[]): number | null {
  if (!Array.isArray(shape)) {
    faults.push({
      pointer: at,
      message: shape === undefined ? 'is missing' : `must be an array, not ${kindOf(shape)}`,
    });
    return null;
  }
  for (let i = 0; i < shape.length; i++) {
    if (Number.isSafeInteger(shape[i])) continue;
    const huge = typeof shape[i] === 'bigint';
    faults.push({
      pointer: `${at}/${i}`,
      message: huge ? 'is too large' : `must be a whole number, not ${kindOf(shape[i])}`,
    });
    return null;
  }
  const fault = assessShape(spec, shape as number[]);
  if (fault !== null) {
    faults.push({ pointer: at, message: fault });
    return null;
  }
  const count = elementCount(shape as number[]);
  if (count === null)
    faults.push({ pointer: at, message: `[${shape.join(',')}] has more elements than any tensor can` });
  return count;
}

function parseOutputs(given: unknown, target: InputTarget, faults: FieldError[]): AskedOutput[] | null {
  const specs = target.signature.outputs;
  if (!Array.isArray(given)) {
    faults.push({ pointer: '/outputs', message: `must be an array, not ${kindOf(given)}` });
    return null;
  }
  const asked: AskedOutput[] = [];
  for (let i = 0; i < given.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const output: unknown = given[i];
    const name = isObject(output) ? output['name'] : undefined;
    if (!isObject(output) || typeof name !== 'string' || !specs.some((spec) => spec.name === name)) {
      faults.push({ pointer: `/outputs/${i}/name`, message: unknownName(name, 'an output', specs) });
      continue;
    }
    for (const key in output) {
      if (key === 'name' || key === 'parameters') continue;
      faults.push({
        pointer: pointerOf(['outputs', i, key.slice(0, 100)]),
        message: 'is not known; an output has name, parameters',
      });
      if (faults.length >= MAX_FIELD_ERRORS) break;
    }
    const at = `/outputs/${i}/parameters`;
    const options = output['parameters'] === undefined ? NONE : readOutputParameters(output['parameters'], at, faults);
    const { binary, classes } = options;
    if (classes > 0 && specs.find((spec) => spec.name === name)!.datatype === 'BYTES') {
      faults.push({ pointer: `${at}/classification`, message: `${name} is BYTES, and classes are ranked by numbers` });
    }
    if (asked.some((one) => one.name === name)) {
      faults.push({ pointer: `/outputs/${i}/name`, message: `${name} is asked for twice` });
    }
    asked.push({ name, binary, classes });
  }
  return asked.length === 0 ? null : asked;
}

/** What is wrong with the name of an input or output that the signature does not have. */
export function unknownName(name: unknown, what: string, specs: readonly TensorSpec[]): string {
  const names = specs.map((spec) => spec.name);
  const known = `this model has ${names.slice(0, 20).join(', ')}`;
  if (typeof name !== 'string') return name === undefined ? `is missing; ${known}` : `must be a string; ${known}`;
  const near = closestWord(name.slice(0, 200), names);
  return `${JSON.stringify(name.slice(0, 80))} is not ${what}; ${near === null ? known : `did you mean ${near}?`}`;
}

function isHalf(datatype: Datatype): boolean {
  return datatype === 'FP16' || datatype === 'BF16';
}

/** As the best known implementation does; 16-bit floats in JSON would be rounded twice without a word. */
function halfMessage(name: string, datatype: Datatype): string {
  return `${name} is ${datatype}, which this protocol carries as binary data only; POST /endpoints/<name>/predict takes numbers`;
}

function assessHalves(
  specs: readonly TensorSpec[],
  asked: readonly AskedOutput[] | null,
  form: AnswerForm | undefined,
  faults: FieldError[],
): void {
  for (const { name, datatype } of specs) {
    if (!isHalf(datatype)) continue;
    const place =
      asked === null ? specs.findIndex((spec) => spec.name === name) : asked.findIndex((one) => one.name === name);
    if (place === -1 || form?.binary[place] || (form?.classes[place] ?? 0) > 0) continue;
    faults.push({ pointer: '/outputs', message: `${halfMessage(name, datatype)}; ask for it with binary_data: true` });
    return;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
