/**
 * The two forms of inputs that TensorFlow Serving made common, and MLflow, Vertex AI, SageMaker's and Azure's examples took over: `instances`, a list
 * of rows, and `inputs`, whole tensors by name.
 */
import { SlipwayError } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import { isRowWise, type TensorSpec } from '../../registry/signature.ts';
import { isBase64Value } from '../tensors/base64-value.ts';
import { type InputTarget, invalidInput } from '../tensors/input-check.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';

/**
 * Rows: each an object by feature or input name, or, for models with one input, its bare value.
 * @param pointer where the list stands in the body
 * @throws SlipwayError `invalid_input` with every fault and its pointer
 */
export function readInstances(given: unknown, target: InputTarget, pointer = '/instances'): PlainInputs {
  if (!Array.isArray(given)) {
    throw invalidInput(target, [{ pointer, message: `must be a list with one item a row, not ${kindOf(given)}` }]);
  }
  const only = onlyInput(target);
  const isBare = only !== null && !isRecord(given[0]);
  const whole = isBare ? readWhole(given, only, target) : null;
  if (whole !== null) return whole;
  const records = isBare ? given.map((item: unknown) => ({ [only.name]: item })) : given;
  return movingFaults(target, () => readPlainBody(target, { records }), '/records', pointer, isBare ? only : null);
}

/**
 * Whole tensors: an object by input name, or, for models with one input, its bare value.
 * @throws SlipwayError `invalid_input` with every fault and its pointer
 */
export function readColumns(given: unknown, target: InputTarget, pointer = '/inputs'): PlainInputs {
  const only = onlyInput(target);
  const isBare = only !== null && !isRecord(given);
  const inputs = isBare ? { [only.name]: given } : given;
  return movingFaults(target, () => readPlainBody(target, { inputs }), '/inputs', pointer, isBare ? only : null);
}

/**
 * Bare rows are the input itself, so no record is made for each. Null where they are files, and where anything is wrong: then
 * they are read row by row, so that faults name the row.
 */
function readWhole(given: readonly unknown[], { name, decoder }: TensorSpec, target: InputTarget): PlainInputs | null {
  if (decoder !== undefined || isBase64Value(given[0]) || !isRowWise(target.signature.inputs)) return null;
  try {
    return readPlainBody(target, { inputs: { [name]: given } });
  } catch {
    return null;
  }
}

/** The one input that a bare value is for. */
function onlyInput({ signature }: InputTarget): TensorSpec | null {
  const needed = signature.inputs.filter((spec) => spec.optional !== true);
  if (needed.length === 1) return needed[0]!;
  return signature.inputs.length === 1 ? signature.inputs[0]! : null;
}

/** An object that names parts of a row, rather than bytes of a value. */
function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isBase64Value(value);
}

/** Faults get the pointers of the body that was sent: without the name that a bare value was given to read it. */
function movingFaults(
  target: InputTarget,
  read: () => PlainInputs,
  from: string,
  to: string,
  wrapped: TensorSpec | null,
): PlainInputs {
  try {
    const inputs = read();
    const { encoded } = inputs;
    if (encoded === undefined) return inputs;
    const moved = encoded.map((one) => ({
      ...one,
      pointers: one.pointers.map((pointer) => moveTo(pointer, from, to, wrapped)),
    }));
    return { ...inputs, encoded: moved };
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'invalid_input') throw error;
    const fields = error.fields.map(({ pointer, message }) => ({
      pointer: moveTo(pointer, from, to, wrapped),
      message,
    }));
    throw invalidInput(target, fields, error.hint);
  }
}

function moveTo(pointer: string, from: string, to: string, wrapped: TensorSpec | null): string {
  if (!pointer.startsWith(from)) return pointer;
  const rest = pointer.slice(from.length);
  if (wrapped === null) return to + rest;
  const name = pointerOf([wrapped.name]);
  if (from === '/inputs') return to + (rest.startsWith(name) ? rest.slice(name.length) : rest);
  const [, row = '', inner = ''] = /^(\/\d+)?(.*)$/s.exec(rest) ?? [];
  return to + row + (inner.startsWith(name) ? inner.slice(name.length) : inner);
}
