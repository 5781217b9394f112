/** What ai.onnx.ml does with raw scores at the end: `post_transform`. In FP32 steps, as ONNX Runtime computes it. */
import { Uncovered } from './fault.ts';

export const TRANSFORMS = ['NONE', 'LOGISTIC', 'SOFTMAX', 'SOFTMAX_ZERO', 'PROBIT'] as const;
export type Transform = (typeof TRANSFORMS)[number];

export function transformOf(word: string): Transform {
  const known = TRANSFORMS.find((name) => name === word);
  if (known === undefined) throw new Uncovered(`the post_transform ${word} is not covered`);
  return known;
}

const f = Math.fround;

/** 1 / (1 + e^-x), computed on the side where it does not overflow. */
export function logistic(x: number): number {
  const v = f(1 / f(1 + f(Math.exp(-Math.abs(x)))));
  return x < 0 ? f(1 - v) : v;
}

/** Sergei Winitzki's approximation of the inverse error function, as the runtime has it. */
export function probit(score: number): number {
  const x = f(2 * score - 1);
  const sign = x < 0 ? -1 : 1;
  const log = f(Math.log(f(f(1 - x) * f(1 + x))));
  const v = f(f(2 / f(f(314_159 / 100_000) * f(0.147))) + f(0.5 * log));
  const v2 = f(f(1 / f(0.147)) * log);
  const v3 = f(f(Math.sqrt(f(f(v * v) - v2))) - v);
  return f(f(Math.SQRT2) * f(sign * f(Math.sqrt(v3))));
}

/** Transforms `count` scores in place. */
export function transformScores(
  transform: Transform,
  scores: Float32Array | Float64Array,
  from: number,
  count: number,
): void {
  switch (transform) {
    case 'NONE':
      return;
    case 'LOGISTIC':
      for (let i = from; i < from + count; i++) scores[i] = logistic(scores[i]!);
      return;
    case 'PROBIT':
      for (let i = from; i < from + count; i++) scores[i] = probit(scores[i]!);
      return;
    case 'SOFTMAX':
    case 'SOFTMAX_ZERO':
      softmax(scores, from, count, transform === 'SOFTMAX_ZERO');
  }
}

const LOWEST = -3.4028234663852886e38;

/** SOFTMAX_ZERO leaves scores of (nearly) zero out of the sum. */
function softmax(scores: Float32Array | Float64Array, from: number, count: number, skipZero: boolean): void {
  let top = LOWEST;
  for (let i = from; i < from + count; i++) if (scores[i]! > top) top = scores[i]!;
  let sum = 0;
  const ofZero = f(Math.exp(-top));
  for (let i = from; i < from + count; i++) {
    const score = scores[i]!;
    if (skipZero && !(score > f(0.0000001) || score < -f(0.0000001))) {
      scores[i] = score * ofZero;
      continue;
    }
    scores[i] = f(Math.exp(f(score - top)));
    sum = f(sum + scores[i]!);
  }
  for (let i = from; i < from + count; i++) scores[i] = scores[i]! / sum;
}
