import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, normalize, resolve } from 'node:path';
import type { FileSource } from '../../sdk/src/client.ts';
import { fileSource, folderFiles } from '../../sdk/src/node.ts';
import { CliError } from './cli-error.ts';
import { suggestName } from './name-check.ts';

export type ArtifactInput = {
  readonly files: readonly FileSource[];
  readonly sizeBytes: number;
  /** A name made from the file's or folder's. */
  readonly suggestedName: string;
};

export const CONFIG_FILE = 'slipway.yaml';

/** What is sent for a path: the file, or of a folder what belongs to the model. */
export async function readArtifact(path: string, signal: AbortSignal): Promise<ArtifactInput> {
  const absolute = resolve(path);
  const found = await stat(absolute).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new CliError('notFound', `There is no file or folder ${path}`, {
      code: 'ENOENT',
      hint: 'Name the model file, or the folder with its slipway.yaml.',
    });
  });
  const chosen = found.isDirectory()
    ? await choose(absolute, path)
    : { paths: [basename(absolute)], name: suggestName(stemOf(absolute)) };
  const folder = found.isDirectory() ? absolute : dirname(absolute);
  const files: FileSource[] = [];
  for (const inside of chosen.paths) files.push(await fileSource(join(folder, inside), inside, signal));
  return {
    files,
    sizeBytes: files.reduce((sum, file) => sum + file.blob.size, 0),
    suggestedName: chosen.name,
  };
}

type Choice = { readonly paths: string[]; readonly name: string };

/**
 * Of a folder: what `files:` in its slipway.yaml lists, else everything but hidden files. A folder that also holds training data
 * and scripts names its artifact that way.
 */
async function choose(folder: string, shown: string): Promise<Choice> {
  const all = (await folderFiles(folder)).map((file) => file.path);
  if (all.length === 0) throw new CliError('validation', `The folder ${shown} is empty`, { code: 'model_refused' });
  const about = all.includes(CONFIG_FILE) ? await readAbout(join(folder, CONFIG_FILE)) : {};
  const name = typeof about.name === 'string' ? about.name : suggestName(basename(folder));
  if (about.files === undefined) return { paths: all, name };
  if (!Array.isArray(about.files) || !about.files.every((file) => typeof file === 'string')) {
    throw new CliError('validation', `\`files\` in ${CONFIG_FILE} must be a list of paths`, { code: 'model_invalid' });
  }
  const listed = about.files.map((file: string) => normalize(file));
  const missing = listed.filter((file) => !all.includes(file));
  if (missing.length > 0) {
    throw new CliError('validation', `${CONFIG_FILE} lists files that are not in ${shown}: ${missing.join(', ')}`, {
      code: 'model_invalid',
      hint: 'Paths under `files:` are relative to the folder, stay inside it and are no links.',
    });
  }
  return { paths: [...new Set([CONFIG_FILE, ...listed])], name };
}

/** The two entries that matter before anything is sent; the server checks the whole file. */
async function readAbout(path: string): Promise<{ files?: unknown; name?: unknown }> {
  const { parse } = await import('yaml');
  try {
    const parsed: unknown = parse(await readFile(path, 'utf8'));
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch (error) {
    throw new CliError('validation', `${CONFIG_FILE} cannot be read: ${(error as Error).message}`, {
      code: 'model_invalid',
    });
  }
}

function stemOf(path: string): string {
  const stem = basename(path).replace(/\.[a-z0-9]+$/i, '');
  // "model.onnx" says nothing: its folder usually does.
  return /^(model|best|final|output)$/i.test(stem) ? basename(dirname(path)) : stem;
}
