/** A conversion makes a version of another one: converted to ONNX, or optimised. Types and pure rules; conversion-worker.ts does it. */
import { SlipwayError } from '../../base/errors.ts';
import type { ConversionReport, Quantization, Tolerance } from '../../registry/conversion-report.ts';
import type { Runtime } from '../../registry/runtime.ts';
import type { Signature } from '../../registry/signature.ts';

export type ConversionSpec =
  | { readonly kind: 'convert'; readonly to: 'onnx'; readonly tolerance?: Partial<Tolerance> }
  | {
      readonly kind: 'optimize';
      readonly quantize: Quantization;
      /** From 0 to 1: least share of rows that are answered alike. */
      readonly leastFidelity?: number;
      /** Column of the reference set that has what was right, and the output that says it. */
      readonly truth?: string;
      readonly output?: string;
      /** Most of the accuracy that may be lost, from 0 to 1. */
      readonly mostLost?: number;
    };

/** refused: it was made, and did not pass; failed: it could not be made. */
export type ConversionStatus = 'waiting' | 'working' | 'made' | 'refused' | 'failed';

export type Conversion = {
  readonly id: string;
  readonly model: string;
  /** Number of the version that it is made of. */
  readonly from: number;
  readonly spec: ConversionSpec;
  readonly status: ConversionStatus;
  /** What it is doing, or why it was refused or failed. */
  readonly reason: string | null;
  readonly hint: string | null;
  readonly report: ConversionReport | null;
  /** The version that was made. */
  readonly version: number | null;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly finishedAt: string | null;
};

/** Room for another machine and sums in another order; the same as of golden sets in FP32. */
export const DEFAULT_TOLERANCE: Tolerance = { absolute: 1e-5, relative: 1e-4 };
export const DEFAULT_FIDELITY = 0.99;
export const DEFAULT_LOST = 0.01;

/**
 * FP64: with trees that compare as those of their library do, in FP32 (scikit-learn's forests, XGBoost) or in FP64 (LightGBM, histogram boosting); `FP64 as written`: as the converter wrote them.
 */
export type Floats = 'FP64' | 'FP64 as written' | 'FP32';
const ALL_FLOATS: readonly Floats[] = ['FP64', 'FP64 as written', 'FP32'];

/** What the tool program is started with. */
export type ConversionPlan = {
  readonly tool: 'converter' | 'optimizer';
  readonly options: Readonly<Record<string, unknown>>;
  readonly needs: Pick<Runtime, 'python' | 'requirements'>;
  /** Which floating numbers the graph computes in: each is tried, in this order, until one agrees. */
  readonly floats: readonly Floats[];
};

export type ConvertedFrom = {
  readonly format: string;
  readonly entry: string;
  readonly runtime: Runtime | null;
  readonly signature: Signature;
};

/** By the format of the version: what its converter needs beside the packages of the version itself. */
const CONVERTERS: Readonly<Record<string, readonly string[]>> = {
  estimator: ['skl2onnx', 'onnx'],
  mlflow: ['skl2onnx', 'onnxmltools', 'onnx', 'packaging'],
  catboost: ['onnx'],
  xgboost: ['xgboost', 'onnxmltools', 'skl2onnx', 'onnx', 'numpy', 'scikit-learn', 'pandas', 'packaging'],
  lightgbm: ['lightgbm', 'onnxmltools', 'skl2onnx', 'onnx', 'numpy', 'scikit-learn', 'pandas', 'packaging'],
};
const OPTIMIZER = ['onnx', 'onnxruntime', 'numpy', 'sympy'];
/** Libraries whose estimators skl2onnx learns from onnxmltools. */
const FOREIGN = /^(xgboost|lightgbm)\b/;

/** @throws SlipwayError `model_unsupported` with what can be done instead */
export function planConversion(spec: ConversionSpec, version: ConvertedFrom): ConversionPlan {
  if (spec.kind === 'optimize') {
    if (version.format !== 'onnx') {
      throw new SlipwayError('model_unsupported', `What is optimised is ONNX, and this version is ${version.format}`, {
        hint: 'Convert it first: slipway convert <model>@<version> --to onnx, then optimise the version that this makes.',
      });
    }
    const needs = { python: null, requirements: OPTIMIZER };
    return { tool: 'optimizer', options: { quantize: spec.quantize }, needs, floats: ['FP32'] };
  }
  if (version.format === 'onnx') {
    throw new SlipwayError('model_unsupported', 'The version is ONNX already', {
      hint: '`slipway optimize` makes it smaller or quicker.',
    });
  }
  const tools = CONVERTERS[version.format];
  if (tools === undefined) {
    throw new SlipwayError(
      'model_unsupported',
      `There is no converter to ONNX for a version of the format ${version.format}`,
      {
        hint: 'Export it where it was made, and deploy that; docs/guides/any-framework.md names the exporters.',
      },
    );
  }
  const { runtime } = version;
  const own = runtime?.requirements ?? [];
  const added = [...tools, ...(own.some((line) => FOREIGN.test(line)) ? ['onnxmltools', 'skl2onnx', 'packaging'] : [])];
  const names = own.map((line) => /^[\w.-]+/.exec(line)?.[0].toLowerCase() ?? '');
  const requirements = [...own, ...[...new Set(added)].filter((name) => !names.includes(name))];
  const isEstimator = runtime?.loader === 'estimator' || runtime?.loader === 'pyfunc';
  return {
    tool: 'converter',
    options: { source: sourceOf(version), signature: version.signature },
    needs: { python: runtime?.python ?? null, requirements },
    floats: isEstimator ? ALL_FLOATS : version.format === 'lightgbm' ? ['FP64', 'FP32'] : ['FP32'],
  };
}

/** How the tool loads it: as its runner does; boosters, which need none, by their library. */
function sourceOf({ format, entry, runtime }: ConvertedFrom): {
  loader: string;
  options: Readonly<Record<string, unknown>>;
} {
  if (runtime !== null) return { loader: runtime.loader, options: runtime.options };
  return { loader: 'estimator', options: { reader: format, file: entry, inputs: 'matrix' } };
}
