/** A folder that MLflow saved: its MLmodel says flavors, signature and input example; requirements and the version of Python lie beside it. */
import { SlipwayError } from '../../../base/errors.ts';
import type { Runtime } from '../../runtime.ts';
import type { PlainBody, StoredFile } from '../../validation.ts';
import { faulty } from '../file-fault.ts';
import type { Artifact, Importer } from '../importer.ts';
import { parseYaml } from '../plain-yaml.ts';
import { readSmall } from '../stored-source.ts';
import { givenSignature } from './given-signature.ts';
import { readMlflowSignature } from './mlflow-signature.ts';
import { parseRequirements, type Requirement, readRequirements, requirementWarnings } from './requirements.ts';

const MLMODEL = 'MLmodel';
const MAX_BYTES = 1024 * 1024;
const MIB = 1024 * 1024;

type Flavor = Readonly<Record<string, unknown>>;
type MlModel = {
  readonly flavors: Readonly<Record<string, Flavor>>;
  readonly signature: { readonly inputs?: unknown; readonly outputs?: unknown } | null;
  readonly mlflowVersion: string | null;
  readonly example: { readonly artifact_path?: unknown; readonly pandas_orient?: unknown } | null;
};

export const mlflowImporter: Importer = {
  format: 'mlflow',

  detect: ({ byPath }) => byPath.get(MLMODEL) ?? null,

  describe(_artifact, entry) {
    const { flavors } = readMlModel(entry);
    const plan = planOf(flavors);
    return {
      what: `an MLflow model (${Object.keys(flavors).join(', ')})`,
      code: plan.code,
      withoutCode: 'Export the model to ONNX and deploy that, as in docs/guides/any-framework.md.',
    };
  },

  read(artifact, entry) {
    const model = readMlModel(entry);
    const plan = planOf(model.flavors);
    const file = plan.file === null ? null : named(artifact, entry, plan.file);
    const read = model.signature === null ? null : readMlflowSignature(model.signature, MLMODEL);
    const given = givenSignature(artifact.about, read, MLMODEL);
    const requirements = requirementsOf(artifact, model, plan, given.how);
    return {
      ...(file === null ? {} : { entry: file }),
      signature: given.signature,
      runtime: {
        loader: plan.loader,
        options: {
          ...plan.options,
          ...(file === null ? { folder: '.' } : { file: file.path }),
          inputs: given.how,
          outputs: given.methods.map((method) => ({ method: method ?? plan.method })),
        },
        python: pythonOf(artifact, model),
        requirements: requirements.map((one) => one.line),
        network: artifact.about.python?.network === true,
      },
      memoryBytes: 200 * MIB + 4 * artifact.files.reduce((sum, one) => sum + one.sizeBytes, 0),
      ...exampleOf(artifact, model, given.how),
      warnings: requirementWarnings(requirements),
    };
  },
};

type Plan = {
  readonly loader: Runtime['loader'];
  readonly file: string | null;
  readonly options: Readonly<Record<string, unknown>>;
  readonly method: string;
  readonly code: string;
  /** Whether MLflow itself is needed to load it. */
  readonly needsMlflow: boolean;
};

/** Flavors whose files are loaded as they are; every other goes through MLflow's own python_function. */
function planOf(flavors: MlModel['flavors']): Plan {
  const pyfunc = flavors['python_function'];
  const sklearn = flavors['sklearn'];
  const method = typeof pyfunc?.['predict_fn'] === 'string' ? pyfunc['predict_fn'] : 'predict';
  const isPlain = pyfunc?.['loader_module'] === 'mlflow.sklearn' && pyfunc['code'] == null;
  if (sklearn && isPlain && typeof sklearn['pickled_model'] === 'string') {
    const reader = { pickle: 'pickle', cloudpickle: 'cloudpickle', skops: 'skops' }[
      String(sklearn['serialization_format'])
    ];
    if (reader !== undefined) {
      return {
        loader: 'estimator',
        file: sklearn['pickled_model'],
        options: { reader },
        method,
        code: reader === 'skops' ? 'makes the objects that its file names' : 'runs whatever code is in its pickle',
        needsMlflow: false,
      };
    }
  }
  if (pyfunc === undefined) {
    throw new SlipwayError(
      'model_unsupported',
      `The MLflow model has no python_function flavor, only ${Object.keys(flavors).join(', ') || 'none'}`,
      {
        hint: 'Log it with a flavor that has one; those of every Python library do.',
      },
    );
  }
  return {
    loader: 'pyfunc',
    file: null,
    options: {},
    method: 'predict',
    code: `runs its code, by ${String(pyfunc['loader_module'])}`,
    needsMlflow: true,
  };
}

function readMlModel(file: StoredFile): MlModel {
  const { value } = parseYaml(readSmall(file, MAX_BYTES), MLMODEL, MAX_BYTES);
  const root = asObject(value);
  const flavors = asObject(root?.['flavors']);
  if (root === null || flavors === null) throw faulty(MLMODEL, [{ pointer: '/flavors', message: 'is missing' }]);
  return {
    flavors: Object.fromEntries(Object.entries(flavors).map(([name, flavor]) => [name, asObject(flavor) ?? {}])),
    signature: asObject(root['signature']),
    mlflowVersion: typeof root['mlflow_version'] === 'string' ? root['mlflow_version'] : null,
    example: asObject(root['saved_input_example_info']),
  };
}

function requirementsOf(artifact: Artifact, model: MlModel, plan: Plan, how: string): Requirement[] {
  const given = artifact.about.python?.requirements;
  if (given !== undefined) return parseRequirements(given.join('\n'), 'slipway.yaml');
  const listed = readRequirements(artifact, 'requirements.txt');
  if (listed === null) {
    throw new SlipwayError('model_invalid', 'The MLflow model has no requirements.txt, so what it needs is not known', {
      hint: 'Log it again with this MLflow, or list the packages in slipway.yaml: python: {requirements: [scikit-learn==1.9.1]}.',
    });
  }
  const isMlflow = ({ name }: Requirement): boolean => name === 'mlflow' || name === 'mlflow-skinny';
  const kept = plan.needsMlflow ? listed : listed.filter((one) => !isMlflow(one));
  const needed = [
    ...(plan.needsMlflow ? ['mlflow'] : []),
    // MLflow writes with these by itself, and does not always list them.
    ...(['cloudpickle', 'skops'].includes(String(plan.options['reader'])) ? [String(plan.options['reader'])] : []),
    'numpy',
    ...(how === 'frame' ? ['pandas'] : []),
  ];
  const added = needed.filter((name) => !kept.some((one) => one.name === name || (name === 'mlflow' && isMlflow(one))));
  const lines = added.map((name) =>
    name === 'mlflow' && model.mlflowVersion !== null ? `mlflow==${model.mlflowVersion}` : name,
  );
  return [...kept, ...parseRequirements(lines.join('\n'), 'requirements.txt')];
}

function pythonOf({ byPath, about }: Artifact, model: MlModel): string | null {
  if (about.python?.version !== undefined) return about.python.version;
  const file = byPath.get('python_env.yaml');
  const listed =
    file === undefined ? null : asObject(parseYaml(readSmall(file, MAX_BYTES), 'python_env.yaml', MAX_BYTES).value);
  const version = listed?.['python'] ?? model.flavors['python_function']?.['python_version'];
  return /^(3\.\d{1,2})(\.|$)/.exec(String(version))?.[1] ?? null;
}

/** The first row of the example that was logged with the model, where it has a form that is known. */
function exampleOf({ byPath }: Artifact, { example }: MlModel, how: string): { sample?: PlainBody } {
  const path = example?.artifact_path;
  const file = typeof path === 'string' ? byPath.get(path) : undefined;
  if (file === undefined || how !== 'frame' || example?.pandas_orient !== 'split') return {};
  let table: { columns?: unknown; data?: unknown } | null;
  try {
    table = asObject(JSON.parse(readSmall(file, MAX_BYTES).toString()));
  } catch {
    return {}; // an example is a help, and no part of the model
  }
  const columns = table?.columns;
  const row = Array.isArray(table?.data) ? (table.data[0] as unknown) : undefined;
  if (!Array.isArray(columns) || !Array.isArray(row) || row.length !== columns.length) return {};
  return {
    sample: { records: [Object.fromEntries(columns.map((column, at) => [String(column), row[at] as unknown]))] },
  };
}

function named(artifact: Artifact, entry: StoredFile, path: string): StoredFile {
  const file = artifact.byPath.get(path);
  if (file) return file;
  throw new SlipwayError(
    'model_invalid',
    `${entry.path} names ${JSON.stringify(path.slice(0, 200))}, which was not uploaded with it`,
    {
      hint: 'Deploy the whole folder that MLflow saved.',
    },
  );
}

function asObject(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
