/**
 * The Open Inference Protocol, version 2, over REST with JSON bodies. Where known servers differ, docs/reference/protocols.md says what
 * is done here and why.
 */
import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import type { Datatype, TensorSpec } from '../../registry/signature.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, rowsOf, shapeText } from '../tensors/input-check.ts';
import { elementsToJson, kindOf, readElements } from '../tensors/json-elements.ts';
import { elementCount } from '../tensors/shape.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { readTensorBody, type TensorBody } from './json-body.ts';
import { assessParameters } from './open-inference-parameters.ts';
import {
  type Answered,
  type EndpointView,
  HTTP_STATUSES,
  type InferRequest,
  type Protocol,
  type Route,
  type ServerView,
  type WireCall,
} from './protocol.ts';

/** The protocol's names for model formats; an engine not listed goes by its own. */
const PLATFORMS: Readonly<Record<string, string>> = { onnxruntime: 'onnx_onnxv1' };

const infer = { kind: 'infer', parse: parseInfer, write: writeInfer } as const;

const routes: readonly Route[] = [
  { kind: 'read', path: '/v2', read: (server) => ({ name: 'slipway', version: server.release, extensions: [] }) },
  { kind: 'read', path: '/v2/health/live', public: true, read: () => ({ live: true }) },
  { kind: 'read', path: '/v2/health/ready', public: true, read: readServerReady },
  ...['/v2/models/{endpoint}', '/v2/models/{endpoint}/versions/{version}'].flatMap((path): Route[] => [
    { kind: 'read', path, read: (_server, endpoint) => readMetadata(endpoint!) },
    { kind: 'read', path: `${path}/ready`, read: (_server, endpoint) => readReady(endpoint!) },
    { ...infer, path: `${path}/infer` },
  ]),
];

export const openInference: Protocol = {
  name: 'open-inference',
  routes,
  statuses: HTTP_STATUSES,
  writeError(error) {
    const fields = error.fields.map((field) => `${field.pointer} ${field.message}`);
    const others = fields.filter((field) => !error.message.includes(field));
    const text = [error.message, ...others, ...(error.hint === undefined ? [] : [error.hint])].join('; ');
    return { contentType: 'application/json', body: JSON.stringify({ error: text }) };
  },
};

function readServerReady(server: ServerView): unknown {
  if (!server.ready) throw new SlipwayError('not_ready', server.reason ?? 'The server is starting', { retryAfterS: 1 });
  return { ready: true };
}

function readReady(endpoint: EndpointView): unknown {
  if (!endpoint.ready) {
    throw new SlipwayError('not_ready', `${endpoint.name} is not ready: ${endpoint.reason}`, { retryAfterS: 1 });
  }
  return { name: endpoint.name, ready: true };
}

function readMetadata(endpoint: EndpointView): unknown {
  const tensor = ({ name, datatype, shape }: TensorSpec) => ({ name, datatype, shape });
  return {
    name: endpoint.name,
    versions: endpoint.versions.map(String),
    platform: PLATFORMS[endpoint.engine] ?? endpoint.engine,
    inputs: endpoint.signature.inputs.map(tensor),
    outputs: endpoint.signature.outputs.map(tensor),
  };
}

// ---- request

function parseInfer(call: WireCall, target: InputTarget): InferRequest {
  if (call.headers['inference-header-content-length'] !== undefined) {
    throw new SlipwayError('unsupported_option', 'Binary tensors are not supported here', {
      hint: 'Send the tensors as JSON, without Inference-Header-Content-Length.',
    });
  }
  const { value: body, numbersOf } = readTensorBody(call);
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
  if (parameters !== undefined) assessParameters(parameters, '/parameters', 'request', faults);
  const inputs = parseInputs(body['inputs'], target, numbersOf, faults);
  const outputs = body['outputs'] === undefined ? null : parseOutputs(body['outputs'], target, faults);
  const written = outputs ?? target.signature.outputs.map((spec) => spec.name);
  const half = target.signature.outputs.find((spec) => isHalf(spec.datatype) && written.includes(spec.name));
  if (half !== undefined) faults.push({ pointer: '/outputs', message: halfMessage(half.name, half.datatype) });
  if (faults.length > 0) throw invalidInput(target, faults);
  return { id: (id as string | undefined) ?? null, inputs, rows: rowsOf(inputs), outputs };
}

function parseInputs(
  given: unknown,
  target: InputTarget,
  numbersOf: TensorBody['numbersOf'],
  faults: FieldError[],
): Tensor[] {
  const specs = target.signature.inputs;
  if (!Array.isArray(given)) {
    faults.push({
      pointer: '/inputs',
      message: given === undefined ? 'is missing' : `must be an array, not ${kindOf(given)}`,
    });
    return [];
  }
  const tensors: Tensor[] = [];
  const places: number[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < given.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const tensor = parseInput(given[i], `/inputs/${i}`, specs, seen, numbersOf, faults);
    if (tensor === null) continue;
    tensors.push(tensor);
    places.push(i);
  }
  for (const spec of specs) {
    if (seen.has(spec.name) || spec.optional) continue;
    faults.push({ pointer: '/inputs', message: `lacks the input ${spec.name} (${shapeText(spec)})` });
  }
  if (faults.length === 0) assessSizes(target, tensors, (index) => `/inputs/${places[index]}/shape`, faults);
  return tensors;
}

function parseInput(
  given: unknown,
  at: string,
  specs: readonly TensorSpec[],
  seen: Set<string>,
  numbersOf: TensorBody['numbersOf'],
  faults: FieldError[],
): Tensor | null {
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
  if (parameters !== undefined) assessParameters(parameters, `${at}/parameters`, 'input', faults);
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
  } else if (isHalf(spec.datatype)) {
    faults.push({ pointer: `${at}/datatype`, message: halfMessage(spec.name, spec.datatype) });
  }
  const count = parseShape(shape, `${at}/shape`, spec, faults);
  if (data === undefined) faults.push({ pointer: `${at}/data`, message: 'is missing' });
  if (faults.length > before || count === null) return null;
  const elements = readElements(spec.datatype, shape as number[], count, numbersOf(data) ?? data, `${at}/data`, faults);
  return elements === null
    ? null
    : { name: spec.name, datatype: spec.datatype, shape: shape as number[], data: elements };
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

function parseOutputs(given: unknown, target: InputTarget, faults: FieldError[]): string[] | null {
  const specs = target.signature.outputs;
  if (!Array.isArray(given)) {
    faults.push({ pointer: '/outputs', message: `must be an array, not ${kindOf(given)}` });
    return null;
  }
  const names: string[] = [];
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
    if (output['parameters'] !== undefined) {
      assessParameters(output['parameters'], `/outputs/${i}/parameters`, 'output', faults);
    }
    if (names.includes(name)) faults.push({ pointer: `/outputs/${i}/name`, message: `${name} is asked for twice` });
    names.push(name);
  }
  return names.length === 0 ? null : names;
}

function unknownName(name: unknown, what: string, specs: readonly TensorSpec[]): string {
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
  return `${name} is ${datatype}, which this protocol does not carry as JSON; POST /endpoints/<name>/predict does`;
}

// ---- answer

function writeInfer(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string {
  let text = `{"model_name":"${answered.endpoint}","model_version":"${answered.version}"`;
  if (request.id !== null) text += `,"id":${JSON.stringify(request.id)}`;
  text += ',"outputs":[';
  const names = request.outputs;
  const count = names === null ? outputs.length : names.length;
  for (let i = 0; i < count; i++) {
    const output = names === null ? outputs[i]! : outputs.find((one) => one.name === names[i])!;
    const separator = i === 0 ? '' : ',';
    const name = JSON.stringify(output.name);
    text += `${separator}{"name":${name},"datatype":"${output.datatype}","shape":[${output.shape.join(',')}],"data":[${elementsToJson(output)}]}`;
  }
  return `${text}]}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
