/** `model.py` with a class TritonPythonModel, as Triton's python backend takes it. slipway.yaml has what config.pbtxt says; `slipway import` writes it. */
import type { Importer } from '../importer.ts';
import { readText } from '../stored-source.ts';
import { blankOut } from './annotations.ts';
import { libraryModel, SMALL_LIBRARY_BYTES } from './library-model.ts';

const FILE = 'model.py';
const MAX_BYTES = 1024 * 1024;

export const tritonModel: Importer = {
  format: 'triton',

  detect({ byPath }) {
    const file = byPath.get(FILE);
    if (file === undefined || file.sizeBytes > MAX_BYTES) return null;
    return /^class\s+TritonPythonModel\b/m.test(blankOut(readText(file, MAX_BYTES))) ? file : null;
  },

  describe: () => ({ what: `${FILE}, a model of Triton's python backend`, code: 'runs the program' }),

  read: (artifact, entry) =>
    libraryModel(artifact, entry, {
      loader: 'triton',
      known: null,
      needs: ['numpy'],
      libraryBytes: SMALL_LIBRARY_BYTES,
    }),
};
