import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { formatKey, hashSecret, isSecret, makeKey, parseKey } from './key.ts';

describe('a key', () => {
  test('has its documented form, and comes apart again', () => {
    for (let i = 0; i < 500; i++) {
      const { id, secret, text } = makeKey();
      expect(text).toMatch(/^slipway_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9a-f]{8}$/);
      expect(parseKey(text)).toEqual({ id, secret });
    }
  });

  test('is another one every time, with 256 random bits', () => {
    const made = Array.from({ length: 2000 }, makeKey);
    expect(new Set(made.map((key) => key.secret)).size).toBe(2000);
    expect(new Set(made.map((key) => key.id)).size).toBe(2000);
    // Of 43 digits every place but the first takes all 62 values: none is fixed or drawn from fewer.
    for (let place = 1; place < 43; place++) expect(new Set(made.map((key) => key.secret[place])).size).toBe(62);
  });

  test('with any one character changed, missing or added is none', () => {
    const { text } = makeKey();
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'a' ? 'b' : 'a';
      expect(parseKey(text.slice(0, at) + other + text.slice(at + 1)), `changed at ${at}`).toBeNull();
      expect(parseKey(text.slice(0, at) + text.slice(at + 1)), `missing at ${at}`).toBeNull();
    }
    for (const odd of ['', ' ', text + text, `${text}\n`, ` ${text}`, text.toUpperCase(), 'slipway_live___']) {
      expect(parseKey(odd)).toBeNull();
    }
  });

  test('is stored as a hash that only its secret fits', () => {
    const { secret } = makeKey();
    expect(hashSecret(secret)).toBe(createHash('sha256').update(secret).digest('hex'));
    expect(isSecret(secret, hashSecret(secret))).toBe(true);
    expect(isSecret(makeKey().secret, hashSecret(secret))).toBe(false);
    expect(isSecret(secret, '')).toBe(false);
    expect(isSecret(secret, 'zz')).toBe(false);
  });

  test('keeps its form in releases to come: a known one still parses', () => {
    const known = { id: '0123456789Ab', secret: 'A'.repeat(43) };
    expect(formatKey(known)).toBe(`slipway_live_0123456789Ab_${'A'.repeat(43)}_c36548a3`);
    expect(parseKey(formatKey(known))).toEqual(known);
  });
});
