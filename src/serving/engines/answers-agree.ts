/** Whether two engines gave the same answer. */
import type { NumericData, Tensor } from '../tensors/tensor.ts';

export type Agreement = {
  /** The largest |difference| / (1 + |expected|) of a floating number. */
  readonly largest: number;
  /** The first difference that is none of rounding, as a sentence; null when there is none. */
  readonly difference: string | null;
};

/** |actual - expected| <= ABSOLUTE + RELATIVE * |expected|: room for sums in another order and another library's exponential. */
const ABSOLUTE = 1e-5;
const RELATIVE = 1e-4;

/**
 * Numbers may differ by rounding; labels must be equal, but in rows where two scores are nearer to each other than rounding tells
 * apart: there either label is right.
 */
export function compareAnswers(expected: readonly Tensor[], actual: readonly Tensor[]): Agreement {
  let largest = 0;
  const differ = (difference: string): Agreement => ({ largest, difference });
  for (let t = 0; t < expected.length; t++) {
    const [want, got] = [expected[t]!, actual[t]!];
    if (want.shape.join() !== got.shape.join() || want.data.length !== got.data.length)
      return differ(`${want.name} has the shape [${got.shape.join(', ')}] instead of [${want.shape.join(', ')}]`);
    const isFloat = want.datatype === 'FP32' || want.datatype === 'FP64';
    for (let i = 0; i < want.data.length; i++) {
      const a = (want.data as NumericData)[i]!;
      const b = (got.data as NumericData)[i]!;
      if (a === b || Object.is(a, b)) continue;
      const row = Math.floor(i / (want.data.length / (want.shape.find((size) => size !== 1) ?? 1)));
      if (isFloat && Number.isFinite(a as number) && Number.isFinite(b as number)) {
        const distance = Math.abs((a as number) - (b as number));
        largest = Math.max(largest, distance / (1 + Math.abs(a as number)));
        if (distance <= ABSOLUTE + RELATIVE * Math.abs(a as number)) continue;
      } else if (!isFloat && isTie(expected, row)) continue;
      return differ(`${want.name}[${i}] is ${String(b).slice(0, 60)} instead of ${String(a).slice(0, 60)}`);
    }
  }
  return { largest, difference: null };
}

/** Whether a row has scores so near to each other, or to where one score changes its class, that rounding decides. */
export function isTie(outputs: readonly Tensor[], row: number): boolean {
  return outputs.some(({ datatype, shape, data }) => {
    if (datatype !== 'FP32' && datatype !== 'FP64') return false;
    const width = shape.length < 2 ? 1 : shape.slice(1).reduce((product, size) => product * size, 1);
    const scores = [...(data as Float32Array).subarray(row * width, (row + 1) * width)].sort((a, b) => b - a);
    const near = (a: number, b: number): boolean => Math.abs(a - b) <= ABSOLUTE + RELATIVE * Math.abs(a);
    if (scores.length === 0) return false;
    return scores.length === 1 ? near(scores[0]!, 0) || near(scores[0]!, 0.5) : near(scores[0]!, scores[1]!);
  });
}
