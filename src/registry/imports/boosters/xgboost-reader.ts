/**
 * Models that XGBoost saved, as JSON or UBJSON (`save_model("model.json" | "model.ubj")`).
 * The form: doc/model.schema and src/tree/tree_model.cc of XGBoost 3.2; the links: PredTransform and ProbToMargin of src/objective/.
 */
import { type Booster, BoosterFault, createTrees, DECISION, type Link } from './booster.ts';
import { parseUbjson } from './ubjson.ts';

type Json = Readonly<Record<string, unknown>>;

/** Categories beyond are none (`OutOfRangeCat` of src/common/categorical.h). */
const MOST_CATEGORY = 2 ** 24;

const logit = (p: number): number => -Math.log(1 / p - 1);
const same = (x: number): number => x;

/** By objective: from sums to what `Booster.predict` gives, and from `base_score` to the sums. */
const OBJECTIVES: Readonly<Record<string, { readonly link: Link; readonly toMargin: (base: number) => number }>> = {
  ...each(
    ['reg:squarederror', 'reg:linear', 'reg:squaredlogerror', 'reg:pseudohubererror', 'reg:absoluteerror'],
    'none',
    same,
  ),
  ...each(['reg:quantileerror', 'reg:expectileerror', 'rank:ndcg', 'rank:map', 'rank:pairwise'], 'none', same),
  ...each(['count:poisson', 'reg:gamma', 'reg:tweedie', 'survival:cox', 'survival:aft'], 'exp', Math.log),
  'binary:logistic': { link: { kind: 'logistic', scale: 1 }, toMargin: logit },
  'reg:logistic': { link: { kind: 'logistic', scale: 1 }, toMargin: logit },
  'binary:logitraw': { link: { kind: 'none' }, toMargin: same },
  'binary:hinge': { link: { kind: 'aboveZero' }, toMargin: same },
  'multi:softprob': { link: { kind: 'softmax' }, toMargin: same },
  'multi:softmax': { link: { kind: 'largest' }, toMargin: same },
};

function each(names: readonly string[], kind: 'none' | 'exp', toMargin: (base: number) => number) {
  return Object.fromEntries(names.map((name) => [name, { link: { kind } as Link, toMargin }]));
}

/** Whether bytes are what XGBoost saves, by their start. */
export function isXgboost(head: Uint8Array): boolean {
  const text = Buffer.from(head.subarray(0, 64)).toString('latin1');
  return /^\s*\{\s*"(learner|version)"\s*:/.test(text) || /^\{L\0{7}\x07(learner|version)/.test(text);
}

/** @throws BoosterFault */
export function readXgboost(bytes: Uint8Array): Booster {
  return readXgboostModel(parse(bytes));
}

/** @param model what the file has, as plain objects @throws BoosterFault */
export function readXgboostModel(given: unknown): Booster {
  const root = object(given, 'the model');
  const learner = object(root['learner'], 'learner');
  const parameters = object(learner['learner_model_param'], 'learner_model_param');
  const objective = text(object(learner['objective'], 'objective')['name']);
  const known = Object.hasOwn(OBJECTIVES, objective) ? OBJECTIVES[objective] : undefined;
  if (known === undefined) {
    throw new BoosterFault('uncovered', `its objective ${JSON.stringify(objective.slice(0, 60))} is not known here`);
  }
  const { model, dropped } = forestOf(object(learner['gradient_booster'], 'gradient_booster'));
  const features = count(parameters['num_feature'], 'num_feature');
  const scores = Math.max(1, Number(parameters['num_class'] ?? 0), Number(parameters['num_target'] ?? 1));
  const targets = list(model['tree_info'], 'tree_info');
  const trees = createTrees();
  const listed = model['trees'];
  if (!Array.isArray(listed) || listed.length !== targets.length) throw invalid('its trees are not those it lists');
  for (const [at, tree] of listed.entries()) {
    const target = Number(targets[at]);
    if (!(target >= 0 && target < scores)) throw invalid(`the tree ${at} is for a class that is not there`);
    readTree(object(tree, `trees/${at}`), target, dropped?.[at] ?? 1, features, trees);
  }
  const names = learner['feature_names'];
  return {
    features,
    featureNames: Array.isArray(names) && names.length === features ? names.map(String) : null,
    isDouble: false,
    scores,
    ...trees.lists,
    members: trees.members,
    leastCategory: 0,
    base: baseOf(text(parameters['base_score']), scores, known.toMargin),
    isAveraged: false,
    link: known.link,
    warnings: warningsOf(learner, listed.length),
  };
}

function parse(bytes: Uint8Array): Json {
  if (bytes[0] === 0x7b && bytes[1] === 0x4c) return object(parseUbjson(bytes), 'the file');
  try {
    return object(JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()), 'the file');
  } catch (error) {
    if (error instanceof BoosterFault) throw error;
    throw invalid('it is no whole JSON');
  }
}

/** gbtree, and dart, which has one around it and a weight for each tree. */
function forestOf(booster: Json): { model: Json; dropped: number[] | null } {
  const name = text(booster['name']);
  if (name === 'gbtree') return { model: object(booster['model'], 'model'), dropped: null };
  if (name === 'dart') {
    const inner = object(booster['gbtree'], 'gbtree');
    return {
      model: object(inner['model'], 'model'),
      dropped: list(booster['weight_drop'], 'weight_drop').map((one) => Math.fround(Number(one))),
    };
  }
  throw new BoosterFault('uncovered', `its booster ${JSON.stringify(name.slice(0, 40))} is no forest`);
}

function readTree(
  tree: Json,
  target: number,
  weight: number,
  features: number,
  trees: ReturnType<typeof createTrees>,
): void {
  const leafSize = Number((tree['tree_param'] as Json | undefined)?.['size_leaf_vector'] ?? 1);
  if (leafSize > 1) throw new BoosterFault('uncovered', 'its leaves have several values (multi_output_tree)');
  const left = list(tree['left_children'], 'left_children');
  const right = list(tree['right_children'], 'right_children');
  const columns = list(tree['split_indices'], 'split_indices');
  const values = list(tree['split_conditions'], 'split_conditions');
  const missing = list(tree['default_left'], 'default_left');
  const types = tree['split_type'] === undefined ? null : list(tree['split_type'], 'split_type');
  const nodes = left.length;
  for (const one of [right, columns, values, missing, types ?? left]) {
    if (one.length !== nodes || nodes === 0) throw invalid('a tree has lists of different lengths');
  }
  const sets = categoriesOf(tree);
  const first = trees.startTree(target);
  const place = (child: unknown): number => {
    const at = Number(child);
    if (!(Number.isInteger(at) && at > 0 && at < nodes)) throw invalid('a tree points to a node that is not there');
    return first + at;
  };
  for (let i = 0; i < nodes; i++) {
    if (Number(left[i]) === -1) {
      const leaf = Math.fround(Number(values[i]));
      trees.leaf(weight === 1 ? leaf : Math.fround(weight * leaf));
      continue;
    }
    const column = Number(columns[i]);
    if (!(Number.isInteger(column) && column >= 0 && column < features)) {
      throw invalid(`a tree decides by the feature ${column}, and there are ${features}`);
    }
    const [onLeft, onRight] = [place(left[i]), place(right[i])];
    const missingLeft = Boolean(missing[i]);
    if (types !== null && Number(types[i]) === 1) {
      // The categories of a node go right.
      const members = sets.get(i);
      if (members === undefined) throw invalid('a node decides by categories and has none');
      trees.split({
        decision: DECISION.member,
        column,
        value: 0,
        whenTrue: onRight,
        whenFalse: onLeft,
        missingTrue: !missingLeft,
        members,
      });
      continue;
    }
    const value = Math.fround(Number(values[i]));
    trees.split({
      decision: DECISION.below,
      column,
      value,
      whenTrue: onLeft,
      whenFalse: onRight,
      missingTrue: missingLeft,
    });
  }
}

function categoriesOf(tree: Json): Map<number, number[]> {
  const found = new Map<number, number[]>();
  if (!Array.isArray(tree['categories_nodes'])) return found;
  const all = list(tree['categories'], 'categories').map(Number);
  const starts = list(tree['categories_segments'], 'categories_segments');
  const sizes = list(tree['categories_sizes'], 'categories_sizes');
  for (const [at, node] of tree['categories_nodes'].entries()) {
    const [start, size] = [Number(starts[at]), Number(sizes[at])];
    if (!(start >= 0 && size >= 0 && start + size <= all.length)) throw invalid('its categories are not all there');
    const members = all.slice(start, start + size);
    if (members.some((one) => !(Number.isInteger(one) && one >= 0 && one < MOST_CATEGORY))) {
      throw invalid('a category is no whole number');
    }
    found.set(Number(node), members);
  }
  return found;
}

/** `base_score` is one number, or since 3.1 a list of one or of one for each score. */
function baseOf(written: string, scores: number, toMargin: (base: number) => number): number[] {
  const numbers = written
    .replace(/^\[|\]$/g, '')
    .split(',')
    .map((one) => Math.fround(toMargin(Math.fround(Number(one)))));
  if (numbers.some((one) => !Number.isFinite(one))) throw invalid('its base_score is no number');
  if (numbers.length !== 1 && numbers.length !== scores) throw invalid('its base_score has another number of values');
  return Array.from({ length: scores }, (_, at) => numbers[numbers.length === 1 ? 0 : at]!);
}

function warningsOf(learner: Json, trees: number): string[] {
  const best = Number((learner['attributes'] as Json | undefined)?.['best_iteration']);
  if (!Number.isInteger(best)) return [];
  return [
    `Training stopped early with iteration ${best} as the best. All ${trees} trees answer, as with Booster.predict; save booster[:${best + 1}] for the best ones only.`,
  ];
}

function object(value: unknown, name: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw invalid(`${name} is missing`);
}

function list(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  throw invalid(`${name} is missing`);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function count(value: unknown, name: string): number {
  const size = Number(value);
  if (Number.isInteger(size) && size >= 1 && size <= 1_000_000) return size;
  throw invalid(`${name} is ${String(value).slice(0, 40)}`);
}

function invalid(message: string): BoosterFault {
  return new BoosterFault('invalid', message);
}
