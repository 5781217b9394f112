/** A table of predictions: a row each, with columns for id and time, and for inputs and outputs. Our own exports are such tables. */
import { CsvFault, createCsvScanner } from '../../base/csv.ts';
import { cellOf, ForeignFault, type ForeignPrediction, type ForeignValue, idOf, timeOf } from './foreign-prediction.ts';

export type CsvColumns = {
  /** `id` unless named. */
  readonly id: string | null;
  /** `at` unless named. */
  readonly at: string | null;
  /** Columns that are outputs, by their names in the file; those that begin with `output.` are anyway. */
  readonly outputs: readonly string[];
};

/** What our own export tells of a prediction besides its values. */
const ABOUT = new Set(
  'row model version digest requestId protocol arm reason propensity unit plan epoch status latencyMs queueMs runMs rows weight shadowOf subject joinKey schema truth score rating correction label_weight'.split(
    ' ',
  ),
);

/**
 * @param text header and rows
 * @param firstLine of the file at which the rows begin, for messages and for ids where the table has none
 * @throws ForeignFault for a table that cannot be read; a row without a time is told to `fault`
 */
export function readCsvLog(
  text: string,
  columns: CsvColumns,
  firstLine: number,
  fault: (line: number, message: string) => void,
): ForeignPrediction[] {
  const predictions: ForeignPrediction[] = [];
  let header: string[] | null = null;
  try {
    for (const { fields, line } of createCsvScanner(null).scan(text, true)) {
      if (header === null) {
        header = fields.map((name) => name.trim());
        assertColumns(header, columns);
        continue;
      }
      const at = firstLine + line - 2;
      if (fields.length !== header.length) {
        fault(at, `has ${fields.length} fields, but the header ${header.length}`);
        continue;
      }
      const prediction = readRow(header, fields, columns, at);
      if (typeof prediction === 'string') fault(at, prediction);
      else predictions.push(prediction);
    }
  } catch (error) {
    if (error instanceof CsvFault)
      throw new ForeignFault(`is no CSV at line ${firstLine + error.line - 2}: field ${error.column} ${error.message}`);
    throw error;
  }
  return predictions;
}

function assertColumns(header: readonly string[], { id, at, outputs }: CsvColumns): void {
  const missing = [id, at ?? 'at', ...outputs].filter((name) => name !== null && !header.includes(name));
  if (missing.length > 0)
    throw new ForeignFault(`has no column ${missing.join(', ')}; its columns are ${header.slice(0, 20).join(', ')}`);
}

function readRow(
  header: readonly string[],
  fields: readonly string[],
  columns: CsvColumns,
  line: number,
): ForeignPrediction | string {
  const [idName, atName] = [columns.id ?? 'id', columns.at ?? 'at'];
  const inputs: Record<string, ForeignValue> = {};
  const outputs: Record<string, ForeignValue> = {};
  const about: Record<string, string> = {};
  const isOurs = header.some((name) => /^(input|output)\./.test(name));
  for (const [at, name] of header.entries()) {
    const text = fields[at]!;
    if (name === idName || name === atName || (isOurs && ABOUT.has(name))) about[name] = text;
    else if (name.startsWith('output.')) outputs[name.slice(7)] = cellOf(text);
    else if (columns.outputs.includes(name)) outputs[name] = cellOf(text);
    else inputs[name.replace(/^input\./, '')] = cellOf(text);
  }
  const atMs = timeOf(
    /^\d{4}-\d\d-\d\d \d/.test(about[atName] ?? '') ? `${about[atName]!.replace(' ', 'T')}Z` : about[atName],
  );
  if (atMs === null) return `${atName} is no time`;
  const id = about[idName] ?? '';
  const number = (name: string): number | null => (about[name] ? Number(about[name]) : null);
  const row = isOurs ? (number('row') ?? 0) : 0;
  return {
    id: id === '' ? idOf('csv', String(line), fields.join('\n')) : row === 0 ? id : `${id}.${row}`,
    atMs,
    model: about['model'] || null,
    version: number('version'),
    latencyMs: number('latencyMs'),
    status: about['status'] || 'answered',
    inputs: [inputs],
    outputs: Object.keys(outputs).length === 0 ? [] : [outputs],
  };
}
