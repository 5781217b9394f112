/** What the terminal can show. Text from a server is stripped of control characters before it is printed. */

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const CODES: Record<Style, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export type Paint = (style: Style, text: string) => string;

/** Colour only on a terminal that wants it: NO_COLOR, TERM=dumb and --no-color turn it off. */
export function createPaint(
  stream: { isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
  wanted: boolean,
): Paint {
  const on = wanted && stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  if (!on) return (_style, text) => text;
  return (style, text) => `\u001b[${CODES[style][0]}m${text}\u001b[${CODES[style][1]}m`;
}

// C0 and C1 control characters but tab and newline, escape sequences as a whole, and the marks that turn text around.
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

export function clean(text: string): string {
  return text.replace(ESCAPES, '').replace(CONTROLS, '');
}

/** The same for text that must stay on one line. */
export function cleanLine(text: string): string {
  return clean(text.replace(/\s*[\r\n]+\s*/g, ' ⏎ '));
}

const COMBINING = /\p{Mark}|\u200d|\ufe0f/u;
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}]|[\u{20000}-\u{3fffd}]/u;

/** Columns a text takes on a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text.replace(ESCAPES, '')) width += COMBINING.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
  return width;
}

export function pad(text: string, width: number, right = false): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)));
  return right ? space + text : text + space;
}

export type Column = { readonly title: string; readonly right?: boolean };

/** A table in plain text: two spaces between columns, numbers to the right, no borders. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string {
  const cells = rows.map((row) => row.map((cell) => cell.replace(/[\t\n]/g, ' ')));
  const widths = columns.map((column, at) =>
    Math.max(widthOf(column.title), ...cells.map((row) => widthOf(row[at] ?? ''))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => pad(cell, widths[at] ?? 0, columns[at]?.right))
      .join('  ')
      .trimEnd();
  const head = paint('dim', line(columns.map((column) => column.title.toUpperCase())));
  return [head, ...cells.map(line)].map((text) => `${text}\n`).join('');
}

const SIZES: [string, number][] = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
];

export function formatBytes(bytes: number | null): string {
  if (bytes === null) return 'unknown';
  for (const [unit, size] of SIZES)
    if (bytes >= size) return `${(bytes / size).toFixed(bytes / size < 10 ? 1 : 0)} ${unit}`;
  return `${bytes} B`;
}

/** `1 warning`, `2 warnings`; words that take more than an s give their own plural. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

export function formatMs(ms: number | null): string {
  if (ms === null) return 'unknown';
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

/** How long ago, in the largest fitting unit. */
export function formatAge(iso: string, nowMs: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000));
  if (Number.isNaN(seconds)) return 'unknown';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}
