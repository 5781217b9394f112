/**
 * Bodies of TorchServe's predictions. There a handler in Python makes of them what it likes; here the signature says what they mean: a file, a text, a row, or rows, and
 * KServe's envelope as its own handlers take it.
 */
import { type FieldError, SlipwayError } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { readImageBody, readRawBody } from '../inputs/file-body.ts';
import { parseMediaType } from '../inputs/media-type.ts';
import { type FormPart, readMultipart } from '../inputs/multipart.ts';
import { isBase64Value } from '../tensors/base64-value.ts';
import { type InputTarget, invalidInput, rowsOf } from '../tensors/input-check.ts';
import { writeJson } from '../tensors/json-text.ts';
import { rowTexts } from '../tensors/nested-json.ts';
import { wholeNumberRows } from '../tensors/number-arrays.ts';
import { mostKeysOf, type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';
import { answersByRow, tensorsToPredictions } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { assertJson, isJsonType } from './json-body.ts';
import type { Answered, InferRequest, WireCall } from './protocol.ts';
import { readPythonJson } from './python-json.ts';
import { predictText } from './tensorflow-answer.ts';
import { asObject, PREDICT_KEYS, type PredictForm, readPredict } from './tensorflow-request.ts';

/** One row is answered bare, rows as a list, an envelope as it came. */
type Form = { readonly as: 'row' | 'rows' } | ({ readonly as: 'envelope' } & PredictForm);

/** Names under which its handlers look for the one thing they are given. */
const ONLY = ['data', 'body'];
const JSON_START = /^\s*[[{]/;

export function parseTorchserve(call: WireCall, target: InputTarget): InferRequest {
  const header = call.headers['content-type'];
  const type = typeof header === 'string' && header !== '' ? parseMediaType(header) : null;
  if (type?.name === 'multipart/form-data') return readParts(readMultipart(call.body, type), target);
  if (type?.name.startsWith('image/')) return rowOf(readImageBody(call.body, target));
  if (isJsonType(header)) assertJson(call); // of the charset
  const isNamedJson = type !== null && /^application\/(?:[a-z0-9.+-]*\+)?json$/.test(type.name);
  if (isNamedJson)
    return (
      readNumberRows(call.body, target) ?? readValue(readPythonJson(call.body, mostKeysOf(target.signature)), target)
    );
  if (type === null || type.name === 'application/octet-stream' || isJsonType(header))
    return readBare(call.body, target);
  throw new SlipwayError('unsupported_media', `The body has the type ${JSON.stringify(header)}`, {
    hint: 'Send a file as it is, JSON with Content-Type: application/json, or a form.',
  });
}

/** A long list of rows of numbers, read straight from the bytes; null for all else, and where anything is wrong. */
function readNumberRows(body: Uint8Array, target: InputTarget): InferRequest | null {
  const [only, other] = target.signature.inputs;
  if (other !== undefined || only?.shape.length !== 2) return null;
  const rows = wholeNumberRows(Buffer.from(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength));
  if (rows === null) return null;
  try {
    const request = readPredict({ inputs: rows.mark }, target, rows);
    return { ...request, rows: rowsOf(request.inputs), form: { as: 'rows' } satisfies Form };
  } catch {
    return null;
  }
}

/** Files are only passed on. */
export function isPassedOn({ headers }: WireCall, target: InputTarget): boolean {
  const type = headers['content-type'];
  const isFile = typeof type === 'string' && /^(image\/|multipart\/form-data|application\/octet-stream)/i.test(type);
  return isFile && target.signature.inputs.some((spec) => spec.decoder !== undefined);
}

function rowOf({ inputs, rows, encoded }: PlainInputs, as: 'row' | 'rows' = 'row'): InferRequest {
  const files = encoded === undefined ? {} : { encoded };
  return { id: null, inputs, rows, outputs: null, form: { as } satisfies Form, ...files };
}

/** The only input that has to be given; undefined where there are several. */
function onlyInput({ signature }: InputTarget): TensorSpec | undefined {
  const { inputs } = signature;
  const needed = inputs.filter((spec) => spec.optional !== true);
  return needed.length === 1 ? needed[0] : inputs.length === 1 ? inputs[0] : undefined;
}

/** A body that says nothing of itself, as `curl -T` sends it. */
function readBare(body: Uint8Array, target: InputTarget): InferRequest {
  const only = onlyInput(target);
  if (only?.decoder?.kind === 'image' && !JSON_START.test(startOf(body))) return rowOf(readImageBody(body, target));
  if (only?.decoder?.kind === 'raw' && !JSON_START.test(startOf(body))) return rowOf(readRawBody(body, target), 'rows');
  if (only?.datatype === 'BYTES' && !JSON_START.test(startOf(body))) return readValue(textOf(body), target);
  return readNumberRows(body, target) ?? readValue(readPythonJson(body, mostKeysOf(target.signature)), target);
}

function startOf(body: Uint8Array): string {
  return Buffer.from(body.buffer as ArrayBuffer, body.byteOffset, Math.min(body.byteLength, 64)).toString('latin1');
}

function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new SlipwayError('invalid_request', 'The text is not valid UTF-8');
  }
}

function readParts(parts: readonly FormPart[], target: InputTarget): InferRequest {
  const only = onlyInput(target);
  const faults: FieldError[] = [];
  const [first] = parts;
  if (first === undefined) throw new SlipwayError('invalid_request', 'The form has no parts');
  if (only !== undefined && parts.every(({ name }) => ONLY.includes(name) || name === only.name)) {
    if (only.decoder?.kind === 'image') {
      const files = parts.map(({ content }) => content);
      const pointers = parts.map(({ name }, at) => `/${name}/${at}`);
      const encoded = [{ name: only.name, files, pointers }];
      return rowOf({ inputs: [], rows: parts.length, encoded }, parts.length === 1 ? 'row' : 'rows');
    }
    if (parts.length === 1) return readBare(first.content, target);
  }
  const isInput = target.signature.inputs.some(({ name }) => name === first.name);
  if (parts.length === 1 && ONLY.includes(first.name) && !isInput) return readBare(first.content, target);
  const record: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const { name, content } of parts) {
    if (Object.hasOwn(record, name))
      faults.push({ pointer: pointerOf([name.slice(0, 100)]), message: 'is given twice' });
    const spec = target.signature.inputs.find((one) => one.name === name);
    if (spec?.decoder?.kind === 'image') record[name] = { b64: Buffer.from(content).toString('base64') };
    else
      record[name] =
        spec?.datatype === 'BYTES' ? textOf(content) : readPythonJson(content, mostKeysOf(target.signature));
  }
  if (faults.length > 0) throw invalidInput(target, faults);
  return rowOf(readPlainBody(target, { records: [{ ...record }] }));
}

function readValue(value: unknown, target: InputTarget): InferRequest {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !isBase64Value(value)) {
    const keys = Object.keys(value);
    const given = value as Record<string, unknown>;
    const isInput = (key: string): boolean => target.signature.inputs.some(({ name }) => name === key);
    if ('instances' in given || ('inputs' in given && !isInput('inputs'))) {
      const request = readPredict(asObject(value, PREDICT_KEYS), target);
      return { ...request, form: { as: 'envelope', ...(request.form as PredictForm) } satisfies Form };
    }
    const [key] = keys;
    if (keys.length === 1 && ONLY.includes(key!) && !isInput(key!)) return readValue(given[key!], target);
    return rowOf(readPlainBody(target, { records: [value] }));
  }
  const only = onlyInput(target);
  if (only === undefined || (Array.isArray(value) && isRecords(value))) {
    return rowOf(readPlainBody(target, { records: Array.isArray(value) ? value : [value] }), 'rows');
  }
  const isOne = only.decoder === undefined ? rankOf(value) < only.shape.length : !Array.isArray(value);
  const rows = isOne && only.shape.length > 0 ? [value] : value;
  const request = readPredict({ inputs: { [only.name]: rows } }, target);
  return {
    ...request,
    rows: request.encoded === undefined ? rowsOf(request.inputs) : request.rows,
    form: { as: isOne ? 'row' : 'rows' },
  };
}

function isRecords(value: readonly unknown[]): boolean {
  const [first] = value;
  return typeof first === 'object' && first !== null && !Array.isArray(first) && !isBase64Value(first);
}

function rankOf(value: unknown): number {
  let rank = 0;
  for (let at = value; Array.isArray(at); at = at[0]) rank++;
  return rank;
}

export function writeTorchserve(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string {
  const form = request.form as Form;
  if (form.as === 'envelope') return predictText(request, outputs, answered, 'quoted');
  const { rows } = request;
  if (answersByRow(answered.signature, outputs, rows)) {
    const texts = textsOf(outputs, answered);
    return form.as === 'row' && rows === 1 ? texts[0]! : `[${texts.join(',')}]`;
  }
  const predictions = tensorsToPredictions(answered.signature, outputs, rows).map((row) => {
    const values = Object.values(row);
    return values.length === 1 ? values[0] : row;
  });
  return writeJson(form.as === 'row' && predictions.length === 1 ? predictions[0] : predictions);
}

/** Rows as texts, of outputs by row: a bare value, an object by class where the output has labels, else nested lists. */
function textsOf(outputs: readonly Tensor[], { signature }: Answered): string[] {
  const columns = outputs.map((output): string[] => {
    const { labels } = signature.outputs.find(({ name }) => name === output.name)!;
    const { shape, data } = output;
    const [rows] = shape;
    const width = data.length / rows!;
    if (labels?.length === width) return byLabel(labels, rowTexts({ ...output, shape: [data.length] }));
    return rowTexts(shape.length === 2 && width === 1 ? { ...output, shape: [rows!] } : output);
  });
  if (columns.length === 1) return columns[0]!;
  const names = outputs.map(({ name }) => JSON.stringify(name));
  return columns[0]!.map((_, at) => `{${names.map((name, i) => `${name}:${columns[i]![at]}`).join(',')}}`);
}

/** Objects by class, of values one behind the other. */
function byLabel(labels: readonly string[], values: readonly string[]): string[] {
  const keys = labels.map((label, at) => `${at === 0 ? '{' : ','}${JSON.stringify(label)}:`);
  const texts: string[] = [];
  for (let at = 0; at < values.length; ) {
    let text = '';
    for (const key of keys) text += key + values[at++]!;
    texts.push(`${text}}`);
  }
  return texts;
}
