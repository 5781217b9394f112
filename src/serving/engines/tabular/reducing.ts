/** Operators that make fewer elements of the elements of a row. */
import { type NodeReader, needKind, type Operator } from './builder.ts';
import { placesIn } from './elementwise.ts';
import { Uncovered } from './fault.ts';
import { axisOf, ELEM, ROWS, stridesOf, Value } from './value.ts';

const NS = 3;

type Reduction = {
  readonly start: number;
  readonly add: (sum: number, x: number) => number;
  readonly end?: (sum: number, count: number) => number;
  /** The operator set in which its axes became an input. */
  readonly axesAsInput: number;
};

function reduce({ start, add, end, axesAsInput }: Reduction): Operator {
  return (node, builder) => {
    const x = node.input(0);
    needKind(node, x, 'f32', 'f64');
    if (x.isConstant) throw new Uncovered(`${node.op} of a constant is not covered`);
    const keep = node.int('keepdims', 1) !== 0;
    const axes = reducedAxes(node, x, axesAsInput);
    const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
    const y = builder.make(node.output(0), x.elem, keep ? kept : kept.filter((_, axis) => !axes.includes(axis)));
    // Where each element of a row goes: its place in the reduced row.
    const target = placesIn(new Value(x.elem, kept, false), x.shape);
    const count = x.width / y.width;
    const sums = new Float64Array(y.width);
    builder.step(x.width * NS, (rows) => {
      const from = x.numbers;
      const to = y.numbers;
      for (let row = 0; row < rows; row++) {
        sums.fill(start);
        for (let i = 0; i < x.width; i++) sums[target[i]!] = add(sums[target[i]!]!, from[row * x.width + i]!);
        for (let i = 0; i < y.width; i++) to[row * y.width + i] = end === undefined ? sums[i]! : end(sums[i]!, count);
      }
    });
  };
}

function reducedAxes(node: NodeReader, x: Value, axesAsInput: number): number[] {
  const byInput = node.opset >= axesAsInput;
  const given = byInput
    ? node.has(1)
      ? node.constantNumbers(1)
      : null
    : node.isSet('axes')
      ? [...node.ints('axes')]
      : null;
  if (given === null || given.length === 0) throw new Uncovered(`${node.op} over all axes mixes rows`);
  const axes = given.map((axis) => axisOf(axis, x.shape.length));
  if (axes.some((axis) => x.shape[axis] === ROWS)) throw new Uncovered(`a ${node.op} in it mixes rows`);
  return axes;
}

function extremum(better: (x: number, best: number) => boolean): Operator {
  return (node, builder) => {
    const x = node.input(0);
    needKind(node, x, 'f32', 'f64', 'int');
    const axis = axisOf(node.int('axis', 0), x.shape.length);
    if (x.isConstant || x.shape[axis] === ROWS) throw new Uncovered(`a ${node.op} in it mixes rows`);
    const last = node.int('select_last_index', 0) !== 0;
    const keep = node.int('keepdims', 1) !== 0;
    const shape = keep ? x.shape.map((size, at) => (at === axis ? 1 : size)) : x.shape.filter((_, at) => at !== axis);
    const y = builder.make(node.output(0), ELEM.INT64, shape);
    const size = x.shape[axis]!;
    const stride = stridesOf(x)[axis]!;
    builder.step(x.width * NS, (rows) => {
      const from = x.numbers;
      const to = y.numbers;
      for (let i = 0; i < rows * y.width; i++) {
        const start = Math.floor(i / stride) * stride * size + (i % stride);
        let best = 0;
        for (let k = 1; k < size; k++) {
          const value = from[start + k * stride]!;
          const known = from[start + best * stride]!;
          if (better(value, known) || (last && value === known)) best = k;
        }
        to[i] = best;
      }
    });
  };
}

/** Over the last axis; before operator set 13, over all axes from the one named. */
function softmax(log: boolean): Operator {
  return (node, builder) => {
    const x = node.input(0);
    needKind(node, x, 'f32', 'f64');
    const rank = x.shape.length;
    const axis = axisOf(node.int('axis', node.opset < 13 ? 1 : -1), rank);
    const size = x.shape.slice(axis).reduce((product, dim) => product * dim, 1);
    if (x.isConstant || size < 1 || (node.opset >= 13 && axis !== rank - 1))
      throw new Uncovered(`this form of ${node.op} is not covered`);
    const y = builder.make(node.output(0), x.elem, x.shape);
    const groups = x.width / size;
    builder.step(x.width * 15, (rows) => {
      const from = x.numbers;
      const to = y.numbers;
      for (let group = 0; group < rows * groups; group++) {
        const start = group * size;
        let top = Number.NEGATIVE_INFINITY;
        for (let i = 0; i < size; i++) if (from[start + i]! > top) top = from[start + i]!;
        let sum = 0;
        for (let i = 0; i < size; i++) sum += Math.exp(from[start + i]! - top);
        const logSum = log ? Math.log(sum) : 0;
        for (let i = 0; i < size; i++)
          to[start + i] = log ? from[start + i]! - top - logSum : Math.exp(from[start + i]! - top) / sum;
      }
    });
  };
}

const later = 18;
export const REDUCING: Readonly<Record<string, Operator>> = {
  ReduceSum: reduce({ start: 0, add: (sum, x) => sum + x, axesAsInput: 13 }),
  ReduceMean: reduce({ start: 0, add: (sum, x) => sum + x, end: (sum, count) => sum / count, axesAsInput: later }),
  ReduceMax: reduce({
    start: Number.NEGATIVE_INFINITY,
    add: (top, x) => (x > top || Number.isNaN(x) ? x : top),
    axesAsInput: later,
  }),
  ReduceMin: reduce({
    start: Number.POSITIVE_INFINITY,
    add: (low, x) => (x < low || Number.isNaN(x) ? x : low),
    axesAsInput: later,
  }),
  ReduceProd: reduce({ start: 1, add: (product, x) => product * x, axesAsInput: later }),
  ReduceSumSquare: reduce({ start: 0, add: (sum, x) => sum + x * x, axesAsInput: later }),
  ReduceL1: reduce({ start: 0, add: (sum, x) => sum + Math.abs(x), axesAsInput: later }),
  ReduceL2: reduce({ start: 0, add: (sum, x) => sum + x * x, end: Math.sqrt, axesAsInput: later }),
  ArgMax: extremum((x, best) => x > best),
  ArgMin: extremum((x, best) => x < best),
  Softmax: softmax(false),
  LogSoftmax: softmax(true),
};
