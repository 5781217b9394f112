/** A model repository of Triton: folders with config.pbtxt, and a folder for each version. What has no counterpart here is refused or told, never dropped. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DATATYPES } from '../../../sdk/src/datatypes.ts';
import { folderFiles } from '../../../sdk/src/node.ts';
import { suggestName } from '../name-check.ts';
import { cannotImport, type ImportedModel } from './import-plan.ts';
import { type PbMessage, type PbValue, parsePbtxt } from './pbtxt.ts';

export const CONFIG = 'config.pbtxt';

/** Fields that are read, by message. */
const READ = {
  root: [
    'name',
    'platform',
    'backend',
    'max_batch_size',
    'input',
    'output',
    'version_policy',
    'dynamic_batching',
    'default_model_filename',
    'model_warmup',
  ],
  io: ['name', 'data_type', 'dims', 'label_filename', 'optional', 'format'],
  policy: ['latest', 'all', 'specific'],
  batching: ['preferred_batch_size', 'max_queue_delay_microseconds', 'preserve_ordering'],
};
/** Fields without a counterpart that change no answer. */
const TOLD: Readonly<Record<string, string>> = {
  instance_group: 'instance_group: each version has one runner, which joins what waits into batches',
  optimization: 'optimization: the engine chooses its own',
  parameters: 'parameters: nothing reads them here',
  response_cache: 'response_cache: answers are not cached',
  cc_model_filenames: 'cc_model_filenames: there is one file',
  metric_tags: 'metric_tags: metrics go by project, model and version',
};
const REFUSED: Readonly<Record<string, string>> = {
  sequence_batching: 'calls do not belong to sequences here',
  ensemble_scheduling: 'deploy its models one by one, or write a predict.py that does what they do together',
  scheduling_choice: 'the order of calls is that of their keys and priorities',
};
type Io = {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly labelFile: string | null;
};

export function isTritonRepository(folder: string): boolean {
  return modelFolders(folder).length > 0;
}

function modelFolders(folder: string): string[] {
  if (existsSync(join(folder, CONFIG))) return [folder];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, CONFIG)))
    .map((entry) => join(folder, entry.name))
    .sort();
}

/** The models of a repository, or the one whose folder is named; of each the versions that its policy serves, the oldest first. */
export async function readTritonRepository(folder: string): Promise<ImportedModel[]> {
  const found: ImportedModel[] = [];
  for (const one of modelFolders(folder)) found.push(...(await readModel(one)));
  return found;
}

async function readModel(folder: string): Promise<ImportedModel[]> {
  const path = join(folder, CONFIG);
  const config = parsePbtxt(readFileSync(path, 'utf8'), path);
  const notes = assertFields(config, path);
  const name = suggestName(text(config, 'name') ?? basename(folder));
  const backend =
    text(config, 'backend') ?? (text(config, 'platform') ?? '').replace(/_(onnx|savedmodel|libtorch)$/, '');
  const isBatched = (number(config, 'max_batch_size') ?? 0) > 0;
  const inputs = messages(config, 'input').map((one) => ioOf(one, isBatched, path));
  const outputs = messages(config, 'output').map((one) => ioOf(one, isBatched, path));
  const delayUs = number(messages(config, 'dynamic_batching')[0], 'max_queue_delay_microseconds');
  const limits = delayUs === undefined ? {} : { limits: { maxDelayMs: Math.min(100, Math.round(delayUs / 1000)) } };
  if (config.fields.has('model_warmup'))
    notes.push('model_warmup: every version answers a first request before it serves, made from its signature');
  const models: ImportedModel[] = [];
  for (const version of versionsOf(config, folder, path)) {
    const inside = join(folder, version);
    const files = Object.fromEntries((await folderFiles(inside)).map((file) => [file.path, file.absolutePath]));
    const named = text(config, 'default_model_filename');
    const laid = layOut(backend, files, named, path);
    const labels = Object.fromEntries(
      outputs.flatMap((one) =>
        one.labelFile === null ? [] : [[one.name, { labels: labelsOf(folder, one.labelFile, path) }]],
      ),
    );
    const signature = laid.needsSignature
      ? { signature: { inputs: sideOf(inputs), outputs: merged(sideOf(outputs), labels) } }
      : Object.keys(labels).length > 0
        ? { signature: { outputs: labels } }
        : {};
    const about = { ...limits, ...signature, ...laid.about };
    models.push({ name, files: laid.files, about: Object.keys(about).length > 0 ? about : null, notes });
  }
  return models;
}

type Layout = {
  readonly files: Record<string, string>;
  readonly needsSignature: boolean;
  readonly about: Record<string, unknown>;
};

/** The files of a version as an artifact has them. */
function layOut(backend: string, files: Record<string, string>, named: string | undefined, path: string): Layout {
  const renamed = (from: string, to: string): Record<string, string> => {
    if (files[from] === undefined)
      throw cannotImport(
        `${path} needs ${from} in the folder of the version, and it is not there`,
        'Name it in default_model_filename.',
      );
    const { [from]: entry, ...rest } = files;
    return { ...rest, [to]: entry! };
  };
  switch (backend) {
    case 'onnxruntime':
    case 'onnx':
      return { files: renamed(named ?? 'model.onnx', 'model.onnx'), needsSignature: false, about: {} };
    case 'python':
      return { files: renamed(named ?? 'model.py', 'model.py'), needsSignature: true, about: {} };
    case 'pytorch':
      return { files: renamed(named ?? 'model.pt', 'model.pt'), needsSignature: true, about: { entry: 'model.pt' } };
    case 'tensorflow': {
      const prefix = `${named ?? 'model.savedmodel'}/`;
      const inside = Object.entries(files).filter(([file]) => file.startsWith(prefix));
      if (inside.length === 0)
        throw cannotImport(
          `${path} needs ${prefix} in the folder of the version, and it is not there`,
          'Name it in default_model_filename.',
        );
      return {
        files: Object.fromEntries(inside.map(([file, from]) => [file.slice(prefix.length), from])),
        needsSignature: false,
        about: {},
      };
    }
    default:
      throw cannotImport(
        `${path} names the backend ${JSON.stringify(backend)}, which has no counterpart here`,
        'Those of ONNX, Python, PyTorch and TensorFlow have one. Export the model to ONNX and deploy that.',
      );
  }
}

/** What has no counterpart, in sentences. @throws CliError for what is unknown, or would answer otherwise */
function assertFields(config: PbMessage, path: string): string[] {
  const notes: string[] = [];
  for (const name of config.fields.keys()) {
    if (READ.root.includes(name)) continue;
    const told = Object.hasOwn(TOLD, name) ? TOLD[name] : undefined;
    if (told !== undefined) {
      notes.push(told);
      continue;
    }
    if (name === 'model_transaction_policy' && messages(config, name)[0]?.fields.get('decoupled')?.[0] !== true)
      continue;
    const why = Object.hasOwn(REFUSED, name)
      ? REFUSED[name]
      : name === 'model_transaction_policy'
        ? 'each request has one answer here'
        : undefined;
    throw cannotImport(
      `${path} has the field ${name}, which ${why === undefined ? 'is not known' : 'has no counterpart here'}`,
      why ?? 'Take it out if the model answers the same without it.',
    );
  }
  const check = (message: PbMessage | undefined, known: readonly string[], where: string): void => {
    const odd = [...(message?.fields.keys() ?? [])].find((name) => !known.includes(name));
    if (odd !== undefined)
      throw cannotImport(
        `${path} has the field ${odd} in ${where} (line ${message!.line}), which is not known`,
        'Take it out if the model answers the same without it.',
      );
  };
  for (const side of ['input', 'output']) for (const one of messages(config, side)) check(one, READ.io, side);
  check(messages(config, 'version_policy')[0], READ.policy, 'version_policy');
  check(messages(config, 'dynamic_batching')[0], READ.batching, 'dynamic_batching');
  return notes;
}

function ioOf(message: PbMessage, isBatched: boolean, path: string): Io {
  const name = text(message, 'name');
  const word = String(text(message, 'data_type') ?? '').replace(/^TYPE_/, '');
  // Triton's own words: TYPE_STRING for BYTES, all others as here.
  const datatype = word === 'STRING' ? 'BYTES' : word === 'BYTES' ? '' : word;
  const dims = (message.fields.get('dims') ?? []).map(Number);
  if (
    name === undefined ||
    !(DATATYPES as readonly string[]).includes(datatype) ||
    dims.some((size) => !Number.isInteger(size))
  ) {
    throw cannotImport(
      `${path} has an input or output (line ${message.line}) without a name, type or dimensions that are known here`,
      `Types are ${DATATYPES.map((one) => `TYPE_${one === 'BYTES' ? 'STRING' : one}`).join(', ')}.`,
    );
  }
  return {
    name,
    datatype,
    shape: isBatched ? [-1, ...dims] : dims,
    labelFile: text(message, 'label_filename') ?? null,
  };
}

function sideOf(list: readonly Io[]): Record<string, { datatype: string; shape: readonly number[] }> {
  return Object.fromEntries(list.map(({ name, datatype, shape }) => [name, { datatype, shape }]));
}

function merged(a: Record<string, object>, b: Record<string, object>): Record<string, object> {
  return Object.fromEntries(Object.entries(a).map(([name, one]) => [name, { ...one, ...b[name] }]));
}

function labelsOf(folder: string, name: string, path: string): string[] {
  if (basename(name) !== name)
    throw cannotImport(`${path} has its labels outside of its folder, at ${name}`, 'Put them beside it.');
  const lines = readFileSync(join(folder, name), 'utf8')
    .split('\n')
    .map((line) => line.trim());
  return lines.filter((line) => line !== '');
}

/** The versions that the policy serves: the latest one unless it says another. */
function versionsOf(config: PbMessage, folder: string, path: string): string[] {
  const there = readdirSync(folder)
    .filter((name) => /^[1-9]\d*$/.test(name) && statSync(join(folder, name)).isDirectory())
    .sort((a, b) => Number(a) - Number(b));
  if (there.length === 0)
    throw cannotImport(
      `${path} has no version beside it`,
      'A version is a folder with a number for its name, such as 1.',
    );
  const policy = messages(config, 'version_policy')[0];
  if (policy?.fields.has('all')) return there;
  const specific = messages(policy, 'specific')[0]?.fields.get('versions')?.map(String);
  if (specific !== undefined) {
    const missing = specific.find((version) => !there.includes(version));
    if (missing !== undefined)
      throw cannotImport(`${path} serves the version ${missing}, which is not there`, `There are ${there.join(', ')}.`);
    return specific.sort((a, b) => Number(a) - Number(b));
  }
  return there.slice(-Math.max(1, number(messages(policy, 'latest')[0], 'num_versions') ?? 1));
}

function messages(message: PbMessage | undefined, name: string): PbMessage[] {
  return (message?.fields.get(name) ?? []).filter((value): value is PbMessage => typeof value === 'object');
}

function text(message: PbMessage, name: string): string | undefined {
  const value: PbValue | undefined = message.fields.get(name)?.at(-1);
  return typeof value === 'string' ? value : undefined;
}

function number(message: PbMessage | undefined, name: string): number | undefined {
  const value = message?.fields.get(name)?.at(-1);
  return typeof value === 'number' ? value : undefined;
}
