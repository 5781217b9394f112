/** Predict requests of TensorFlow Serving's REST form, which KServe's first version has too: rows under "instances", columns under "inputs". */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import { parseJson, pointerOf } from '../../base/json.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, rowsOf, shapeText } from '../tensors/input-check.ts';
import { readElements } from '../tensors/json-elements.ts';
import { type CutRows, cutNumberRows } from '../tensors/number-arrays.ts';
import { mostKeysOf, readPlainBody } from '../tensors/plain-codec.ts';
import { givesFiles, readWholeFiles } from '../tensors/plain-files.ts';
import { elementCount } from '../tensors/shape.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { assertJson } from './json-body.ts';
import type { InferRequest, WireCall } from './protocol.ts';
import { readPythonJson } from './python-json.ts';
import { debugText, faultOfInputs, faultOfInstances, isNamed } from './tensorflow-faults.ts';
import { SIGNATURE_NAME } from './tensorflow-names.ts';

/** How the answer is to be written: one prediction a row, or whole outputs. */
export type PredictForm = { readonly by: 'row' | 'column' };

export const PREDICT_KEYS = ['signature_name', 'instances', 'inputs'];

export function parsePredict(call: WireCall, target: InputTarget): InferRequest {
  assertJson(call);
  return readCutRows(call, target) ?? readPredict(readObject(call, target, PREDICT_KEYS), target);
}

const KEYS_OF_ROWS = new WeakMap<InputTarget, readonly Buffer[]>();

/**
 * Rows of numbers are nearly all of a large body; they are read straight from the bytes. Null where there are none, and where anything is wrong: then the whole body is
 * read, so that errors name what was sent.
 */
function readCutRows(call: WireCall, target: InputTarget): InferRequest | null {
  const [spec, other] = target.signature.inputs;
  if (other !== undefined || spec?.shape.length !== 2) return null;
  let keys = KEYS_OF_ROWS.get(target);
  if (keys === undefined) {
    keys = ['instances', spec.name, 'inputs'].map((name) => Buffer.from(JSON.stringify(name)));
    KEYS_OF_ROWS.set(target, keys);
  }
  const { buffer, byteOffset, byteLength } = call.body;
  const rows = cutNumberRows(Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength), keys);
  if (rows === null) return null;
  try {
    return readPredict(asObject(parseJson(rows.bytes), PREDICT_KEYS), target, rows);
  } catch {
    return null;
  }
}

/**
 * The body of any request.
 * @param keys that it may have
 * @throws SlipwayError `unsupported_media`, `invalid_json`, `invalid_request`
 */
export function readObject(call: WireCall, target: InputTarget, keys: readonly string[]): Record<string, unknown> {
  assertJson(call);
  return asObject(readDocument(call.body, target), keys);
}

/** @throws SlipwayError `invalid_json` */
export function readDocument(body: Uint8Array, target: InputTarget): unknown {
  try {
    return readPythonJson(body, mostKeysOf(target.signature));
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    const what = body.length === 0 ? 'The document is empty' : `Invalid value. ${error.message}`;
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    throw new SlipwayError(error.code, `JSON Parse error: ${what}`, { fields: error.fields, ...hint });
  }
}

/** @throws SlipwayError `invalid_request` */
export function asObject(value: unknown, keys: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SlipwayError('invalid_request', `JSON Value: ${debugText(value)} Is not object`);
  }
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    const pointer = pointerOf([unknown.slice(0, 100)]);
    throw new SlipwayError('invalid_request', `${pointer} is not known here; a request has ${keys.join(', ')}`, {
      fields: [{ pointer, message: 'is not known' }],
    });
  }
  return value as Record<string, unknown>;
}

/** @throws SlipwayError `invalid_request` for what is no text, or names another signature than the version's own */
export function assertSignature(
  body: Record<string, unknown>,
  refuse = (name: string): string => `Serving signature name: "${name}" not found in signature def`,
): void {
  const { signature_name: name = '' } = body;
  if (typeof name !== 'string') {
    const message = `JSON Value: ${debugText(body)} not formatted correctly. 'signature_name' key must be a string value.`;
    throw new SlipwayError('invalid_request', message);
  }
  if (name === '' || name === SIGNATURE_NAME) return;
  throw new SlipwayError('invalid_request', refuse(name.slice(0, 200)), {
    hint: `A version has one signature, ${SIGNATURE_NAME}.`,
  });
}

/** @param body with no other keys than those of a prediction */
export function readPredict(
  body: Record<string, unknown>,
  target: InputTarget,
  cut: CutRows | null = null,
): InferRequest {
  assertSignature(body);
  const { instances, inputs } = body;
  const refused = (what: string): SlipwayError => new SlipwayError('invalid_request', what);
  if (instances !== undefined && inputs !== undefined) {
    throw refused(
      `JSON Value: ${debugText(body)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist `,
    );
  }
  if (inputs !== undefined) return readColumns(inputs, target, cut);
  if (instances === undefined) throw refused("Missing 'inputs' or 'instances' key");
  if (cut !== null && instances === cut.mark) return readRows([instances], target, cut);
  if (!Array.isArray(instances)) {
    throw refused(`JSON Value: ${debugText(body)} Expecting 'instances' to be an list/array`);
  }
  if (instances.length === 0) throw refused(`JSON Value: ${debugText(body)} No values in 'instances' array`);
  return readRows(instances, target);
}

/** @param cut instead of the instances, of which there is one then, that stands for them */
function readRows(instances: readonly unknown[], target: InputTarget, cut: CutRows | null = null): InferRequest {
  const { inputs: specs } = target.signature;
  const read = createReading(target, cut);
  if (cut !== null) read.whole(specs[0]!, instances[0], '/instances');
  else if (!isNamed(instances[0])) {
    const needed = specs.filter((spec) => spec.optional !== true);
    const [only] = needed.length === 1 ? needed : specs;
    const mixed = instances.some(isNamed) || (specs.length > 1 && needed.length !== 1);
    if (mixed) read.fault('/instances', 'must be all alike, by input name where there are several inputs');
    else read.whole(only!, instances, '/instances');
  } else if (namesFeatures(instances[0] as object, target)) return byFeature(instances, target);
  else {
    for (const spec of specs) {
      const column = instances.map((item) =>
        isNamed(item) ? (item as Record<string, unknown>)[spec.name] : undefined,
      );
      const at = column.indexOf(undefined);
      if (at === -1) read.whole(spec, column, '/instances', spec.name);
      else if (spec.optional !== true || column.some((value) => value !== undefined)) {
        read.fault(`/instances/${at}`, `must have ${spec.name} (${shapeText(spec)})`);
      }
    }
    for (const [at, item] of instances.entries()) read.assertKnown(item, `/instances/${at}`);
  }
  return read.done('row', () => faultOfInstances(instances, specs));
}

function readColumns(value: unknown, target: InputTarget, cut: CutRows | null): InferRequest {
  const { inputs: specs } = target.signature;
  const read = createReading(target, cut);
  if (!isNamed(value)) {
    const needed = specs.filter((spec) => spec.optional !== true);
    const [only] = needed.length === 1 ? needed : specs;
    if (specs.length > 1 && needed.length !== 1) read.fault('/inputs', 'must be an object by input name');
    else read.whole(only!, value, '/inputs');
  } else {
    const given = value as Record<string, unknown>;
    for (const spec of specs) {
      const pointer = `/inputs${pointerOf([spec.name])}`;
      if (Object.hasOwn(given, spec.name)) read.whole(spec, given[spec.name], pointer);
      else if (spec.optional !== true) read.fault(pointer, `is missing (${shapeText(spec)})`);
    }
    read.assertKnown(given, '/inputs');
  }
  return read.done('column', () => faultOfInputs(value, specs));
}

/** Whether an instance names the columns of an input rather than inputs. */
function namesFeatures(instance: object, { signature }: InputTarget): boolean {
  const [key] = Object.keys(instance);
  if (key === undefined || signature.inputs.some(({ name }) => name === key)) return false;
  return signature.inputs.some(({ features }) => features?.includes(key));
}

/** Rows by the names of their columns, as the plain form has them. */
function byFeature(instances: readonly unknown[], target: InputTarget): InferRequest {
  try {
    const { inputs, rows, encoded } = readPlainBody(target, { records: instances });
    const files = encoded === undefined ? {} : { encoded };
    return { id: null, inputs, rows, outputs: null, form: { by: 'row' } satisfies PredictForm, ...files };
  } catch (error) {
    throw renamed(error, '/records', '/instances');
  }
}

/** The same error, with other names of places. */
export function renamed(error: unknown, from: string, to: string): unknown {
  if (!(error instanceof SlipwayError)) return error;
  const fields = error.fields.map((field) => ({ ...field, pointer: field.pointer.replace(from, to) }));
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return new SlipwayError(error.code, error.message.replace(from, to), { fields, ...hint });
}

type Reading = {
  fault(pointer: string, message: string): void;
  /** A whole input from nested arrays. @param inRows its name, where each row names it */
  whole(spec: TensorSpec, value: unknown, pointer: string, inRows?: string): void;
  assertKnown(item: unknown, pointer: string): void;
  /** @param explain what is wrong in TensorFlow's words, if it has any */
  done(by: PredictForm['by'], explain: () => string | null): InferRequest;
};

function createReading(target: InputTarget, cut: CutRows | null): Reading {
  const { inputs: specs } = target.signature;
  const faults: FieldError[] = [];
  const encoded: EncodedInput[] = [];
  const inputs: Tensor[] = [];

  const fault = (pointer: string, message: string): void => {
    if (faults.length < MAX_FIELD_ERRORS) faults.push({ pointer, message });
  };

  return {
    fault,
    whole(spec, value, pointer, inRows) {
      if (givesFiles(spec, value)) {
        encoded.push(readWholeFiles(spec, value, pointer, faults));
        return;
      }
      const rows = cut !== null && value === cut.mark ? cut : null;
      const shape: number[] = rows === null ? [] : [...rows.shape];
      for (let at = value; Array.isArray(at); at = at[0]) shape.push(at.length);
      const rank = spec.shape.length;
      if (shape.length === rank - 1 && spec.shape[rank - 1] === 1) shape.push(1);
      const misfit = assessShape(spec, shape);
      if (misfit !== null) return fault(inRows === undefined ? pointer : `${pointer}/0/${inRows}`, misfit);
      const elements = rows === null ? value : rows.data;
      const data = readElements(spec.datatype, shape, elementCount(shape)!, elements, pointer, faults);
      if (data !== null) inputs.push({ name: spec.name, datatype: spec.datatype, shape, data });
    },
    assertKnown(item, pointer) {
      if (!isNamed(item)) return;
      for (const key in item as object) {
        if (specs.some(({ name }) => name === key)) continue;
        fault(pointer + pointerOf([key]), `is no input; the inputs are ${specs.map(({ name }) => name).join(', ')}`);
      }
    },
    done(by, explain) {
      if (faults.length === 0) assessSizes(target, inputs, () => `/${by === 'row' ? 'instances' : 'inputs'}`, faults);
      if (faults.length > 0) {
        const ours = invalidInput(target, faults);
        throw new SlipwayError('invalid_input', explain() ?? ours.message, { fields: ours.fields });
      }
      const form: PredictForm = { by };
      if (encoded.length === 0) return { id: null, inputs, rows: rowsOf(inputs), outputs: null, form };
      return { id: null, inputs, rows: encoded[0]!.files.length, outputs: null, form, encoded };
    },
  };
}
