import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { folderFiles } from '../../sdk/src/node.ts';
import { CONFIG_FILE } from './artifact-files.ts';
import { CliError } from './cli-error.ts';
import { deploy } from './deploy.ts';
import { downloadMlflow, fetchStorage } from './import/download.ts';
import { type ImportedModel, withFolder } from './import/import-plan.ts';
import { readServingManifest, type ServedElsewhere } from './import/serving-manifest.ts';
import { isTritonRepository, readTritonRepository } from './import/triton-repository.ts';
import { checkNameOption, suggestName } from './name-check.ts';
import type { VerbCall, VerbSpec } from './verb.ts';
import { readYamlFile } from './yaml-file.ts';

export const importModels: VerbSpec = {
  name: 'import',
  summary: 'Deploy what another system keeps or serves',
  about:
    'Takes a model repository of Triton, model-settings.json of MLServer, an InferenceService of KServe, a SeldonDeployment, a model of an MLflow server, or any file ' +
    'or folder that `deploy` takes. What they name is fetched onto this machine, and deployed from here. Settings without a counterpart are told; those that would change an answer are refused.',
  examples: [
    ['slipway import ./triton_repo', 'every model of a repository, each as an endpoint'],
    [
      'slipway import mlflow://localhost:5000/models/churn@champion --allow-code',
      'a model of an MLflow server, by alias or number',
    ],
    ['slipway import inferenceservice.yaml', 'the model that it names'],
    ['slipway import ./triton_repo --dry-run', 'says what would be deployed'],
  ],
  args: [{ name: 'source', help: 'a folder, a file or an address', completes: 'file' }],
  options: [
    ...(deploy.options ?? []).map((option) =>
      option.flags.startsWith('--name')
        ? { ...option, help: "the model's name; what the source calls it unless given" }
        : option,
    ),
    {
      flags: '--trust-manifest',
      help: 'the manifest may name any file of this machine and any address; unless given, files of its own folder and public ones over TLS',
    },
  ],
  changes: true,
  run: runImport,
};

/** Larger ones are models: boosters are JSON too. */
const MAX_MANIFEST_BYTES = 256 * 1024;

async function runImport(call: VerbCall): Promise<number> {
  const source = call.args[0]!;
  const scratch = await mkdtemp(join(tmpdir(), 'slipway-fetch-'));
  try {
    const models = await modelsOf(source, scratch, call);
    const name = checkNameOption('--name', call.options.text('name'));
    if (name !== undefined && new Set(models.map((one) => one.name)).size > 1) {
      throw new CliError('usage', `${source} has several models, and one name was given`, {
        hint: 'Leave --name out, or import the folder of one model.',
      });
    }
    let worst = 0;
    for (const model of models) {
      for (const note of model.notes) call.out.note(`${model.name}: ${note}`);
      const code = await withFolder(
        model,
        async (folder) => (await deploy.run(named(call, folder, name ?? model.name))) ?? 0,
      );
      worst = Math.max(worst, code);
    }
    return worst;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function modelsOf(source: string, scratch: string, call: VerbCall): Promise<ImportedModel[]> {
  if (/^mlflow(\+https)?:\/\//.test(source)) {
    const { name } = await downloadMlflow(source, scratch, call.signal);
    return [await asItIs(scratch, suggestName(name), {})];
  }
  if (source.includes('://')) return [await asItIs(await fetchStorage(source, scratch, call.signal), null, {})];
  const path = resolve(source);
  if (!existsSync(path)) throw new CliError('notFound', `There is no file or folder ${source}`, { code: 'ENOENT' });
  if (statSync(path).isDirectory()) {
    return isTritonRepository(path) ? readTritonRepository(path) : [await asItIs(path, null, {})];
  }
  const mayBeManifest = /\.(ya?ml|json)$/i.test(path) && statSync(path).size <= MAX_MANIFEST_BYTES;
  const manifest = mayBeManifest ? readServingManifest(readYamlFile(path).value, path) : null;
  if (manifest === null) return [await asItIs(path, null, {})];
  return servedElsewhere(manifest, scratch, call.signal, call.options.flag('trustManifest') ? null : path);
}

async function servedElsewhere(
  served: ServedElsewhere,
  scratch: string,
  signal: AbortSignal,
  manifest: string | null,
): Promise<ImportedModel[]> {
  const place = await fetchStorage(served.storage, scratch, signal, manifest);
  if (!existsSync(place))
    throw new CliError('notFound', `The model is said to be at ${served.storage}, and is not there`, {
      code: 'ENOENT',
    });
  if (statSync(place).isDirectory() && isTritonRepository(place)) {
    return (await readTritonRepository(place)).map((model) => ({ ...model, notes: [...served.notes, ...model.notes] }));
  }
  const model = await asItIs(place, served.name, served.about);
  return [{ ...model, notes: served.notes }];
}

/** A file or folder as `deploy` takes it. */
async function asItIs(
  path: string,
  name: string | null,
  about: Readonly<Record<string, unknown>>,
): Promise<ImportedModel> {
  const isFolder = statSync(path).isDirectory();
  const files = isFolder
    ? Object.fromEntries((await folderFiles(path)).map((file) => [file.path, file.absolutePath]))
    : { [basename(path)]: path };
  const own = name ?? suggestName(basename(path).replace(/\.[a-z0-9]+$/i, ''));
  // What lies there already says it better.
  const isSaid = files[CONFIG_FILE] !== undefined || Object.keys(about).length === 0;
  return { name: own, files, about: isSaid ? null : about, notes: [] };
}

/** The same call, for the folder that was laid out. */
function named(call: VerbCall, folder: string, name: string): VerbCall {
  return {
    ...call,
    args: [folder],
    options: { ...call.options, text: (option) => (option === 'name' ? name : call.options.text(option)) },
  };
}
