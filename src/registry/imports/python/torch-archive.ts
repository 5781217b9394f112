/** `.mar`: an archive of torch-model-archiver, with its handler. It is unpacked by its own process, in its own folder. */
import { SlipwayError } from '../../../base/errors.ts';
import type { StoredFile } from '../../validation.ts';
import type { Importer } from '../importer.ts';
import { readZip } from '../zip-reader.ts';
import { fileWithEnding, LARGE_LIBRARY_BYTES, libraryModel } from './library-model.ts';
import { parseRequirements } from './requirements.ts';

const MANIFEST = 'MAR-INF/MANIFEST.json';
const MAX_BYTES = 256 * 1024;
/** Handlers that are part of TorchServe itself, and not of the archive. */
const BUILT_IN = new Set(['image_classifier', 'image_segmenter', 'object_detector', 'text_classifier']);

type Manifest = {
  readonly modelName: string;
  readonly handler: string;
  readonly serializedFile: string | null;
  readonly requirementsFile: string | null;
};

export const torchArchive: Importer = {
  format: 'mar',
  detect: (artifact) => fileWithEnding(artifact, '.mar'),

  describe(_artifact, entry) {
    const { modelName, handler } = readManifest(entry);
    return {
      what: `${entry.path}, an archive of TorchServe (the model ${modelName} with the handler ${handler})`,
      code: 'runs its handler',
    };
  },

  read(artifact, entry) {
    const { handler, serializedFile, requirementsFile } = readManifest(entry);
    if (BUILT_IN.has(handler.replace(/\.py$/, ''))) {
      throw new SlipwayError('model_unsupported', `The handler ${handler} is a part of TorchServe, which is not here`, {
        hint: 'Put a handler of your own into the archive (torch-model-archiver --handler handler.py), or deploy the model in it by itself.',
      });
    }
    const [path] = handler.split(':') as [string];
    const members = readZip(entry);
    const file = [path, `${path}.py`].find((one) => members.has(one));
    if (file === undefined)
      throw new SlipwayError('model_invalid', `${entry.path} names the handler ${handler}, which is not in it`);
    const listed = requirementsFile === null ? undefined : members.get(requirementsFile)?.read(MAX_BYTES).toString();
    const needs = listed === undefined ? [] : parseRequirements(listed, requirementsFile!).map((one) => one.line);
    return libraryModel(artifact, entry, {
      loader: 'handler',
      options: { handler: file, function: handler.split(':')[1] ?? null, serializedFile },
      known: {
        inputs: [{ name: 'data', datatype: 'BYTES', shape: [-1] }],
        outputs: [{ name: 'prediction', datatype: 'BYTES', shape: [-1] }],
        how: 'tensors',
      },
      needs: [
        ...needs,
        ...(needs.some((line) => /^torch\b/.test(line)) ? [] : ['torch']),
        ...(needs.some((line) => /^numpy\b/.test(line)) ? [] : ['numpy']),
      ],
      libraryBytes: LARGE_LIBRARY_BYTES,
      warnings: ['Its handler is given texts, and what it gives is answered as JSON in a text.'],
    });
  },
};

function readManifest(entry: StoredFile): Manifest {
  const member = readZip(entry).get(MANIFEST);
  if (member === undefined) throw new SlipwayError('model_invalid', `${entry.path} has no ${MANIFEST}`);
  let model: Record<string, unknown> | undefined;
  try {
    model = (JSON.parse(member.read(MAX_BYTES).toString()) as { model?: Record<string, unknown> }).model;
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
  }
  const text = (key: string): string | null => (typeof model?.[key] === 'string' ? (model[key] as string) : null);
  const handler = text('handler');
  if (handler === null) throw new SlipwayError('model_invalid', `${MANIFEST} of ${entry.path} names no handler`);
  return {
    modelName: text('modelName') ?? 'without a name',
    handler,
    serializedFile: text('serializedFile'),
    requirementsFile: text('requirementsFile'),
  };
}
