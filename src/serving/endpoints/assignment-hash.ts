/** The hash behind assignment: the same in every language that has SHA-256 and UTF-8. */
import { hash } from 'node:crypto';

const SEPARATOR = '\u001f';
const BUCKETS = 10_000;

/** A unit's place in [0, 1) under a salt. */
export function fractionOf(salt: string, unit: string, hashVersion: 1 | 2 = 1): number {
  return hashVersion === 1 ? sha256Fraction(salt, unit) : murmur3(salt + SEPARATOR + unit) / 4_294_967_296;
}

/** The top 52 bits of SHA-256(UTF-8(salt + U+001F + unit)), as a share of 2^52. */
export function sha256Fraction(salt: string, unit: string): number {
  const digest = hash('sha256', salt + SEPARATOR + unit, 'hex');
  return Number.parseInt(digest.slice(0, 13), 16) / 2 ** 52;
}

/** Buckets of 0.01 %, from 0 to 9999. */
export function bucketOf(fraction: number): number {
  return Math.floor(fraction * BUCKETS);
}

/** murmur3_x86_32 of a text's UTF-8 bytes, unsigned. Faster than SHA-256, and steerable by whoever knows the salt. */
export function murmur3(text: string, seed = 0): number {
  const bytes = Buffer.from(text, 'utf8');
  const whole = bytes.length & ~3;
  let state = seed | 0;
  for (let at = 0; at < whole; at += 4) {
    state ^= mixed(bytes.readInt32LE(at));
    state = (Math.imul((state << 13) | (state >>> 19), 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let at = bytes.length - 1; at >= whole; at--) rest = (rest << 8) | bytes[at]!;
  if (bytes.length > whole) state ^= mixed(rest);
  state ^= bytes.length;
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

function mixed(word: number): number {
  const turned = Math.imul(word, 0xcc9e2d51);
  return Math.imul((turned << 15) | (turned >>> 17), 0x1b873593);
}
