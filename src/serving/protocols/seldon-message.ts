/** SeldonMessage, the body of Seldon Core v1, in its JSON form (its prediction.proto): one of data, binData, strData, jsonData beside meta. */
import { SlipwayError } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { readImageBody, readRawBody } from '../inputs/file-body.ts';
import { parseMediaType } from '../inputs/media-type.ts';
import { readMultipart } from '../inputs/multipart.ts';
import { readTableRows } from '../inputs/table-rows.ts';
import { bytesOfBase64 } from '../tensors/base64-value.ts';
import { type InputTarget, invalidInput, shapeText } from '../tensors/input-check.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { mostKeysOf, type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';
import { elementCount } from '../tensors/shape.ts';
import { readColumns, readInstances } from './instances.ts';
import { readJsonBody } from './json-body.ts';
import type { InferRequest, WireCall } from './protocol.ts';

/** In which of its forms the answer is given. */
export type AnswerKind = 'ndarray' | 'tensor' | 'strData' | 'jsonData';
export type Form = {
  readonly kind: AnswerKind;
  readonly puid: string | null;
  /** JSON text of the request's tags, which an answer has too. */
  readonly tags: Readonly<Record<string, unknown>>;
};

const PAYLOADS = ['data', 'binData', 'strData', 'jsonData', 'customData'] as const;
const DATA_FORMS = ['ndarray', 'tensor', 'tftensor'] as const;
const LONGEST_PUID = 128;

/** @throws SlipwayError `unsupported_media`, `invalid_json`, `unsupported_option`, `invalid_input` with all faults */
export function parsePredictions(call: WireCall, target: InputTarget): InferRequest {
  const message = readMessage(call, target);
  const [payload] = PAYLOADS.filter((one) => message[one] !== undefined && message[one] !== null);
  const { puid, tags } = readMeta(message['meta'], target);
  const { kind, ...read } = readPayload(payload!, message[payload!], target);
  const form: Form = { kind, puid, tags };
  return { id: puid, outputs: null, ...read, form };
}

function readMessage(call: WireCall, target: InputTarget): Record<string, unknown> {
  const header = call.headers['content-type'];
  const type = typeof header === 'string' ? parseMediaType(header) : null;
  const message =
    type?.name === 'multipart/form-data'
      ? readForm(call, header as string, target)
      : readJsonBody(call, mostKeysOf(target.signature));
  if (!isObject(message)) throw fault(target, '', `must be an object, a SeldonMessage, not ${kindOf(message)}`);
  const given = PAYLOADS.filter((one) => message[one] !== undefined && message[one] !== null);
  const known = ['status', 'meta', ...PAYLOADS];
  const other = Object.keys(message).find((key) => !known.includes(key));
  if (other !== undefined)
    throw fault(target, `/${other.slice(0, 100)}`, `is not known; a SeldonMessage has ${known.join(', ')}`);
  if (given.length !== 1) {
    throw fault(
      target,
      '',
      `must have one of ${PAYLOADS.slice(0, 4).join(', ')}${given.length === 0 ? '' : `, not ${given.join(' and ')}`}`,
    );
  }
  return message;
}

/** Parts are the keys of a message: files and texts as they are, the others as JSON. */
function readForm(call: WireCall, header: string, target: InputTarget): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  for (const { name, content } of readMultipart(call.body, parseMediaType(header))) {
    if (Object.hasOwn(message, name)) throw fault(target, `/${name.slice(0, 100)}`, 'is there twice');
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    if (name === 'binData') message[name] = bytes;
    else if (name === 'strData') message[name] = bytes.toString();
    else message[name] = readJsonBody({ body: content, headers: {} }, mostKeysOf(target.signature));
  }
  return message;
}

function readMeta(meta: unknown, target: InputTarget): Pick<Form, 'puid' | 'tags'> {
  if (meta === undefined || meta === null) return { puid: null, tags: {} };
  if (!isObject(meta)) throw fault(target, '/meta', `must be an object, not ${kindOf(meta)}`);
  const { puid = null, tags = {}, routing, requestPath, metrics, ...others } = meta;
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw fault(
      target,
      `/meta/${other.slice(0, 100)}`,
      'is not known; meta has puid, tags, routing, requestPath, metrics',
    );
  if (puid !== null && (typeof puid !== 'string' || puid.length > LONGEST_PUID)) {
    throw fault(target, '/meta/puid', `must be a string of at most ${LONGEST_PUID} characters`);
  }
  if (!isObject(tags)) throw fault(target, '/meta/tags', `must be an object, not ${kindOf(tags)}`);
  if (isObject(routing) && Object.keys(routing).length > 0) {
    throw new SlipwayError('unsupported_option', 'There are no routers here, so meta.routing cannot be followed', {
      fields: [{ pointer: '/meta/routing', message: 'must be left out' }],
    });
  }
  void requestPath; // what earlier servers did; it is told anew
  void metrics;
  return { puid: puid === '' ? null : puid, tags };
}

type Read = PlainInputs & { readonly kind: AnswerKind };

function readPayload(payload: (typeof PAYLOADS)[number], value: unknown, target: InputTarget): Read {
  switch (payload) {
    case 'data':
      return readData(value, target);
    case 'binData':
      return { ...readBinary(value, target), kind: 'ndarray' };
    case 'strData':
      if (typeof value !== 'string') throw fault(target, '/strData', `must be a string, not ${kindOf(value)}`);
      return { ...readText(value, target), kind: 'strData' };
    case 'jsonData':
      return { ...readJson(value, target), kind: 'jsonData' };
    default:
      throw new SlipwayError('unsupported_option', 'customData is a protobuf message that no model here knows', {
        hint: 'Send data, binData, strData or jsonData.',
      });
  }
}

function readData(data: unknown, target: InputTarget): Read {
  if (!isObject(data)) throw fault(target, '/data', `must be an object, not ${kindOf(data)}`);
  const { names, ...forms } = data;
  const other = Object.keys(forms).find((key) => !(DATA_FORMS as readonly string[]).includes(key));
  if (other !== undefined)
    throw fault(target, `/data/${other.slice(0, 100)}`, 'is not known; data has names and one of ndarray, tensor');
  const given = DATA_FORMS.filter((form) => forms[form] !== undefined);
  if (given.length !== 1)
    throw fault(target, '/data', `must have one of ndarray, tensor${given.length === 0 ? '' : ', not several'}`);
  if (names !== undefined && !(Array.isArray(names) && names.every((name) => typeof name === 'string'))) {
    throw fault(target, '/data/names', 'must be a list of strings');
  }
  if (forms['tftensor'] !== undefined) {
    throw new SlipwayError('unsupported_option', 'TensorFlow tensors are not taken in SeldonMessages', {
      hint: 'Send ndarray or tensor; or tensors by the protocol of TensorFlow Serving.',
    });
  }
  const columns = names === undefined || names.length === 0 ? null : (names as string[]);
  if (forms['ndarray'] !== undefined)
    return { ...readArray(forms['ndarray'], columns, '/data/ndarray', target), kind: 'ndarray' };
  return { ...readTensor(forms['tensor'], columns, target), kind: 'tensor' };
}

/** Nested lists: a table where names say what the columns are or the model has several inputs, else the elements of the only input. */
function readArray(array: unknown, names: readonly string[] | null, at: string, target: InputTarget): PlainInputs {
  if (!Array.isArray(array)) throw fault(target, at, `must be a list, not ${kindOf(array)}`);
  const { inputs } = target.signature;
  const isTable = array.length > 0 && array.every((row) => Array.isArray(row) && !Array.isArray(row[0]));
  if (isTable && (names !== null || inputs.length > 1)) {
    const rows = array as unknown[][];
    return readTableRows({ names, rows, pointerOfNames: '/data/names', pointerOfRow: (row) => `${at}/${row}` }, target);
  }
  return readColumns(array, target, at);
}

/** `{"shape": […], "values": […]}`, the values row-major. */
function readTensor(tensor: unknown, names: readonly string[] | null, target: InputTarget): PlainInputs {
  const at = '/data/tensor';
  if (!isObject(tensor)) throw fault(target, at, `must be an object with shape and values, not ${kindOf(tensor)}`);
  const { shape, values, ...others } = tensor;
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw fault(target, `${at}/${other.slice(0, 100)}`, 'is not known; a tensor has shape, values');
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw fault(target, `${at}/shape`, 'must be a list of whole numbers from 1');
  }
  if (!Array.isArray(values)) throw fault(target, `${at}/values`, `must be a list of numbers, not ${kindOf(values)}`);
  const count = elementCount(shape as number[]);
  if (count !== values.length)
    throw fault(target, `${at}/values`, `has ${values.length} elements, the shape [${shape.join(',')}] needs ${count}`);
  return readArray(nested(values, shape as number[]), names, `${at}/values`, target);
}

function nested(values: readonly unknown[], shape: readonly number[]): unknown[] {
  let items = values as unknown[];
  for (let axis = shape.length - 1; axis >= 1; axis--) {
    const size = shape[axis]!;
    items = Array.from({ length: items.length / size }, (_, at) => items.slice(at * size, (at + 1) * size));
  }
  return items;
}

function readBinary(value: unknown, target: InputTarget): PlainInputs {
  const bytes = Buffer.isBuffer(value) ? value : bytesOfBase64({ b64: value });
  if (typeof bytes === 'string') throw fault(target, '/binData', bytes.replace('under b64 ', ''));
  const takesImages = target.signature.inputs.some((spec) => spec.decoder?.kind === 'image');
  return takesImages ? readImageBody(bytes, target) : readRawBody(bytes, target);
}

/** One text, for models that take one. */
function readText(text: string, target: InputTarget): PlainInputs {
  const needed = target.signature.inputs.filter((spec) => spec.optional !== true);
  const [only] = needed;
  if (needed.length !== 1 || only!.datatype !== 'BYTES' || only!.shape.some((size) => size > 1))
    throw noText(target, needed);
  const { name, shape } = only!;
  return readPlainBody(target, { inputs: { [name]: shape.reduceRight<unknown>((items) => [items], text) } });
}

function noText({ name }: InputTarget, needed: readonly TensorSpec[]): SlipwayError {
  const takes = needed.map((spec) => `${spec.name} ${shapeText(spec)}`).join(', ');
  return new SlipwayError('unsupported_option', `${name} does not take one text: it takes ${takes}`, {
    hint: 'Send data or jsonData.',
  });
}

function readJson(value: unknown, target: InputTarget): PlainInputs {
  if (Array.isArray(value)) return readInstances(value, target, '/jsonData');
  if (!isObject(value)) throw fault(target, '/jsonData', `must be an object or a list of rows, not ${kindOf(value)}`);
  if (value['records'] !== undefined || value['inputs'] !== undefined) return readPlainBody(target, value);
  if (value['instances'] !== undefined) return readInstances(value['instances'], target, '/jsonData/instances');
  return readInstances([value], target, '/jsonData');
}

function fault(target: InputTarget, pointer: string, message: string): SlipwayError {
  return invalidInput(target, [{ pointer, message }]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
