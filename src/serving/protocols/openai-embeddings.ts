/** Embeddings: texts, or token ids, to one vector each. Which model embeds shows in its signature. */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { assessShape, type InputTarget, invalidInput, shapeText } from '../tensors/input-check.ts';
import { elementsToJson, elementValues, kindOf, readElements } from '../tensors/json-elements.ts';
import { sliceRows } from '../tensors/rows.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { readJsonBody } from './json-body.ts';
import type { Answered, InferRequest, WireCall } from './protocol.ts';

const KEYS = ['model', 'input', 'encoding_format', 'dimensions', 'user'];
/** Texts of one request, as OpenAI has it. */
const MOST_INPUTS = 2048;

type Form = { readonly base64: boolean; readonly tokens: number };

/** The parts of a signature that embeds. */
type Embedder = {
  readonly text: TensorSpec | null;
  readonly ids: TensorSpec | null;
  /** Inputs that say of each token whether it is one. */
  readonly masks: readonly TensorSpec[];
  /** Inputs that are zero for every token. */
  readonly zeros: readonly TensorSpec[];
  readonly output: TensorSpec;
};

const IDS = ['input_ids', 'tokens', 'ids'];
const MASKS = ['attention_mask', 'mask'];
const ZEROS = ['token_type_ids', 'segment_ids'];

/** @throws SlipwayError `unsupported_option` where the model embeds nothing, `invalid_json`, `invalid_input` with all faults */
export function parseEmbeddings(call: WireCall, target: InputTarget): InferRequest {
  const embedder = embedderOf(target);
  const body = readJsonBody(call);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalidInput(target, [{ pointer: '', message: `must be an object, not ${kindOf(body)}` }]);
  }
  const document = body as Record<string, unknown>;
  const faults: FieldError[] = [];
  for (const key of Object.keys(document)) {
    if (KEYS.includes(key) || faults.length >= MAX_FIELD_ERRORS) continue;
    faults.push({ pointer: `/${key.slice(0, 100)}`, message: `is not known; a request has ${KEYS.join(', ')}` });
  }
  const { input, encoding_format: encoding = 'float', dimensions } = document;
  if (encoding !== 'float' && encoding !== 'base64')
    faults.push({ pointer: '/encoding_format', message: 'must be float or base64' });
  const width = embedder.output.shape.at(-1)!;
  if (dimensions !== undefined && dimensions !== width) {
    faults.push({
      pointer: '/dimensions',
      message: width === -1 ? 'is not taken by this model' : `must be ${width}, which this model gives, or left out`,
    });
  }
  const inputs = readInputs(input, embedder, target, faults);
  if (faults.length > 0) throw invalidInput(target, faults);
  const form: Form = { base64: encoding === 'base64', tokens: inputs.tokens };
  return { id: null, inputs: inputs.tensors, rows: inputs.rows, outputs: [embedder.output.name], form };
}

function embedderOf({ name, signature }: InputTarget): Embedder {
  const output = outputOf(signature);
  const needed = signature.inputs.filter((spec) => spec.optional !== true);
  const texts = signature.inputs.filter(({ datatype }) => datatype === 'BYTES');
  const text = texts.length === 1 && needed.every((spec) => spec === texts[0]) ? texts[0]! : null;
  const named = (names: readonly string[]): TensorSpec[] =>
    signature.inputs.filter((spec) => names.includes(spec.name) && spec.shape.length === 2);
  const [ids = null] = named(IDS);
  const masks = named(MASKS);
  const zeros = named(ZEROS);
  const tokenized =
    ids !== null && needed.every((spec) => spec === ids || masks.includes(spec) || zeros.includes(spec));
  if (output !== null && (text !== null || tokenized))
    return { text, ids: tokenized ? ids : null, masks, zeros, output };
  const takes = signature.inputs.map((spec) => `${spec.name} ${shapeText(spec)}`).join(', ');
  const gives = signature.outputs.map((spec) => `${spec.name} ${shapeText(spec)}`).join(', ');
  throw new SlipwayError('unsupported_option', `${name} is no embedding model: it takes ${takes} and gives ${gives}`, {
    hint: 'A model that embeds takes one text, or input_ids with attention_mask, and gives one vector of numbers a row.',
    fields: [{ pointer: '/model', message: 'must be an embedding model' }],
  });
}

/** The vector of a row: by its usual names, else the only one there is. */
function outputOf({ outputs }: Signature): TensorSpec | null {
  const vectors = outputs.filter(
    ({ datatype, shape }) => shape.length === 2 && shape[0] === -1 && /^(FP|BF)/.test(datatype),
  );
  const named = vectors.find(({ name }) => /embedding|pooler|pooled/i.test(name));
  return named ?? (vectors.length === 1 ? vectors[0]! : null);
}

type Inputs = { readonly tensors: Tensor[]; readonly rows: number; readonly tokens: number };
const NONE: Inputs = { tensors: [], rows: 0, tokens: 0 };

function readInputs(input: unknown, embedder: Embedder, target: InputTarget, faults: FieldError[]): Inputs {
  if (input === undefined) return fail(faults, '/input', 'is missing');
  const isTokens = (value: unknown): boolean =>
    Array.isArray(value) && value.length > 0 && typeof value[0] === 'number';
  const items: readonly unknown[] =
    typeof input === 'string' || isTokens(input) ? [input] : Array.isArray(input) ? input : [];
  if (items.length === 0)
    return fail(
      faults,
      '/input',
      'must be a text, a list of texts, a list of token ids, or a list of such lists, and not empty',
    );
  if (items.length > MOST_INPUTS)
    return fail(faults, '/input', `has ${items.length} items; at most ${MOST_INPUTS} are taken at once`);
  const at = (row: number): string => (items[0] === input ? '/input' : `/input/${row}`);
  return typeof items[0] === 'string'
    ? readTexts(items, embedder, target, at, faults)
    : readTokens(items, embedder, at, faults);
}

function readTexts(
  items: readonly unknown[],
  { text }: Embedder,
  target: InputTarget,
  at: (row: number) => string,
  faults: FieldError[],
): Inputs {
  if (text === null) {
    throw new SlipwayError('unsupported_option', `${target.name} takes token ids, and there is no tokenizer here`, {
      fields: [{ pointer: '/input', message: 'must be lists of token ids for this model' }],
    });
  }
  const empty = items.indexOf('');
  if (empty !== -1) return fail(faults, at(empty), 'must not be an empty text');
  const shape = text.shape.map((size, axis) => (axis === 0 ? items.length : size === -1 ? 1 : size));
  const misfit = assessShape(text, shape);
  if (misfit !== null || shape.slice(1).some((size) => size !== 1)) {
    return fail(
      faults,
      '/input',
      items.length > 1
        ? 'must be one text: this model takes one at a time'
        : `does not fit ${text.name} ${shapeText(text)}`,
    );
  }
  const mine: FieldError[] = [];
  const data = readElements('BYTES', [items.length], items.length, items, '', mine);
  for (const { pointer, message } of mine) faults.push({ pointer: at(Number(pointer.slice(1))), message });
  return data === null
    ? NONE
    : { tensors: [{ name: text.name, datatype: 'BYTES', shape, data }], rows: items.length, tokens: 0 };
}

/** Rows of different lengths are filled up at their end, where the mask says that there is nothing. */
function readTokens(
  items: readonly unknown[],
  { ids, masks, zeros }: Embedder,
  at: (row: number) => string,
  faults: FieldError[],
): Inputs {
  if (ids === null) return fail(faults, '/input', 'must be text: this model takes no token ids');
  let width = 0;
  let tokens = 0;
  for (let row = 0; row < items.length && faults.length < MAX_FIELD_ERRORS; row++) {
    const item = items[row];
    if (
      !Array.isArray(item) ||
      item.length === 0 ||
      !item.every((id) => Number.isSafeInteger(id) && (id as number) >= 0)
    ) {
      faults.push({ pointer: at(row), message: 'must be a list of token ids, whole numbers from 0' });
    } else {
      width = Math.max(width, item.length);
      tokens += item.length;
    }
  }
  if (faults.length > 0) return NONE;
  const rows = items as readonly (readonly number[])[];
  if (masks.length === 0 && rows.some((row) => row.length !== width))
    return fail(faults, '/input', 'must be lists of one length: this model has no attention_mask');
  const shape = [rows.length, width];
  const misfit = assessShape(ids, shape);
  if (misfit !== null) return fail(faults, '/input', misfit);
  const fill = (spec: TensorSpec, elementAt: (row: readonly number[], place: number) => number): Tensor => {
    const values = rows.flatMap((row) => Array.from({ length: width }, (_, place) => elementAt(row, place)));
    const data = readElements(spec.datatype, [values.length], values.length, values, '/input', faults);
    return { name: spec.name, datatype: spec.datatype, shape, data: data ?? [] };
  };
  const tensors = [
    fill(ids, (row, place) => row[place] ?? 0),
    ...masks.map((spec) => fill(spec, (row, place) => (place < row.length ? 1 : 0))),
    ...zeros.map((spec) => fill(spec, () => 0)),
  ];
  return { tensors, rows: rows.length, tokens };
}

function fail(faults: FieldError[], pointer: string, message: string): Inputs {
  faults.push({ pointer, message });
  return NONE;
}

export function writeEmbeddings(request: InferRequest, outputs: readonly Tensor[], { endpoint }: Answered): string {
  const { base64, tokens } = request.form as Form;
  const output = outputs.find(({ name }) => name === request.outputs![0])!;
  const texts: string[] = [];
  for (let row = 0; row < output.shape[0]!; row++) {
    const vector = sliceRows(output, row, row + 1);
    const embedding = base64 ? `"${base64Of(vector)}"` : `[${elementsToJson(vector)}]`;
    texts.push(`{"object":"embedding","index":${row},"embedding":${embedding}}`);
  }
  return `{"object":"list","data":[${texts.join(',')}],"model":"${endpoint}","usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}}`;
}

/** Little-endian FP32, whatever the model's own type is. */
function base64Of(vector: Tensor): string {
  const { data } = vector;
  const singles = data instanceof Float32Array ? data : Float32Array.from(elementValues(vector) as readonly number[]);
  return Buffer.from(singles.buffer, singles.byteOffset, singles.byteLength).toString('base64');
}
