/** The policy, done to values. What it drops does not come out in any form. */
import { createHmac } from 'node:crypto';
import type { CellValue } from './cells.ts';
import type { FieldAction } from './privacy-policy.ts';

/** Makes keyed hashes: 32 hex digits. */
export type Tokens = (value: string) => string;

export function createTokens(key: string): Tokens {
  return (value) => createHmac('sha256', key).update(value).digest('hex').slice(0, 32);
}

/** The text of a value that is hashed: a number as JavaScript writes it, so that 7 and "7" are one subject. */
export function tokenText(value: CellValue): string {
  return typeof value === 'string' ? value : String(value);
}

/** @returns null for what is dropped, and for what the action cannot be done to: rather nothing than the value as it came */
export function applyAction(action: FieldAction, value: CellValue, tokens: Tokens): CellValue | null {
  switch (action.action) {
    case 'keep':
      return value;
    case 'drop':
      return null;
    case 'hash':
      return value instanceof Float64Array ? null : tokens(tokenText(value));
    case 'truncate':
      return typeof value === 'string' ? [...value].slice(0, action.chars).join('') : null;
    case 'bucket': {
      if (typeof value !== 'number') return null;
      const bucket = Math.floor(value / action.width) * action.width;
      // 0.1 steps and the like: without the noise of the multiplication
      return Number.isFinite(bucket) ? Number(bucket.toPrecision(15)) : bucket;
    }
  }
}
