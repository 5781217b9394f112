/**
 * Reads CSV (RFC 4180) piece by piece: quoted fields may hold separators, quotes (doubled) and line breaks. Memory is bound by the
 * longest row. The separator is found from the first line: comma, semicolon or tab.
 */

export type CsvRow = {
  readonly fields: readonly string[];
  /** Line of the file where the row begins, from 1. */
  readonly line: number;
};

const SEPARATORS = [',', ';', '\t'];

export async function* readCsv(chunks: AsyncIterable<string>): AsyncGenerator<CsvRow> {
  let pending = '';
  let separator: string | null = null;
  let field = '';
  let fields: string[] = [];
  let quoted = false;
  let wasQuoted = false;
  let line = 1;
  let rowLine = 1;

  const endField = (): void => {
    fields.push(field);
    field = '';
    wasQuoted = false;
  };

  function* take(text: string, last: boolean): Generator<CsvRow> {
    let at = 0;
    for (; at < text.length; at++) {
      const char = text[at]!;
      if (quoted) {
        if (char !== '"') {
          if (char === '\n') line++;
          field += char;
        } else if (at + 1 === text.length && !last)
          break; // whether it is doubled shows in the next piece
        else if (text[at + 1] === '"') {
          field += '"';
          at++;
        } else quoted = false;
      } else if (char === '"' && field === '' && !wasQuoted) {
        quoted = true;
        wasQuoted = true;
      } else if (char === separator) endField();
      else if (char === '\n') {
        line++;
        if (field.endsWith('\r')) field = field.slice(0, -1);
        const blank = fields.length === 0 && field === '' && !wasQuoted;
        endField();
        if (!blank) yield { fields, line: rowLine };
        fields = [];
        rowLine = line;
      } else field += char;
    }
    pending = text.slice(at);
  }

  for await (const chunk of chunks) {
    pending += chunk;
    if (separator === null) {
      if (!pending.includes('\n')) continue;
      pending = pending.replace(/^\ufeff/, '');
      separator = pickSeparator(pending.slice(0, pending.indexOf('\n')));
    }
    yield* take(pending, false);
  }
  if (separator === null) separator = pickSeparator(pending.replace(/^\ufeff/, ''));
  yield* take(pending, true);
  if (fields.length > 0 || field !== '' || wasQuoted) {
    endField();
    yield { fields, line: rowLine };
  }
}

/** The candidate that stands most often outside quotes in the first line. */
function pickSeparator(firstLine: string): string {
  const bare = firstLine.replace(/"[^"]*"/g, '');
  const counts = SEPARATORS.map((separator) => bare.split(separator).length - 1);
  return SEPARATORS[counts.indexOf(Math.max(...counts))]!;
}

/** One field as CSV. */
export function csvField(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
