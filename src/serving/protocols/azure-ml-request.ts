/**
 * Bodies that scoring scripts of Azure ML commonly take: `input_data` (models without a script of their own), `data` (its examples), `Inputs` (its AutoML), and whatever
 * else the plain form takes under its content type.
 */
import { SlipwayError } from '../../base/errors.ts';
import { readTableRows } from '../inputs/table-rows.ts';
import { type InputTarget, invalidInput } from '../tensors/input-check.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { mostKeysOf, type PlainInputs } from '../tensors/plain-codec.ts';
import { readColumns, readInstances } from './instances.ts';
import { assertJson, readJsonBody } from './json-body.ts';
import { readSplitFrame } from './mlflow-request.ts';
import { quotedKeys, readBareRows, readRowsUnder } from './number-rows.ts';
import { readOtherBody } from './plain-bodies.ts';
import type { WireCall } from './protocol.ts';

/** `results`: whether the answer is an object with "Results", rather than a bare list. */
export type ScoreInputs = PlainInputs & { readonly results: boolean };

const FORMS = ['input_data', 'data', 'Inputs'] as const;
/** `Inputs` is answered in another form. */
const KEYS_OF_ROWS = quotedKeys('data', 'input_data');

/** @throws SlipwayError `unsupported_media`, `invalid_json`, `unsupported_option`, `invalid_input` with all faults */
export function parseScore(call: WireCall, target: InputTarget): ScoreInputs {
  const other = readOtherBody(call, target);
  if (other !== null) return { ...other, results: false };
  assertJson(call);
  const rows = readRowsUnder(KEYS_OF_ROWS, call.body, target) ?? readBareRows(call.body, target);
  if (rows !== null) return { ...rows, results: false };
  const body = readJsonBody(call, mostKeysOf(target.signature));
  if (Array.isArray(body)) return { ...readRows(body, target, ''), results: false };
  if (typeof body !== 'object' || body === null) {
    throw invalidInput(target, [{ pointer: '', message: `must be an object, not ${kindOf(body)}` }]);
  }
  const document = body as Record<string, unknown>;
  const given = FORMS.filter((form) => Object.hasOwn(document, form));
  if (given.length !== 1) {
    const message = `must have one of ${FORMS.join(', ')}${given.length === 0 ? '' : `, not ${given.join(' and ')}`}`;
    throw invalidInput(target, [{ pointer: '', message }]);
  }
  const [form] = given;
  for (const key of Object.keys(document)) if (key !== form) assertEmpty(key, document[key], target);
  const value = document[form!];
  if (form !== 'Inputs') return { ...readData(value, target, `/${form}`), results: false };
  const isWrapped =
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, 'data');
  const wrapped = isWrapped ? (value as { data: unknown }).data : value;
  return { ...readData(wrapped, target, isWrapped ? '/Inputs/data' : '/Inputs'), results: true };
}

/** What its examples send along and models here do not have. */
function assertEmpty(key: string, value: unknown, target: InputTarget): void {
  if (key !== 'params' && key !== 'GlobalParameters') {
    throw invalidInput(target, [
      { pointer: `/${key.slice(0, 100)}`, message: `is not known; a request has ${FORMS.join(' or ')}` },
    ]);
  }
  if (value === null || (typeof value === 'object' && Object.keys(value).length === 0)) return;
  throw new SlipwayError('unsupported_option', `${target.name} takes no ${key} besides its inputs`, {
    fields: [{ pointer: `/${key}`, message: 'must be left out' }],
  });
}

/** A data frame, rows, or whole tensors by input name. */
function readData(value: unknown, target: InputTarget, at: string): PlainInputs {
  if (Array.isArray(value)) return readRows(value, target, at);
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'data'))
    return readSplitFrame(value, target, at);
  return readColumns(value, target, at);
}

function readRows(rows: readonly unknown[], target: InputTarget, at: string): PlainInputs {
  const isTable = target.signature.inputs.length > 1 && rows.length > 0 && rows.every(Array.isArray);
  if (!isTable) return readInstances(rows, target, at);
  const pointerOfRow = (row: number): string => `${at}/${row}`;
  return readTableRows({ names: null, rows: rows as unknown[][], pointerOfNames: at, pointerOfRow }, target);
}
