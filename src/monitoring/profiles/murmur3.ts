/**
 * MurmurHash3_x86_32 (Appleby 2011, public domain): pinned, with its seeds, because sketches made by other versions of the program are
 * merged with those of today.
 */
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

function mixIn(hash: number, word: number): number {
  let k = Math.imul(word, C1);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, C2);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number, length: number): number {
  let h = hash ^ length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Hash of bytes, an unsigned 32-bit number. */
export function murmur3(bytes: Uint8Array, length: number, seed: number): number {
  let h = seed | 0;
  const whole = length & ~3;
  for (let at = 0; at < whole; at += 4) {
    h = mixIn(h, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
  }
  const left = length - whole;
  if (left > 0) {
    let k = bytes[whole]! | (left > 1 ? bytes[whole + 1]! << 8 : 0) | (left > 2 ? bytes[whole + 2]! << 16 : 0);
    k = Math.imul(k, C1);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, C2);
  }
  return finish(h, length);
}

/** The same of two words of 32 bits, as of their eight bytes. */
export function murmur3Words(low: number, high: number, seed: number): number {
  return finish(mixIn(mixIn(seed | 0, low), high), 8);
}
