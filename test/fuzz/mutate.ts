/** Random changes to inputs, as fuzzers make them: small ones mostly, and now and then a piece of another input. */

import { randomNumbers } from '../../src/base/random-numbers.ts';

/** Whole numbers from 0 to below a bound. */
export function createRandom(seed: number): (below: number) => number {
  const random = randomNumbers(seed);
  return (below) => Math.floor(random() * below);
}

/** Numbers at which programs go wrong, as little-endian integers of 1, 2, 4 or 8 bytes. */
const EDGES: readonly bigint[] = [
  0n,
  1n,
  -1n,
  7n,
  8n,
  127n,
  128n,
  255n,
  256n,
  32767n,
  65535n,
  65536n,
  2n ** 24n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 60n + 2n,
  2n ** 63n - 1n,
  2n ** 64n - 8n,
];
/** The same and worse, as text. */
const WORDS = [
  '0',
  '-0',
  '-1',
  '1',
  '1.5',
  '1e400',
  '1e39',
  '-1e-400',
  '255',
  '256',
  '4294967296',
  '9007199254740993',
  '9223372036854775808',
  '18446744073709551616',
  '9'.repeat(40),
  'NaN',
  'Infinity',
  'null',
  'true',
  '""',
  '[]',
  '{}',
  '"\\ud800"',
  '"__proto__"',
  '\u0000',
  '\ufeff',
  '\r\n',
  '\n',
];
const MAX_BYTES = 64 * 1024;

/**
 * @param dictionary words of the format, tried like the edges
 * @param other another input of the corpus, for splicing
 */
export function mutate(
  input: Buffer,
  other: Buffer,
  dictionary: readonly string[],
  random: (below: number) => number,
): Buffer {
  let bytes = input;
  const rounds = 1 << random(4);
  for (let i = 0; i < rounds; i++) bytes = CHANGES[random(CHANGES.length)]!(bytes, other, dictionary, random);
  return bytes.length > MAX_BYTES ? bytes.subarray(0, MAX_BYTES) : bytes;
}

type Change = (
  bytes: Buffer,
  other: Buffer,
  dictionary: readonly string[],
  random: (below: number) => number,
) => Buffer;

const CHANGES: readonly Change[] = [
  function flipBit(bytes, _other, _dictionary, random) {
    if (bytes.length === 0) return bytes;
    const out = Buffer.from(bytes);
    const at = random(out.length);
    out[at] = out[at]! ^ (1 << random(8));
    return out;
  },
  function setByte(bytes, _other, _dictionary, random) {
    if (bytes.length === 0) return bytes;
    const out = Buffer.from(bytes);
    out[random(out.length)] = random(256);
    return out;
  },
  function setInteger(bytes, _other, _dictionary, random) {
    const size = 1 << random(4);
    if (bytes.length < size) return bytes;
    const out = Buffer.from(bytes);
    const value = Buffer.alloc(8);
    value.writeBigInt64LE(BigInt.asIntN(64, EDGES[random(EDGES.length)]!));
    // Where the format is aligned, an aligned place is likelier to hold a number.
    const at = random(2) === 0 ? random(out.length - size + 1) : random(Math.floor(out.length / size)) * size;
    value.copy(out, at, 0, size);
    return out;
  },
  function remove(bytes, _other, _dictionary, random) {
    if (bytes.length === 0) return bytes;
    const from = random(bytes.length);
    const to = Math.min(bytes.length, from + 1 + random(random(4) === 0 ? bytes.length : 8));
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  function cutOff(bytes, _other, _dictionary, random) {
    return bytes.subarray(0, random(bytes.length + 1));
  },
  function repeat(bytes, _other, _dictionary, random) {
    if (bytes.length === 0) return bytes;
    const from = random(bytes.length);
    const to = Math.min(bytes.length, from + 1 + random(random(4) === 0 ? bytes.length : 16));
    const times = 1 << random(random(8) === 0 ? 12 : 3);
    const piece = bytes.subarray(from, to);
    const many = Buffer.concat(
      Array.from({ length: Math.min(times, Math.ceil(MAX_BYTES / piece.length)) }, () => piece),
    );
    return Buffer.concat([bytes.subarray(0, from), many, bytes.subarray(from)]);
  },
  function insert(bytes, _other, dictionary, random) {
    const at = random(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), word(dictionary, random), bytes.subarray(at)]);
  },
  /** A number or a quoted text gives way to a word. */
  function replace(bytes, _other, dictionary, random) {
    const text = bytes.toString('latin1');
    const places = [...text.matchAll(/-?\d[\d.eE+-]*|"(?:[^"\\]|\\.)*"|[A-Za-z_]{2,}/g)];
    if (places.length === 0) return bytes;
    const place = places[random(places.length)]!;
    const after = place.index + place[0].length;
    return Buffer.concat([bytes.subarray(0, place.index), word(dictionary, random), bytes.subarray(after)]);
  },
  function splice(bytes, other, _dictionary, random) {
    return Buffer.concat([bytes.subarray(0, random(bytes.length + 1)), other.subarray(random(other.length + 1))]);
  },
  function copyPiece(bytes, other, _dictionary, random) {
    if (other.length === 0) return bytes;
    const from = random(other.length);
    const piece = other.subarray(from, from + 1 + random(32));
    const at = random(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
  },
];

function word(dictionary: readonly string[], random: (below: number) => number): Buffer {
  const words = random(2) === 0 && dictionary.length > 0 ? dictionary : WORDS;
  return Buffer.from(words[random(words.length)]!, 'utf8');
}
