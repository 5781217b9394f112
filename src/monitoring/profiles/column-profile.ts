/**
 * What is known of one column (an input, a feature of one, or an output) over some time: counts and sketches, all of which merge exactly.
 * Missing, NaN and zero are kept apart.
 */
import { addToDdSketch, createDdSketch, type DdSketch, mergeDdInto } from './dd-sketch.ts';
import {
  addToHistogram,
  createFixedHistogram,
  type FixedHistogram,
  type HistogramEdges,
  mergeHistograms,
} from './fixed-histogram.ts';
import {
  addNumberToHll,
  addRowToHll,
  addTextToHll,
  createHyperLogLog,
  type HyperLogLog,
  mergeHllInto,
} from './hyper-log-log.ts';
import { addToMoments, createMoments, type Moments, mergeMoments } from './moments.ts';
import {
  addToTopValues,
  createTopValues,
  mergeTopValues,
  type SealedTopValues,
  sealTopValues,
  TOP_TEXT_CHARS,
  type TopValues,
} from './top-values.ts';
import { addToVectorSummary, createVectorSummary, mergeVectorSummaries, type VectorSummary } from './vector-summary.ts';

/** Language-free statistics of text: sums over characters. */
export type TextCounts = { chars: number; letters: number; digits: number; spaces: number; beyondAscii: number };

export type ColumnProfile = {
  /** Values that were there, of any kind. */
  values: number;
  /** Rows without one. */
  missing: number;
  nan: number;
  infinite: number;
  zeros: number;
  /** Values by kind. */
  numbers: number;
  texts: number;
  booleans: number;
  vectors: number;
  /** When the first and the last row came, ms since 1970; ±Infinity while there is none. */
  firstMs: number;
  lastMs: number;
  /** Of finite numbers, of lengths of texts, of lengths (2-norm) of vectors. */
  moments: Moments;
  histogram: FixedHistogram | null;
  sketch: DdSketch;
  distinct: HyperLogLog;
  top: SealedTopValues;
  text: TextCounts | null;
  vector: VectorSummary | null;
};

/** A profile being filled: its most frequent values are still known by their text. */
export type OpenProfile = Omit<ColumnProfile, 'top'> & { top: TopValues };

/** Name of the profile of whole rows, among those of columns, which all begin with their side. */
export const WHOLE_ROWS = '(rows)';

const NO_TOP: SealedTopValues = { values: [], error: 0 };

export function openProfile(edges: HistogramEdges | null): OpenProfile {
  return {
    values: 0,
    missing: 0,
    nan: 0,
    infinite: 0,
    zeros: 0,
    numbers: 0,
    texts: 0,
    booleans: 0,
    vectors: 0,
    firstMs: Number.POSITIVE_INFINITY,
    lastMs: Number.NEGATIVE_INFINITY,
    moments: createMoments(),
    histogram: edges === null ? null : createFixedHistogram(edges),
    sketch: createDdSketch(),
    distinct: createHyperLogLog(),
    top: createTopValues(),
    text: null,
    vector: null,
  };
}

export function emptyProfile(): ColumnProfile {
  return { ...openProfile(null), top: NO_TOP };
}

/** @param atMs when its row came */
export function addMissing(profile: OpenProfile, atMs: number): void {
  profile.missing += 1;
  seen(profile, atMs);
}

export function addNumber(profile: OpenProfile, x: number, atMs: number): void {
  profile.values += 1;
  profile.numbers += 1;
  seen(profile, atMs);
  if (x - x !== 0) {
    // NaN and the infinities: counted, and kept out of the sketches
    if (Number.isNaN(x)) profile.nan += 1;
    else profile.infinite += 1;
    return;
  }
  if (x === 0) profile.zeros += 1;
  measure(profile, x);
  addNumberToHll(profile.distinct, x);
  addToTopValues(profile.top, x);
}

export function addBoolean(profile: OpenProfile, value: boolean, atMs: number): void {
  profile.values += 1;
  profile.booleans += 1;
  seen(profile, atMs);
  const x = value ? 1 : 0;
  if (x === 0) profile.zeros += 1;
  measure(profile, x);
  addNumberToHll(profile.distinct, x);
  addToTopValues(profile.top, value);
}

export function addText(profile: OpenProfile, value: string, atMs: number): void {
  profile.values += 1;
  profile.texts += 1;
  seen(profile, atMs);
  if (value === '') profile.zeros += 1;
  measure(profile, value.length);
  addTextToHll(profile.distinct, value);
  if (value.length <= TOP_TEXT_CHARS) addToTopValues(profile.top, value);
  profile.text ??= { chars: 0, letters: 0, digits: 0, spaces: 0, beyondAscii: 0 };
  countChars(profile.text, value);
}

/** A whole row of inputs: how many there were, and how many different ones. */
export function addRow(profile: OpenProfile, row: Parameters<typeof addRowToHll>[1], atMs: number): void {
  profile.values += 1;
  seen(profile, atMs);
  addRowToHll(profile.distinct, row);
}

/** One row of a wide tensor; a vector with a value that is not finite counts as NaN. */
export function addVector(profile: OpenProfile, vector: ArrayLike<number>, atMs: number): void {
  profile.values += 1;
  profile.vectors += 1;
  seen(profile, atMs);
  let squares = 0;
  for (let d = 0; d < vector.length; d++) squares += vector[d]! * vector[d]!;
  if (!Number.isFinite(squares)) {
    profile.nan += 1;
    return;
  }
  if (squares === 0) profile.zeros += 1;
  measure(profile, Math.sqrt(squares));
  profile.vector ??= createVectorSummary(vector.length);
  if (profile.vector.dimensions === vector.length) addToVectorSummary(profile.vector, vector);
}

function seen(profile: OpenProfile, atMs: number): void {
  if (atMs < profile.firstMs) profile.firstMs = atMs;
  if (atMs > profile.lastMs) profile.lastMs = atMs;
}

function measure(profile: OpenProfile, x: number): void {
  addToMoments(profile.moments, x);
  addToDdSketch(profile.sketch, x);
  if (profile.histogram !== null) addToHistogram(profile.histogram, x);
}

function countChars(counts: TextCounts, text: string): void {
  counts.chars += text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 127) counts.beyondAscii += 1;
    else if (code >= 48 && code <= 57) counts.digits += 1;
    else if ((code | 32) >= 97 && (code | 32) <= 122) counts.letters += 1;
    else if (code === 32 || (code >= 9 && code <= 13)) counts.spaces += 1;
  }
}

/** What may be kept and merged. The open profile goes on. */
export function sealProfile(open: OpenProfile, ...seal: SealArguments): ColumnProfile {
  return { ...open, top: sealTopValues(open.top, ...seal) };
}
type SealArguments = Parameters<typeof sealTopValues> extends [unknown, ...infer Rest] ? Rest : never;

/** The profile of all rows of both. Neither is changed. */
export function mergeProfiles(a: ColumnProfile, b: ColumnProfile): ColumnProfile {
  const sketch = createDdSketch();
  mergeDdInto(sketch, a.sketch);
  mergeDdInto(sketch, b.sketch);
  const distinct = a.distinct.slice();
  mergeHllInto(distinct, b.distinct);
  return {
    values: a.values + b.values,
    missing: a.missing + b.missing,
    nan: a.nan + b.nan,
    infinite: a.infinite + b.infinite,
    zeros: a.zeros + b.zeros,
    numbers: a.numbers + b.numbers,
    texts: a.texts + b.texts,
    booleans: a.booleans + b.booleans,
    vectors: a.vectors + b.vectors,
    firstMs: Math.min(a.firstMs, b.firstMs),
    lastMs: Math.max(a.lastMs, b.lastMs),
    moments: mergeMoments(a.moments, b.moments),
    histogram: mergeHistograms(a.histogram, b.histogram),
    sketch,
    distinct,
    top: mergeTopValues(a.top, b.top),
    text: mergeText(a.text, b.text),
    vector: mergeVectorSummaries(a.vector, b.vector),
  };
}

function mergeText(a: TextCounts | null, b: TextCounts | null): TextCounts | null {
  if (a === null || b === null) return a ?? b;
  return {
    chars: a.chars + b.chars,
    letters: a.letters + b.letters,
    digits: a.digits + b.digits,
    spaces: a.spaces + b.spaces,
    beyondAscii: a.beyondAscii + b.beyondAscii,
  };
}
