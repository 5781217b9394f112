/** Classify and regress: rows as tf.Example has them, each feature a value or a list, answered with classes and scores, or with numbers. */
import { SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { isBase64Value } from '../tensors/base64-value.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { nestedToJson } from '../tensors/nested-json.ts';
import { readPlainBody } from '../tensors/plain-codec.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Answered, InferRequest, WireCall } from './protocol.ts';
import { debugText, jsonTypeOf } from './tensorflow-faults.ts';
import { METHODS } from './tensorflow-names.ts';
import { assertSignature, readObject, renamed } from './tensorflow-request.ts';

const KEYS = ['signature_name', 'context', 'examples'];
type Example = Record<string, unknown>;

export function parseClassify(call: WireCall, target: InputTarget): InferRequest {
  scoresOf(target.signature);
  return parseExamples(call, target);
}

export function parseRegress(call: WireCall, target: InputTarget): InferRequest {
  regressedOf(target.signature);
  return parseExamples(call, target);
}

function parseExamples(call: WireCall, target: InputTarget): InferRequest {
  const body = readObject(call, target, KEYS);
  assertSignature(body, (name) => `No signature was found with the name: ${name}`);
  const { examples, context } = body;
  const refused = (what: string): SlipwayError =>
    new SlipwayError('invalid_request', `JSON Value: ${debugText(body)} ${what}`);
  const shared = context === undefined ? {} : readExample(context);
  if (examples === undefined) throw refused("When method is classify, key 'examples' is expected and was not found");
  if (!Array.isArray(examples)) throw refused("Expecting 'examples' value to be an list/array");
  if (examples.length === 0) throw refused("'examples' value is an empty array");
  return examplesToRequest(
    examples.map((example) => ({ ...shared, ...readExample(example) })),
    target,
  );
}

/** @param examples features by name, each one value or a list of them */
export function examplesToRequest(examples: readonly Example[], target: InputTarget): InferRequest {
  const single = new Set(target.signature.inputs.flatMap(singleValues));
  const records = examples.map((example) =>
    Object.fromEntries(
      Object.entries(example).map(([name, value]) => [
        name,
        single.has(name) && Array.isArray(value) && value.length === 1 ? value[0] : value,
      ]),
    ),
  );
  try {
    const { inputs, rows, encoded } = readPlainBody(target, { records });
    return { id: null, inputs, rows, outputs: null, ...(encoded === undefined ? {} : { encoded }) };
  } catch (error) {
    throw renamed(error, '/records', '/examples');
  }
}

/** Names of features that have one value a row: those of a column, and inputs of one. */
function singleValues({ name, shape, features = [] }: TensorSpec): string[] {
  const isOne = shape.length === 1 || (shape.length === 2 && shape[1] === 1);
  return isOne ? [name, ...features] : [...features];
}

function readExample(value: unknown): Example {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SlipwayError('invalid_request', `Example must be JSON object but got JSON ${jsonTypeOf(value)}`);
  }
  for (const [name, content] of Object.entries(value)) {
    let kind: string | null = null;
    for (const item of Array.isArray(content) ? (content as unknown[]) : [content]) {
      const isBytes = isBase64Value(item) || typeof item === 'string';
      const type = jsonTypeOf(item);
      if (!isBytes && ['Null', 'Array', 'Object'].includes(type)) {
        throw new SlipwayError('invalid_request', `Feature: ${name} has element with unexpected JSON type: ${type}`);
      }
      const own = isBytes ? 'bytes' : typeof item === 'number' && !Number.isInteger(item) ? 'float' : 'int64';
      if (kind !== null && (kind === 'bytes') !== (own === 'bytes')) {
        throw new SlipwayError(
          'invalid_request',
          `Unexpected element type in feature: ${name} expecting type: ${kind}`,
        );
      }
      kind ??= own;
    }
  }
  return value as Example;
}

const isFloat = ({ datatype }: TensorSpec): boolean => datatype.startsWith('FP') || datatype === 'BF16';

/** The output with a score for each class. @throws SlipwayError `invalid_request` */
export function scoresOf({ outputs }: Signature): TensorSpec {
  const scores = outputs.find((spec) => isFloat(spec) && spec.shape.length === 2);
  if (scores !== undefined) return scores;
  throw new SlipwayError(
    'invalid_request',
    `Expected classification signature method_name to be ${METHODS.classify}. Was: ${METHODS.predict}`,
    { hint: 'A model is asked for classes when an output of it has a row of scores, in floating point.' },
  );
}

/** The output with one number a row. @throws SlipwayError `invalid_request` */
export function regressedOf({ outputs }: Signature): TensorSpec {
  const value = outputs.find(
    (spec) => isFloat(spec) && (spec.shape.length === 1 || (spec.shape.length === 2 && spec.shape[1] === 1)),
  );
  if (value !== undefined) return value;
  throw new SlipwayError(
    'invalid_request',
    `Expected regression signature method_name to be ${METHODS.regress}. Was: ${METHODS.predict}`,
    { hint: 'A model is asked for a number when an output of it has one a row, in floating point.' },
  );
}

/** Class names of each score: of the signature, of an output of text beside the scores, or none. */
export function labelsOf(signature: Signature, scores: Tensor, outputs: readonly Tensor[]): (at: number) => string {
  const width = scores.shape[1]!;
  const { labels } = signature.outputs.find(({ name }) => name === scores.name)!;
  if (labels?.length === width) return (at) => labels[at % width]!;
  const classes = outputs.find(({ datatype, shape }) => datatype === 'BYTES' && `${shape}` === `${scores.shape}`);
  return (at) => (classes === undefined ? '' : (classes.data as readonly string[])[at]!);
}

export function writeClassify(_request: InferRequest, outputs: readonly Tensor[], { signature }: Answered): string {
  const spec = scoresOf(signature);
  const scores = outputs.find(({ name }) => name === spec.name)!;
  const width = scores.shape[1]!;
  const label = labelsOf(signature, scores, outputs);
  const flat = nestedToJson({ ...scores, shape: [scores.data.length] }, 'bare').slice(1, -1);
  const pairs = flat === '' ? [] : flat.split(',').map((score, at) => `[${JSON.stringify(label(at))},${score}]`);
  const rows: string[] = [];
  for (let at = 0; at < pairs.length; at += width) rows.push(`[${pairs.slice(at, at + width).join(',')}]`);
  return `{"results":[${rows.join(',')}]}`;
}

export function writeRegress(_request: InferRequest, outputs: readonly Tensor[], { signature }: Answered): string {
  const spec = regressedOf(signature);
  const values = outputs.find(({ name }) => name === spec.name)!;
  return `{"results":${nestedToJson({ ...values, shape: [values.data.length] }, 'bare')}}`;
}
