/**
 * The protocol lets callers add parameters. One that were ignored would change an answer without a word, so each is either understood or
 * refused.
 */
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import { kindOf } from '../tensors/json-elements.ts';

type Place = 'request' | 'input' | 'output';

/** Values that say what is done anyway. `content_type` is how other servers' clients name the decoding of a tensor. */
const HARMLESS: Readonly<Record<string, readonly unknown[]>> = {
  binary_data: [false],
  binary_data_output: [false],
  content_type: ['np', 'str', 'pd'],
  classification: [0],
  priority: [0],
  sequence_id: [0, ''],
  sequence_start: [false],
  sequence_end: [false],
};

const ADVICE: Readonly<Record<string, string>> = {
  binary_data: 'binary tensors are not supported; ask for JSON with false',
  binary_data_output: 'binary tensors are not supported; ask for JSON with false',
  binary_data_size: 'binary tensors are not supported; send "data"',
  timeout: 'send the header X-Request-Timeout-Ms instead',
  headers: 'send HTTP headers',
};

/** Adds a fault for each parameter that is not understood. */
export function assessParameters(given: unknown, pointer: string, place: Place, faults: FieldError[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    faults.push({ pointer, message: `must be an object, not ${kindOf(given)}` });
    return;
  }
  for (const [key, value] of Object.entries(given)) {
    if (faults.length >= MAX_FIELD_ERRORS) return;
    if (Object.hasOwn(HARMLESS, key) && HARMLESS[key]!.includes(value)) continue;
    const advice = Object.hasOwn(ADVICE, key) ? ADVICE[key] : `no such ${place} parameter is supported`;
    faults.push({ pointer: pointer + pointerOf([key.slice(0, 100)]), message: advice! });
  }
}
