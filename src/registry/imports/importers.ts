import { lightgbmImporter, xgboostImporter } from './boosters/booster-importers.ts';
import type { Importer } from './importer.ts';
import { onnxImporter } from './onnx-importer.ts';
import { catboostFile } from './python/catboost-file.ts';
import { estimatorFile } from './python/estimator-file.ts';
import { huggingFace } from './python/hugging-face.ts';
import { kerasFile } from './python/keras-file.ts';
import { mlflowImporter } from './python/mlflow-model.ts';
import { predictFile } from './python/predict-file.ts';
import { savedModel } from './python/saved-model.ts';
import { tfliteFile } from './python/tflite-file.ts';
import { torchArchive } from './python/torch-archive.ts';
import { torchFile } from './python/torch-file.ts';
import { tritonModel } from './python/triton-model.ts';

/** Every format that is known, the more particular first: an artifact is what the first of them takes it for. */
export const IMPORTERS: readonly Importer[] = [
  onnxImporter,
  mlflowImporter,
  predictFile,
  tritonModel,
  savedModel,
  huggingFace,
  estimatorFile,
  torchFile,
  torchArchive,
  kerasFile,
  tfliteFile,
  catboostFile,
  xgboostImporter,
  lightgbmImporter,
];
