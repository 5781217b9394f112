/** Boosters of XGBoost and LightGBM as steps: the sums of their forest, and the library's own way from there to its answer. */
import { type Booster, BoosterFault, DECISION } from '../../../registry/imports/boosters/booster.ts';
import { isLightgbm, readLightgbm } from '../../../registry/imports/boosters/lightgbm-reader.ts';
import { isXgboost, readXgboost } from '../../../registry/imports/boosters/xgboost-reader.ts';
import type { Signature } from '../../../registry/signature.ts';
import { createBuilder } from './builder.ts';
import { BLOCK_ROWS } from './ensembles.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { Forest } from './forest.ts';
import { ForestSums } from './forest-sums.ts';
import { createPlan, elemOf, type Plan } from './plan.ts';
import { MODE, type RawForest } from './raw-forest.ts';
import { ROWS } from './value.ts';

type Floats = Float32Array | Float64Array;

/** @returns null for bytes that are no booster's @throws Uncovered, InvalidGraph */
export function compileBooster(bytes: Uint8Array, signature: Signature): Plan | null {
  const read = isXgboost(bytes) ? readXgboost : isLightgbm(bytes) ? readLightgbm : null;
  if (read === null) return null;
  let booster: Booster;
  try {
    booster = read(bytes);
  } catch (error) {
    if (!(error instanceof BoosterFault)) throw error;
    throw error.kind === 'invalid' ? new InvalidGraph(error.message) : new Uncovered(error.message);
  }
  const [input, output] = [signature.inputs[0]!, signature.outputs[0]!];
  const builder = createBuilder();
  const x = builder.make(input.name, elemOf(input), [ROWS, booster.features]);
  const { scores, isDouble } = booster;
  const isOne = scores === 1 || booster.link.kind === 'largest';
  const y = builder.make(output.name, elemOf(output), isOne ? [ROWS] : [ROWS, scores]);
  const raw = rawForest(booster);
  const sums = new ForestSums(raw, new Forest(raw, booster.features, isDouble), scores, BLOCK_ROWS);
  const round = isDouble ? (value: number): number => value : Math.fround;
  const treesOf = Array.from({ length: scores }, (_, k) => booster.targets.filter((target) => target === k).length);
  const finish = finisherOf(booster, round);
  builder.step(sums.costNs + scores * 15, (rows) => {
    sums.add(x.numbers as Floats, rows);
    const { sums: from } = sums;
    for (let at = 0, k = 0; at < rows * scores; at++, k = k + 1 === scores ? 0 : k + 1) {
      if (booster.isAveraged) from[at]! /= treesOf[k]!;
      else if (booster.base.length > 0) from[at]! += booster.base[k]!;
    }
    finish(from, y.numbers as Floats, rows);
  });
  return createPlan(signature, builder);
}

function rawForest(booster: Booster): RawForest {
  const { decisions, members } = booster;
  const count = decisions.length;
  if (booster.roots.length === 0) throw new InvalidGraph('it has no trees');
  const leaves = decisions.flatMap((decision, at) => (decision === DECISION.leaf ? [at] : []));
  const weightStart = new Int32Array(count + 1);
  for (const leaf of leaves) weightStart[leaf + 1] = 1;
  for (let i = 0; i < count; i++) weightStart[i + 1]! += weightStart[i]!;
  const modes: Readonly<Record<number, number>> = {
    [DECISION.leaf]: MODE.LEAF,
    [DECISION.below]: MODE.LT,
    [DECISION.atMost]: MODE.LEQ,
    [DECISION.member]: MODE.CATEGORY,
  };
  return {
    modes: Uint8Array.from(decisions, (decision) => modes[decision]!),
    features: Int32Array.from(booster.columns),
    values: Float64Array.from(booster.values),
    missingTrue: Uint8Array.from(booster.missingTrue),
    zeroMissing: Uint8Array.from(booster.zeroMissing),
    leastCategory: booster.leastCategory,
    whenTrue: Int32Array.from(booster.whenTrue),
    whenFalse: Int32Array.from(booster.whenFalse),
    members,
    roots: Int32Array.from(booster.roots),
    weightStart,
    weightTargets: targetsOfLeaves(booster, leaves),
    weights: Float64Array.from(leaves, (leaf) => booster.weights[leaf]!),
    isDouble: booster.isDouble,
    targets: booster.scores,
    aggregate: 'SUM',
    transform: 'NONE',
    baseValues: [],
  };
}

/** Nodes of a tree stand together, so a leaf belongs to the last root before it. */
function targetsOfLeaves({ roots, targets }: Booster, leaves: readonly number[]): Int32Array {
  const found = new Int32Array(leaves.length);
  let tree = 0;
  for (const [at, leaf] of leaves.entries()) {
    while (tree + 1 < roots.length && roots[tree + 1]! <= leaf) tree++;
    found[at] = targets[tree]!;
  }
  return found;
}

type Finisher = (from: Floats, to: Floats, rows: number) => void;

function finisherOf({ link, scores, isDouble }: Booster, round: (x: number) => number): Finisher {
  const each =
    (change: (x: number) => number): Finisher =>
    (from, to, rows) => {
      for (let i = 0; i < rows * scores; i++) to[i] = change(from[i]!);
    };
  switch (link.kind) {
    case 'none':
      return each((x) => x);
    case 'exp':
      return each(Math.exp);
    case 'logistic': {
      // XGBoost bounds the exponent so that FP32 does not overflow.
      const most = isDouble ? Number.POSITIVE_INFINITY : Math.fround(88.7);
      return each((x) => 1 / (1 + round(Math.exp(Math.min(-link.scale * x, most)))));
    }
    case 'aboveZero':
      return each((x) => (x > 0 ? 1 : 0));
    case 'signedSquare':
      return each((x) => Math.sign(x) * x * x);
    case 'softplus':
      return each((x) => Math.log1p(Math.exp(x)));
    case 'softmax':
      return (from, to, rows) => {
        for (let row = 0; row < rows; row++) softmax(from, to, row * scores, scores, round);
      };
    case 'largest':
      return (from, to, rows) => {
        for (let row = 0; row < rows; row++) to[row] = largest(from, row * scores, scores);
      };
  }
}

function softmax(from: Floats, to: Floats, start: number, count: number, round: (x: number) => number): void {
  const top = from[start + largest(from, start, count)]!;
  let sum = 0;
  for (let i = start; i < start + count; i++) {
    to[i] = Math.exp(round(from[i]! - top));
    sum += to[i]!;
  }
  for (let i = start; i < start + count; i++) to[i] = to[i]! / round(sum);
}

/** The first of the largest. */
function largest(from: Floats, start: number, count: number): number {
  let best = 0;
  for (let k = 1; k < count; k++) if (from[start + k]! > from[start + best]!) best = k;
  return best;
}
