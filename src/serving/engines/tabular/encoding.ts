/** Operators of ai.onnx.ml that turn categories into numbers and back. */
import type { NodeReader, Operator } from './builder.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import type { Constant } from './graph.ts';
import { ELEM, type Value } from './value.ts';

const NS = 25;

type Column = { readonly elem: number; readonly values: readonly (number | string)[] };

/** Keys or values of a LabelEncoder, by whichever of its attributes they came. */
function columnOf(node: NodeReader, prefix: 'keys' | 'values'): Column | null {
  const texts = node.strings(`${prefix}_strings`);
  const ints = node.ints(`${prefix}_int64s`);
  const floats = node.floats(`${prefix}_floats`);
  const tensor = node.tensor(`${prefix}_tensor`);
  if (texts.length > 0) return { elem: ELEM.STRING, values: texts };
  if (ints.length > 0) return { elem: ELEM.INT64, values: [...ints] };
  if (floats.length > 0) return { elem: ELEM.FLOAT, values: [...floats] };
  return tensor === null ? null : { elem: tensor.elem, values: elementsOf(tensor) };
}

function elementsOf(tensor: Constant): readonly (number | string)[] {
  return tensor.texts ?? [...tensor.numbers!];
}

function defaultOf(node: NodeReader, elem: number): number | string {
  const text = node.text('default_string', '_Unused');
  const whole = node.int('default_int64', -1);
  const float = node.float('default_float', -0);
  const tensor = node.tensor('default_tensor');
  if (tensor !== null) return elementsOf(tensor)[0] ?? 0;
  return elem === ELEM.STRING ? text : elem === ELEM.INT64 ? whole : elem === ELEM.INT32 ? -1 : float;
}

function map(
  node: NodeReader,
  builder: Parameters<Operator>[1],
  keys: Column,
  values: Column,
  fallback: number | string,
): void {
  const x = node.input(0);
  if (x.elem !== keys.elem) throw new InvalidGraph(`a ${node.op} has keys of another type than its input`);
  if (keys.values.length !== values.values.length)
    throw new InvalidGraph(`a ${node.op} has ${keys.values.length} keys and ${values.values.length} values`);
  // The first of equal keys counts. -0 finds 0, and NaN finds NaN: the latter since version 4 only.
  const table = new Map<number | string, number | string>();
  keys.values.forEach((key, at) => {
    if (!table.has(key) && (node.opset >= 4 || !Number.isNaN(key))) table.set(key, values.values[at]!);
  });
  if (x.isConstant) throw new Uncovered(`${node.op} of a constant is not covered`);
  const y = builder.make(node.output(0), values.elem, x.shape);
  const { width } = y;
  builder.step(width * NS, (rows) => {
    const from = x.store.data as (number | string)[];
    const to = y.store.data as (number | string)[];
    for (let i = 0; i < rows * width; i++) {
      const found = table.get(from[i]!);
      to[i] = found === undefined ? fallback : found;
    }
  });
}

const labelEncoder: Operator = (node, builder) => {
  if (node.opset < 2) {
    const words = node.strings('classes_strings');
    mapWords(
      node,
      builder,
      words,
      words.map((_, at) => at),
    );
    return;
  }
  const keys = columnOf(node, 'keys');
  const values = columnOf(node, 'values');
  if (keys === null || values === null) throw new Uncovered('LabelEncoder without keys or values is not covered');
  map(node, builder, keys, values, defaultOf(node, values.elem));
};

const categoryMapper: Operator = (node, builder) => {
  mapWords(node, builder, node.strings('cats_strings'), [...node.ints('cats_int64s')]);
};

/** Words to numbers, or back, by the type of the input. */
function mapWords(
  node: NodeReader,
  builder: Parameters<Operator>[1],
  words: readonly string[],
  numbers: readonly number[],
): void {
  const [text, whole] = [node.text('default_string', '_Unused'), node.int('default_int64', -1)];
  const strings: Column = { elem: ELEM.STRING, values: words };
  const ints: Column = { elem: ELEM.INT64, values: numbers };
  if (node.input(0).kind === 'text') map(node, builder, strings, ints, whole);
  else map(node, builder, ints, strings, text);
}

const oneHotEncoder: Operator = (node, builder) => {
  const x = node.input(0);
  const words = node.strings('cats_strings');
  const whole = node.ints('cats_int64s');
  const zeros = node.int('zeros', 1) !== 0;
  const categories = x.kind === 'text' ? words : [...whole];
  if (categories.length === 0) throw new Uncovered('OneHotEncoder without categories of its input is not covered');
  if (x.isConstant) throw new Uncovered('OneHotEncoder of a constant is not covered');
  const places = new Map<number | string, number>();
  categories.forEach((category, at) => {
    places.set(category, at);
  });
  const count = categories.length;
  const y = builder.make(node.output(0), ELEM.FLOAT, [...x.shape, count]);
  builder.step(x.width * (NS + count * 0.4), (rows) => write(x, y, rows, count, places, zeros));
};

function write(
  x: Value,
  y: Value,
  rows: number,
  count: number,
  places: ReadonlyMap<number | string, number>,
  zeros: boolean,
): void {
  const to = y.numbers;
  const from = x.store.data as (number | string)[];
  to.fill(0, 0, rows * y.width);
  for (let i = 0; i < rows * x.width; i++) {
    // Numbers are looked up as whole ones.
    const value = from[i]!;
    const at = places.get(typeof value === 'number' ? Math.trunc(value) + 0 : value);
    if (at !== undefined) to[i * count + at] = 1;
    else if (!zeros)
      throw new Error(`a OneHotEncoder in the model does not know the category ${JSON.stringify(value).slice(0, 80)}`);
  }
}

export const ENCODING: Readonly<Record<string, Operator>> = {
  LabelEncoder: labelEncoder,
  CategoryMapper: categoryMapper,
  OneHotEncoder: oneHotEncoder,
};
