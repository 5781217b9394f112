/** The operators of tree ensembles: a forest's sums, and what each of them makes of those. */
import { type Builder, type NodeReader, needKind, type Operator } from './builder.ts';
import { labelsOf, wholeLabels } from './dense.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { Forest } from './forest.ts';
import { ForestSums } from './forest-sums.ts';
import { type RawForest, readTreeEnsemble, readTreeIds } from './raw-forest.ts';
import { logistic, type Transform, transformScores } from './scores.ts';
import { ELEM, ROWS, rowAxis, type Value } from './value.ts';

/** Rows that are computed together: enough for a tree to pay for being fetched, few enough for their columns to stay near. */
export const BLOCK_ROWS = 256;
const MOST_TARGETS = 10_000;

function sumsOf(
  node: NodeReader,
  raw: RawForest,
  targets: number,
  classifies: boolean,
): { x: Value; sums: ForestSums } {
  const x = node.input(0);
  needKind(node, x, 'f32', 'f64', 'int');
  if (x.kind === 'int' && !classifies) throw new Uncovered(`${node.op} of whole numbers is not covered`);
  if (x.isConstant || rowAxis(x) !== 0 || x.shape.length !== 2)
    throw new Uncovered(`this form of ${node.op} is not covered`);
  if (raw.isDouble && x.kind !== 'f64')
    throw new Uncovered(`${node.op} with thresholds of FP64 and an input that is not is not covered`);
  if (!(targets >= 1 && targets <= MOST_TARGETS))
    throw new Uncovered(`${node.op} with ${targets} targets is not covered`);
  return { x, sums: new ForestSums(raw, new Forest(raw, x.width, x.kind === 'f64'), targets, BLOCK_ROWS) };
}

/** Gives the input as floats or doubles: whole numbers are compared as floats. */
function floatsOf(builder: Builder, x: Value): () => Float32Array | Float64Array {
  if (x.kind !== 'int') return () => x.numbers as Float32Array | Float64Array;
  const floats = builder.make('', ELEM.FLOAT, x.shape);
  builder.step(x.width * 2, (rows) => {
    for (let i = 0; i < rows * x.width; i++) floats.numbers[i] = x.numbers[i]!;
  });
  return () => floats.numbers as Float32Array;
}

function regressor(node: NodeReader, builder: Builder, raw: RawForest): void {
  const { targets, transform, aggregate, baseValues } = raw;
  const { x, sums } = sumsOf(node, raw, targets, false);
  if (baseValues.length !== 0 && baseValues.length !== targets)
    throw new Uncovered(`${node.op} with ${baseValues.length} base values for ${targets} targets is not covered`);
  if (targets === 1 && transform !== 'NONE' && transform !== 'PROBIT')
    throw new Uncovered(`${node.op} of one target with ${transform} is not covered`);
  if (aggregate !== 'SUM' && aggregate !== 'AVERAGE' && raw.weights.length === 0)
    throw new Uncovered(`${node.op} without weights is not covered`);
  const y = builder.make(node.output(0), node.op === 'TreeEnsemble' ? x.elem : ELEM.FLOAT, [ROWS, targets]);
  const count = sums.forest.trees;
  const floats = floatsOf(builder, x);
  const round = sums.forest.isDouble ? (value: number): number => value : Math.fround;
  builder.step(sums.costNs + targets * 4, (rows) => {
    sums.add(floats(), rows);
    const from = sums.sums;
    const to = y.numbers as Float32Array;
    for (let i = 0, target = 0; i < rows * targets; i++, target = target + 1 === targets ? 0 : target + 1) {
      const score = aggregate === 'AVERAGE' ? round(from[i]! / count) : from[i]!;
      to[i] = baseValues.length === 0 ? score : round(score + baseValues[target]!);
    }
    if (transform !== 'NONE')
      for (let row = 0; row < rows; row++) transformScores(transform, to, row * targets, targets);
  });
}

const treeEnsembleRegressor: Operator = (node, builder) => {
  regressor(node, builder, readTreeIds(node, 'target', node.int('n_targets', 1)));
};

const treeEnsemble: Operator = (node, builder) => {
  regressor(node, builder, readTreeEnsemble(node));
};

const treeEnsembleClassifier: Operator = (node, builder) => {
  const labels = labelsOf(node);
  const classes = labels.count;
  if (classes < 2) throw new Uncovered('TreeEnsembleClassifier of one class is not covered');
  const raw = readTreeIds(node, 'class', classes);
  if (raw.aggregate !== 'SUM') throw new InvalidGraph('a TreeEnsembleClassifier names an aggregate_function');
  if (
    raw.baseValues.length > classes ||
    (classes > 2 && raw.baseValues.length !== 0 && raw.baseValues.length !== classes)
  )
    throw new Uncovered(
      `TreeEnsembleClassifier with ${raw.baseValues.length} base values for ${classes} classes is not covered`,
    );
  if (raw.weights.length === 0) throw new Uncovered('TreeEnsembleClassifier without weights is not covered');
  const { x, sums } = sumsOf(node, raw, classes, true);
  const label = builder.make(node.output(0), labels.elem, [ROWS]);
  const scores = builder.make(node.output(1), ELEM.FLOAT, [ROWS, classes]);
  const floats = floatsOf(builder, x);
  // With weights of both classes ONNX Runtime answers 0 and 1, whatever whole numbers the labels are.
  const told =
    classes === 2 && labels.elem === ELEM.INT64 && new Set(raw.weightTargets).size === 2 ? wholeLabels([0, 1]) : labels;
  const finish = classes > 2 ? manyClasses(raw, classes) : twoClasses(raw);
  builder.step(sums.costNs + classes * (raw.transform === 'NONE' ? 4 : 15), (rows) => {
    sums.add(floats(), rows);
    const to = scores.numbers as Float32Array;
    for (let row = 0; row < rows; row++) told.write(label, row, finish(sums.sums, sums.has, to, row));
  });
};

/** Writes the scores of a row and gives its class. */
type Finish = (sums: Float32Array | Float64Array, has: Uint8Array, to: Float32Array, row: number) => number;

function manyClasses({ baseValues, transform }: RawForest, classes: number): Finish {
  return (sums, has, to, row) => {
    const start = row * classes;
    let best = -1;
    let weight = 0;
    for (let k = 0; k < classes; k++) {
      const score = baseValues.length === 0 ? sums[start + k]! : Math.fround(sums[start + k]! + baseValues[k]!);
      if ((has[start + k] !== 0 || baseValues.length > 0) && (best === -1 || score > weight)) {
        best = k;
        weight = score;
      }
      to[start + k] = score;
    }
    transformScores(transform, to, start, classes);
    return Math.max(best, 0);
  };
}

/**
 * Two classes come in several forms: weights of one class only, whose score is that of the second class; or of both. ONNX leaves open what follows;
 * this is what ONNX Runtime does.
 */
function twoClasses(raw: RawForest): Finish {
  const { baseValues, transform, weights } = raw;
  const used = new Set(raw.weightTargets);
  const isOneScore = used.size === 1;
  const isPositive = weights.every((weight) => weight >= 0);
  const limit = isOneScore && isPositive ? 0.5 : 0;
  const add = (score: number, base: number): number => Math.fround(score + base);
  return (sums, has, to, row) => {
    const at = row * 2;
    let first = sums[at]!;
    let second = sums[at + 1]!;
    const hasSecond = has[at + 1] !== 0;
    let alone = false;
    if (baseValues.length === 2) {
      if (hasSecond) {
        second = add(baseValues[1]!, first);
        first = -second;
      } else {
        second = add(second, baseValues[1]!);
        first = add(first, baseValues[0]!);
      }
    } else {
      if (baseValues.length === 1) first = add(first, baseValues[0]!);
      alone = !hasSecond;
    }
    const deciding = hasSecond ? second : first;
    const isSecond = deciding > limit;
    if (alone) oneScore(transform, first, isOneScore && isPositive, to, at);
    else {
      to[at] = first;
      to[at + 1] = second;
      transformScores(transform, to, at, 2);
    }
    return isSecond ? 1 : 0;
  };
}

/** @param isShare whether the score is a share of 1 */
function oneScore(transform: Transform, score: number, isShare: boolean, to: Float32Array, at: number): void {
  if (isShare) {
    to[at] = 1 - score;
    to[at + 1] = score;
  } else if (transform === 'LOGISTIC') {
    to[at] = logistic(-score);
    to[at + 1] = logistic(score);
  } else {
    to[at] = -score;
    to[at + 1] = score;
  }
}

export const ENSEMBLES: Readonly<Record<string, Operator>> = {
  TreeEnsembleRegressor: treeEnsembleRegressor,
  TreeEnsembleClassifier: treeEnsembleClassifier,
  TreeEnsemble: treeEnsemble,
};
