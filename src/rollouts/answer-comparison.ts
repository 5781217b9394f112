/** How two answers to one call differ, by what the model is for. Of calls with several rows the first one is compared: rows of one call are no independent observations. */
import type { ComparisonSpec } from '../serving/endpoints/traffic.ts';
import { bfloat16Of, float16Of } from '../serving/tensors/half.ts';
import type { Tensor } from '../serving/tensors/tensor.ts';
import { rankBiasedOverlap } from './statistics/ranking-agreement.ts';
import { tokenF1 } from './statistics/text-agreement.ts';

export type AnswerDifference = {
  /** Whether whoever reads the answer would do otherwise. */
  readonly isFlip: boolean;
  /** The compared numbers; null where there are none. */
  readonly numbers: readonly [live: number, shadow: number] | null;
  /** Agreement from 0 to 1, for rankings and texts. */
  readonly similarity: number | null;
  /** How much a flip matters, by the measure of the comparison. */
  readonly cost: number;
  /** What both decided, in short. */
  readonly live: string;
  readonly shadow: string;
};

/** Elements looked at for NaN and infinities, and sorted for rankings. */
const MAX_ELEMENTS = 100_000;
const SHOWN = 80;

/**
 * Whether the second answer has another form: outputs missing or added, another datatype, other sizes, NaN or infinities where the first has none.
 */
export function hasOtherForm(live: readonly Tensor[], shadow: readonly Tensor[]): boolean {
  if (live.length !== shadow.length) return true;
  return live.some((tensor) => {
    const other = shadow.find((one) => one.name === tensor.name);
    if (other === undefined || other.datatype !== tensor.datatype) return true;
    if (other.shape.length !== tensor.shape.length || other.shape.some((size, at) => size !== tensor.shape[at]))
      return true;
    return isFloat(tensor) && !hasNonFinite(tensor) && hasNonFinite(other);
  });
}

/** @returns null where the answers do not have what is compared */
export function compareAnswers(
  spec: ComparisonSpec,
  live: readonly Tensor[],
  shadow: readonly Tensor[],
): AnswerDifference | null {
  if (spec.kind === 'exact') {
    const isFlip = !sameTensors(live, shadow);
    return { isFlip, numbers: null, similarity: null, cost: isFlip ? 1 : 0, live: '', shadow: '' };
  }
  const a = live.find((one) => one.name === spec.output);
  const b = shadow.find((one) => one.name === spec.output);
  if (a === undefined || b === undefined || a.data.length === 0 || b.data.length === 0) return null;
  switch (spec.kind) {
    case 'classification':
      return compareClasses(spec.threshold, firstRow(a), firstRow(b));
    case 'regression': {
      const [x, y] = [Number(firstRow(a)[0]), Number(firstRow(b)[0])];
      const difference = Math.abs(y - x);
      const isFlip = !(difference <= spec.absolute || difference <= spec.relative * Math.abs(x));
      return { ...of(isFlip, difference, [x, y], null), live: short(x), shadow: short(y) };
    }
    case 'ranking': {
      const [x, y] = [ranked(firstRow(a), spec.k), ranked(firstRow(b), spec.k)];
      const similarity = rankBiasedOverlap(x, y) ?? 0;
      return {
        ...of(x[0] !== y[0], 1 - similarity, null, similarity),
        live: short(x.join(' ')),
        shadow: short(y.join(' ')),
      };
    }
    case 'text': {
      const [x, y] = [String(a.data[0]), String(b.data[0])];
      const similarity = x === y ? 1 : tokenF1(x, y);
      return { ...of(x !== y, 1 - similarity, null, similarity), live: short(x), shadow: short(y) };
    }
  }
}

type Values = readonly (number | string | bigint)[];

/** Labels are compared as they are, rows of scores by their largest, one score by a threshold. */
function compareClasses(threshold: number | null, a: Values, b: Values): AnswerDifference {
  if (a.length === 1 && threshold === null) {
    const isFlip = a[0] !== b[0];
    return { ...of(isFlip, isFlip ? 1 : 0, null, null), live: short(a[0]), shadow: short(b[0]) };
  }
  const [x, y] = [a.map(Number), b.map(Number)];
  if (x.length === 1) {
    const [p, q] = [x[0]!, y[0]!];
    const isFlip = p >= threshold! !== q >= threshold!;
    return { ...of(isFlip, Math.abs(q - p), [p, q], null), live: short(p), shadow: short(q) };
  }
  const [one, other] = [largestOf(x), largestOf(y)];
  // of two classes the second is the one that matters; otherwise the one that live decided for
  const at = x.length === 2 ? 1 : one;
  const numbers = [x[at]!, y[at] ?? Number.NaN] as const;
  const cost = Math.abs(x[one]! - (y[one] ?? 0));
  return { ...of(one !== other, cost, numbers, null), live: String(one), shadow: String(other) };
}

function of(
  isFlip: boolean,
  cost: number,
  numbers: AnswerDifference['numbers'],
  similarity: number | null,
): Omit<AnswerDifference, 'live' | 'shadow'> {
  const finite = numbers?.every(Number.isFinite) ? numbers : null;
  return { isFlip, numbers: finite, similarity, cost: Number.isFinite(cost) ? cost : Number.MAX_VALUE };
}

function firstRow(tensor: Tensor): Values {
  const rows = tensor.shape.length === 0 ? 1 : Math.max(1, tensor.shape[0]!);
  const width = Math.max(1, Math.floor(tensor.data.length / rows));
  const row = Array.from(tensor.data.slice(0, Math.min(width, MAX_ELEMENTS)) as ArrayLike<number | string | bigint>);
  if (tensor.datatype === 'FP16') return row.map((bits) => float16Of(Number(bits)));
  return tensor.datatype === 'BF16' ? row.map((bits) => bfloat16Of(Number(bits))) : row;
}

function largestOf(values: readonly number[]): number {
  let best = 0;
  for (let at = 1; at < values.length; at++) if (values[at]! > values[best]!) best = at;
  return best;
}

/** Places of the k largest values, the largest first; equal ones in their order. */
function ranked(values: Values, k: number): number[] {
  const numbers = values.map(Number);
  return numbers
    .map((_, at) => at)
    .sort((a, b) => numbers[b]! - numbers[a]! || a - b)
    .slice(0, k);
}

function isFloat({ datatype }: Tensor): boolean {
  return datatype === 'FP32' || datatype === 'FP64';
}

function hasNonFinite({ data }: Tensor): boolean {
  const most = Math.min(data.length, MAX_ELEMENTS);
  for (let at = 0; at < most; at++) if (!Number.isFinite(data[at] as number)) return true;
  return false;
}

function sameTensors(a: readonly Tensor[], b: readonly Tensor[]): boolean {
  return a.every((tensor) => {
    const other = b.find((one) => one.name === tensor.name);
    if (other === undefined || other.data.length !== tensor.data.length) return false;
    for (let at = 0; at < tensor.data.length; at++) if (!Object.is(tensor.data[at], other.data[at])) return false;
    return true;
  });
}

function short(value: unknown): string {
  return String(value).slice(0, SHOWN);
}
