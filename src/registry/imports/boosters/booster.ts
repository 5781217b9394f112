/** A boosted forest of a library's own file, in one form: nodes of all trees by index, and what the library makes of their sums. */

/** How a node decides. `below`: x < value; `atMost`: x <= value; `member`: x is one of a set of categories. */
export const DECISION = { leaf: 0, below: 1, atMost: 2, member: 3 } as const;

/** What becomes of the sums of a row: the library's own words for it are in its reader. */
export type Link =
  | { readonly kind: 'none' | 'exp' | 'softmax' | 'largest' | 'aboveZero' | 'signedSquare' | 'softplus' }
  /** 1 / (1 + e^(-scale * x)) */
  | { readonly kind: 'logistic'; readonly scale: number };

export type Booster = {
  readonly features: number;
  /** Names of the features, in order; null where the file has none. */
  readonly featureNames: readonly string[] | null;
  /** Whether features are compared, and leaves summed, in FP64; else in FP32. */
  readonly isDouble: boolean;
  /** Scores of one row; tree i adds to the score `targets[i]`. */
  readonly scores: number;
  readonly targets: readonly number[];
  /** Index of each tree's root. */
  readonly roots: readonly number[];
  readonly decisions: readonly number[];
  readonly columns: readonly number[];
  readonly values: readonly number[];
  /** Indexes of nodes: where the decision holds, and where it does not. */
  readonly whenTrue: readonly number[];
  readonly whenFalse: readonly number[];
  /** By node, 1 where a missing value (NaN) goes the way of `whenTrue`. */
  readonly missingTrue: readonly number[];
  /** By node, 1 where zero is a missing value as well. */
  readonly zeroMissing: readonly number[];
  /** Categories of `member` nodes, by node. */
  readonly members: ReadonlyMap<number, readonly number[]>;
  /** What is below is no category. */
  readonly leastCategory: number;
  /** Of leaves, by node. */
  readonly weights: readonly number[];
  /** Added to the sums, by score; empty: nothing. */
  readonly base: readonly number[];
  /** Whether the sums are divided by the trees of each score. */
  readonly isAveraged: boolean;
  readonly link: Link;
  readonly warnings: readonly string[];
};

/** A file of a booster that cannot be read; the message ends the sentence `model.json cannot be read: …`. */
export class BoosterFault extends Error {
  /** `uncovered`: it is a whole file, of a kind that is not read here. */
  readonly kind: 'invalid' | 'uncovered';
  constructor(kind: 'invalid' | 'uncovered', message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Collects the nodes of all trees. */
export function createTrees() {
  const lists = {
    roots: [] as number[],
    targets: [] as number[],
    decisions: [] as number[],
    columns: [] as number[],
    values: [] as number[],
    whenTrue: [] as number[],
    whenFalse: [] as number[],
    missingTrue: [] as number[],
    zeroMissing: [] as number[],
    weights: [] as number[],
  };
  const members = new Map<number, readonly number[]>();
  return {
    lists,
    members,
    get size(): number {
      return lists.decisions.length;
    },
    /** Where the next tree starts. */
    startTree(target: number, root = lists.decisions.length): number {
      lists.targets.push(target);
      lists.roots.push(root);
      return lists.decisions.length;
    },
    leaf(weight: number): void {
      push(DECISION.leaf, 0, 0, 0, 0, 0, 0, weight);
    },
    split(node: {
      decision: number;
      column: number;
      value: number;
      whenTrue: number;
      whenFalse: number;
      missingTrue: boolean;
      zeroMissing?: boolean;
      members?: readonly number[];
    }): void {
      if (node.members !== undefined) members.set(lists.decisions.length, node.members);
      const { decision, column, value, whenTrue, whenFalse, missingTrue, zeroMissing = false } = node;
      push(decision, column, value, whenTrue, whenFalse, Number(missingTrue), Number(zeroMissing), 0);
    },
  };

  function push(
    decision: number,
    column: number,
    value: number,
    whenTrue: number,
    whenFalse: number,
    missing: number,
    zero: number,
    weight: number,
  ): void {
    lists.decisions.push(decision);
    lists.columns.push(column);
    lists.values.push(value);
    lists.whenTrue.push(whenTrue);
    lists.whenFalse.push(whenFalse);
    lists.missingTrue.push(missing);
    lists.zeroMissing.push(zero);
    lists.weights.push(weight);
  }
}
