import type { EngineFacts } from '../../registry/version.ts';

/**
 * Every engine of this release, the preferred one first: what control needs to know of engines, without loading one. `src/runner.ts` has the
 * engines themselves; it does not compile while one of this list is missing there.
 */
export const ENGINES = [
  { name: 'onnxruntime', formats: ['onnx'] },
  { name: 'tabular', formats: ['onnx', 'xgboost', 'lightgbm'] },
  // A program of its own, in Python: src/serving/python/.
  {
    name: 'python',
    formats: [
      'python',
      'mlflow',
      'estimator',
      'torch',
      'savedmodel',
      'keras',
      'tflite',
      'catboost',
      'mar',
      'triton',
      'huggingface',
    ],
  },
] as const satisfies readonly EngineFacts[];

/** Runs a model on two engines and compares; for throw-away processes of validation, never for a version. */
export const TABULAR_CHECK = 'tabular-check';

/** How its errors begin where the answers differ. */
export const ENGINES_DIFFER = 'The engines differ';

export type EngineName = (typeof ENGINES)[number]['name'];

/** Engines of the runner program in TypeScript. */
export type NativeEngineName = Exclude<EngineName, 'python'>;
