/** `model.pkl`, `.joblib`, `.skops`: an estimator as scikit-learn's users save it. Looked at by opcodes only; it is loaded in its own process, with permission. */
import { gunzipSync, inflateSync } from 'node:zlib';
import { SlipwayError } from '../../../base/errors.ts';
import type { StoredFile } from '../../validation.ts';
import type { Importer } from '../importer.ts';
import { readSmall } from '../stored-source.ts';
import { type EstimatorFacts, estimatorFacts } from './estimator-facts.ts';
import { givenSignature, type InputForm } from './given-signature.ts';
import { fileWithEnding, libraryModel, SMALL_LIBRARY_BYTES } from './library-model.ts';
import { LongPickle, PickleFault, readPickle } from './pickle-reader.ts';

const MIB = 1024 * 1024;
/** Larger ones are not looked into: slipway.yaml says what they take. */
const MAX_LOOKED_AT = 256 * MIB;
const READERS: Readonly<Record<string, 'pickle' | 'cloudpickle' | 'joblib' | 'skops'>> = {
  pkl: 'joblib',
  pickle: 'joblib',
  sav: 'joblib',
  joblib: 'joblib',
  cloudpickle: 'cloudpickle',
  skops: 'skops',
};

export const estimatorFile: Importer = {
  format: 'estimator',

  detect: (artifact) => fileWithEnding(artifact, ...Object.keys(READERS).map((ending) => `.${ending}`)),

  describe(_artifact, entry) {
    const { facts, why } = look(entry);
    if (endingOf(entry.path) === 'skops') {
      return { what: `${entry.path}, a skops file`, code: 'makes the objects that its file names' };
    }
    const what = facts === null ? `a pickle (${why})` : `a pickle: ${facts.title}`;
    const odd = facts === null || facts.odd.length === 0 ? '' : `; this one names ${listed(facts.odd)}`;
    return {
      what: `${entry.path}, ${what}`,
      code: `runs whatever code is in it${odd}`,
      withoutCode:
        'Convert it to ONNX where it was trained, skl2onnx.to_onnx(model, X[:1]) for scikit-learn, and deploy that.',
    };
  },

  read(artifact, entry) {
    const reader = READERS[endingOf(entry.path)]!;
    const { facts } = look(entry);
    const known = facts === null ? null : { inputs: facts.inputs, outputs: facts.outputs, how: 'matrix' as const };
    const given = givenSignature(artifact.about, known, entry.path);
    const isKnown = given.signature.outputs === facts?.outputs;
    return libraryModel(artifact, entry, {
      loader: 'estimator',
      options: {
        reader,
        outputs: given.methods.map((method, at) => ({ method: method ?? (isKnown ? facts.methods[at] : 'predict') })),
      },
      known,
      given,
      needs: needsOf(facts, reader, given.how),
      libraryBytes: SMALL_LIBRARY_BYTES,
    });
  },
};

function needsOf(facts: EstimatorFacts | null, reader: string, how: InputForm): string[] {
  const needed = new Set(facts?.requirements ?? ['scikit-learn', 'numpy']);
  if (reader === 'skops' || reader === 'cloudpickle') needed.add(reader);
  // scikit-learn brings it.
  if (reader === 'joblib' && ![...needed].some((one) => one.startsWith('scikit-learn'))) needed.add('joblib');
  if (how === 'frame' || how === 'columns') needed.add('pandas');
  return [...needed];
}

function look(entry: StoredFile): { facts: EstimatorFacts | null; why: string } {
  if (endingOf(entry.path) === 'skops') return { facts: null, why: 'a skops file' };
  if (entry.sizeBytes > MAX_LOOKED_AT) return { facts: null, why: 'larger than is looked into' };
  if (entry.sizeBytes === 0) {
    throw new SlipwayError('model_invalid', `${entry.path} is empty`, { hint: 'Check that saving it finished.' });
  }
  const bytes = opened(readSmall(entry, MAX_LOOKED_AT));
  if (bytes === null) return { facts: null, why: 'compressed in a way that is not looked into' };
  try {
    return { facts: estimatorFacts(readPickle(bytes)), why: '' };
  } catch (error) {
    if (error instanceof LongPickle) return { facts: null, why: 'longer than is looked into' };
    if (!(error instanceof PickleFault)) throw error;
    throw new SlipwayError('model_invalid', `${entry.path} is not a whole pickle: ${error.message}`, {
      hint: 'Save it again, and upload it as it is.',
      cause: error,
    });
  }
}

/** joblib compresses with zlib unless told otherwise. */
function opened(bytes: Buffer): Buffer | null {
  const options = { maxOutputLength: MAX_LOOKED_AT };
  try {
    if (bytes[0] === 0x78) return inflateSync(bytes, options);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes, options);
  } catch {
    return null;
  }
  const isOther = ['BZ', 'XZ', '\xfd7'].some((magic) => bytes.toString('latin1', 0, magic.length) === magic);
  return isOther || bytes.readUInt32LE(0) === 0x184d2204 ? null : bytes;
}

function endingOf(path: string): string {
  return /\.([a-z0-9]+)$/.exec(path.toLowerCase())?.[1] ?? '';
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 6).join(', ');
  return names.length > 6 ? `${shown} and ${names.length - 6} more` : shown;
}
