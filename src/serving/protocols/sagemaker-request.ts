/** Bodies of SageMaker's invocations, by content type: what its built-in algorithms and framework containers take. */
import { SlipwayError } from '../../base/errors.ts';
import { readCsvBody } from '../inputs/csv-body.ts';
import { type MediaType, parseMediaType } from '../inputs/media-type.ts';
import { readNdjsonBody } from '../inputs/ndjson-body.ts';
import { readTableRows } from '../inputs/table-rows.ts';
import { type InputTarget, invalidInput } from '../tensors/input-check.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { mostKeysOf, type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';
import { readColumns, readInstances } from './instances.ts';
import { assertJson, readJsonBody } from './json-body.ts';
import { quotedKeys, readBareRows, readRowsUnder } from './number-rows.ts';
import { readOtherBody } from './plain-bodies.ts';
import type { InferRequest, WireCall } from './protocol.ts';
import { type AnswerType, answerTypeOf } from './sagemaker-answer.ts';
import { isTensor, isTritonType, parseTriton, type TritonForm } from './triton-body.ts';

const JSON_LINES = new Set([
  'application/jsonlines',
  'application/jsonl',
  'application/x-jsonlines',
  'application/x-ndjson',
]);
const LONGEST_ATTRIBUTES = 1024;

export type Form = {
  readonly answer: AnswerType;
  /** Whether JSON predictions are a bare list, as the request was. */
  readonly bare: boolean;
  /** The request in the Open Inference Protocol, which is then that of the answer too. */
  readonly triton?: TritonForm;
  /** Headers to be sent back, name and value in turn. */
  readonly echoes: readonly string[];
  readonly variant: string | null;
};

type Read = PlainInputs & { readonly answer: AnswerType; readonly bare?: boolean };

/** @throws SlipwayError `unsupported_media`, `invalid_json`, `invalid_request`, `unsupported_option`, `invalid_input` with all faults */
export function parseInvocation(call: WireCall, target: InputTarget): InferRequest {
  assertHeaders(call);
  const header = textOf(call, 'content-type');
  const type = parseMediaType(header ?? 'application/json');
  const about = { echoes: echoesOf(call), variant: textOf(call, 'x-amzn-sagemaker-target-variant') };
  const id = textOf(call, 'x-amzn-sagemaker-inference-id');
  if (isTritonType(type, 'sagemaker')) return inTritonForm(parseTriton(call, type, target), about);
  const read = readByType(call, type, target);
  if (read === null) return inTritonForm(parseTriton(call, null, target), about);
  const { answer, bare = false, ...inputs } = read;
  // Callers of streams say it in a header of its own.
  const accept = textOf(call, 'x-amzn-sagemaker-accept') ?? textOf(call, 'accept');
  const form: Form = { answer: answerTypeOf(accept, answer), bare, ...about };
  return { id, outputs: null, ...inputs, form };
}

/** @returns null for JSON of the Open Inference Protocol */
function readByType(call: WireCall, type: MediaType, target: InputTarget): Read | null {
  if (type.name === 'text/csv') return { ...readCsvBody(call.body, withoutHeader(type), target), answer: 'csv' };
  if (JSON_LINES.has(type.name)) return { ...readNdjsonBody(asRecords(call.body), target), answer: 'jsonlines' };
  const other = readOtherBody(call, target);
  return other === null ? readDocument(call, target) : { ...other, answer: 'json' };
}

/** Its tables have no line of names unless they say so. */
function withoutHeader({ name, parameters }: MediaType): MediaType {
  const label = parameters.get('label_size') ?? '0';
  if (label !== '0') {
    throw new SlipwayError('unsupported_media', `The body says label_size=${JSON.stringify(label.slice(0, 20))}`, {
      hint: 'Send the inputs alone, without a column of labels.',
    });
  }
  return { name, parameters: new Map([['header', 'absent'], ...parameters]) };
}

const FEATURES = Buffer.from('"features"');

/** Lines may hold `{"features": [...]}`, which built-in algorithms take, for a row's bare values. */
function asRecords(body: Uint8Array): Uint8Array {
  if (Buffer.from(body.buffer, body.byteOffset, body.byteLength).indexOf(FEATURES) === -1) return body;
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  return Buffer.from(text.replace(/^[ \t]*\{\s*"features"\s*:\s*(\[[^{}]*\])\s*\}[ \t\r]*$/gm, '$1'));
}

const KEYS_OF_ROWS = quotedKeys('instances', 'inputs');

function readDocument(call: WireCall, target: InputTarget): Read | null {
  assertJson(call);
  const bare = readBareRows(call.body, target);
  if (bare !== null) return { ...bare, answer: 'json', bare: true };
  const rows = readRowsUnder(KEYS_OF_ROWS, call.body, target);
  if (rows !== null) return { ...rows, answer: 'json' };
  const body = readJsonBody(call, mostKeysOf(target.signature));
  if (Array.isArray(body)) return { ...readRows(body, target), answer: 'json', bare: true };
  if (typeof body !== 'object' || body === null) {
    throw invalidInput(target, [
      { pointer: '', message: `must be a list of rows, or an object with "instances", not ${kindOf(body)}` },
    ]);
  }
  const { instances, inputs, records, ...others } = body as Record<string, unknown>;
  if (Array.isArray(inputs) && isTensor(inputs[0])) return null;
  const given = [instances, inputs, records].filter((one) => one !== undefined).length;
  const [other] = Object.keys(others);
  if (given === 0 && target.signature.inputs.some(({ name }) => Object.hasOwn(others, name))) {
    return { ...readPlainBody(target, { records: [others] }), answer: 'json' };
  }
  if (other !== undefined) {
    const message = 'is not known; a request has one of instances, inputs, records';
    throw invalidInput(target, [{ pointer: `/${other.slice(0, 100)}`, message }]);
  }
  if (given !== 1) {
    const message = `must have one of instances, inputs, records${given === 0 ? '' : ', not several'}`;
    throw invalidInput(target, [{ pointer: '', message }]);
  }
  if (records !== undefined) return { ...readPlainBody(target, { records }), answer: 'json' };
  const read = inputs === undefined ? readInstances(instances, target) : readColumns(inputs, target);
  return { ...read, answer: 'json' };
}

/** A bare list: rows, or the values of a single one. */
function readRows(body: readonly unknown[], target: InputTarget): PlainInputs {
  const { inputs } = target.signature;
  const isTable = inputs.length > 1 && body.length > 0 && body.every(Array.isArray);
  if (isTable) {
    const rows = body as readonly unknown[][];
    return readTableRows({ names: null, rows, pointerOfNames: '', pointerOfRow: (row) => `/${row}` }, target);
  }
  const [only] = inputs;
  const isOneRow =
    inputs.length === 1 &&
    only!.shape.length === 2 &&
    only!.shape[1] !== 1 &&
    !Array.isArray(body[0]) &&
    typeof body[0] !== 'object';
  return isOneRow ? readInstances([body], target, '') : readInstances(body, target, '');
}

function inTritonForm(
  { triton, ...request }: ReturnType<typeof parseTriton>,
  about: Pick<Form, 'echoes' | 'variant'>,
): InferRequest {
  return { ...request, form: { answer: 'json', bare: false, triton, ...about } satisfies Form };
}

/** What a caller may say in a header and is not done here. */
const REFUSED: readonly (readonly [header: string, reason: string])[] = [
  ['x-amzn-sagemaker-session-id', 'Sessions are not kept here: every request stands alone'],
  ['x-amzn-sagemaker-enable-explanations', 'Explanations are not computed here'],
  ['x-amzn-sagemaker-target-container-hostname', 'An endpoint has one model here, not containers; name its endpoint'],
  ['x-amzn-sagemaker-inference-component', 'Endpoints have no components here; name the endpoint'],
];

function assertHeaders(call: WireCall): void {
  for (const [header, reason] of REFUSED) {
    const value = textOf(call, header);
    if (value === null || (header.endsWith('explanations') && value === '`false`')) continue;
    throw new SlipwayError('unsupported_option', `${reason} (header ${header})`, { hint: 'Leave the header out.' });
  }
  const attributes = textOf(call, 'x-amzn-sagemaker-custom-attributes');
  if (attributes !== null && (attributes.length > LONGEST_ATTRIBUTES || !/^[\x20-\x7e]*$/.test(attributes))) {
    throw new SlipwayError(
      'invalid_request',
      `CustomAttributes must be at most ${LONGEST_ATTRIBUTES} visible characters of ASCII`,
    );
  }
}

function echoesOf(call: WireCall): string[] {
  return ['X-Amzn-SageMaker-Custom-Attributes', 'X-Amzn-SageMaker-Inference-Id'].flatMap((name) => {
    const value = textOf(call, name.toLowerCase());
    return value === null ? [] : [name, value];
  });
}

export function textOf({ headers }: Pick<WireCall, 'headers'>, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}
