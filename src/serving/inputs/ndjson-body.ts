/** Newline-delimited JSON: one record of the plain form a line. Blank lines are skipped. */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import { type ParseJsonOptions, parseJson } from '../../base/json.ts';
import type { Signature } from '../../registry/signature.ts';
import { type InputTarget, invalidInput } from '../tensors/input-check.ts';
import { mostKeysOf, type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';

const MAX_DEPTH = 100;
const LF = 0x0a;

/** @throws SlipwayError `invalid_json`, `invalid_input`; both name the line */
export function readNdjsonBody(body: Uint8Array, target: InputTarget): PlainInputs {
  const bytes = Buffer.from(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength);
  const records: unknown[] = [];
  const lines: number[] = [];
  const { signature } = target;
  const limits = { maxDepth: MAX_DEPTH, maxKeys: mostKeysOf(signature) };
  let line = 1;
  let incomplete = 0;
  for (let start = 0; start < bytes.length && incomplete < MAX_FIELD_ERRORS; line++) {
    const found = bytes.indexOf(LF, start);
    const end = found === -1 ? bytes.length : found;
    if (!isBlank(bytes, start, end)) {
      const record = parseLine(bytes.subarray(start, end), line, limits);
      if (lacksInput(record, signature)) incomplete += 1;
      records.push(record);
      lines.push(line);
    }
    start = end + 1;
  }
  try {
    return readPlainBody(target, { records });
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'invalid_input') throw error;
    throw invalidInput(
      target,
      error.fields.map((field) => inLine(field, lines)),
      error.hint,
    );
  }
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return false;
  }
  return true;
}

/** Whether a record is at fault for certain: such lines are short, so a body may hold very many, and only the first are told. */
function lacksInput(record: unknown, { inputs }: Signature): boolean {
  if (typeof record !== 'object' || record === null) return true;
  if (Array.isArray(record)) return false; // the values of a model with one input
  for (const { name, features, optional } of inputs) {
    if (optional || Object.hasOwn(record, name)) continue;
    if (features === undefined || !features.every((feature) => Object.hasOwn(record, feature))) return true;
  }
  return false;
}

function parseLine(bytes: Buffer, line: number, limits: ParseJsonOptions): unknown {
  try {
    return parseJson(bytes, limits);
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    const said = error.message
      .replace(/ at line 1, (column \d+) of the JSON body$/, ' at $1')
      .replace(/^The body /, 'It ');
    throw new SlipwayError(error.code, `Line ${line} of the body is not JSON: ${said}`, {
      fields: error.fields.map(({ pointer, message }) => ({ pointer, message: `at line ${line} ${message}` })),
      hint: error.hint ?? 'Each line holds one record as a JSON object.',
    });
  }
}

/** The pointer goes into the record; the message says which line it is. */
function inLine({ pointer, message }: FieldError, lines: readonly number[]): FieldError {
  const found = /^\/records\/(\d+)(.*)$/s.exec(pointer);
  if (found === null) return { pointer: '', message: message.replace(/^must be a list.*/, 'must have records') };
  return { pointer: found[2]!, message: `at line ${lines[Number(found[1])]} ${message}` };
}
