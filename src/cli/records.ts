import { parseJson } from '../../sdk/src/json.ts';
import type { PredictRequest } from '../../sdk/src/types.ts';
import { CliError } from './cli-error.ts';

export type PredictRecord = Record<string, unknown>;
/** A record and the line of the file where it begins; of a JSON file its place in the list, from 1. */
export type Row = { readonly record: PredictRecord; readonly line: number };
export type FileFormat = 'csv' | 'json' | 'ndjson';

/**
 * A body typed on the command line: one record, an array of records, or a whole body with `records` or `inputs`. Values without names,
 * `[1, 2]` or `[[1, 2]]`, come back as `rows`: what they mean depends on the signature.
 */
export function requestOf(text: string, where: string): PredictRequest | { readonly rows: readonly unknown[] } {
  const value = parseText(text, where);
  if (Array.isArray(value) && value.length > 0 && value.every(isBare)) return { rows: value };
  if (Array.isArray(value)) return { records: value.map((item, at) => asRecord(item, `${where}, item ${at}`)) };
  const body = asRecord(value, where);
  if (Array.isArray(body['records'])) return body as PredictRequest;
  const { inputs } = body;
  if (typeof inputs === 'object' && inputs !== null && !Array.isArray(inputs)) return body as PredictRequest;
  return { records: [body] };
}

function isBare(value: unknown): boolean {
  return Array.isArray(value) || (typeof value !== 'object' && value !== undefined);
}

function parseText(text: string, where: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    // The engine counts lines within the text; here that is one line of a file, or of the command line.
    const reason = (error as Error).message.replace(/ \(line \d+ column \d+\)$/, '');
    const typed = where === '--json';
    throw new CliError('validation', `${where} is not valid JSON: ${reason}`, {
      code: 'invalid_json',
      hint: typed
        ? `Quote it for the shell as a whole: --json '{"age": 41, "plan": "pro"}'`
        : 'Mend it there, or name the form of the file with --format.',
    });
  }
}

function asRecord(value: unknown, where: string): PredictRecord {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as PredictRecord;
  throw new CliError('validation', `${where} must be an object of feature names and values`, {
    code: 'invalid_input',
    hint: `For example {"age": 41, "plan": "pro"}; a whole body has "records" or "inputs".`,
  });
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
export async function* readNdjson(chunks: AsyncIterable<string>, file: string): AsyncGenerator<Row> {
  let rest = '';
  let line = 0;
  const rowOf = (text: string): Row => {
    const where = `${file}, line ${line}`;
    return { record: asRecord(parseText(text, where), where), line };
  };
  for await (const chunk of chunks) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    for (const part of parts) {
      line++;
      if (part.trim() !== '') yield rowOf(part);
    }
  }
  line++;
  if (rest.trim() !== '') yield rowOf(rest);
}
