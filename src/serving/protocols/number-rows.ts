/** Large bodies that are nothing but rows of numbers under one key, for models whose one input is a table: read straight from the bytes. */
import type { FieldError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { assessShape, type InputTarget } from '../tensors/input-check.ts';
import { readElements } from '../tensors/json-elements.ts';
import { type CutRows, cutNumberRows, wholeNumberRows } from '../tensors/number-arrays.ts';
import type { PlainInputs } from '../tensors/plain-codec.ts';

/** A key as it stands in a body. */
export function quotedKeys(...names: readonly string[]): readonly Buffer[] {
  return names.map((name) => Buffer.from(JSON.stringify(name)));
}

/**
 * Null for all other bodies, and where anything is wrong: then the whole body is read, so that faults name what was sent.
 * @param keys of `quotedKeys`, one of which is the body's only one, the likeliest first
 */
export function readRowsUnder(keys: readonly Buffer[], body: Uint8Array, target: InputTarget): PlainInputs | null {
  if (!takesTable(target)) return null;
  const rows = cutNumberRows(bytesOf(body), keys);
  return rows !== null && isAlone(rows) ? inputsOf(rows, target) : null;
}

/** The same where the rows are all of a body. */
export function readBareRows(body: Uint8Array, target: InputTarget): PlainInputs | null {
  if (!takesTable(target)) return null;
  const rows = wholeNumberRows(bytesOf(body));
  return rows === null ? null : inputsOf(rows, target);
}

function takesTable({ signature }: InputTarget): boolean {
  const [only, other] = signature.inputs;
  return other === undefined && only?.shape.length === 2;
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
}

function isAlone({ bytes, mark }: CutRows): boolean {
  try {
    const rest = parseJson(bytes);
    if (typeof rest !== 'object' || rest === null || Array.isArray(rest)) return false;
    const values = Object.values(rest);
    return values.length === 1 && values[0] === mark;
  } catch {
    return false;
  }
}

function inputsOf({ data, shape }: CutRows, { signature }: InputTarget): PlainInputs | null {
  const spec = signature.inputs[0]!;
  if (assessShape(spec, shape) !== null) return null;
  const { name, datatype } = spec;
  const faults: FieldError[] = [];
  const elements = readElements(datatype, shape, data.length, data, '', faults);
  return elements === null ? null : { inputs: [{ name, datatype, shape, data: elements }], rows: shape[0] };
}
