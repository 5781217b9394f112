/** Files that XGBoost and LightGBM save by themselves. They are data: read here and computed by the engine tabular, without Python. */
import { SlipwayError } from '../../../base/errors.ts';
import type { Datatype, Signature } from '../../signature.ts';
import type { StoredFile } from '../../validation.ts';
import { assertAllowedName } from '../file-format.ts';
import type { Importer } from '../importer.ts';
import { inspect } from '../inspect-file.ts';
import { openSource, readSmall } from '../stored-source.ts';
import { type Booster, BoosterFault } from './booster.ts';
import { isLightgbm, readLightgbm } from './lightgbm-reader.ts';
import { isXgboost, readXgboost } from './xgboost-reader.ts';

/** Larger files would take more memory to read than any table's model is worth. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Of the loaded forest, by byte of its file. */
const MEMORY_FACTOR = 6;

function boosterImporter(library: {
  readonly format: string;
  readonly title: string;
  readonly endings: readonly string[];
  readonly isOf: (head: Uint8Array) => boolean;
  readonly read: (bytes: Uint8Array) => Booster;
}): Importer {
  return {
    format: library.format,

    detect({ files, about }) {
      const own = files.filter(
        (file) => !file.path.includes('/') && library.endings.some((end) => file.path.toLowerCase().endsWith(end)),
      );
      const named = about.entry === undefined ? own : own.filter((file) => file.path === about.entry);
      return named.find((file) => library.isOf(headOf(file))) ?? null;
    },

    describe: (_artifact, entry) => ({ what: `${entry.path}, a ${library.title} model`, code: null }),

    read({ files }, entry) {
      for (const file of files) if (file !== entry) inspect(file);
      assertAllowedName(entry.path);
      const booster = readBooster(library, entry);
      return {
        signature: signatureOf(booster),
        runtime: null,
        memoryBytes: MEMORY_FACTOR * entry.sizeBytes,
        warnings: booster.warnings,
      };
    },
  };
}

export const xgboostImporter = boosterImporter({
  format: 'xgboost',
  title: 'XGBoost',
  endings: ['.json', '.ubj'],
  isOf: isXgboost,
  read: readXgboost,
});

export const lightgbmImporter = boosterImporter({
  format: 'lightgbm',
  title: 'LightGBM',
  endings: ['.txt'],
  isOf: isLightgbm,
  read: readLightgbm,
});

function readBooster(
  { title, read }: { title: string; read: (bytes: Uint8Array) => Booster },
  entry: StoredFile,
): Booster {
  try {
    return read(readSmall(entry, MAX_BYTES));
  } catch (error) {
    if (!(error instanceof BoosterFault)) throw error;
    if (error.kind === 'invalid') {
      throw new SlipwayError('model_invalid', `${entry.path} is not a whole ${title} model: ${error.message}`, {
        hint: 'Save it again with save_model, and upload it as it is.',
        cause: error,
      });
    }
    throw new SlipwayError('model_unsupported', `${entry.path} cannot be computed here: ${error.message}`, {
      hint: `Deploy a predict.py that loads it, with ${title.toLowerCase()} in requirements.txt and --allow-code; docs/guides/any-framework.md says how.`,
      cause: error,
    });
  }
}

/** What the library's own `Booster.predict` takes and gives. */
export function signatureOf({ features, featureNames, isDouble, scores, link }: Booster): Signature {
  const datatype: Datatype = isDouble ? 'FP64' : 'FP32';
  const isUnique = featureNames !== null && new Set(featureNames).size === features;
  return {
    inputs: [{ name: 'input', datatype, shape: [-1, features], ...(isUnique ? { features: featureNames } : {}) }],
    outputs: [{ name: 'prediction', datatype, shape: scores === 1 || link.kind === 'largest' ? [-1] : [-1, scores] }],
  };
}

function headOf(file: StoredFile): Uint8Array {
  const source = openSource(file);
  try {
    return source.head;
  } finally {
    source.close();
  }
}
