/** The generate extension: text in, text out, for models whose signature has both. */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { type InputTarget, invalidInput, rowsOf, shapeText } from '../tensors/input-check.ts';
import { elementsToJson, kindOf, readElements } from '../tensors/json-elements.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { readJsonBody } from './json-body.ts';
import type { Answered, InferRequest, InferRoute, WireAnswer, WireCall } from './protocol.ts';
import { outputsUs } from './writing-time.ts';

const KEYS = ['id', 'text_input', 'parameters'];

/** Both forms take the same request. */
export const generate: Omit<InferRoute, 'path'> = {
  kind: 'infer',
  parse: parseGenerate,
  write: writeGenerate,
  writeUs: outputsUs,
};

/** Server-sent events. Engines give one answer, so there is one event, and the end of the answer is the end of the stream. */
export const generateStream: Omit<InferRoute, 'path'> = {
  kind: 'infer',
  parse: parseGenerate,
  write: writeStream,
  writeUs: outputsUs,
};

function parseGenerate(call: WireCall, target: InputTarget): InferRequest {
  const { signature } = target;
  const textInput = textOf(signature.inputs, 'text_input');
  const textOutput = textOf(signature.outputs, 'text_output');
  if (textInput === null || textOutput === null) throw noText(target);
  const body = readJsonBody(call);
  if (!isObject(body)) throw invalidInput(target, [{ pointer: '', message: 'must be an object with "text_input"' }]);
  const faults: FieldError[] = [];
  for (const key of Object.keys(body)
    .filter((one) => !KEYS.includes(one))
    .slice(0, MAX_FIELD_ERRORS)) {
    const message = `is not known; a request has ${KEYS.join(', ')}, and other inputs are parameters`;
    faults.push({ pointer: pointerOf([key.slice(0, 100)]), message });
  }
  const { id, text_input: text, parameters = {} } = body;
  if (id !== undefined && typeof id !== 'string') faults.push({ pointer: '/id', message: 'must be a string' });
  const given = isObject(parameters) ? parameters : {};
  if (!isObject(parameters)) {
    faults.push({ pointer: '/parameters', message: `must be an object, not ${kindOf(parameters)}` });
  }
  const inputs: Tensor[] = [];
  for (const spec of signature.inputs) {
    const isText = spec === textInput;
    const value = isText ? text : Object.hasOwn(given, spec.name) ? given[spec.name] : undefined;
    const pointer = isText ? '/text_input' : `/parameters${pointerOf([spec.name])}`;
    if (value === undefined && spec.optional) continue;
    const tensor = oneElement(spec, value, pointer, faults);
    if (tensor !== null) inputs.push(tensor);
  }
  const others = signature.inputs.filter((spec) => spec !== textInput).map((spec) => spec.name);
  for (const key of Object.keys(given)
    .filter((one) => !others.includes(one))
    .slice(0, MAX_FIELD_ERRORS)) {
    const message = `is no other input of this model; it has ${others.join(', ') || 'none'}`;
    faults.push({ pointer: `/parameters${pointerOf([key.slice(0, 100)])}`, message });
  }
  if (faults.length > 0) throw invalidInput(target, faults);
  return { id: (id as string | undefined) ?? null, inputs, rows: rowsOf(inputs), outputs: [textOutput.name] };
}

/** A tensor of one element, whatever its rank. */
function oneElement(spec: TensorSpec, value: unknown, pointer: string, faults: FieldError[]): Tensor | null {
  const shape = spec.shape.map((size) => (size === -1 ? 1 : size));
  if (value === undefined) {
    faults.push({ pointer, message: 'is missing' });
  } else if (shape.some((size) => size !== 1)) {
    faults.push({ pointer, message: `is one value, but ${spec.name} has more: ${shapeText(spec)}; use infer` });
  } else {
    const found: FieldError[] = [];
    const data = readElements(spec.datatype, shape, 1, [value], pointer, found);
    if (data !== null) return { name: spec.name, datatype: spec.datatype, shape, data };
    for (const { message } of found) faults.push({ pointer, message });
  }
  return null;
}

/** The tensor of text: the one of the protocol's name, else the only one that is text. Null where there is none, or no telling which. */
function textOf(specs: readonly TensorSpec[], name: string): TensorSpec | null {
  const texts = specs.filter((spec) => spec.datatype === 'BYTES');
  return texts.find((spec) => spec.name === name) ?? (texts.length === 1 ? texts[0]! : null);
}

function noText({ name, signature }: InputTarget): SlipwayError {
  const list = ({ inputs, outputs }: Signature): string =>
    `it takes ${inputs.map(shapeOf).join(', ')} and gives ${outputs.map(shapeOf).join(', ')}`;
  return new SlipwayError('unsupported_option', `${name} does not take one text and give one: ${list(signature)}`, {
    hint: 'Call it with infer; generate is for models with one BYTES input (or text_input) and one BYTES output (or text_output).',
  });
}

function shapeOf(spec: TensorSpec): string {
  return `${spec.name} ${shapeText(spec)}`;
}

function writeGenerate(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string {
  return `${writeText(request, outputs, answered)}}`;
}

function writeStream(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  return {
    contentType: 'text/event-stream; charset=utf-8',
    headers: ['Cache-Control', 'no-store'],
    body: `data: ${writeText(request, outputs, answered)},"done":true}\n\n`,
  };
}

/** All but the last brace. Several texts are answered as a list. */
function writeText(request: InferRequest, outputs: readonly Tensor[], { endpoint, version }: Answered): string {
  const output = outputs.find((one) => one.name === request.outputs![0])!;
  const text = elementsToJson(output);
  const id = request.id === null ? '' : `"id":${JSON.stringify(request.id)},`;
  const value = output.data.length === 1 ? text : `[${text}]`;
  return `{${id}"model_name":"${endpoint}","model_version":"${version}","text_output":${value}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
