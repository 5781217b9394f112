/** `.cbm`: what CatBoost saves. slipway.yaml says what it takes and gives; `method: predict_proba` makes it a classifier. */
import type { Importer } from '../importer.ts';
import { fileWithEnding, libraryModel, SMALL_LIBRARY_BYTES } from './library-model.ts';

export const catboostFile: Importer = {
  format: 'catboost',
  detect: (artifact) => fileWithEnding(artifact, '.cbm'),

  describe: (_artifact, entry) => ({
    what: `${entry.path}, a CatBoost model`,
    code: 'runs the library catboost, in Python',
    withoutCode: 'Save it as ONNX, model.save_model("model.onnx", format="onnx"), and deploy that.',
  }),

  read(artifact, entry) {
    const methods = Object.values(artifact.about.signature?.outputs ?? {}).map((one) => one.method ?? 'predict');
    return libraryModel(artifact, entry, {
      loader: 'estimator',
      options: {
        reader: 'catboost',
        className: methods.includes('predict_proba') ? 'CatBoostClassifier' : 'CatBoost',
        outputs: methods.map((method) => ({ method })),
      },
      known: null,
      needs: ['catboost', 'numpy', 'pandas'],
      libraryBytes: SMALL_LIBRARY_BYTES,
    });
  },
};
