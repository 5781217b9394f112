/** Tree ensembles of ai.onnx.ml as they are written, versions 1 to 5, in one form: nodes by index, leaves with their weights. */
import type { NodeReader } from './builder.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { type TRANSFORMS, type Transform, transformOf } from './scores.ts';

/** How a node decides; by the numbers of version 5. CATEGORY is no mode of ONNX: a number without its fraction is one of a set, as boosters decide. */
export const MODE = { LEQ: 0, LT: 1, GTE: 2, GT: 3, EQ: 4, NEQ: 5, MEMBER: 6, LEAF: 7, CATEGORY: 8 } as const;

const MODE_WORDS: Readonly<Record<string, number>> = {
  BRANCH_LEQ: MODE.LEQ,
  BRANCH_LT: MODE.LT,
  BRANCH_GTE: MODE.GTE,
  BRANCH_GT: MODE.GT,
  BRANCH_EQ: MODE.EQ,
  BRANCH_NEQ: MODE.NEQ,
  BRANCH_MEMBER: MODE.MEMBER,
  LEAF: MODE.LEAF,
};

export type Aggregate = 'SUM' | 'AVERAGE' | 'MIN' | 'MAX';

export type RawForest = {
  readonly modes: Uint8Array;
  readonly features: Int32Array;
  readonly values: Float64Array;
  /** 1 where a missing value (NaN) takes the true branch. */
  readonly missingTrue: Uint8Array;
  /** 1 where zero is a missing value as well, as boosters may have it. */
  readonly zeroMissing?: Uint8Array;
  /** What is below is no category; 0 unless told. */
  readonly leastCategory?: number;
  /** Indexes of nodes. */
  readonly whenTrue: Int32Array;
  readonly whenFalse: Int32Array;
  /** The members of MODE.MEMBER and MODE.CATEGORY nodes, by node. */
  readonly members: ReadonlyMap<number, readonly number[]>;
  readonly roots: Int32Array;
  /** Of node i the weights from `weightStart[i]` up to `weightStart[i + 1]`. */
  readonly weightStart: Int32Array;
  readonly weightTargets: Int32Array;
  readonly weights: Float64Array;
  /** The weights and thresholds are doubles, not floats. */
  readonly isDouble: boolean;
  readonly targets: number;
  readonly aggregate: Aggregate;
  readonly transform: Transform;
  readonly baseValues: readonly number[];
};

/** A list that is FLOATS in versions 1 and 2, and may be a tensor of doubles in version 3. */
function numbersOf(node: NodeReader, name: string): { values: Float64Array; isDouble: boolean } {
  const tensor = node.tensor(`${name}_as_tensor`);
  const floats = node.floats(name);
  if (tensor === null) return { values: floats, isDouble: false };
  return { values: tensor.numbers ?? new Float64Array(0), isDouble: tensor.elem === 11 };
}

/** TreeEnsembleClassifier and TreeEnsembleRegressor. @param prefix what its weights are named by */
export function readTreeIds(node: NodeReader, prefix: 'class' | 'target', targets: number): RawForest {
  const treeIds = node.ints('nodes_treeids');
  const nodeIds = node.ints('nodes_nodeids');
  const words = node.strings('nodes_modes');
  const values = numbersOf(node, 'nodes_values');
  const featureIds = node.ints('nodes_featureids');
  const trueIds = node.ints('nodes_truenodeids');
  const falseIds = node.ints('nodes_falsenodeids');
  const missing = node.ints('nodes_missing_value_tracks_true');
  node.floats('nodes_hitrates');
  node.tensor('nodes_hitrates_as_tensor');
  const count = treeIds.length;
  if (count === 0) throw new InvalidGraph('a tree ensemble has no nodes');
  for (const list of [nodeIds, words, values.values, featureIds, trueIds, falseIds]) {
    if (list.length !== count)
      throw new InvalidGraph(`a tree ensemble has ${count} nodes, and a list of ${list.length} for them`);
  }
  if (missing.length !== 0 && missing.length !== count)
    throw new InvalidGraph('a tree ensemble has a list of missing values of another length');

  // Nodes of a tree stand together: index = first of the tree + place of the id within it.
  const byTree = new Map<number, Map<number, number>>();
  const roots: number[] = [];
  for (let i = 0; i < count; i++) {
    const tree = treeIds[i]!;
    let ids = byTree.get(tree);
    if (ids === undefined) {
      ids = new Map();
      byTree.set(tree, ids);
      roots.push(i);
    } else if (treeIds[i - 1] !== tree) throw new Uncovered(`the nodes of the tree ${tree} do not stand together`);
    if (ids.has(nodeIds[i]!)) throw new InvalidGraph(`the tree ${tree} has two nodes ${nodeIds[i]}`);
    ids.set(nodeIds[i]!, i);
  }
  const find = (tree: number, id: number): number => {
    const at = byTree.get(tree)?.get(id);
    if (at === undefined) throw new InvalidGraph(`the tree ${tree} points to the node ${id}, which it does not have`);
    return at;
  };
  const modes = new Uint8Array(count);
  const whenTrue = new Int32Array(count);
  const whenFalse = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const mode = MODE_WORDS[words[i]!];
    if (mode === undefined || mode === MODE.MEMBER)
      throw new InvalidGraph(`a tree has a node of the unknown mode ${words[i]!.slice(0, 40)}`);
    modes[i] = mode;
    if (mode === MODE.LEAF) continue;
    whenTrue[i] = find(treeIds[i]!, trueIds[i]!);
    whenFalse[i] = find(treeIds[i]!, falseIds[i]!);
  }

  const ownerIds = node.ints(`${prefix}_treeids`);
  const ownerNodes = node.ints(`${prefix}_nodeids`);
  const ids = node.ints(`${prefix}_ids`);
  const weights = numbersOf(node, `${prefix}_weights`);
  for (const list of [ownerNodes, ids, weights.values]) {
    if (list.length !== ownerIds.length)
      throw new InvalidGraph('the weights of a tree ensemble have lists of different lengths');
  }
  const owners = Int32Array.from(ownerIds, (tree, i) => find(tree, ownerNodes[i]!));
  const base = numbersOf(node, 'base_values');
  return {
    modes,
    features: Int32Array.from(featureIds),
    values: values.values,
    missingTrue: Uint8Array.from({ length: count }, (_, i) => (missing[i] === 1 ? 1 : 0)),
    whenTrue,
    whenFalse,
    members: new Map(),
    roots: Int32Array.from(roots),
    ...sortWeights(count, owners, ids, weights.values),
    isDouble: values.isDouble || weights.isDouble || base.isDouble,
    targets,
    aggregate: aggregateOf(node.text('aggregate_function', 'SUM')),
    transform: transformOf(node.text('post_transform', 'NONE')),
    baseValues: [...base.values],
  };
}

function aggregateOf(word: string): Aggregate {
  if (word === 'SUM' || word === 'AVERAGE' || word === 'MIN' || word === 'MAX') return word;
  throw new InvalidGraph(`a tree ensemble has the unknown aggregate_function ${word.slice(0, 40)}`);
}

/** Weights in the order of their nodes; those of one node stay in their order. */
function sortWeights(nodes: number, owners: ArrayLike<number>, ids: ArrayLike<number>, values: ArrayLike<number>) {
  const weightStart = new Int32Array(nodes + 1);
  for (let i = 0; i < owners.length; i++) weightStart[owners[i]! + 1]!++;
  for (let i = 0; i < nodes; i++) weightStart[i + 1]! += weightStart[i]!;
  const next = weightStart.slice();
  const weightTargets = new Int32Array(owners.length);
  const weights = new Float64Array(owners.length);
  for (let i = 0; i < owners.length; i++) {
    const at = next[owners[i]!]!++;
    weightTargets[at] = ids[i]!;
    weights[at] = values[i]!;
  }
  return { weightStart, weightTargets, weights };
}

/** TreeEnsemble of version 5: inner nodes and leaves are lists of their own; leaves get the indexes behind the nodes. */
export function readTreeEnsemble(node: NodeReader): RawForest {
  const splits = node.tensor('nodes_splits');
  const modeTensor = node.tensor('nodes_modes');
  const leafWeights = node.tensor('leaf_weights');
  if (splits?.numbers == null || modeTensor?.numbers == null || leafWeights?.numbers == null)
    throw new InvalidGraph('a TreeEnsemble lacks its nodes or leaves');
  const inner = modeTensor.numbers.length;
  const leaves = leafWeights.numbers.length;
  const leafTargets = node.ints('leaf_targetids');
  const lists = {
    features: node.ints('nodes_featureids'),
    trueIds: node.ints('nodes_truenodeids'),
    trueLeafs: node.ints('nodes_trueleafs'),
    falseIds: node.ints('nodes_falsenodeids'),
    falseLeafs: node.ints('nodes_falseleafs'),
    splits: splits.numbers,
  };
  for (const [name, list] of Object.entries(lists)) {
    if (list.length !== inner)
      throw new InvalidGraph(`a TreeEnsemble has ${inner} nodes, and a list ${name} of ${list.length}`);
  }
  if (leafTargets.length !== leaves) throw new InvalidGraph('a TreeEnsemble has leaves without targets');
  const missing = node.ints('nodes_missing_value_tracks_true');
  node.tensor('nodes_hitrates');
  const count = inner + leaves;
  const modes = new Uint8Array(count).fill(MODE.LEAF);
  const whenTrue = new Int32Array(count);
  const whenFalse = new Int32Array(count);
  const place = (id: number, isLeaf: number): number => {
    if (!(id >= 0 && id < (isLeaf !== 0 ? leaves : inner)))
      throw new InvalidGraph(`a TreeEnsemble points to ${id}, which is not there`);
    return isLeaf !== 0 ? inner + id : id;
  };
  for (let i = 0; i < inner; i++) {
    const mode = modeTensor.numbers[i]!;
    if (!(mode >= MODE.LEQ && mode <= MODE.MEMBER))
      throw new InvalidGraph(`a TreeEnsemble has a node of the unknown mode ${mode}`);
    modes[i] = mode;
    whenTrue[i] = place(lists.trueIds[i]!, lists.trueLeafs[i]!);
    whenFalse[i] = place(lists.falseIds[i]!, lists.falseLeafs[i]!);
  }
  const roots = Int32Array.from(node.ints('tree_roots'), (root) => place(root, 0));
  if (roots.length === 0) throw new InvalidGraph('a TreeEnsemble has no trees');
  const padded = <T extends Float64Array | Int32Array>(into: T, from: ArrayLike<number>): T => {
    into.set(from);
    return into;
  };
  const owners = Int32Array.from({ length: leaves }, (_, i) => inner + i);
  return {
    modes,
    features: padded(new Int32Array(count), Int32Array.from(lists.features)),
    values: padded(new Float64Array(count), splits.numbers),
    missingTrue: Uint8Array.from({ length: count }, (_, i) => (missing[i] === 1 ? 1 : 0)),
    whenTrue,
    whenFalse,
    members: membersOf(modes, inner, node.tensor('membership_values')?.numbers ?? null),
    roots,
    ...sortWeights(count, owners, leafTargets, leafWeights.numbers),
    isDouble: splits.elem === 11,
    targets: node.int('n_targets', 1),
    aggregate: (['AVERAGE', 'SUM', 'MIN', 'MAX'] as const)[node.int('aggregate_function', 1)] ?? aggregateOf('?'),
    transform:
      (
        [
          'NONE',
          'SOFTMAX',
          'LOGISTIC',
          'SOFTMAX_ZERO',
          'PROBIT',
        ] as const satisfies readonly (typeof TRANSFORMS)[number][]
      )[node.int('post_transform', 0)] ?? transformOf('?'),
    baseValues: [],
  };
}

/** Sets stand one after the other, in the order of their nodes, each ended by a NaN. */
function membersOf(modes: Uint8Array, inner: number, values: Float64Array | null): Map<number, number[]> {
  const members = new Map<number, number[]>();
  let at = 0;
  for (let i = 0; i < inner; i++) {
    if (modes[i] !== MODE.MEMBER) continue;
    const set: number[] = [];
    for (; values !== null && at < values.length && !Number.isNaN(values[at]); at++) set.push(values[at]!);
    at++;
    if (set.some((member) => !(Number.isInteger(member) && member >= 1 && member <= 32)))
      throw new Uncovered('a TreeEnsemble tests for members other than whole numbers from 1 to 32'); // the runtime rounds some of them
    if (set.length === 0) throw new InvalidGraph('a TreeEnsemble has a node with an empty set of members');
    members.set(i, set);
  }
  return members;
}
