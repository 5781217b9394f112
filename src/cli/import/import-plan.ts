/** What an import comes to: a folder for each model, as `slipway deploy` takes it. Made from what another system keeps. */
import { copyFile, link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { CONFIG_FILE } from '../artifact-files.ts';
import { CliError } from '../cli-error.ts';

export type ImportedModel = {
  readonly name: string;
  /** Where each file of the artifact lies now, by its path in the artifact. */
  readonly files: Readonly<Record<string, string>>;
  /** What slipway.yaml is to say; null: the files have it, or need none. */
  readonly about: Readonly<Record<string, unknown>> | null;
  /** What of the other system's settings has no part here, in sentences. */
  readonly notes: readonly string[];
};

/** Lays the model out in a folder of its own, and gives it to `use`. Files are linked where they may be. */
export async function withFolder<T>(model: ImportedModel, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-import-'));
  try {
    for (const [path, from] of Object.entries(model.files)) {
      // What is written below must not go through a link into somebody's file.
      if (path === CONFIG_FILE && model.about !== null) continue;
      const to = join(folder, path);
      await mkdir(dirname(to), { recursive: true });
      await link(from, to).catch(() => copyFile(from, to));
    }
    if (model.about !== null) await writeFile(join(folder, CONFIG_FILE), stringify(model.about));
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function cannotImport(message: string, hint: string): CliError {
  return new CliError('validation', message, { code: 'model_unsupported', hint });
}
