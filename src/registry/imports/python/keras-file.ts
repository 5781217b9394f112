/** `.keras` and `.h5`: models that Keras saved whole. */
import type { Importer } from '../importer.ts';
import { fileWithEnding, LARGE_LIBRARY_BYTES, libraryModel } from './library-model.ts';

export const kerasFile: Importer = {
  format: 'keras',
  detect: (artifact) => fileWithEnding(artifact, '.keras', '.h5', '.hdf5'),

  describe: (_artifact, entry) => ({
    what: `${entry.path}, a Keras model`,
    code: 'makes the layers that it names, and runs the code of Lambda layers',
    withoutCode: 'Export it to ONNX, model.export("model.onnx", format="onnx"), and deploy that.',
  }),

  read: (artifact, entry) =>
    libraryModel(artifact, entry, {
      loader: 'tensorflow',
      options: { kind: 'keras' },
      known: null,
      needs: ['tensorflow-cpu', 'numpy'],
      libraryBytes: LARGE_LIBRARY_BYTES,
    }),
};
