import { CliError, toCliError } from './cli-error.ts';
import { count } from './terminal.ts';

/** Records of one request, and for each the line of the file where it begins. */
export type Batch = { readonly records: readonly Record<string, unknown>[]; readonly lines: readonly number[] };

/**
 * A failure within a file in the file's own terms: the server counts the records of one request, a person the lines of the file.
 * @param at.batch null while the file itself could not be read on
 * @param at.unit what `lines` counts: `line` of a text, `record` of a JSON list
 * @param at.done rows answered before
 */
export function explainInFile(
  thrown: unknown,
  at: { file: string; unit: 'line' | 'record'; batch: Batch | null; done: number; shown: boolean },
): CliError {
  const error = toCliError(thrown);
  const { batch, unit } = at;
  const inFile = (text: string): string =>
    batch === null
      ? text
      : text.replace(/\/records\/(\d+)(?:\/([^\s:]+))?/g, (all, index: string, rest: string | undefined) => {
          const line = batch.lines[Number(index)];
          if (line === undefined) return all;
          return `${unit} ${line}${rest === undefined ? '' : `, ${rest}`}`;
        });
  const first = batch?.lines[0];
  const last = batch?.lines.at(-1);
  const where =
    first === undefined
      ? ''
      : ` Stopped in ${first === last ? `${unit} ${first}` : `${unit}s ${first} to ${last}`} of ${at.file}.`;
  const answered =
    at.done === 0
      ? ' No row was answered.'
      : ` ${count(at.done, 'row')} before ${at.done === 1 ? 'was' : 'were'} answered${at.shown ? '' : '; `-o ndjson` or `-o csv` would have shown them'}.`;
  const message = inFile(error.message);
  return new CliError(error.reason, `${message}${/[.!?]$/.test(message) ? '' : '.'}${where}${answered}`, {
    code: error.code,
    fields: error.fields.map((field) => ({ pointer: inFile(field.pointer), message: field.message })),
    ...(error.hint === null ? {} : { hint: error.hint }),
    requestId: error.requestId,
    cause: error,
  });
}
