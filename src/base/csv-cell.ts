/** What one cell of a table says, by the kind of value its column has; the same for files of the command line and bodies of requests. */

export type CellKind = 'float' | 'integer' | 'boolean' | 'text';

/** By datatype; all others are whole numbers. */
const KINDS: ReadonlyMap<string, CellKind> = new Map([
  ['BOOL', 'boolean'],
  ['FP16', 'float'],
  ['BF16', 'float'],
  ['FP32', 'float'],
  ['FP64', 'float'],
  ['BYTES', 'text'],
]);

/** How the cells of an input of this datatype are read. */
export function cellKindOf(datatype: string): CellKind {
  return KINDS.get(datatype) ?? 'integer';
}

/** A cell that is no value of its kind. */
export const INVALID_CELL = Symbol('invalid');

/** What a cell of a kind must be, for messages. */
export const CELL_RULES: Readonly<Record<CellKind, string>> = {
  float: 'a number',
  integer: 'a whole number',
  boolean: 'true, false, 1 or 0',
  text: 'text',
};

/** The characters of a decimal number; `Number` decides about their order. Nothing else that it takes passes: no hex, no blanks. */
const NUMBER_CHARS = /^[-+.\dEe]+$/;
/** How a missing number is written by pandas, R and databases. */
const MISSING_TEXTS: ReadonlySet<string> = new Set(['', 'na', 'nan', 'null', 'none', 'n/a', '#n/a', '<na>']);
const INFINITIES: ReadonlyMap<string, number> = new Map([
  ['inf', Number.POSITIVE_INFINITY],
  ['+inf', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
  ['infinity', Number.POSITIVE_INFINITY],
  ['-infinity', Number.NEGATIVE_INFINITY],
]);
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
  ['1', true],
  ['0', false],
  ['yes', true],
  ['no', false],
]);

export type CellValue = number | bigint | string | boolean;

/**
 * A missing number (blank, NA, NaN, null, …) is NaN for `float` and invalid for `integer` and `boolean`; a blank text is the empty string.
 * Integers beyond 2^53 come as BigInt. A whole number may be written `3.0`, as tables exported from floats do.
 */
export function readCell(text: string, kind: CellKind): CellValue | typeof INVALID_CELL {
  if (kind === 'text') return text;
  if (kind === 'float') {
    const usual = plainDecimal(text);
    if (!Number.isNaN(usual)) return usual;
  }
  const trimmed = text.trim();
  if (kind === 'boolean') return BOOLEANS.get(trimmed.toLowerCase()) ?? INVALID_CELL;
  if (kind === 'float') {
    if (NUMBER_CHARS.test(trimmed)) return finite(Number(trimmed));
    const lower = trimmed.toLowerCase();
    return MISSING_TEXTS.has(lower) ? Number.NaN : (INFINITIES.get(lower) ?? INVALID_CELL);
  }
  const whole = trimmed.replace(/\.0+$/, '');
  if (!/^[+-]?\d{1,400}$/.test(whole)) return INVALID_CELL;
  const n = Number(whole);
  return Number.isSafeInteger(n) ? n : BigInt(whole.replace(/^\+/, ''));
}

const POWERS_OF_TEN = Array.from({ length: 16 }, (_, power) => 10 ** power);

/**
 * The usual cell, such as `-12.5`, several times faster than by `Number`: up to 15 digits and a power of ten up to 10^15 are exact doubles, so
 * one division rounds as it must (Clinger 1990, "How to read floating point numbers accurately"). NaN for anything else.
 */
function plainDecimal(text: string): number {
  const { length } = text;
  const isNegative = text.charCodeAt(0) === 0x2d;
  let digits = 0;
  let decimals = -1;
  let whole = 0;
  for (let at = isNegative ? 1 : 0; at < length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit >= 0 && digit <= 9) {
      whole = whole * 10 + digit;
      digits += 1;
      if (decimals >= 0) decimals += 1;
    } else if (digit === -2 && decimals < 0) decimals = 0;
    else return Number.NaN;
  }
  if (digits === 0 || digits > 15) return Number.NaN;
  const value = decimals > 0 ? whole / POWERS_OF_TEN[decimals]! : whole;
  return isNegative ? -value : value;
}

/** `1.2.3` is no number, and 1e999 none that a double can hold. */
function finite(value: number): number | typeof INVALID_CELL {
  return Number.isFinite(value) ? value : INVALID_CELL;
}
