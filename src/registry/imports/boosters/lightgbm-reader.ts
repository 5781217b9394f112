/**
 * Models that LightGBM saved as text (`save_model("model.txt")`), versions 3 and 4 of the form.
 * The form: GBDT::SaveModelToString and Tree::ToString of LightGBM 4.7; the decisions: include/LightGBM/tree.h; the links: ConvertOutput of src/objective/.
 */
import { type Booster, BoosterFault, createTrees, DECISION, type Link } from './booster.ts';

type Block = ReadonlyMap<string, string>;

const IS_CATEGORICAL = 1;
const DEFAULT_LEFT = 2;
const MISSING = { none: 0, zero: 1, nan: 2 } as const;
const MOST_CATEGORIES = 1_000_000;

export function isLightgbm(head: Uint8Array): boolean {
  return /^tree\r?\nversion=v[34]\r?\n/.test(Buffer.from(head.subarray(0, 64)).toString('latin1'));
}

/** @throws BoosterFault */
export function readLightgbm(bytes: Uint8Array): Booster {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  const end = whole.indexOf('\nend of trees');
  if (end < 0) throw invalid('it ends before "end of trees"');
  const [head, ...parts] = whole.slice(0, end).split(/\nTree=\d+\r?\n/);
  const header = fieldsOf(head!);
  const features = wholeOf(header, 'max_feature_idx') + 1;
  const scores = wholeOf(header, 'num_tree_per_iteration');
  if (!(features >= 1 && scores >= 1)) throw invalid('it has no features');
  const trees = createTrees();
  for (const [at, part] of parts.entries()) readTree(fieldsOf(part), at % scores, features, trees);
  const names = (header.get('feature_names') ?? '').split(' ');
  return {
    features,
    featureNames: names.length === features && !names.every((name, at) => name === `Column_${at}`) ? names : null,
    isDouble: true,
    scores,
    ...trees.lists,
    members: trees.members,
    leastCategory: Number.NEGATIVE_INFINITY, // -0.9 becomes 0 there
    base: [],
    isAveraged: /^average_output\r?$/m.test(head!),
    link: linkOf(header.get('objective')),
    warnings: warningsOf(whole.slice(end)),
  };
}

/** `objective=binary sigmoid:1`; without the line it was an objective of one's own, whose sums are given as they are. */
function linkOf(written: string | undefined): Link {
  if (written === undefined) return { kind: 'none' };
  const [name, ...words] = written.trim().split(/\s+/);
  switch (name) {
    case 'regression':
    case 'regression_l1':
    case 'huber':
    case 'fair':
    case 'quantile':
    case 'mape':
      return { kind: words.includes('sqrt') ? 'signedSquare' : 'none' };
    case 'poisson':
    case 'gamma':
    case 'tweedie':
      return { kind: 'exp' };
    case 'binary':
    case 'multiclassova':
      return { kind: 'logistic', scale: Number(/^sigmoid:(.+)$/.exec(words.at(-1) ?? '')?.[1] ?? 1) };
    case 'cross_entropy':
      return { kind: 'logistic', scale: 1 };
    case 'cross_entropy_lambda':
      return { kind: 'softplus' };
    case 'multiclass':
      return { kind: 'softmax' };
    case 'lambdarank':
    case 'rank_xendcg':
    case 'custom':
      return { kind: 'none' };
    default:
      throw new BoosterFault(
        'uncovered',
        `its objective ${JSON.stringify(String(name).slice(0, 60))} is not known here`,
      );
  }
}

function readTree(tree: Block, target: number, features: number, trees: ReturnType<typeof createTrees>): void {
  const leaves = wholeOf(tree, 'num_leaves');
  if (Number(tree.get('is_linear') ?? 0) !== 0) throw new BoosterFault('uncovered', 'its trees have linear leaves');
  const weights = numbers(tree, 'leaf_value');
  if (!(leaves >= 1) || weights.length !== leaves) throw invalid('a tree lacks its leaves');
  const inner = leaves - 1;
  // Nodes first, leaves behind them.
  const first = trees.startTree(target);
  if (inner > 0) {
    const columns = numbers(tree, 'split_feature');
    const values = numbers(tree, 'threshold');
    const types = numbers(tree, 'decision_type');
    const left = numbers(tree, 'left_child');
    const right = numbers(tree, 'right_child');
    for (const one of [columns, values, types, left, right]) {
      if (one.length !== inner) throw invalid('a tree has lists of different lengths');
    }
    const sets = categoriesOf(tree);
    const place = (child: number): number => {
      const at = child >= 0 ? child : inner + ~child;
      if (!(Number.isInteger(at) && at < inner + leaves)) throw invalid('a tree points to a node that is not there');
      return first + at;
    };
    for (let i = 0; i < inner; i++) {
      const column = columns[i]!;
      if (!(Number.isInteger(column) && column >= 0 && column < features)) {
        throw invalid(`a tree decides by the feature ${column}, and there are ${features}`);
      }
      const branches = { column, whenTrue: place(left[i]!), whenFalse: place(right[i]!) };
      const type = types[i]!;
      if ((type & IS_CATEGORICAL) !== 0) {
        const members = sets[values[i]!];
        if (members === undefined) throw invalid('a node decides by categories and has none');
        // What is missing is no member of anything.
        trees.split({ ...branches, decision: DECISION.member, value: 0, missingTrue: false, members });
        continue;
      }
      const missing = (type >> 2) & 3;
      const value = values[i]!;
      trees.split({
        ...branches,
        decision: DECISION.atMost,
        value,
        // Where training met nothing missing, NaN is taken for zero.
        missingTrue: missing === MISSING.none ? value >= 0 : (type & DEFAULT_LEFT) !== 0,
        zeroMissing: missing === MISSING.zero,
      });
    }
  }
  for (const weight of weights) trees.leaf(weight);
}

/** Sets of bits: the bits of words `cat_boundaries[i]` up to `cat_boundaries[i + 1]` are the categories of set i. */
function categoriesOf(tree: Block): number[][] {
  if (Number(tree.get('num_cat') ?? 0) === 0) return [];
  const bounds = numbers(tree, 'cat_boundaries');
  const words = numbers(tree, 'cat_threshold');
  if (bounds.at(-1) !== words.length || words.length * 32 > MOST_CATEGORIES)
    throw invalid('its categories are not all there');
  return bounds.slice(1).map((stop, at) => {
    const members: number[] = [];
    for (let word = bounds[at]!; word < stop; word++) {
      for (let bit = 0; bit < 32; bit++) {
        if (((words[word]! >>> bit) & 1) === 1) members.push((word - bounds[at]!) * 32 + bit);
      }
    }
    return members;
  });
}

function warningsOf(tail: string): string[] {
  const line = /^pandas_categorical:(.*)$/m.exec(tail)?.[1]?.trim();
  if (line === undefined || line === 'null' || line === '[]') return [];
  return [
    'It was trained on columns of categories of a DataFrame: callers send their codes (the place of each value in the list of its column), as the file has them under pandas_categorical.',
  ];
}

function fieldsOf(text: string): Block {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) fields.set(line.slice(0, equals), line.slice(equals + 1).replace(/\r$/, ''));
  }
  return fields;
}

function numbers(fields: Block, name: string): number[] {
  const text = fields.get(name);
  if (text === undefined) throw invalid(`${name} is missing`);
  const found = text.trim() === '' ? [] : text.trim().split(' ').map(numberOf);
  if (found.some(Number.isNaN)) throw invalid(`${name} has something that is no number`);
  return found;
}

/** Infinity is written as C++ writes it. */
function numberOf(text: string): number {
  const infinity = /^([+-]?)inf(inity)?$/i.exec(text);
  if (infinity === null) return Number(text);
  return infinity[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function wholeOf(fields: Block, name: string): number {
  const value = Number(fields.get(name));
  if (Number.isInteger(value) && value >= 0 && value <= 1_000_000) return value;
  throw invalid(`${name} is ${String(fields.get(name)).slice(0, 40)}`);
}

function invalid(message: string): BoosterFault {
  return new BoosterFault('invalid', message);
}
