import { lightgbmImporter, xgboostImporter } from './boosters/booster-importers.ts';
import type { Importer } from './importer.ts';
import { onnxImporter } from './onnx-importer.ts';
import { mlflowImporter } from './python/mlflow-model.ts';
import { predictFile } from './python/predict-file.ts';

/** Every format that is known, the more particular first: an artifact is what the first of them takes it for. */
export const IMPORTERS: readonly Importer[] = [
  onnxImporter,
  mlflowImporter,
  predictFile,
  xgboostImporter,
  lightgbmImporter,
];
