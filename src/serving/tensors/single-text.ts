/**
 * FP32 as decimal text, without a string for each number: digits go into bytes that are read as one string at the end. A number takes about
 * 55 ns, where printing the double that it equals takes about 270 ns (fresh values; V8 remembers the text of repeated ones).
 */

/** Numbers between two readings of the bytes, and the most that one can take with its comma: `-1.1754943508222875e-38`. */
const NUMBERS = 4096;
const LONGEST = 32;
const MOST_DIGITS = 9;

const bytes = Buffer.allocUnsafeSlow(NUMBERS * LONGEST);
const TENS = Float64Array.from({ length: 16 }, (_, power) => 10 ** power);

/** Comma separated, as the inside of a JSON array; what is not finite as the strings "NaN", "Infinity" and "-Infinity". */
export function singlesToJson(data: Float32Array): string {
  let text = '';
  for (let from = 0; from < data.length; from += NUMBERS) {
    const to = Math.min(data.length, from + NUMBERS);
    let at = 0;
    for (let i = from; i < to; i++) {
      if (i > 0) bytes[at++] = 44;
      at = put(data[i]!, at);
    }
    text += bytes.toString('latin1', 0, at);
  }
  return text;
}

/** One, as people read it: what is not finite by its name, very large and small ones with an exponent and at most nine digits. */
export function singleText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e-5 && size < 1e7) return bytes.toString('latin1', 0, put(value, 0));
  if (value === 0 || !Number.isFinite(value)) return `${value}`;
  for (let digits = 6; digits < MOST_DIGITS; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return `${short}`;
  }
  return `${Number(value.toPrecision(MOST_DIGITS))}`;
}

/**
 * Writes the shortest decimal of at least seven digits, without the zeros at its end, that rounds to the same FP32 by way of a double, as
 * readers of JSON do it.
 * @returns where it ends
 */
function put(value: number, start: number): number {
  let at = start;
  let size = value;
  if (value < 0) {
    bytes[at++] = 45;
    size = -value;
  }
  if (!(size >= 1e-5 && size < 1e7)) return putOther(value, start);
  const whole = wholeDigits(size);
  let places = 7 - whole;
  let digits = Math.floor(size * TENS[places]! + 0.5);
  while (Math.fround(digits / TENS[places]!) !== size) {
    places++;
    if (places > MOST_DIGITS - whole) return putOther(value, start);
    digits = Math.floor(size * TENS[places]! + 0.5);
  }
  digits |= 0;
  while (places > 0) {
    const shorter = (digits / 10) | 0;
    if (shorter * 10 !== digits) break;
    digits = shorter;
    places--;
  }
  const before = Math.max(1, countDigits(digits) - places);
  const end = at + before + (places > 0 ? 1 + places : 0);
  let next = end - 1;
  for (let k = 0; k < places; k++) digits = putDigit(digits, next--);
  if (places > 0) bytes[next--] = 46;
  for (let k = 0; k < before; k++) digits = putDigit(digits, next--);
  return end;
}

/** Zero, what is not finite, and what is written with an exponent. */
function putOther(value: number, at: number): number {
  const text = Number.isFinite(value) ? `${value}` : `"${value}"`;
  return at + bytes.write(text, at, 'latin1');
}

/** The last digit; gives what is before it. */
function putDigit(digits: number, at: number): number {
  const rest = (digits / 10) | 0;
  bytes[at] = 48 + digits - rest * 10;
  return rest;
}

/** Digits before the point, from 1e-5 to 1e7; less than 1 where zeros follow the point. */
function wholeDigits(size: number): number {
  if (size < 1) {
    if (size >= 0.1) return 0;
    if (size >= 0.01) return -1;
    return size >= 0.001 ? -2 : size >= 0.0001 ? -3 : -4;
  }
  if (size < 1e3) return size < 10 ? 1 : size < 100 ? 2 : 3;
  return size < 1e4 ? 4 : size < 1e5 ? 5 : size < 1e6 ? 6 : 7;
}

/** Of a whole number below 2^31. */
function countDigits(number: number): number {
  let digits = 1;
  for (let limit = 10; number >= limit; limit *= 10) digits++;
  return digits;
}
