/**
 * JSON that keeps 64-bit integers. `JSON.parse` rounds integers beyond 2^53; where the runtime gives a reviver the source text
 * (V8 since 2023) such numbers become BigInt here, and BigInt is written back as a plain JSON number.
 */

type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown;
type RawJson = { rawJSON?: (text: string) => unknown };

const LONG_INTEGER = /\d{16}/;
const INTEGER = /^-?\d+$/;

const exact: Reviver = (_key, value, context) => {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  return source !== undefined && INTEGER.test(source) ? BigInt(source) : value;
};

/** Parses JSON; integers that a number cannot hold become BigInt. Throws SyntaxError. */
export function parseJson(text: string): unknown {
  // Most documents have no long integer, and a reviver makes parsing several times slower.
  return LONG_INTEGER.test(text)
    ? JSON.parse(text, exact as (key: string, value: unknown) => unknown)
    : JSON.parse(text);
}

/** Writes JSON; BigInt becomes a plain JSON number, exactly. Throws TypeError where the runtime cannot write it. */
export function stringifyJson(value: unknown, space?: number): string {
  return JSON.stringify(
    value,
    (_key, item: unknown) => {
      if (typeof item !== 'bigint') return item;
      const rawJson = (JSON as unknown as RawJson).rawJSON;
      if (rawJson === undefined) throw new TypeError('this runtime cannot write 64-bit integers as JSON');
      return rawJson(item.toString());
    },
    space,
  );
}
