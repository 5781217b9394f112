/** Profiles as bytes: 2 to 6 kB a column. The form has a number; a reader that does not know it refuses, and nothing is guessed. */
import { type ByteReader, type ByteWriter, createByteReader, createByteWriter } from './byte-codec.ts';
import type { ColumnProfile, TextCounts } from './column-profile.ts';
import type { DdBuckets, DdSketch } from './dd-sketch.ts';
import type { FixedHistogram } from './fixed-histogram.ts';
import { createHyperLogLog, HLL_REGISTERS, type HyperLogLog } from './hyper-log-log.ts';
import type { Moments } from './moments.ts';
import type { SealedTopValues } from './top-values.ts';
import { createVectorSummary, type VectorSummary } from './vector-summary.ts';

const FORM = 1;
const COUNTS = ['values', 'missing', 'nan', 'infinite', 'zeros', 'numbers', 'texts', 'booleans', 'vectors'] as const;
const TEXT_COUNTS = ['chars', 'letters', 'digits', 'spaces', 'beyondAscii'] as const;

export function encodeProfile(profile: ColumnProfile): Uint8Array {
  const out = createByteWriter();
  out.byte(FORM);
  for (const name of COUNTS) out.count(profile[name]);
  out.float(profile.firstMs);
  out.float(profile.lastMs);
  writeMoments(out, profile.moments);
  writeHistogram(out, profile.histogram);
  out.count(profile.sketch.zeros);
  writeBuckets(out, profile.sketch.positive);
  writeBuckets(out, profile.sketch.negative);
  writeHll(out, profile.distinct);
  writeTop(out, profile.top);
  out.byte(profile.text === null ? 0 : 1);
  if (profile.text !== null) for (const name of TEXT_COUNTS) out.count(profile.text[name]);
  writeVector(out, profile.vector);
  return out.done();
}

/** @throws RangeError for bytes that are no profile, or one of another form */
export function decodeProfile(bytes: Uint8Array): ColumnProfile {
  const from = createByteReader(bytes);
  const form = from.byte();
  if (form !== FORM) throw new RangeError(`a profile has form ${form}; this release reads form ${FORM}`);
  const counts = Object.fromEntries(COUNTS.map((name) => [name, from.count()])) as Pick<
    ColumnProfile,
    (typeof COUNTS)[number]
  >;
  const firstMs = from.float();
  const lastMs = from.float();
  const moments = readMoments(from);
  const histogram = readHistogram(from);
  const sketch: DdSketch = { zeros: from.count(), positive: readBuckets(from), negative: readBuckets(from) };
  const distinct = readHll(from);
  const top = readTop(from);
  const text =
    from.byte() === 0 ? null : (Object.fromEntries(TEXT_COUNTS.map((name) => [name, from.count()])) as TextCounts);
  return { ...counts, firstMs, lastMs, moments, histogram, sketch, distinct, top, text, vector: readVector(from) };
}

function writeMoments(out: ByteWriter, { n, mean, m2, min, max }: Moments): void {
  out.count(n);
  if (n === 0) return;
  for (const value of [mean, m2, min, max]) out.float(value);
}

function readMoments(from: ByteReader): Moments {
  const n = from.count();
  if (n === 0) return { n, mean: 0, m2: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
  return { n, mean: from.float(), m2: from.float(), min: from.float(), max: from.float() };
}

function writeHistogram(out: ByteWriter, histogram: FixedHistogram | null): void {
  out.count(histogram === null ? 0 : histogram.edges.at.length);
  if (histogram === null) return;
  out.count(histogram.edges.revision);
  for (const edge of histogram.edges.at) out.float(edge);
  for (const count of histogram.counts) out.count(count);
}

function readHistogram(from: ByteReader): FixedHistogram | null {
  const length = from.count();
  if (length === 0) return null;
  const revision = from.count();
  const at = Float64Array.from({ length }, () => from.float());
  const counts = Float64Array.from({ length: length + 1 }, () => from.count());
  return { edges: { revision, at }, counts };
}

/** Buckets that hold something: how far each lies behind the one before, and its count. */
function writeBuckets(out: ByteWriter, { first, counts }: DdBuckets): void {
  let used = 0;
  for (const count of counts) if (count !== 0) used += 1;
  out.count(used);
  let before = 0;
  for (let at = 0; at < counts.length; at++) {
    if (counts[at] === 0) continue;
    out.signed(first + at - before);
    out.signed(counts[at]!);
    before = first + at;
  }
}

function readBuckets(from: ByteReader): DdBuckets {
  const used = from.count();
  if (used === 0) return { first: 0, counts: new Float64Array(0), total: 0 };
  const indexes: number[] = [];
  const values: number[] = [];
  let index = 0;
  let total = 0;
  for (let n = 0; n < used; n++) {
    index += from.signed();
    const count = from.signed();
    indexes.push(index);
    values.push(count);
    total += count;
  }
  const first = indexes[0]!;
  const span = indexes.at(-1)! - first + 1;
  if (!(span >= used && span < 10_000)) throw new RangeError('the buckets of a profile are out of order');
  const counts = new Float64Array(span);
  for (let n = 0; n < used; n++) counts[indexes[n]! - first] = values[n]!;
  return { first, counts, total };
}

const PACKED_BYTES = (HLL_REGISTERS * 6) / 8;
/** A pair takes about three bytes; beyond this many the packed form is smaller. */
const MAX_PAIRS = 1000;

function writeHll(out: ByteWriter, registers: HyperLogLog): void {
  let used = 0;
  for (let at = 0; at < HLL_REGISTERS; at++) if (registers[at] !== 0) used += 1;
  out.count(used);
  if (used > MAX_PAIRS) {
    const packed = new Uint8Array(PACKED_BYTES);
    for (let at = 0, to = 0; at < HLL_REGISTERS; at += 4, to += 3) {
      const [a, b, c, d] = [registers[at]!, registers[at + 1]!, registers[at + 2]!, registers[at + 3]!];
      packed[to] = (a << 2) | (b >> 4);
      packed[to + 1] = ((b & 15) << 4) | (c >> 2);
      packed[to + 2] = ((c & 3) << 6) | d;
    }
    out.bytes(packed);
    return;
  }
  let before = 0;
  for (let at = 0; at < HLL_REGISTERS; at++) {
    if (registers[at] === 0) continue;
    out.count(at - before);
    out.byte(registers[at]!);
    before = at;
  }
}

function readHll(from: ByteReader): HyperLogLog {
  const registers = createHyperLogLog();
  const used = from.count();
  if (used > MAX_PAIRS) {
    const packed = from.bytes();
    if (packed.length !== PACKED_BYTES) throw new RangeError('the registers of a profile have another size');
    for (let at = 0, to = 0; at < HLL_REGISTERS; at += 4, to += 3) {
      const [a, b, c] = [packed[to]!, packed[to + 1]!, packed[to + 2]!];
      registers[at] = a >> 2;
      registers[at + 1] = ((a & 3) << 4) | (b >> 4);
      registers[at + 2] = ((b & 15) << 2) | (c >> 6);
      registers[at + 3] = c & 63;
    }
    return registers;
  }
  let place = 0;
  for (let n = 0; n < used; n++) {
    place += from.count();
    if (place >= HLL_REGISTERS) throw new RangeError('a register of a profile is out of range');
    registers[place] = from.byte();
  }
  return registers;
}

function writeTop(out: ByteWriter, { values, error }: SealedTopValues): void {
  out.count(error);
  out.count(values.length);
  for (const { hash, text, count } of values) {
    out.count(count);
    out.bytes(Buffer.from(hash, 'hex'));
    out.byte(text === null ? 0 : 1);
    if (text !== null) out.text(text);
  }
}

function readTop(from: ByteReader): SealedTopValues {
  const error = from.count();
  const length = from.count();
  const values = Array.from({ length }, () => {
    const count = from.count();
    const hash = Buffer.from(from.bytes()).toString('hex');
    return { hash, text: from.byte() === 0 ? null : from.text(), count };
  });
  return { values, error };
}

function writeVector(out: ByteWriter, vector: VectorSummary | null): void {
  out.count(vector === null ? 0 : vector.dimensions);
  if (vector === null) return;
  out.count(vector.n);
  for (const list of [vector.sums, vector.projected, vector.products]) for (const sum of list) out.float(sum);
}

function readVector(from: ByteReader): VectorSummary | null {
  const dimensions = from.count();
  if (dimensions === 0) return null;
  const vector = createVectorSummary(dimensions);
  vector.n = from.count();
  for (const list of [vector.sums, vector.projected, vector.products]) {
    for (let at = 0; at < list.length; at++) list[at] = from.float();
  }
  return vector;
}
