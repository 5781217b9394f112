/** `.tflite`: data only, computed by the interpreter of LiteRT. It is native code of another house, so it runs where models in Python run. */
import type { Importer } from '../importer.ts';
import { fileWithEnding, libraryModel, SMALL_LIBRARY_BYTES } from './library-model.ts';

export const tfliteFile: Importer = {
  format: 'tflite',
  detect: (artifact) => fileWithEnding(artifact, '.tflite'),

  describe: (_artifact, entry) => ({
    what: `${entry.path}, a TensorFlow Lite model`,
    code: 'runs the interpreter of LiteRT, in Python',
    withoutCode: 'Convert it, python -m tf2onnx.convert --tflite model.tflite --output model.onnx, and deploy that.',
  }),

  read: (artifact, entry) =>
    libraryModel(artifact, entry, {
      loader: 'tflite',
      known: null,
      needs: ['ai-edge-litert', 'numpy'],
      libraryBytes: SMALL_LIBRARY_BYTES,
    }),
};
