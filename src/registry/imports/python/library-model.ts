/** What importers of models share that a library loads from its own file, in the Python runner. */
import { SlipwayError } from '../../../base/errors.ts';
import type { PythonLoader } from '../../runtime.ts';
import type { StoredFile } from '../../validation.ts';
import type { Artifact, ReadModel } from '../importer.ts';
import { type GivenSignature, givenSignature, type KnownSignature } from './given-signature.ts';
import { parseRequirements, readRequirements, requirementWarnings } from './requirements.ts';

const MIB = 1024 * 1024;

export type LibraryModel = {
  readonly loader: PythonLoader;
  /** Besides its file and how it takes its inputs. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** What its own files say it takes and gives; null where they say nothing. */
  readonly known: KnownSignature | null;
  /** The signature, where the importer had to put it together already. */
  readonly given?: GivenSignature;
  /** What it needs, where neither requirements.txt nor slipway.yaml says it. */
  readonly needs: readonly string[];
  /** Of the loaded libraries, without the model. */
  readonly libraryBytes: number;
  readonly warnings?: readonly string[];
};

/** @throws SlipwayError `model_invalid` where nothing says what it takes or gives */
export function libraryModel(artifact: Artifact, entry: StoredFile, model: LibraryModel): ReadModel {
  const { about, files } = artifact;
  const given = model.given ?? givenSignature(about, model.known, entry.path);
  const requirements =
    about.python?.requirements === undefined
      ? (readRequirements(artifact, 'requirements.txt') ??
        parseRequirements(model.needs.join('\n'), 'requirements.txt'))
      : parseRequirements(about.python.requirements.join('\n'), 'slipway.yaml');
  return {
    signature: given.signature,
    runtime: {
      loader: model.loader,
      options: { file: entry.path, inputs: given.how, ...model.options },
      python: about.python?.version ?? null,
      requirements: requirements.map((one) => one.line),
      network: about.python?.network === true,
    },
    memoryBytes: model.libraryBytes + 3 * files.reduce((sum, file) => sum + file.sizeBytes, 0),
    warnings: [...(model.warnings ?? []), ...requirementWarnings(requirements)],
  };
}

/** The one file at the top with one of these endings, or the one that slipway.yaml names. @throws SlipwayError `model_invalid` for several */
export function fileWithEnding({ files, byPath, about }: Artifact, ...endings: readonly string[]): StoredFile | null {
  const isOne = (file: StoredFile): boolean => endings.some((ending) => file.path.toLowerCase().endsWith(ending));
  const named = about.entry === undefined ? undefined : byPath.get(about.entry);
  if (named !== undefined) return isOne(named) ? named : null;
  const top = files.filter((file) => !file.path.includes('/') && isOne(file));
  if (top.length <= 1) return top[0] ?? null;
  throw new SlipwayError('model_invalid', `There are ${top.length} models: ${top.map((one) => one.path).join(', ')}`, {
    hint: 'Name the one to serve in slipway.yaml (entry: …), push the others as models of their own, or put a predict.py beside them that uses them all.',
  });
}

/** Of torch and TensorFlow, loaded and idle. */
export const LARGE_LIBRARY_BYTES = 600 * MIB;
export const SMALL_LIBRARY_BYTES = 150 * MIB;
