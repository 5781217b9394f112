/** Small dense layers: a row of numbers times a constant matrix. */
import { type Builder, type NodeReader, needKind, type Operator } from './builder.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { type Transform, transformOf, transformScores } from './scores.ts';
import { ELEM, type Numbers, ROWS, rowAxis, type Value } from './value.ts';

/** One multiplication with addition; ONNX Runtime does eight or sixteen at once. */
const NS = 0.6;
/** Weights that are computed with here; beyond, ONNX Runtime's vector instructions are far ahead. */
const MOST_WEIGHTS = 1_000_000;

/** Weights by output: [outputs, inputs]. */
type Layer = { readonly weights: Numbers; readonly inputs: number; readonly outputs: number; readonly bias: Numbers };

/** Four outputs at a time: for each input their four weights stand together, as doubles. */
type Packed = {
  readonly weights: Float64Array;
  readonly bias: Float64Array;
  readonly inputs: number;
  readonly outputs: number;
};

function pack({ weights, inputs, outputs, bias }: Layer): Packed {
  const groups = Math.ceil(outputs / 4);
  const packed = new Float64Array(groups * inputs * 4);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) packed[((o >> 2) * inputs + i) * 4 + (o & 3)] = weights[o * inputs + i]!;
  }
  const sums = new Float64Array(groups * 4);
  sums.set(bias);
  return { weights: packed, bias: sums, inputs, outputs };
}

/** Adds up in doubles; each result is rounded once. */
function multiply({ weights, bias, inputs, outputs }: Packed, x: Numbers, y: Numbers, rows: number): void {
  for (let row = 0; row < rows; row++) {
    const base = row * inputs;
    let w = 0;
    for (let o = 0; o < outputs; o += 4) {
      let a = 0;
      let b = 0;
      let c = 0;
      let d = 0;
      for (let i = 0; i < inputs; i++, w += 4) {
        const value = x[base + i]!;
        a += value * weights[w]!;
        b += value * weights[w + 1]!;
        c += value * weights[w + 2]!;
        d += value * weights[w + 3]!;
      }
      const at = row * outputs + o;
      y[at] = a + bias[o]!;
      if (o + 1 < outputs) y[at + 1] = b + bias[o + 1]!;
      if (o + 2 < outputs) y[at + 2] = c + bias[o + 2]!;
      if (o + 3 < outputs) y[at + 3] = d + bias[o + 3]!;
    }
  }
}

function layerStep(builder: Builder, layer: Layer, x: Value, y: Value): void {
  if (layer.weights.length > MOST_WEIGHTS)
    throw new Uncovered(`it has a dense layer of ${layer.weights.length} weights, more than ${MOST_WEIGHTS}`);
  const packed = pack(layer);
  builder.step(packed.weights.length * NS + layer.outputs * 3, (rows) => multiply(packed, x.numbers, y.numbers, rows));
}

function rowOf(node: NodeReader, at: number): Value {
  const x = node.input(at);
  needKind(node, x, 'f32', 'f64');
  if (x.isConstant || rowAxis(x) !== 0 || x.shape.length !== 2)
    throw new Uncovered(`this form of ${node.op} is not covered`);
  return x;
}

function matrixOf(
  node: NodeReader,
  at: number,
  inputs: number,
  isTransposed: boolean,
): { weights: Numbers; outputs: number } {
  const w = node.input(at);
  if (!w.isConstant || w.shape.length !== 2)
    throw new Uncovered(`${node.op} with a matrix that is not constant is not covered`);
  const [first, second] = w.shape as [number, number];
  const outputs = isTransposed ? first : second;
  if ((isTransposed ? second : first) !== inputs) throw new InvalidGraph(`the shapes of a ${node.op} do not fit`);
  if (isTransposed) return { weights: w.numbers, outputs };
  const weights = w.numbers.slice();
  for (let i = 0; i < inputs; i++)
    for (let o = 0; o < outputs; o++) weights[o * inputs + i] = w.numbers[i * outputs + o]!;
  return { weights, outputs };
}

const matMul: Operator = (node, builder) => {
  const x = rowOf(node, 0);
  const { weights, outputs } = matrixOf(node, 1, x.width, false);
  const y = builder.make(node.output(0), x.elem, [ROWS, outputs]);
  layerStep(builder, { weights, inputs: x.width, outputs, bias: new Float32Array(outputs) }, x, y);
};

const gemm: Operator = (node, builder) => {
  const x = rowOf(node, 0);
  if (node.int('transA', 0) !== 0) throw new Uncovered('Gemm with transA is not covered');
  const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)];
  const { weights, outputs } = matrixOf(node, 1, x.width, node.int('transB', 0) !== 0);
  const bias = new Float64Array(outputs);
  if (node.has(2)) {
    const c = node.input(2);
    if (!c.isConstant || (c.width !== outputs && c.width !== 1))
      throw new Uncovered('this form of Gemm is not covered');
    for (let o = 0; o < outputs; o++) bias[o] = beta * c.numbers[c.width === 1 ? 0 : o]!;
  }
  const y = builder.make(node.output(0), x.elem, [ROWS, outputs]);
  const scaled = alpha === 1 ? weights : weights.map((weight) => weight * alpha);
  layerStep(builder, { weights: scaled, inputs: x.width, outputs, bias }, x, y);
};

/** It is so steep that the rounding of a sum, which depends on its order, becomes visible. */
const PROBIT = 'linear models with PROBIT are not covered';

/** Input of linear models: all numbers, as floats. */
function features(node: NodeReader): Value {
  const x = node.input(0);
  needKind(node, x, 'f32', 'f64', 'int');
  if (x.isConstant || rowAxis(x) !== 0 || x.shape.length !== 2)
    throw new Uncovered(`this form of ${node.op} is not covered`);
  return x;
}

function coefficients(node: NodeReader, inputs: number, outputs: number): Layer {
  const weights = Float32Array.from(node.floats('coefficients'));
  const given = node.floats('intercepts');
  if (weights.length !== inputs * outputs || (given.length !== 0 && given.length !== outputs))
    throw new InvalidGraph(`a ${node.op} has ${weights.length} coefficients for ${inputs} features`);
  const bias = new Float32Array(outputs);
  bias.set(given);
  return { weights, inputs, outputs, bias };
}

const linearRegressor: Operator = (node, builder) => {
  const x = features(node);
  const targets = node.int('targets', 1);
  const transform = transformOf(node.text('post_transform', 'NONE'));
  if (transform === 'PROBIT') throw new Uncovered(PROBIT);
  if (transform !== 'NONE' && targets === 1) throw new Uncovered(`LinearRegressor with ${transform} is not covered`);
  const y = builder.make(node.output(0), ELEM.FLOAT, [ROWS, targets]);
  layerStep(builder, coefficients(node, x.width, targets), x, y);
  if (transform !== 'NONE')
    builder.step(targets * 12, (rows) => {
      for (let row = 0; row < rows; row++)
        transformScores(transform, y.numbers as Float32Array, row * targets, targets);
    });
};

const linearClassifier: Operator = (node, builder) => {
  const x = features(node);
  node.int('multi_class', 0);
  const classes = node.floats('intercepts').length;
  if (classes === 0) throw new Uncovered('LinearClassifier without intercepts is not covered');
  const transform = transformOf(node.text('post_transform', 'NONE'));
  if (transform === 'PROBIT') throw new Uncovered(PROBIT);
  const labels = labelsOf(node);
  if (classes > 1 && labels.count < classes) throw new InvalidGraph('a LinearClassifier has fewer labels than classes');
  const raw = builder.make('', ELEM.FLOAT, [ROWS, classes]);
  layerStep(builder, coefficients(node, x.width, classes), x, raw);
  const label = builder.make(node.output(0), labels.elem, [ROWS]);
  const withSecond = classes === 1 && labels.count === 2;
  if (classes === 1 && !withSecond) throw new Uncovered('LinearClassifier of one class is not covered');
  const columns = withSecond ? 2 : classes;
  const scores = builder.make(node.output(1), ELEM.FLOAT, [ROWS, columns]);
  builder.step(classes * 12 + 10, (rows) => {
    const from = raw.numbers;
    const to = scores.numbers as Float32Array;
    for (let row = 0; row < rows; row++) {
      if (withSecond) {
        labels.write(label, row, Number(from[row]! > 0));
        secondClass(transform, from[row]!, to, row * 2);
        continue;
      }
      let best = 0;
      for (let k = 0; k < classes; k++) {
        const score = from[row * classes + k]!;
        if (score > from[row * classes + best]!) best = k;
        to[row * classes + k] = score;
      }
      labels.write(label, row, best);
      transformScores(transform, to, row * classes, classes);
    }
  });
};

/** Both scores of two classes from the one of the second. */
function secondClass(transform: Transform, score: number, to: Float32Array, at: number): void {
  to[at + 1] = score;
  if (transform === 'LOGISTIC') transformScores(transform, to, at + 1, 1);
  to[at] = 1 - to[at + 1]!;
  if (transform === 'SOFTMAX' || transform === 'SOFTMAX_ZERO') transformScores(transform, to, at, 2);
}

export type Labels = {
  readonly elem: number;
  readonly count: number;
  write(into: Value, row: number, at: number): void;
};

/** Class labels of a classifier: whole numbers or texts. */
export function labelsOf(node: NodeReader): Labels {
  const ints = [...node.ints('classlabels_ints'), ...node.ints('classlabels_int64s')];
  const texts = node.strings('classlabels_strings');
  if (texts.length > 0) {
    return {
      elem: ELEM.STRING,
      count: texts.length,
      write: (into, row, at) => {
        into.texts[row] = texts[at]!;
      },
    };
  }
  if (ints.length === 0) throw new Uncovered(`${node.op} without class labels is not covered`);
  return wholeLabels(ints);
}

export function wholeLabels(values: readonly number[]): Labels {
  return {
    elem: ELEM.INT64,
    count: values.length,
    write: (into, row, at) => {
      into.numbers[row] = values[at]!;
    },
  };
}

export const DENSE: Readonly<Record<string, Operator>> = { MatMul: matMul, Gemm: gemm };
export const LINEAR: Readonly<Record<string, Operator>> = {
  LinearClassifier: linearClassifier,
  LinearRegressor: linearRegressor,
};
