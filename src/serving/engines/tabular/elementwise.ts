/** Operators that compute each element from the elements at its place, with numpy's rules of broadcasting. */
import { type Builder, type NodeReader, needKind, type Operator } from './builder.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { ELEM, ROWS, stridesOf, type Value } from './value.ts';

type Unary = (x: number) => number;
type Binary = (a: number, b: number) => number;

const NS = 4;

/** The result in FP32 is that of FP32 arithmetic: a double's +, -, *, / and root of two floats rounds to it. */
function unary(compute: Unary, ...kinds: ('f32' | 'f64' | 'int')[]): Operator {
  return (node, builder) => {
    const x = node.input(0);
    needKind(node, x, ...(kinds.length === 0 ? (['f32', 'f64'] as const) : kinds));
    mapEach(node, builder, x, x.elem, compute);
  };
}

function mapEach(node: NodeReader, builder: Builder, x: Value, elem: number, compute: Unary): void {
  if (x.isConstant) throw new Uncovered(`${node.op} of a constant is not covered`);
  const y = builder.make(node.output(0), elem, x.shape);
  const { width } = y;
  builder.step(width * NS, (rows) => {
    const from = x.numbers;
    const to = y.numbers;
    for (let i = 0; i < rows * width; i++) to[i] = compute(from[i]!);
  });
}

export function broadcast(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    let size = 1;
    for (const shape of shapes) {
      const dim = shape[axis - rank + shape.length] ?? 1;
      if (dim === 1 || dim === size) continue;
      if (size !== 1) {
        if (dim === ROWS || size === ROWS)
          throw new Uncovered('it combines rows with a constant that has rows of its own');
        throw new InvalidGraph(`shapes [${shapes.join('], [')}] do not fit`);
      }
      size = dim;
    }
    return size;
  });
}

/** For each element of an output row, where it lies in a row (or constant) of the input. */
export function placesIn(value: Value, shape: readonly number[]): Int32Array {
  const strides = stridesOf(value);
  const places = new Int32Array(shape.reduce((product, dim) => product * (dim === ROWS ? 1 : dim), 1));
  const lead = shape.length - value.shape.length;
  for (let i = 0; i < places.length; i++) {
    let rest = i;
    let place = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] === ROWS ? 1 : shape[axis]!;
      const at = rest % size;
      rest = Math.floor(rest / size);
      const own = axis - lead;
      if (own >= 0 && value.shape[own] !== 1) place += at * strides[own]!;
    }
    places[i] = place;
  }
  return places;
}

type Operand = { readonly value: Value; readonly places: Int32Array; readonly stride: number };

function operands(values: readonly Value[]): { shape: number[]; of: Operand[] } {
  const shape = broadcast(values.map((value) => value.shape));
  if (!shape.includes(ROWS)) throw new Uncovered('it computes with constants only');
  return {
    shape,
    of: values.map((value) => ({ value, places: placesIn(value, shape), stride: value.isConstant ? 0 : value.width })),
  };
}

function combine(
  node: NodeReader,
  builder: Builder,
  a: Value,
  b: Value,
  elem: number,
  compute: Binary,
  name = node.output(0),
): Value {
  const { shape, of } = operands([a, b]);
  const y = builder.make(name, elem, shape);
  const { width } = y;
  const [left, right] = of as [Operand, Operand];
  builder.step(width * NS, (rows) => {
    const from = left.value.numbers;
    const other = right.value.numbers;
    const to = y.numbers;
    for (let row = 0; row < rows; row++) {
      const at = row * width;
      const l = row * left.stride;
      const r = row * right.stride;
      for (let i = 0; i < width; i++) to[at + i] = compute(from[l + left.places[i]!]!, other[r + right.places[i]!]!);
    }
  });
  return y;
}

const safe = (value: number): number => {
  if (!Number.isSafeInteger(value))
    throw new Error('a whole number in the model passes 2^53, beyond which it would be rounded');
  return value;
};

function sameElem(node: NodeReader, values: readonly Value[]): number {
  const [first] = values;
  if (values.some((value) => value.elem !== first!.elem))
    throw new InvalidGraph(`${node.op} gets values of different types`);
  return first!.elem;
}

/** One or more inputs, as in Sum, Max and Min; arithmetic has two. */
function arithmetic(compute: Binary, whole: Binary | null): Operator {
  return (node, builder) => {
    const values = Array.from({ length: node.inputCount }, (_, at) => node.input(at));
    const elem = sameElem(node, values);
    for (const value of values) needKind(node, value, 'f32', 'f64', ...(whole === null ? [] : (['int'] as const)));
    if (values[0]!.kind === 'int' && elem !== ELEM.INT64)
      throw new Uncovered(`${node.op} of type ${elem} is not covered`);
    const work = values[0]!.kind === 'int' ? whole! : compute;
    if (values.length === 1) {
      builder.alias(node.output(0), values[0]!);
      return;
    }
    let sum = values[0]!;
    for (let at = 1; at < values.length; at++)
      sum = combine(node, builder, sum, values[at]!, elem, work, at === values.length - 1 ? node.output(0) : '');
  };
}

function compare(compute: Binary): Operator {
  return (node, builder) => {
    const [a, b] = [node.input(0), node.input(1)];
    sameElem(node, [a, b]);
    if (node.op === 'Equal' && a.kind === 'text') {
      compareTexts(node, builder, a, b);
      return;
    }
    needKind(node, a, 'f32', 'f64', 'int', 'bool');
    combine(node, builder, a, b, ELEM.BOOL, compute);
  };
}

function compareTexts(node: NodeReader, builder: Builder, a: Value, b: Value): void {
  const { shape, of } = operands([a, b]);
  const y = builder.make(node.output(0), ELEM.BOOL, shape);
  const { width } = y;
  const [left, right] = of as [Operand, Operand];
  builder.step(width * NS * 2, (rows) => {
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < width; i++)
        y.numbers[row * width + i] =
          a.texts[row * left.stride + left.places[i]!] === b.texts[row * right.stride + right.places[i]!] ? 1 : 0;
  });
}

function logical(compute: Binary): Operator {
  return (node, builder) => {
    for (const at of [0, 1]) needKind(node, node.input(at), 'bool');
    combine(node, builder, node.input(0), node.input(1), ELEM.BOOL, compute);
  };
}

const not: Operator = (node, builder) => {
  needKind(node, node.input(0), 'bool');
  mapEach(node, builder, node.input(0), ELEM.BOOL, (x) => 1 - x);
};

const isMissing: Operator = (node, builder) => {
  needKind(node, node.input(0), 'f32', 'f64');
  mapEach(node, builder, node.input(0), ELEM.BOOL, (x) => Number(Number.isNaN(x)));
};

const where: Operator = (node, builder) => {
  const [condition, yes, no] = [node.input(0), node.input(1), node.input(2)];
  needKind(node, condition, 'bool');
  const elem = sameElem(node, [yes, no]);
  const { shape, of } = operands([condition, yes, no]);
  const y = builder.make(node.output(0), elem, shape);
  const { width } = y;
  const [c, a, b] = of as [Operand, Operand, Operand];
  builder.step(width * NS, (rows) => {
    const test = condition.numbers;
    const to = y.store.data as Float32Array;
    const from = yes.store.data as Float32Array;
    const other = no.store.data as Float32Array;
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < width; i++) {
        to[row * width + i] =
          test[row * c.stride + c.places[i]!] !== 0
            ? from[row * a.stride + a.places[i]!]!
            : other[row * b.stride + b.places[i]!]!;
      }
    }
  });
};

const clip: Operator = (node, builder) => {
  const x = node.input(0);
  needKind(node, x, 'f32', 'f64');
  const bound = (at: number, name: string, fallback: number): number =>
    node.has(at) ? node.constantNumbers(at)[0]! : node.opset < 11 ? node.float(name, fallback) : fallback;
  const low = bound(1, 'min', Number.NEGATIVE_INFINITY);
  const high = bound(2, 'max', Number.POSITIVE_INFINITY);
  mapEach(node, builder, x, x.elem, (value) => (value < low ? (low > high ? high : low) : value > high ? high : value));
};

const leakyRelu: Operator = (node, builder) => {
  const alpha = node.float('alpha', Math.fround(0.01));
  needKind(node, node.input(0), 'f32', 'f64');
  mapEach(node, builder, node.input(0), node.input(0).elem, (x) => (x >= 0 ? x : alpha * x));
};

const divideWhole: Binary = (a, b) => {
  if (b === 0) throw new Error('a whole number in the model is divided by zero');
  return Math.trunc(a / b) + 0;
};

export const ELEMENTWISE: Readonly<Record<string, Operator>> = {
  Add: arithmetic(
    (a, b) => a + b,
    (a, b) => safe(a + b),
  ),
  Sub: arithmetic(
    (a, b) => a - b,
    (a, b) => safe(a - b),
  ),
  Mul: arithmetic(
    (a, b) => a * b,
    (a, b) => safe(a * b),
  ),
  Div: arithmetic((a, b) => a / b, divideWhole),
  Sum: arithmetic((a, b) => a + b, null),
  Max: arithmetic((a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : a > b ? a : b), null),
  Min: arithmetic((a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : a < b ? a : b), null),
  Pow: arithmetic(power, null),
  Abs: unary(Math.abs, 'f32', 'f64', 'int'),
  Neg: unary((x) => -x, 'f32', 'f64'),
  Sqrt: unary(Math.sqrt),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Reciprocal: unary((x) => 1 / x),
  Tanh: unary(Math.tanh),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Relu: unary((x) => (x < 0 ? 0 : x)),
  Softplus: unary((x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)))),
  Sign: unary((x) => (x > 0 ? 1 : x < 0 ? -1 : x === 0 ? 0 : x)),
  LeakyRelu: leakyRelu,
  Clip: clip,
  IsNaN: isMissing,
  Not: not,
  And: logical((a, b) => a & b),
  Or: logical((a, b) => a | b),
  Xor: logical((a, b) => a ^ b),
  Where: where,
  Less: compare((a, b) => Number(a < b)),
  LessOrEqual: compare((a, b) => Number(a <= b)),
  Greater: compare((a, b) => Number(a > b)),
  GreaterOrEqual: compare((a, b) => Number(a >= b)),
  Equal: compare((a, b) => Number(a === b)),
};

/** C's pow, which differs from JavaScript's for a base of 1 or -1: 1 to any power is 1. */
function power(base: number, exponent: number): number {
  if (base === 1) return 1;
  if (base === -1 && !Number.isFinite(exponent) && !Number.isNaN(exponent)) return 1;
  return base ** exponent;
}
