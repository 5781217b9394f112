/** What a pickled estimator says of itself: what it is, what it takes and gives, what it was made with. */
import type { Datatype, TensorSpec } from '../../signature.ts';
import { type Booster, BoosterFault } from '../boosters/booster.ts';
import { parseUbjson } from '../boosters/ubjson.ts';
import { readXgboostModel } from '../boosters/xgboost-reader.ts';
import type { Pickle } from './pickle-reader.ts';
import { attributesOf, classOf, elementsOf, Made } from './pickle-values.ts';

export type EstimatorFacts = {
  /** `Pipeline of StandardScaler, LogisticRegression`. */
  readonly title: string;
  /** Names it would import that are none of its library's: what a look at the file finds, and no promise. */
  readonly odd: readonly string[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly methods: readonly string[];
  /** Requirements by what it names: pinned where it says its version. */
  readonly requirements: readonly string[];
};

/** By top module: the package that has it. */
const PACKAGES: Readonly<Record<string, string>> = {
  sklearn: 'scikit-learn',
  xgboost: 'xgboost',
  lightgbm: 'lightgbm',
  catboost: 'catboost',
  numpy: 'numpy',
  scipy: 'scipy',
  pandas: 'pandas',
  joblib: 'joblib',
  cloudpickle: 'cloudpickle',
  dill: 'dill',
  imblearn: 'imbalanced-learn',
  statsmodels: 'statsmodels',
};
/** Modules of Python itself that estimators name for what is harmless in them. */
const PLAIN = new Set([
  'builtins.set',
  'builtins.frozenset',
  'builtins.slice',
  'builtins.bytearray',
  'builtins.object',
  'builtins.int',
  'builtins.float',
  'builtins.str',
  'builtins.bool',
  'collections.OrderedDict',
  'collections.defaultdict',
  'copyreg._reconstructor',
  'copy_reg._reconstructor',
  '_codecs.encode',
  'functools.partial',
]);
/** Classes of scikit-learn's that prepare columns of more than numbers. */
const MIXED = /(ColumnTransformer|OneHotEncoder|OrdinalEncoder|TargetEncoder|Vectorizer|FeatureHasher|LabelBinarizer)$/;
/** Classifiers that have no predict_proba, whatever they were made with. */
const NO_PROBABILITIES =
  /\.(LinearSVC|RidgeClassifier|RidgeClassifierCV|Perceptron|PassiveAggressiveClassifier|NearestCentroid)$/;
const CLUSTERS = /\.(KMeans|MiniBatchKMeans|BisectingKMeans|Birch|AffinityPropagation|MeanShift)$/;
const OUTLIERS = /\.(IsolationForest|OneClassSVM|EllipticEnvelope)$/;

/** XGBoost's classes are their numbers; more of them are none. */
const MOST_CLASSES = 100_000;

/** Facts of a pickle that makes one estimator; of anything else, only what it names. */
export function estimatorFacts({ root, globals }: Pickle): EstimatorFacts {
  const steps = stepsOf(root);
  const last = steps.at(-1);
  const names = steps.map((step) => shortName(classOf(step))).filter((name) => name !== null);
  const own = shortName(classOf(root)) ?? 'something that is no object of a class';
  const io = signatureOf(root, steps, globals);
  return {
    title: last === root ? own : `${own} of ${names.join(', ')}`,
    odd: globals.filter(
      (name) =>
        !PLAIN.has(name.replace(/^__builtin__\./, 'builtins.')) && !Object.hasOwn(PACKAGES, name.split('.')[0]!),
    ),
    ...io,
    requirements: requirementsOf(root, globals),
  };
}

/** The estimator itself, or the steps of a Pipeline and the like, the one that predicts last. */
function stepsOf(root: unknown): unknown[] {
  const attributes = attributesOf(root);
  const steps = attributes.get('steps');
  if (Array.isArray(steps)) return steps.flatMap((one) => (Array.isArray(one) ? stepsOf(one[1]) : []));
  const inner = attributes.get('best_estimator_');
  return inner instanceof Made ? stepsOf(inner) : [root];
}

type Sides = Pick<EstimatorFacts, 'inputs' | 'outputs' | 'methods'>;

function signatureOf(root: unknown, steps: readonly unknown[], globals: readonly string[]): Sides {
  const last = steps.at(-1);
  const name = classOf(last) ?? '';
  return { inputs: globals.some((one) => MIXED.test(one)) ? [] : inputsOf([root, ...steps]), ...outputsOf(last, name) };
}

function inputsOf(makers: readonly unknown[]): TensorSpec[] {
  for (const maker of makers) {
    const attributes = attributesOf(maker);
    const booster = boosterOf(attributes.get('_Booster'));
    const width = attributes.get('n_features_in_') ?? attributes.get('_n_features') ?? booster?.features;
    if (typeof width !== 'number' || !(width >= 1)) continue;
    const names = elementsOf(attributes.get('feature_names_in_')) ?? booster?.featureNames;
    const isNamed = Array.isArray(names) && names.length === width && new Set(names).size === width;
    return [
      { name: 'input', datatype: 'FP64', shape: [-1, width], ...(isNamed ? { features: names.map(String) } : {}) },
    ];
  }
  return [];
}

/** The booster inside an estimator of XGBoost's: it is pickled as the file that XGBoost would save. */
function boosterOf(value: unknown): Booster | null {
  const handle = attributesOf(value).get('handle');
  const bytes = handle instanceof Made && Array.isArray(handle.args) ? (handle.args as unknown[])[0] : handle;
  if (!(bytes instanceof Uint8Array)) return null;
  try {
    const { Model } = parseUbjson(bytes) as { Model?: unknown };
    return readXgboostModel(Model);
  } catch (error) {
    if (error instanceof BoosterFault) return null;
    throw error;
  }
}

function outputsOf(last: unknown, name: string): Pick<Sides, 'outputs' | 'methods'> {
  const attributes = attributesOf(last);
  const rows = (output: string, datatype: Datatype): Pick<Sides, 'outputs' | 'methods'> => ({
    outputs: [{ name: output, datatype, shape: [-1] }],
    methods: ['predict'],
  });
  if (CLUSTERS.test(name)) return rows('cluster', 'INT32');
  if (OUTLIERS.test(name)) return rows('prediction', 'INT64');
  const count = attributes.get('n_classes_');
  const classes =
    elementsOf(attributes.get('classes_') ?? attributes.get('_classes')) ??
    (name.startsWith('xgboost.') && typeof count === 'number' && count >= 2 && count <= MOST_CLASSES
      ? Array.from({ length: count }, (_, at) => at)
      : null);
  if (classes !== null && classes.length > 0) {
    const datatype = labelType(classes);
    const label: TensorSpec = { name: 'label', datatype, shape: [-1] };
    if (!hasProbabilities(name, attributes)) return { outputs: [label], methods: ['predict'] };
    const labels = classes.map(String);
    return {
      outputs: [label, { name: 'probabilities', datatype: 'FP64', shape: [-1, classes.length], labels }],
      methods: ['predict', 'predict_proba'],
    };
  }
  const targets = attributes.get('n_outputs_');
  const isRegressor =
    /(Regressor|Regression|RegressorCV|SVR|Ridge|RidgeCV|Lasso|LassoCV|ElasticNet|ElasticNetCV|BayesianRidge|Lars|LassoLars)$/.test(
      name,
    ) && !/LogisticRegression(CV)?$/.test(name);
  if (!isRegressor) return { outputs: [], methods: [] };
  const shape = typeof targets === 'number' && targets > 1 ? [-1, targets] : [-1];
  return { outputs: [{ name: 'prediction', datatype: 'FP64', shape }], methods: ['predict'] };
}

function labelType(classes: readonly (string | number | boolean)[]): Datatype {
  if (classes.every((one) => typeof one === 'string')) return 'BYTES';
  return classes.every((one) => typeof one === 'boolean') ? 'BOOL' : 'INT64';
}

function hasProbabilities(name: string, attributes: ReadonlyMap<unknown, unknown>): boolean {
  if (NO_PROBABILITIES.test(name)) return false;
  if (/\.(SVC|NuSVC)$/.test(name)) return attributes.get('probability') === true;
  if (/\.SGDClassifier$/.test(name)) return ['log_loss', 'modified_huber'].includes(String(attributes.get('loss')));
  return /^(sklearn|lightgbm|xgboost)\./.test(name);
}

function requirementsOf(root: unknown, globals: readonly string[]): string[] {
  const modules = new Set(globals.map((name) => name.split('.')[0]!));
  const version = stepsOf(root)
    .concat(root)
    .map((step) => attributesOf(step).get('_sklearn_version'))
    .find((one) => typeof one === 'string' && /^\d+(\.\d+)+$/.test(one));
  const found = [...modules].flatMap((module) => (Object.hasOwn(PACKAGES, module) ? [PACKAGES[module]!] : []));
  // XGBoost's estimators are built on scikit-learn, and do not bring it.
  const isBuiltOnIt = globals.some((name) => name.startsWith('xgboost.sklearn.'));
  const needed = new Set(['numpy', ...found, ...(isBuiltOnIt ? ['scikit-learn'] : [])]);
  return [...needed].map((name) =>
    name === 'scikit-learn' && version !== undefined ? `${name}==${String(version)}` : name,
  );
}

function shortName(name: string | null): string | null {
  return name === null ? null : name.slice(name.lastIndexOf('.') + 1);
}
