import { parseJson } from '../../sdk/src/json.ts';
import type { Datatype, PredictRequest, Signature } from '../../sdk/src/types.ts';
import { CliError } from './cli-error.ts';
import { readCsv } from './csv.ts';

export type PredictRecord = Record<string, unknown>;
export type FileFormat = 'csv' | 'json' | 'ndjson';

const MOST_FAULTS = 50;

/** A body typed on the command line: one record, an array of records, or a whole body with `records` or `inputs`. */
export function requestOf(text: string, where: string): PredictRequest {
  const value = parseText(text, where);
  if (Array.isArray(value)) return { records: value.map((item, at) => asRecord(item, `${where}, item ${at}`)) };
  const body = asRecord(value, where);
  if (Array.isArray(body['records'])) return body as PredictRequest;
  const { inputs } = body;
  if (typeof inputs === 'object' && inputs !== null && !Array.isArray(inputs)) return body as PredictRequest;
  return { records: [body] };
}

function parseText(text: string, where: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    throw new CliError('validation', `${where} is not valid JSON: ${(error as Error).message}`, {
      code: 'invalid_json',
      hint: `Quote it for the shell as a whole: --json '{"age": 41, "plan": "pro"}'`,
    });
  }
}

function asRecord(value: unknown, where: string): PredictRecord {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as PredictRecord;
  throw new CliError('validation', `${where} must be an object of feature names and values`, { code: 'invalid_input' });
}

/** By the file's ending, else by its first character. */
export function formatOf(path: string, start: string): FileFormat {
  if (/\.(csv|tsv)$/i.test(path)) return 'csv';
  if (/\.(ndjson|jsonl)$/i.test(path)) return 'ndjson';
  const first = start.trimStart()[0];
  if (/\.json$/i.test(path) || first === '[') return 'json';
  if (first !== '{') return 'csv';
  // Several lines that each begin an object are NDJSON; one object over several lines is JSON.
  const [line = '', second = ''] = start.trim().split('\n');
  return line.trimEnd().endsWith('}') && second.trimStart().startsWith('{') ? 'ndjson' : 'json';
}

/** Records of NDJSON, one by one. */
export async function* readNdjson(chunks: AsyncIterable<string>): AsyncGenerator<PredictRecord> {
  let rest = '';
  let line = 0;
  for await (const chunk of chunks) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    for (const part of parts) {
      line++;
      if (part.trim() !== '') yield asRecord(parseText(part, `line ${line}`), `line ${line}`);
    }
  }
  if (rest.trim() !== '') yield asRecord(parseText(rest, `line ${line + 1}`), `line ${line + 1}`);
}

/** What a column of a table means to a model, by column name. */
export function columnTypes(signature: Signature): Map<string, Datatype> {
  const types = new Map<string, Datatype>();
  for (const input of signature.inputs) {
    if (input.features !== undefined) for (const feature of input.features) types.set(feature, input.datatype);
    else types.set(input.name, input.datatype);
  }
  return types;
}

/**
 * Records of a CSV file, each cell read by the type that the signature gives its column. An empty cell of a number is left out of its
 * record, so that the server names it as missing. All faults are reported together, with their lines.
 */
export async function* readCsvRecords(
  chunks: AsyncIterable<string>,
  signature: Signature,
  options: { readonly ignoreUnknown: boolean },
): AsyncGenerator<PredictRecord> {
  const types = columnTypes(signature);
  const faults: { pointer: string; message: string }[] = [];
  let header: readonly string[] | null = null;
  for await (const row of readCsv(chunks)) {
    if (header === null) {
      header = row.fields.map((name) => name.trim());
      checkHeader(header, types, options.ignoreUnknown);
      continue;
    }
    if (row.fields.length !== header.length) {
      faults.push({
        pointer: `line ${row.line}`,
        message: `${row.fields.length} fields, but the header has ${header.length}`,
      });
    }
    const record: PredictRecord = {};
    for (const [at, name] of header.entries()) {
      const type = types.get(name);
      const text = row.fields[at];
      if (type === undefined || text === undefined) continue;
      const value = readCell(text, type);
      if (value === INVALID)
        faults.push({
          pointer: `line ${row.line}, ${name}`,
          message: `${JSON.stringify(text)} is not ${WANTED[type] ?? 'a number'}`,
        });
      else if (value !== undefined) record[name] = value;
    }
    if (faults.length >= MOST_FAULTS) break;
    if (faults.length === 0) yield record;
  }
  if (header === null) throw new CliError('validation', 'The file has no line', { code: 'invalid_input' });
  if (faults.length === 0) return;
  throw new CliError(
    'validation',
    `${faults.length === MOST_FAULTS ? 'At least ' : ''}${faults.length} cells of the file do not fit the model`,
    {
      code: 'invalid_input',
      fields: faults,
      hint: 'Mend these lines. Rows before the first of them may have been answered already.',
    },
  );
}

function checkHeader(header: readonly string[], types: Map<string, Datatype>, ignoreUnknown: boolean): void {
  const unknown = header.filter((name) => !types.has(name));
  const missing = [...types.keys()].filter((name) => !header.includes(name));
  if (unknown.length === header.length) {
    throw new CliError(
      'validation',
      `The first line names none of the model's inputs: ${header.slice(0, 10).join(', ')}`,
      {
        code: 'invalid_input',
        hint: `The first line must hold the column names. The model takes: ${[...types.keys()].join(', ')}`,
      },
    );
  }
  if (unknown.length > 0 && !ignoreUnknown) {
    throw new CliError('validation', `The model has no input named ${unknown.join(', ')}`, {
      code: 'invalid_input',
      hint: `Add --ignore-columns to leave such columns out.${missing.length > 0 ? ` Not in the file: ${missing.join(', ')}` : ''}`,
    });
  }
}

const INVALID = Symbol('invalid');
const WANTED: Partial<Record<Datatype, string>> = { BOOL: 'true, false, 1 or 0' };
const FLOATS = new Set<Datatype>(['FP16', 'BF16', 'FP32', 'FP64']);
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const BOOLEANS: Record<string, boolean> = { true: true, false: false, '1': true, '0': false, yes: true, no: false };

function readCell(text: string, type: Datatype): unknown {
  if (type === 'BYTES') return text;
  const trimmed = text.trim();
  if (trimmed === '') return undefined;
  if (type === 'BOOL') return BOOLEANS[trimmed.toLowerCase()] ?? INVALID;
  if (FLOATS.has(type)) return NUMBER.test(trimmed) ? Number(trimmed) : INVALID;
  // A whole number may be written 3.0, as tables exported from floats do.
  const whole = trimmed.replace(/\.0+$/, '');
  if (!/^[+-]?\d+$/.test(whole)) return INVALID;
  const n = Number(whole);
  return Number.isSafeInteger(n) ? n : BigInt(whole.replace(/^\+/, ''));
}
