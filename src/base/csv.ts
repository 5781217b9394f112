/**
 * The one CSV reader (RFC 4180), for files of the command line and for bodies of requests: quoted fields may hold separators, quotes
 * (doubled) and line breaks; lines end with LF or CRLF; blank lines are no rows; a byte order mark is skipped. A quote within a field that
 * does not begin with one is an ordinary character.
 */

export type CsvRow = {
  readonly fields: readonly string[];
  /** Line of the file where the row begins, from 1. */
  readonly line: number;
  /** Line behind it; the next row begins there unless blank lines follow. */
  readonly nextLine: number;
};

/** What is no CSV. */
export class CsvFault extends Error {
  readonly line: number;
  /** Number of the field in its row, from 1. */
  readonly column: number;

  constructor(line: number, column: number, message: string) {
    super(message);
    this.name = 'CsvFault';
    this.line = line;
    this.column = column;
  }
}

const SEPARATORS = [',', ';', '\t'];
const MAX_FIELD_CHARS = 1024 * 1024;
const MAX_ROW_CHARS = 16 * MAX_FIELD_CHARS;
/** As many as a signature may name features. */
const MAX_FIELDS = 100_000;

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;

export type CsvScanner = {
  /**
   * The rows that end within the text so far.
   * @param last whether no text follows: the row that is open then ends too
   * @throws CsvFault
   */
  scan(text: string, last: boolean): Generator<CsvRow>;
};

/** @param separator one character; null finds it from the first line: comma, semicolon or tab */
export function createCsvScanner(separator: string | null): CsvScanner {
  let pending = '';
  let line = 1;
  let fresh = true;
  let mark = separator === null ? 0 : separator.charCodeAt(0);

  return {
    *scan(more, last) {
      const text = pending === '' ? more : pending + more;
      pending = text;
      let at = 0;
      if (fresh) {
        const end = text.indexOf('\n');
        if (text === '' || (end === -1 && !last && (mark === 0 || text.length < 2))) return;
        if (text.charCodeAt(0) === 0xfeff) at = 1;
        if (mark === 0) mark = pickSeparator(text.slice(at, end === -1 ? text.length : end)).charCodeAt(0);
        fresh = false;
      }
      while (at < text.length) {
        const next = behindBreak(text, at);
        if (next > at) {
          at = next;
          line += 1;
          continue;
        }
        const row = readRow(text, at, mark, line, last);
        if (row === null) break;
        if (!row.blank) yield { fields: row.fields, line, nextLine: row.nextLine };
        at = row.end;
        line = row.nextLine;
      }
      pending = text.slice(at);
    },
  };
}

/** Where the line goes on behind a line break at `at`; `at` itself where there is none. Blank lines are thus skipped at next to no cost. */
function behindBreak(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code === LF) return at + 1;
  return code === CR && text.charCodeAt(at + 1) === LF ? at + 2 : at;
}

type ReadRow = {
  readonly fields: string[];
  readonly blank: boolean;
  /** Where the next row begins. */
  readonly end: number;
  readonly nextLine: number;
};

/** The row that begins at `start`; null when the text ends before it does. */
function readRow(text: string, start: number, mark: number, firstLine: number, last: boolean): ReadRow | null {
  const fields: string[] = [];
  let line = firstLine;
  let at = start;
  let quoted = false;
  for (;;) {
    if (fields.length >= MAX_FIELDS) throw new CsvFault(line, fields.length, `has more than ${MAX_FIELDS} fields`);
    if (text.charCodeAt(at) === QUOTE) {
      quoted = true;
      const opened = line;
      const field = readQuoted(text, at + 1, last);
      if (field === null) {
        if (last) throw new CsvFault(opened, fields.length + 1, 'has a quote that is never closed');
        assertBounded(text.length - start, opened, fields.length + 1);
        return null;
      }
      const { value, end, breaks } = field;
      assertFieldBounded(value.length, opened, fields.length + 1);
      line += breaks;
      fields.push(value);
      at = end;
      if (text.charCodeAt(at) === CR && (text.charCodeAt(at + 1) === LF || (last && at + 1 === text.length))) at += 1;
      if (at >= text.length) {
        if (!last) return null;
        return { fields, blank: false, end: at, nextLine: line };
      }
      const next = text.charCodeAt(at);
      if (next === LF) return { fields, blank: false, end: at + 1, nextLine: line + 1 };
      if (next === CR && at + 1 === text.length) return null;
      if (next !== mark) throw new CsvFault(line, fields.length, 'goes on after its closing quote');
      at += 1;
      continue;
    }
    let end = at;
    let code = 0;
    for (; end < text.length; end++) {
      code = text.charCodeAt(end);
      if (code === mark || code === LF) break;
    }
    assertFieldBounded(end - at, line, fields.length + 1);
    if (end === text.length) {
      if (!last) {
        assertBounded(end - start, line, fields.length + 1);
        return null;
      }
      fields.push(text.slice(at, text.charCodeAt(end - 1) === CR && end > at ? end - 1 : end));
      return { fields, blank: isBlank(fields, quoted), end, nextLine: line };
    }
    if (code === mark) {
      fields.push(text.slice(at, end));
      at = end + 1;
      continue;
    }
    fields.push(text.slice(at, end > at && text.charCodeAt(end - 1) === CR ? end - 1 : end));
    return { fields, blank: isBlank(fields, quoted), end: end + 1, nextLine: line + 1 };
  }
}

function isBlank(fields: readonly string[], quoted: boolean): boolean {
  return fields.length === 1 && fields[0] === '' && !quoted;
}

/** A field from behind its opening quote; `end` lies behind the closing one. Null when that is not there (yet). */
function readQuoted(text: string, start: number, last: boolean): { value: string; end: number; breaks: number } | null {
  let at = start;
  let doubled = false;
  for (;;) {
    const quote = text.indexOf('"', at);
    // Whether the last character of a piece is half of a doubled quote shows in the next piece.
    if (quote === -1 || (quote + 1 === text.length && !last)) return null;
    if (text.charCodeAt(quote + 1) !== QUOTE) {
      const raw = text.slice(start, quote);
      let breaks = 0;
      for (let i = raw.indexOf('\n'); i !== -1; i = raw.indexOf('\n', i + 1)) breaks += 1;
      return { value: doubled ? raw.replaceAll('""', '"') : raw, end: quote + 1, breaks };
    }
    doubled = true;
    at = quote + 2;
  }
}

function assertFieldBounded(chars: number, line: number, column: number): void {
  if (chars > MAX_FIELD_CHARS) throw new CsvFault(line, column, `is longer than ${MAX_FIELD_CHARS} characters`);
}

/** An open row is read again with every piece, so it may not grow without end. */
function assertBounded(chars: number, line: number, column: number): void {
  if (chars > MAX_ROW_CHARS) {
    throw new CsvFault(line, column, `begins a row of more than ${MAX_ROW_CHARS} characters; is a quote missing?`);
  }
}

/** Rows of a file, piece by piece: memory is bound by the longest row. The separator is found from the first line. */
export async function* readCsv(chunks: AsyncIterable<string>): AsyncGenerator<CsvRow> {
  const scanner = createCsvScanner(null);
  for await (const chunk of chunks) yield* scanner.scan(chunk, false);
  yield* scanner.scan('', true);
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
