/** Inputs that look for differences: values of the model's own thresholds and keys, their neighbours, and what is not a number. */
import { randomNumbers } from '../../../base/random-numbers.ts';
import type { Signature, TensorSpec } from '../../../registry/signature.ts';
import { datatypeInfo } from '../../tensors/datatype.ts';
import type { Tensor } from '../../tensors/tensor.ts';
import { stepOfFloats } from './forest.ts';
import { type Graph, readGraph } from './graph.ts';

const MOST_VALUES = 20_000;

type Vocabulary = {
  readonly numbers: readonly number[];
  readonly byColumn: readonly (readonly number[])[];
  readonly texts: readonly string[];
};

/** Numbers and texts that stand in the graph. */
function vocabularyOf(graph: Graph): Vocabulary {
  const numbers: number[] = [];
  const byColumn: number[][] = [];
  const texts = new Set<string>();
  const take = (list: Float64Array): void => {
    const stride = Math.max(1, Math.floor(list.length / MOST_VALUES));
    for (let i = 0; i < list.length; i += stride) numbers.push(list[i]!);
  };
  for (const node of graph.nodes) {
    const columns = node.attributes.get('nodes_featureids')?.ints;
    const values = node.attributes.get('nodes_values')?.floats;
    if (columns !== undefined && values !== undefined) {
      const stride = Math.max(1, Math.floor(values.length / MOST_VALUES));
      for (let i = 0; i < values.length; i += stride) {
        const column = columns[i];
        if (column === undefined || !(column >= 0 && column < 10_000)) continue;
        byColumn[column] ??= [];
        byColumn[column].push(values[i]!);
      }
    }
    for (const [name, attribute] of node.attributes) {
      if (/_ids$|ids$/.test(name)) continue;
      take(attribute.floats);
      take(attribute.ints);
      if (name !== 'nodes_modes') for (const text of attribute.strings) if (texts.size < MOST_VALUES) texts.add(text);
      if (attribute.tensor?.numbers != null) take(attribute.tensor.numbers);
      for (const text of attribute.tensor?.texts ?? []) if (texts.size < MOST_VALUES) texts.add(text);
    }
  }
  for (const constant of graph.constants.values()) if (constant.numbers !== null) take(constant.numbers);
  return { numbers, byColumn: Array.from(byColumn, (list) => list ?? []), texts: [...texts] };
}

/**
 * Makes calls of any number of rows for a model.
 * @param bytes its graph; null: nothing is known of the numbers in it
 * @param isWild also NaN, infinities and numbers far from all that the model knows
 */
export function createProbe(bytes: Uint8Array | null, signature: Signature, seed: number) {
  const vocabulary = bytes === null ? { numbers: [], byColumn: [], texts: [] } : vocabularyOf(readGraph(bytes));
  const random = randomNumbers(seed);
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

  const number = (column: number, isWild: boolean): number => {
    const own = vocabulary.byColumn[column] ?? [];
    const known = own.length > 0 ? own : vocabulary.numbers;
    const dice = random();
    if (isWild && dice < 0.12) return one([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0]);
    if (known.length > 0 && dice < 0.45) {
      const value = Math.fround(one(known));
      return isWild ? one([value, stepOfFloats(value, 1), stepOfFloats(value, -1)]) : value;
    }
    if (known.length > 0 && dice < 0.6) return one(known) * (1 + (random() - 0.5) / 4);
    if (dice < 0.7) return Math.floor(random() * 20) - 4;
    // Normal numbers, about.
    return (random() + random() + random() + random() - 2) * 2;
  };

  const whole = (low: number, high: number): number => {
    const value =
      random() < 0.5 && vocabulary.numbers.length > 0
        ? Math.trunc(one(vocabulary.numbers))
        : Math.floor(random() * 20) - 5;
    return Math.min(high, Math.max(low, Number.isFinite(value) ? value : 0)) + 0;
  };

  const cells = (spec: TensorSpec, length: number, width: number, isWild: boolean): Tensor['data'] => {
    if (spec.datatype === 'BYTES')
      return Array.from({ length }, () =>
        random() < 0.7 && vocabulary.texts.length > 0
          ? one(vocabulary.texts)
          : one(['', 'unknown', 'Zürich', '0', ' a']),
      );
    const data = new (datatypeInfo(spec.datatype).array!)(length);
    for (let i = 0; i < length; i++) {
      if (spec.datatype === 'INT64') (data as BigInt64Array)[i] = BigInt(whole(-(2 ** 40), 2 ** 40));
      else if (spec.datatype === 'BOOL') data[i] = Math.floor(random() * 2);
      else if (spec.datatype === 'FP32' || spec.datatype === 'FP64') data[i] = number(i % width, isWild);
      else data[i] = whole(spec.datatype.startsWith('U') ? 0 : -100, 100);
    }
    return data;
  };

  return (rows: number, isWild: boolean): Tensor[] =>
    signature.inputs.map((spec) => {
      const shape = [rows, ...spec.shape.slice(1)];
      const length = shape.reduce((product, size) => product * size, 1);
      return { name: spec.name, datatype: spec.datatype, shape, data: cells(spec, length, length / rows, isWild) };
    });
}
