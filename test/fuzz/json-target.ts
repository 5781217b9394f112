import { SlipwayError } from '../../src/base/errors.ts';
import { parseJson } from '../../src/base/json.ts';
import { type FuzzTarget, outcomeOf } from './target.ts';

/** Our JSON parser beside JavaScript's own: it may refuse more (keys given twice, depth, bad UTF-8), but what it takes means the same. */
export const lexicon: FuzzTarget = {
  name: 'json',
  dictionary: [
    '"a":',
    '{"a":1,"a":2}',
    '\\u0041',
    '\\ud83d\\ude00',
    '1E5',
    '-0.0',
    '[[[[',
    ']]]]',
    '//',
    '\u00e9',
    '"__proto__":',
  ],
  run(input) {
    let ours: unknown;
    try {
      ours = parseJson(input, { maxDepth: 100 });
    } catch (error) {
      if (!(error instanceof SlipwayError) || error.kind !== 'invalid') throw error;
      return outcomeOf(error.message);
    }
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(input);
    const theirs: unknown = JSON.parse(text);
    if (!same(ours, theirs)) throw new Error('the value is not that of JSON.parse');
    return Array.isArray(ours) ? 'array' : typeof ours;
  },
};

/** Whole numbers beyond 2^53 are BigInt with us and rounded there. */
function same(ours: unknown, theirs: unknown): boolean {
  if (typeof ours === 'bigint') return Number(ours) === theirs;
  if (typeof ours !== 'object' || ours === null) return Object.is(ours, theirs);
  if (typeof theirs !== 'object' || theirs === null || Array.isArray(ours) !== Array.isArray(theirs)) return false;
  const keys = Object.keys(ours);
  return (
    keys.length === Object.keys(theirs).length &&
    keys.every((key) => same((ours as Record<string, unknown>)[key], (theirs as Record<string, unknown>)[key]))
  );
}
