/** Adds up what the leaves of a forest say, in the order of its trees and in the precision of ONNX Runtime, so that sums agree bit for bit. */

import { InvalidGraph, Uncovered } from './fault.ts';
import { deriveColumns, type Forest } from './forest.ts';
import { walkRow, walkTree, walkTreeOfDoubles } from './forest-walk.ts';
import { MODE, type RawForest } from './raw-forest.ts';

type Floats = Float32Array | Float64Array;

/** Rows that go down all trees together: so few stay in the first cache. */
const WALKED_ROWS = 64;
/** Larger trees do not stay there: the more rows go down one, the less often it is fetched. */
const SMALL_TREE_NODES = 1000;

export class ForestSums {
  readonly forest: Forest;
  readonly raw: RawForest;
  readonly targets: number;
  /** By row, then target. */
  sums: Floats;
  /** 1 where a leaf said something of a target. */
  has: Uint8Array;
  /** The one target of each tree, when every leaf has one weight; else null. */
  readonly #targetOf: Int32Array | null;
  readonly #hasEvery: Uint8Array | null;
  readonly #leaves: Int32Array;
  readonly #rowLeaves: Int32Array;
  readonly #columns: Floats | null;
  readonly #walkedRows: number;

  /** @param targets targets or classes @param most rows at once */
  constructor(raw: RawForest, forest: Forest, targets: number, most: number) {
    this.raw = raw;
    this.forest = forest;
    this.targets = targets;
    this.#targetOf = targetsOfTrees(raw, forest, targets);
    this.#hasEvery = this.#targetOf === null ? null : new Uint8Array(targets);
    for (const target of this.#targetOf ?? []) this.#hasEvery![target] = 1;
    const make = (length: number): Floats => (forest.isDouble ? new Float64Array(length) : new Float32Array(length));
    this.sums = make(most * targets);
    this.has = new Uint8Array(most * targets);
    this.#walkedRows = forest.nodes < SMALL_TREE_NODES * forest.trees ? Math.min(most, WALKED_ROWS) : most;
    this.#leaves = new Int32Array(this.#walkedRows);
    this.#rowLeaves = new Int32Array(forest.trees);
    this.#columns = forest.derived.length === 0 && !forest.isDouble ? null : make(this.#walkedRows * forest.rowWidth);
  }

  /** Nanoseconds of one row. */
  get costNs(): number {
    const { forest, raw } = this;
    // What does not fit the processor's caches waits for memory.
    const wait = forest.nodes < 40_000 ? 2 : forest.nodes < 400_000 ? 5 : 12;
    const weights = this.#targetOf === null ? raw.weights.length / Math.max(1, forest.nodes / 2) : 1;
    return forest.steps * wait + forest.trees * (2 + 2 * weights) + forest.derived.length * 4 + 30;
  }

  /** Sums of rows of the input, into `sums` and `has`. */
  add(x: Floats, rows: number): void {
    const { forest, targets } = this;
    const { aggregate } = this.raw;
    const isPlain = this.#targetOf !== null && aggregate !== 'MIN' && aggregate !== 'MAX';
    this.sums.fill(0, 0, rows * targets);
    if (!isPlain) this.has.fill(0, 0, rows * targets);
    if (rows === 1 && !forest.isDouble) {
      walkRow(forest, this.#columnsOf(x, 0, 1) as Float32Array, 0, this.#rowLeaves);
      if (isPlain) this.#addRow();
      else for (let tree = 0; tree < forest.trees; tree++) this.#addWeights(this.#rowLeaves[tree]!, 0);
    } else {
      for (let first = 0; first < rows; first += this.#walkedRows)
        this.#addRows(x, first, Math.min(rows, first + this.#walkedRows), isPlain);
    }
    if (isPlain) this.#markPlain(rows);
  }

  #addRows(x: Floats, first: number, end: number, isPlain: boolean): void {
    const { forest, targets } = this;
    const leaves = this.#leaves;
    const rows = end - first;
    const columns = this.#columnsOf(x, first, end);
    const base = columns === x ? first * forest.rowWidth : 0;
    for (let tree = 0; tree < forest.trees; tree++) {
      if (forest.isDouble) walkTreeOfDoubles(forest, tree, columns as Float64Array, base, rows, leaves);
      else walkTree(forest, tree, columns as Float32Array, base, rows, leaves);
      if (isPlain) this.#addTree(first * targets + this.#targetOf![tree]!, rows);
      else for (let row = 0; row < rows; row++) this.#addWeights(leaves[row]!, (first + row) * targets);
    }
  }

  /** The rows with their derived columns, from 0 on; or the input itself, where there are none. */
  #columnsOf(x: Floats, first: number, end: number): Floats {
    const columns = this.#columns;
    if (columns === null) return x;
    deriveColumns(this.forest, x, first, end, columns);
    return columns;
  }

  #addRow(): void {
    const leaves = this.#rowLeaves;
    const weights = this.forest.leafWeight;
    const { targets, sums } = this;
    if (targets === 1) {
      let sum = 0;
      for (let tree = 0; tree < leaves.length; tree++) sum = Math.fround(sum + weights[leaves[tree]!]!);
      sums[0] = sum;
    } else {
      const targetOf = this.#targetOf!;
      for (let tree = 0; tree < leaves.length; tree++) sums[targetOf[tree]!]! += weights[leaves[tree]!]!;
    }
  }

  /** @param start where the tree's target of the first row is in `sums` */
  #addTree(start: number, rows: number): void {
    const { sums, targets } = this;
    const weights = this.forest.leafWeight;
    const leaves = this.#leaves;
    for (let row = 0, at = start; row < rows; row++, at += targets) sums[at]! += weights[leaves[row]!]!;
  }

  /** Which targets have a tree is the same for every row. */
  #markPlain(rows: number): void {
    const { has, targets } = this;
    const every = this.#hasEvery!;
    for (let at = 0; at < rows * targets; at += targets) for (let k = 0; k < targets; k++) has[at + k] = every[k]!;
  }

  /** All weights of one leaf, for the sums that start at `base`. */
  #addWeights(leaf: number, base: number): void {
    const { weightStart, weightTargets, weights, aggregate } = this.raw;
    const { sums, has } = this;
    const node = this.forest.source[leaf]!;
    for (let i = weightStart[node]!; i < weightStart[node + 1]!; i++) {
      const at = base + weightTargets[i]!;
      const weight = weights[i]!;
      if (aggregate === 'MIN') sums[at] = has[at] === 0 || weight < sums[at]! ? weight : sums[at]!;
      else if (aggregate === 'MAX') sums[at] = has[at] === 0 || weight > sums[at]! ? weight : sums[at]!;
      else sums[at]! += weight;
      has[at] = 1;
    }
  }
}

function targetsOfTrees(raw: RawForest, forest: Forest, targets: number): Int32Array | null {
  for (let i = 0; i < raw.weightTargets.length; i++) {
    const target = raw.weightTargets[i]!;
    if (!(target >= 0 && target < targets))
      throw new InvalidGraph(`a leaf has a weight for the target ${target}, and there are ${targets}`);
  }
  for (let i = 0; i < raw.modes.length; i++) {
    const own = raw.weightStart[i + 1]! - raw.weightStart[i]!;
    if (own > 0 && raw.modes[i] !== MODE.LEAF) throw new Uncovered('a node of a tree that is no leaf has weights');
    if (own > 1 && targets === 1) throw new Uncovered('a leaf has several weights for one target');
  }
  const targetOf = new Int32Array(forest.trees).fill(-1);
  for (let tree = 0; tree < forest.trees; tree++) {
    const end = tree + 1 < forest.trees ? forest.roots[tree + 1]! : forest.nodes;
    for (let i = forest.roots[tree]!; i < end; i++) {
      if (forest.children[i] !== i) continue;
      const node = forest.source[i]!;
      const start = raw.weightStart[node]!;
      if (raw.weightStart[node + 1]! !== start + 1) return null;
      const target = raw.weightTargets[start]!;
      if (targetOf[tree] !== -1 && targetOf[tree] !== target) return null;
      targetOf[tree] = target;
    }
  }
  return targetOf;
}
