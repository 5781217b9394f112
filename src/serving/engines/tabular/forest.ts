/**
 * The layout that is computed with: nodes in the order of breadth, both children side by side, leaves that point to themselves. One step
 * down is `i = child[i] + (x > threshold)`, without a branch that a processor could guess wrong. Every kind of decision is turned into
 * such a comparison, of a column of the row or of one derived from it.
 */
import { InvalidGraph } from './fault.ts';
import { MODE, type RawForest } from './raw-forest.ts';

/** A column that is computed from another before trees are walked. */
export type Derived =
  /** The column with its sign turned: `x <= t` is `-x > t'`. */
  | { readonly kind: 'negated'; readonly column: number }
  /** 1, or 0 for NaN. */
  | { readonly kind: 'present'; readonly column: number }
  /** 1 where it is one of these values. */
  | { readonly kind: 'member'; readonly column: number; readonly values: readonly number[] }
  /** 1 where it is at least `least` and, without its fraction, one of these categories; `hasNaN` says whether NaN is one. */
  | {
      readonly kind: 'category';
      readonly column: number;
      readonly values: ReadonlySet<number>;
      readonly hasNaN: boolean;
      readonly least: number;
    }
  /** NaN where it is zero or as good as that. */
  | { readonly kind: 'zeroless'; readonly column: number };

/** What is nearer to zero is zero (`kZeroThreshold` of LightGBM). */
const ZERO = 1e-35;

export class Forest {
  readonly isDouble: boolean;
  readonly trees: number;
  /** Index of each tree's root, and its depth. */
  readonly roots: Int32Array;
  readonly depths: Int32Array;
  /** 1 for each tree in which every leaf is at its depth: the children of the node at place k of it, from 1, are at 2k and 2k + 1. */
  readonly isFull: Uint8Array;
  readonly columns: Int32Array;
  readonly thresholds: Float32Array | Float64Array;
  readonly children: Int32Array;
  /** The weight of a leaf with one weight. */
  readonly leafWeight: Float32Array | Float64Array;
  /** The node of the raw forest that a leaf comes from. */
  readonly source: Int32Array;
  readonly derived: readonly Derived[];
  /** Columns of the input. */
  readonly width: number;
  /** Whether trees are so uneven that it pays to look whether a leaf is reached. */
  readonly isUneven: boolean;
  /** Steps that one row takes down all trees: the deepest path, or a mean one where trees are uneven. */
  readonly steps: number;

  /** @param isDouble whether the input is FP64; then it is compared and summed in doubles */
  constructor(raw: RawForest, width: number, isDouble: boolean) {
    const laid = layOut(raw, width, isDouble ? stepOfDoubles : stepOfFloats);
    this.isDouble = isDouble;
    this.trees = raw.roots.length;
    this.roots = laid.roots;
    this.depths = laid.depths;
    this.isFull = laid.isFull;
    this.columns = laid.columns;
    this.thresholds = isDouble ? laid.thresholds : Float32Array.from(laid.thresholds);
    this.children = laid.children;
    this.source = laid.source;
    this.leafWeight = isDouble ? laid.leafWeight : Float32Array.from(laid.leafWeight);
    this.derived = laid.derived;
    this.width = width;
    const deepest = laid.depths.reduce((sum, depth) => sum + depth, 0);
    // Looking costs about a seventh of a step, and four walks end with the longest of them.
    this.isUneven = laid.expectedSteps * 1.5 < deepest;
    this.steps = this.isUneven ? laid.expectedSteps * 1.5 : deepest;
  }

  get nodes(): number {
    return this.children.length;
  }

  get rowWidth(): number {
    return this.width + this.derived.length;
  }
}

/** A forest in which branches share what follows is unfolded, up to this many times its size; a circle never ends, and so is found. */
const MOST_UNFOLDED = 4;

/** A tree whose leaves are not all at one depth is filled up where that at most doubles it; deeper ones no longer fit the caches. */
const MOST_FILLED = 2;
const DEEPEST_FILLED = 10;

function layOut(raw: RawForest, width: number, step: Neighbour) {
  const limit = raw.modes.length * MOST_UNFOLDED + 1024;
  const derived = createDerived(width);
  let capacity = raw.modes.length + 16;
  let source = new Int32Array(capacity);
  let children = new Int32Array(capacity);
  let next = 0;
  const roots = new Int32Array(raw.roots.length);
  const depths = new Int32Array(raw.roots.length);
  let expectedSteps = 0;

  const place = (node: number): number => {
    if (next === limit) throw new InvalidGraph('a tree goes round in a circle, or shares its branches too often');
    if (next === capacity) {
      capacity *= 2;
      source = grown(source, capacity);
      children = grown(children, capacity);
    }
    source[next] = node;
    return next++;
  };

  const columns: number[] = [];
  const thresholds: number[] = [];
  /** Lays out one tree, one level after the other; leaves above the level `fill` go on as nodes that lead to themselves either way. Gives its depth. */
  const layTree = (root: number, fill: number): number => {
    let from = place(root);
    let depth = 0;
    for (let end = next; from < end; depth++) {
      for (; from < end; from++) {
        const node = source[from]!;
        if (raw.modes[node] === MODE.LEAF) {
          columns[from] = 0;
          thresholds[from] = Number.NaN; // nothing is greater
          children[from] = from;
          if (depth < fill) placeBoth(from, node, node);
          // As if every decision halved the rows.
          if (fill === 0) expectedSteps += depth * 2 ** -depth;
          continue;
        }
        if (!(raw.features[node]! >= 0 && raw.features[node]! < width))
          throw new InvalidGraph(`a tree decides by the column ${raw.features[node]}, and there are ${width}`);
        const test = derived.test(raw, node, step);
        columns[from] = test.column;
        thresholds[from] = test.threshold;
        if (test.greaterIsTrue) placeBoth(from, raw.whenFalse[node]!, raw.whenTrue[node]!);
        else placeBoth(from, raw.whenTrue[node]!, raw.whenFalse[node]!);
      }
      end = next;
      if (from === end) break;
    }
    return depth;
  };

  const placeBoth = (parent: number, first: number, second: number): void => {
    const child = place(first); // may move the array elsewhere
    place(second);
    children[parent] = child;
  };

  const isFull = new Uint8Array(roots.length);
  for (let tree = 0; tree < roots.length; tree++) {
    const root = next;
    const depth = layTree(raw.roots[tree]!, 0);
    const full = 2 ** (depth + 1) - 1;
    const isFillable = depth <= DEEPEST_FILLED && full <= MOST_FILLED * (next - root) && root + full <= limit;
    if (isFillable && next - root < full) {
      next = root;
      layTree(raw.roots[tree]!, depth);
    }
    roots[tree] = root;
    depths[tree] = depth;
    isFull[tree] = Number(isFillable);
  }
  const leafWeight = new Float64Array(next);
  for (let i = 0; i < next; i++) {
    const start = raw.weightStart[source[i]!]!;
    if (children[i] === i && raw.weightStart[source[i]! + 1]! > start) leafWeight[i] = raw.weights[start]!;
  }
  return {
    roots,
    depths,
    isFull,
    columns: Int32Array.from(columns),
    thresholds: Float64Array.from(thresholds),
    children: children.slice(0, next),
    source: source.slice(0, next),
    leafWeight,
    derived: derived.list,
    expectedSteps,
  };
}

function grown(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(length);
  wider.set(array);
  return wider;
}

type Test = {
  readonly column: number;
  readonly threshold: number;
  /** Whether the node's true branch is the one taken when the column is greater. NaN is never greater. */
  readonly greaterIsTrue: boolean;
};

/** Gives the next number of the type, upwards (1) or downwards (-1). */
type Neighbour = (x: number, direction: 1 | -1) => number;

function createDerived(width: number) {
  const list: Derived[] = [];
  const known = new Map<string, number>();
  const column = (one: Derived): number => {
    const key = `${one.kind} ${one.column} ${'values' in one ? [...one.values].join() : ''} ${'hasNaN' in one && one.hasNaN}`;
    let at = known.get(key);
    if (at === undefined) {
      at = width + list.push(one) - 1;
      known.set(key, at);
    }
    return at;
  };

  /**
   * `x <= t` and its relatives, so that NaN goes where it must: it is never greater, so the branch for NaN is the first child.
   * Not greater is "not (x > t)" for a NaN with the true branch, and "-x > -t" with the false one.
   */
  const ordered = (feature: number, bound: number, atMost: boolean, nanTrue: boolean, step: Neighbour): Test => {
    // The condition is x <= bound (atMost), or x > bound; where NaN belongs to the side that is not `greater`, the column itself will do.
    if (atMost === nanTrue) return { column: feature, threshold: bound, greaterIsTrue: !atMost };
    // Turned round: x <= bound  <=>  -x >= -bound  <=>  -x > (the number before -bound).
    if (bound === Number.POSITIVE_INFINITY)
      return { column: column({ kind: 'present', column: feature }), threshold: 0.5, greaterIsTrue: atMost };
    return { column: column({ kind: 'negated', column: feature }), threshold: step(-bound, -1), greaterIsTrue: atMost };
  };

  return {
    list,
    test(raw: RawForest, node: number, step: Neighbour): Test {
      const mode = raw.modes[node]!;
      const feature =
        raw.zeroMissing?.[node] === 1 ? column({ kind: 'zeroless', column: raw.features[node]! }) : raw.features[node]!;
      const value = raw.values[node]!;
      const nanTrue = raw.missingTrue[node] === 1;
      if (mode === MODE.EQ || mode === MODE.NEQ || mode === MODE.MEMBER) {
        const values = mode === MODE.MEMBER ? raw.members.get(node)! : [value];
        // NaN is no member of anything; NEQ is true for it by itself.
        const member = column({
          kind: 'member',
          column: feature,
          values: mode !== MODE.NEQ && nanTrue ? [...values, Number.NaN] : values,
        });
        return { column: member, threshold: 0.5, greaterIsTrue: mode !== MODE.NEQ };
      }
      if (mode === MODE.CATEGORY) {
        const values = new Set(raw.members.get(node));
        const category = column({
          kind: 'category',
          column: feature,
          values,
          hasNaN: nanTrue,
          least: raw.leastCategory ?? 0,
        });
        return { column: category, threshold: 0.5, greaterIsTrue: true };
      }
      // No number is at most, or above, NaN: only the missing one may go the true way.
      if (Number.isNaN(value)) {
        const present = column({ kind: 'present', column: feature });
        return nanTrue
          ? { column: present, threshold: 0.5, greaterIsTrue: false }
          : { column: present, threshold: 2, greaterIsTrue: true };
      }
      switch (mode) {
        case MODE.LEQ:
          return ordered(feature, value, true, nanTrue, step);
        case MODE.GT:
          return ordered(feature, value, false, nanTrue, step);
        case MODE.LT:
          if (value === Number.NEGATIVE_INFINITY) return never(feature, nanTrue);
          return ordered(feature, step(value, -1), true, nanTrue, step);
        default:
          if (value === Number.NEGATIVE_INFINITY) return always(feature, nanTrue);
          return ordered(feature, step(value, -1), false, nanTrue, step);
      }
    },
  };

  /** True for every number. */
  function always(feature: number, nanTrue: boolean): Test {
    const present = column({ kind: 'present', column: feature });
    return nanTrue
      ? { column: present, threshold: 2, greaterIsTrue: false }
      : { column: present, threshold: 0.5, greaterIsTrue: true };
  }

  /** True for no number. */
  function never(feature: number, nanTrue: boolean): Test {
    const present = column({ kind: 'present', column: feature });
    return nanTrue
      ? { column: present, threshold: 0.5, greaterIsTrue: false }
      : { column: present, threshold: 2, greaterIsTrue: true };
  }
}

const floatBits = new Float32Array(1);
const intBits = new Int32Array(floatBits.buffer);
const doubleBits = new Float64Array(1);
const longBits = new BigInt64Array(doubleBits.buffer);

/** The float beside a float; beyond the last one the infinity. */
export function stepOfFloats(x: number, direction: 1 | -1): number {
  if (x === 0) return direction * 1.401298464324817e-45;
  if (x === direction * Number.POSITIVE_INFINITY) return x;
  floatBits[0] = x;
  intBits[0]! += x > 0 === direction > 0 ? 1 : -1;
  return floatBits[0];
}

export function stepOfDoubles(x: number, direction: 1 | -1): number {
  if (x === 0) return direction * 5e-324;
  if (x === direction * Number.POSITIVE_INFINITY) return x;
  doubleBits[0] = x;
  longBits[0]! += x > 0 === direction > 0 ? 1n : -1n;
  return doubleBits[0];
}

/** Fills `into` with the rows `first` up to `end` of the input and their derived columns. */
export function deriveColumns(
  { derived, width, rowWidth }: Forest,
  from: Float32Array | Float64Array,
  first: number,
  end: number,
  into: Float32Array | Float64Array,
): void {
  for (let row = first, base = 0; row < end; row++, base += rowWidth) {
    const start = row * width;
    for (let i = 0; i < width; i++) into[base + i] = from[start + i]!;
  }
  for (let d = 0; d < derived.length; d++) deriveColumn(derived[d]!, rowWidth, end - first, into, width + d);
}

/** Column after column: so what kind it is, is asked once. */
function deriveColumn(
  one: Derived,
  rowWidth: number,
  rows: number,
  table: Float32Array | Float64Array,
  column: number,
): void {
  const end = rows * rowWidth;
  const ahead = column - one.column;
  if (one.kind === 'negated') {
    for (let at = one.column; at < end; at += rowWidth) table[at + ahead] = -table[at]!;
    return;
  }
  for (let at = one.column; at < end; at += rowWidth) table[at + ahead] = derivedValue(one, table[at]!);
}

function derivedValue(one: Exclude<Derived, { kind: 'negated' }>, x: number): number {
  switch (one.kind) {
    case 'present':
      return Number(!Number.isNaN(x));
    case 'zeroless':
      return Math.abs(x) <= ZERO ? Number.NaN : x;
    case 'category':
      return Number(Number.isNaN(x) ? one.hasNaN : x >= one.least && one.values.has(Math.trunc(x)));
    case 'member':
      return Number(isMember(one.values, x));
  }
}

function isMember(values: readonly number[], x: number): boolean {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value === x || (Number.isNaN(value) && Number.isNaN(x))) return true;
  }
  return false;
}
