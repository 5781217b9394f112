/**
 * HyperLogLog with 2^12 registers (Flajolet et al. 2007): how many different values there were, with a relative standard error of
 * 1.04/√4096 = 1.6 %. Merging takes the larger of each register: exact, in any order and tree, and the same value may come twice.
 * Values are hashed to 64 bits by two Murmur3 with pinned seeds: numbers as their eight IEEE bytes, text as UTF-8.
 */
import { murmur3, murmur3Words } from './murmur3.ts';

export const HLL_LOG2 = 12;
export const HLL_REGISTERS = 1 << HLL_LOG2;
/** Bits of the second hash in which leading zeros are counted. */
const RANK_BITS = 32;
const PLACE_SEED = 9001;
const RANK_SEED = 0x51a7;

export type HyperLogLog = Uint8Array;

export function createHyperLogLog(): HyperLogLog {
  return new Uint8Array(HLL_REGISTERS);
}

const eightBytes = new DataView(new ArrayBuffer(8));

/** -0 is 0, and every NaN is one value. */
export function addNumberToHll(registers: HyperLogLog, x: number): void {
  eightBytes.setFloat64(0, x === 0 ? 0 : x, true);
  const low = eightBytes.getInt32(0, true);
  const high = eightBytes.getInt32(4, true);
  note(registers, murmur3Words(low, high, PLACE_SEED), murmur3Words(low, high, RANK_SEED));
}

const encoder = new TextEncoder();
let scratch = new Uint8Array(1024);

/** Text as bytes in a scratch buffer that the next call overwrites. */
function utf8(text: string): { bytes: Uint8Array; length: number } {
  if (text.length * 3 > scratch.length) scratch = new Uint8Array(text.length * 3);
  return { bytes: scratch, length: encoder.encodeInto(text, scratch).written };
}

export function addTextToHll(registers: HyperLogLog, text: string): void {
  const { bytes, length } = utf8(text);
  note(registers, murmur3(bytes, length, PLACE_SEED), murmur3(bytes, length, RANK_SEED));
}

/** Adds a row as one value: equal rows have equal values in all places. Undefined is a value that is missing. */
export function addRowToHll(
  registers: HyperLogLog,
  row: readonly (number | string | boolean | Float64Array | null | undefined)[],
): void {
  let place = PLACE_SEED;
  let rank = RANK_SEED;
  const mix = (low: number, high: number): void => {
    place = murmur3Words(low, high, place);
    rank = murmur3Words(low, high, rank);
  };
  const mixNumber = (x: number): void => {
    eightBytes.setFloat64(0, x === 0 ? 0 : x, true);
    mix(eightBytes.getInt32(0, true), eightBytes.getInt32(4, true));
  };
  for (const value of row) {
    if (typeof value === 'number') mixNumber(value);
    else if (typeof value === 'string') {
      const { bytes, length } = utf8(value);
      place = murmur3(bytes, length, place);
      rank = murmur3(bytes, length, rank);
    } else if (value instanceof Float64Array) for (const x of value) mixNumber(x);
    else mix(value === true ? 1 : value === false ? 2 : 3, -1); // the bits of no number: NaN of another kind
  }
  note(registers, place, rank);
}

function note(registers: HyperLogLog, place: number, rank: number): void {
  const at = place >>> (32 - HLL_LOG2);
  const zeros = Math.clz32(rank) + 1;
  if (zeros > registers[at]!) registers[at] = zeros;
}

/** Adds the second to the first. */
export function mergeHllInto(into: HyperLogLog, from: HyperLogLog): void {
  for (let at = 0; at < HLL_REGISTERS; at++) {
    if (from[at]! > into[at]!) into[at] = from[at]!;
  }
}

/** How many different values there were, by Ertl's estimator (2017, "New cardinality estimation algorithms for HyperLogLog sketches", alg. 6), which needs no tables. */
export function hllEstimate(registers: HyperLogLog): number {
  const counts = new Float64Array(RANK_BITS + 2);
  for (let at = 0; at < HLL_REGISTERS; at++) counts[registers[at]!]! += 1;
  const m = HLL_REGISTERS;
  let z = m * tau(1 - counts[RANK_BITS + 1]! / m);
  for (let k = RANK_BITS; k >= 1; k--) z = 0.5 * (z + counts[k]!);
  z += m * sigma(counts[0]! / m);
  return m / (2 * Math.LN2) / (z / m);
}

function sigma(share: number): number {
  if (share === 1) return Number.POSITIVE_INFINITY;
  let x = share;
  let y = 1;
  let z = x;
  for (;;) {
    x *= x;
    const before = z;
    z += x * y;
    y += y;
    if (z === before) return z;
  }
}

function tau(share: number): number {
  if (share === 0 || share === 1) return 0;
  let x = share;
  let y = 1;
  let z = 1 - x;
  for (;;) {
    x = Math.sqrt(x);
    const before = z;
    y *= 0.5;
    z -= (1 - x) ** 2 * y;
    if (z === before) return z / 3;
  }
}
