/**
 * What is wrong with a JSON request, in the words of TensorFlow Serving (tensorflow_serving/util/json_tensor.cc at 9d981c5), which its callers know and some of them
 * look for. Only asked when something is wrong; what only Slipway refuses has no words here.
 */
import type { Datatype, TensorSpec } from '../../registry/signature.ts';
import { bytesOfBase64, isBase64Value } from '../tensors/base64-value.ts';
import { tensorflowTypeOf } from './tensorflow-names.ts';

const MOST_TEXT = 256;

/** A value as its messages show it: arrays on one line, objects on several, cut at the first token beyond 256 characters. */
export function debugText(value: unknown): string {
  let text = '';
  const put = (token: string): boolean => {
    if (text.length >= MOST_TEXT) return false;
    text += token;
    return true;
  };
  const write = (item: unknown, depth: number): boolean => {
    if (Array.isArray(item)) {
      if (!put('[')) return false;
      for (let i = 0; i < item.length; i++) {
        if (i > 0) text += ', ';
        if (!write(item[i], depth)) return false;
      }
      return put(']');
    }
    if (typeof item === 'object' && item !== null) {
      if (!put('{')) return false;
      const entries = Object.entries(item);
      const indent = '    '.repeat(depth + 1);
      for (let i = 0; i < entries.length; i++) {
        const [key, inner] = entries[i]!;
        if (!put(`${i > 0 ? ',' : ''}\n${indent}${JSON.stringify(key)}: `) || !write(inner, depth + 1)) return false;
      }
      return put(entries.length === 0 ? '}' : `\n${'    '.repeat(depth)}}`);
    }
    return put(typeof item === 'string' ? JSON.stringify(item) : `${item}`);
  };
  write(value, 0);
  return text;
}

export function jsonTypeOf(value: unknown): string {
  if (value === null) return 'Null';
  if (Array.isArray(value)) return 'Array';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return 'Number';
  const type = typeof value;
  return type[0]!.toUpperCase() + type.slice(1);
}

/** @returns null for an array of instances in which TensorFlow Serving would find nothing wrong */
export function faultOfInstances(instances: readonly unknown[], specs: readonly TensorSpec[]): string | null {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  const first = instances[0];
  if ((typeof first !== 'object' || first === null || Array.isArray(first)) && specs.length > 1) {
    return 'instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map';
  }
  const areObjects = isNamed(first);
  const shapes = new Map<string, readonly number[]>();
  for (let at = 0; at < instances.length; at++) {
    const item = instances[at];
    if (areObjects !== isNamed(item)) {
      return areObjects
        ? `Expecting object but got list at item ${at} of input list`
        : `Expecting value/list but got object at item ${at} of input list`;
    }
    const named: readonly (readonly [string, unknown])[] = areObjects
      ? Object.entries(item as object)
      : [[specs[0]!.name, item]];
    const where = (key: string): string => `Failed to process element: ${at}${key} of 'instances' list. `;
    for (const [name, value] of named) {
      const spec = byName.get(name);
      const fault =
        spec === undefined
          ? `JSON object: does not have named input: ${name}`
          : (faultOfTensor(value, spec.datatype) ?? faultOfSize(value, shapes.get(name)));
      if (fault !== null) return `${where(areObjects ? ` key: ${name}` : '')}Error: INVALID_ARGUMENT: ${fault}`;
      if (!shapes.has(name)) shapes.set(name, shapeOf(value));
    }
    if (!areObjects) continue;
    const missing = specs.some((spec) => spec.optional !== true && !Object.hasOwn(item as object, spec.name));
    if (missing) {
      const names = specs.map((spec) => spec.name).sort();
      return `${where('')}JSON object: ${debugText(item)} keys must be equal to: ${names.join(',')}`;
    }
  }
  return null;
}

/** @returns null for inputs in which TensorFlow Serving would find nothing wrong */
export function faultOfInputs(value: unknown, specs: readonly TensorSpec[]): string | null {
  if (!isNamed(value)) {
    return specs.length > 1
      ? 'inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map'
      : faultOfTensor(value, specs[0]!.datatype);
  }
  for (const { name, datatype, optional } of specs) {
    if (!Object.hasOwn(value as object, name)) {
      if (optional === true) continue;
      return `Missing named input: ${name} in 'inputs' object.`;
    }
    const fault = faultOfTensor((value as Record<string, unknown>)[name], datatype);
    if (fault !== null) return fault;
  }
  return null;
}

/** Whether it is an object of named tensors, rather than bytes in one. */
export function isNamed(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return !(isBase64Value(value) && Object.keys(value).length === 1);
}

function shapeOf(value: unknown): number[] {
  const shape: number[] = [];
  for (let at = value; Array.isArray(at); at = at[0]) shape.push(at.length);
  return shape;
}

function faultOfSize(value: unknown, wanted: readonly number[] | undefined): string | null {
  if (wanted === undefined) return null;
  const shape = shapeOf(value);
  const size = (sizes: readonly number[]): number => sizes.reduce((product, one) => product * one, 1);
  if (size(shape) !== size(wanted)) return `Expecting tensor size: ${size(wanted)} but got: ${size(shape)}`;
  if (`${shape}` !== `${wanted}`) return `Expecting shape [${wanted}] but got: [${shape}]`;
  return null;
}

function faultOfTensor(value: unknown, datatype: Datatype): string | null {
  const shape = shapeOf(value);
  const look = (item: unknown, level: number): string | null => {
    if (!Array.isArray(item)) {
      if (level !== shape.length) {
        return `JSON Value: ${debugText(item)} found at incorrect level: ${level + 1} in the JSON DOM. Expected at level: ${shape.length}`;
      }
      return faultOfElement(item, datatype);
    }
    if (level >= shape.length) return `Encountered list at unexpected level: ${level} expected < ${shape.length}`;
    if (item.length !== shape[level]) {
      return `Encountered list at unexpected size: ${item.length} at level: ${level} expected size: ${shape[level]}`;
    }
    for (const inner of item) {
      const fault = look(inner, level + 1);
      if (fault !== null) return fault;
    }
    return null;
  };
  return look(value, 0);
}

function faultOfElement(value: unknown, datatype: Datatype): string | null {
  if (typeof value === 'object' && value !== null && datatype === 'BYTES') {
    if (!isBase64Value(value) || Object.keys(value).length !== 1 || typeof value.b64 !== 'string') {
      return `JSON Value: ${debugText(value)} not formatted correctly for base64 data`;
    }
    return typeof bytesOfBase64(value) === 'string' ? 'Unable to base64 decode' : null;
  }
  if (isOfType(value, datatype)) return null;
  const { text } = tensorflowTypeOf(datatype);
  return `JSON Value: ${debugText(value)} Type: ${jsonTypeOf(value)} is not of expected type: ${text}`;
}

function isOfType(value: unknown, datatype: Datatype): boolean {
  if (datatype === 'BYTES') return typeof value === 'string';
  if (datatype === 'BOOL') return typeof value === 'boolean';
  if (typeof value === 'bigint') return true;
  if (typeof value !== 'number') return false;
  return datatype.startsWith('FP') || datatype === 'BF16' || Number.isInteger(value);
}
