/** Inputs that a JSON body gives as files, `{"b64": "…"}`, where the signature has a decoder for images. */
import type { FieldError } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { bytesOfBase64, isBase64Value } from './base64-value.ts';
import type { EncodedInput } from './encoded-input.ts';
import { kindOf } from './json-elements.ts';

/** Whether a value stands for a file, or for a list of them, of this input. */
export function givesFiles(spec: TensorSpec, value: unknown): boolean {
  return spec.decoder?.kind === 'image' && isBase64Value(Array.isArray(value) ? value[0] : value);
}

/** @param values one a row; those that are no file are faults */
export function readFiles(
  spec: TensorSpec,
  values: readonly unknown[],
  pointerOfRow: (row: number) => string,
  faults: FieldError[],
): EncodedInput {
  const files: Uint8Array[] = [];
  const pointers: string[] = [];
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    const pointer = pointerOfRow(row);
    const bytes = isBase64Value(value)
      ? bytesOfBase64(value)
      : `must be {"b64": "…"} like the others, not ${value === undefined ? 'left out' : kindOf(value)}`;
    if (typeof bytes === 'string') faults.push({ pointer, message: bytes });
    else {
      files.push(bytes);
      pointers.push(pointer);
    }
  }
  return { name: spec.name, files, pointers };
}

/** A whole input: one file or a list of them. */
export function readWholeFiles(spec: TensorSpec, value: unknown, pointer: string, faults: FieldError[]): EncodedInput {
  return Array.isArray(value)
    ? readFiles(spec, value, (row) => `${pointer}/${row}`, faults)
    : readFiles(spec, [value], () => pointer, faults);
}
