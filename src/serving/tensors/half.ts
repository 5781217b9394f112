/** The two 16-bit floating types, as raw bits in a Uint16Array. */

const double = new Float64Array(1);
const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);
const doubleBits = new BigUint64Array(double.buffer);

/** A double rounded to the nearest FP16, ties to even; beyond 65,519.99… it becomes infinite. */
export function float16BitsOf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65_520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | roundToEven(size * 2 ** 24);
  double[0] = size;
  const exponent = Number((doubleBits[0]! >> 52n) & 0x7ffn) - 1023;
  // A mantissa that rounds up to 2048 carries into the exponent by itself.
  return sign | (((exponent + 14) << 10) + roundToEven(size * 2 ** (10 - exponent)));
}

/** A double rounded to the nearest BF16 by way of FP32 (the two roundings can differ from one in the last bit of a tie). */
export function bfloat16BitsOf(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  single[0] = value;
  const bits = singleBits[0]!;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function float16Of(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

export function bfloat16Of(bits: number): number {
  singleBits[0] = bits << 16;
  return single[0]!;
}

export function numbersOfHalf(datatype: 'FP16' | 'BF16', bits: Uint16Array): number[] {
  return Array.from(bits, datatype === 'FP16' ? float16Of : bfloat16Of);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1;
  return floor;
}
