/** What other systems are told to serve: model-settings.json of MLServer, InferenceService of KServe, SeldonDeployment and Model of Seldon. */
import { dirname, resolve } from 'node:path';
import { suggestName } from '../name-check.ts';
import { cannotImport } from './import-plan.ts';

export type ServedElsewhere = {
  readonly name: string;
  /** Where its files are: a path, or an address with `://`. */
  readonly storage: string;
  /** What slipway.yaml is to say besides. */
  readonly about: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
};

type Json = Readonly<Record<string, unknown>>;

/** Words for model formats that are taken as their files are. */
const FORMATS =
  /^(sklearn|xgboost|lightgbm|catboost|mlflow|onnx|pytorch|torchscript|tensorflow|huggingface|triton|pmml|paddle)/i;
const NOT_HERE = /^(pmml|paddle)/i;

/** @returns null when the file is none of these @throws CliError */
export function readServingManifest(value: unknown, path: string): ServedElsewhere | null {
  const root = object(value);
  if (root === null) return null;
  const api = String(root['apiVersion'] ?? '');
  if (api.startsWith('serving.kserve.io') || api.startsWith('serving.kubeflow.org'))
    return inferenceService(root, path);
  if (api.startsWith('machinelearning.seldon.io')) return seldonDeployment(root, path);
  if (api.startsWith('mlops.seldon.io')) return seldonModel(root, path);
  return typeof root['implementation'] === 'string' ? modelSettings(root, path) : null;
}

/** mlserver/settings.py, ModelSettings. */
function modelSettings(root: Json, path: string): ServedElsewhere {
  const implementation = String(root['implementation']);
  assertKnown(
    root,
    [
      'name',
      'implementation',
      'parameters',
      'inputs',
      'outputs',
      'max_batch_size',
      'max_batch_time',
      'parallel_workers',
      'warm_workers',
      'platform',
      'versions',
      '$schema',
    ],
    path,
  );
  const known = /^mlserver_(sklearn|xgboost|lightgbm|catboost|mlflow|onnx|huggingface)\./.exec(implementation);
  if (known === null) {
    throw cannotImport(
      `${path} is served by ${implementation}, a class of its own`,
      'Write a predict.py that does what it does: docs/guides/any-framework.md.',
    );
  }
  const parameters = object(root['parameters']) ?? {};
  assertKnown(
    parameters,
    ['uri', 'version', 'format', 'content_type', 'environment_tarball', 'extra'],
    `parameters of ${path}`,
  );
  const uri = parameters['uri'];
  if (typeof uri !== 'string')
    throw cannotImport(`${path} does not say where the model is (parameters.uri)`, 'Name its file or folder there.');
  const side = (given: unknown): Record<string, object> =>
    Object.fromEntries(
      (Array.isArray(given) ? given : []).flatMap((one) => {
        const { name, datatype, shape } = (object(one) ?? {}) as {
          name?: unknown;
          datatype?: unknown;
          shape?: unknown;
        };
        return typeof name === 'string' ? [[name, { datatype, shape }]] : [];
      }),
    );
  const [inputs, outputs] = [side(root['inputs']), side(root['outputs'])];
  const signature =
    Object.keys(inputs).length + Object.keys(outputs).length > 0 ? { signature: { inputs, outputs } } : {};
  const waitMs = Math.round(Number(root['max_batch_time'] ?? 0) * 1000);
  const rows = Number(root['max_batch_size'] ?? 0);
  const limits = {
    ...(waitMs > 0 ? { maxDelayMs: Math.min(100, waitMs) } : {}),
    ...(rows > 1 ? { maxBatchRows: rows } : {}),
  };
  return {
    name: nameOf(root['name'], path),
    storage: inside(uri, path),
    about: { ...signature, ...(Object.keys(limits).length > 0 ? { limits } : {}) },
    notes: [
      ...(root['parallel_workers'] === undefined ? [] : ['parallel_workers: each version has one runner']),
      ...(parameters['environment_tarball'] === undefined
        ? []
        : ['environment_tarball: an environment is made of requirements.txt']),
    ],
  };
}

function inferenceService(root: Json, path: string): ServedElsewhere {
  if (root['kind'] !== 'InferenceService')
    throw cannotImport(`${path} is a ${String(root['kind'])} of KServe`, 'An InferenceService can be imported.');
  const spec = object(root['spec']) ?? {};
  for (const part of ['transformer', 'explainer']) {
    if (spec[part] !== undefined)
      throw cannotImport(`${path} has a ${part}`, 'Write a predict.py that does what it does, beside the model.');
  }
  assertKnown(spec, ['predictor'], `spec of ${path}`);
  const predictor = object(spec['predictor']) ?? {};
  const modern = object(predictor['model']);
  const old = Object.keys(predictor).find((key) => FORMATS.test(key) && object(predictor[key]) !== null);
  const framework = modern === null ? old : String(object(modern['modelFormat'])?.['name'] ?? '');
  const model = modern ?? (old === undefined ? null : object(predictor[old]));
  if (model === null || framework === undefined)
    throw cannotImport(`${path} names no model, but a container`, 'Deploy the model in it by itself, or a predict.py.');
  assertFormat(framework, path);
  const notes = Object.keys(predictor)
    .filter((key) => key !== 'model' && key !== old)
    .map(
      (key) =>
        `${key}: ${key === 'canaryTrafficPercent' ? 'bring a version in by steps with `slipway rollouts start`' : 'has no part here'}`,
    );
  const apart = Object.keys(model).filter(
    (key) => !['modelFormat', 'storageUri', 'storage', 'protocolVersion', 'name'].includes(key),
  );
  return {
    name: nameOf(object(root['metadata'])?.['name'], path),
    storage: inside(storageOf(model['storageUri'], path), path),
    about: {},
    notes: [...notes, ...apart.map((key) => `${key}: has no part here`)],
  };
}

function seldonDeployment(root: Json, path: string): ServedElsewhere {
  const predictors = object(root['spec'])?.['predictors'];
  const all = Array.isArray(predictors) ? predictors : [];
  const first = object(all[0]);
  const graph = object(first?.['graph']);
  if (graph === null)
    throw cannotImport(`${path} has no predictor with a graph`, 'A SeldonDeployment with one can be imported.');
  const children = graph['children'];
  if (Array.isArray(children) && children.length > 0)
    throw cannotImport(
      `${path} has a graph of several parts`,
      'Deploy its models one by one, or write a predict.py that does what they do together.',
    );
  const server = String(graph['implementation'] ?? '');
  const known = /^(SKLEARN|XGBOOST|MLFLOW|TENSORFLOW|TRITON|HUGGINGFACE)_SERVER$/.exec(server);
  if (known === null)
    throw cannotImport(
      `${path} is served by ${server || 'a container of its own'}`,
      'Write a predict.py that does what it does: docs/guides/any-framework.md.',
    );
  return {
    name: nameOf(object(root['metadata'])?.['name'], path),
    storage: inside(storageOf(graph['modelUri'], path), path),
    about: {},
    notes: [
      ...(all.length > 1
        ? [`it has ${all.length} predictors: the first is imported; bring the others in by \`slipway rollouts start\``]
        : []),
      ...(Array.isArray(graph['parameters']) && graph['parameters'].length > 0
        ? ['parameters: nothing reads them here']
        : []),
    ],
  };
}

function seldonModel(root: Json, path: string): ServedElsewhere {
  if (root['kind'] !== 'Model')
    throw cannotImport(
      `${path} is a ${String(root['kind'])} of Seldon`,
      'A Model or a SeldonDeployment can be imported.',
    );
  const spec = object(root['spec']) ?? {};
  const requirements = Array.isArray(spec['requirements']) ? spec['requirements'].map(String) : [];
  for (const one of requirements) assertFormat(one, path);
  const apart = Object.keys(spec).filter((key) => !['storageUri', 'requirements'].includes(key));
  return {
    name: nameOf(object(root['metadata'])?.['name'], path),
    storage: inside(storageOf(spec['storageUri'], path), path),
    about: {},
    notes: apart.map((key) => `${key}: has no part here`),
  };
}

function assertFormat(framework: string, path: string): void {
  if (FORMATS.test(framework) && !NOT_HERE.test(framework)) return;
  throw cannotImport(
    `${path} names the format ${JSON.stringify(framework)}, which is not served here`,
    'docs/guides/any-framework.md lists those that are.',
  );
}

function assertKnown(given: Json, known: readonly string[], path: string): void {
  const odd = Object.keys(given).find((key) => !known.includes(key));
  if (odd !== undefined)
    throw cannotImport(
      `${path} has the field ${odd}, which is not known`,
      'Take it out if the model answers the same without it.',
    );
}

function storageOf(value: unknown, path: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw cannotImport(`${path} does not say where the model is (storageUri)`, 'Name its file, folder or address there.');
}

/** Paths are relative to the file that names them. */
function inside(storage: string, path: string): string {
  if (storage.startsWith('file://')) return storage.slice('file://'.length);
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(storage) ? storage : resolve(dirname(path), storage);
}

function nameOf(value: unknown, path: string): string {
  const name = suggestName(typeof value === 'string' ? value : '');
  if (name !== '') return name;
  throw cannotImport(`${path} does not name the model`, 'Give a name with --name.');
}

function object(value: unknown): Json | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null;
}
