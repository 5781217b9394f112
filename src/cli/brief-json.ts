import { stringifyJson } from '../../sdk/src/json.ts';

/** What a list shows before the rest is only counted. */
const SHOWN = 10;
/** A short list stays whole: a few more values cost less than counting them. */
const MANY = 16;
/** What of one text is shown. */
const TEXT = 200;

/**
 * A value as JSON for a person: of long lists and objects the first items and `… 11,990 more`.
 * @returns its text, and whether anything was left out, so that it is no JSON any more
 */
export function briefJson(value: unknown): { text: string; whole: boolean } {
  let whole = true;
  const more = (count: number): string => {
    whole = false;
    return `… ${count.toLocaleString('en')} more`;
  };
  const write = (item: unknown): string => {
    if (typeof item === 'string' && item.length > TEXT) {
      whole = false;
      return stringifyJson(`${item.slice(0, TEXT)}…`);
    }
    if (typeof item !== 'object' || item === null) return stringifyJson(item) ?? 'null';
    const parts = Array.isArray(item)
      ? item.slice(0, item.length > MANY ? SHOWN : MANY).map(write)
      : Object.entries(item)
          .slice(0, Object.keys(item).length > MANY ? SHOWN : MANY)
          .map(([name, inner]) => `${stringifyJson(name)}:${write(inner)}`);
    const left = (Array.isArray(item) ? item.length : Object.keys(item).length) - parts.length;
    if (left > 0) parts.push(more(left));
    return Array.isArray(item) ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
  };
  return { text: write(value), whole };
}
