/**
 * JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` may stand as bare words where a number may. They are no JSON (RFC 8259 §6), but what `json.dumps` makes of
 * missing values in a data frame. Everything else is as strict as anywhere.
 */
import { SlipwayError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';

const MAX_DEPTH = 100;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const WORDS: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);
/** No text that a model takes holds this character, so a caller's own text is never mistaken for a word. */
const MARK = '\u0000';

/**
 * @param maxKeys that one object of a large body may have
 * @throws SlipwayError `invalid_json`
 */
export function readPythonJson(body: Uint8Array, maxKeys: number): unknown {
  const limits = { maxDepth: MAX_DEPTH, maxKeys };
  try {
    return parseJson(body, limits);
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    const marked = markWords(Buffer.from(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength));
    if (marked === null) throw error;
    return withWords(parseJson(marked, limits), error);
  }
}

/** The words outside strings as marked strings; null when there are none. */
function markWords(bytes: Buffer): Buffer | null {
  if (!bytes.includes('NaN') && !bytes.includes('Infinity')) return null;
  const parts: Buffer[] = [];
  let kept = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at += 1;
      while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
    } else if (byte === 0x4e || byte === 0x49 || byte === 0x2d) {
      const word = bytes.toString('latin1', at, at + 9);
      const [found] = /^(?:NaN|-?Infinity)(?![\w.])/.exec(word) ?? [];
      if (found === undefined) continue;
      parts.push(bytes.subarray(kept, at), Buffer.from(`"\\u0000${found}"`));
      at += found.length - 1;
      kept = at + 1;
    }
  }
  if (parts.length === 0) return null;
  parts.push(bytes.subarray(kept));
  return Buffer.concat(parts);
}

/** The depth was bounded when it was parsed. */
function withWords(value: unknown, error: SlipwayError): unknown {
  if (typeof value === 'string') return value[0] === MARK ? (WORDS.get(value.slice(1)) ?? value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = withWords(value[i], error);
    return value;
  }
  const object = value as Record<string, unknown>;
  for (const key in object) {
    if (key[0] === MARK) throw error; // a word where a key belongs
    object[key] = withWords(object[key], error);
  }
  return object;
}
