import { SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../signature.ts';
import { datatypeOfElem, elemName, type OnnxModel, type OnnxType, type OnnxValue } from './onnx-types.ts';

export type ReadSignature = { readonly signature: Signature; readonly warnings: readonly string[] };

/** Shapes that slipway.yaml gives for tensors whose graph leaves them open, by tensor name. */
export type GivenShapes = {
  readonly inputs: ReadonlyMap<string, readonly number[]>;
  readonly outputs: ReadonlyMap<string, readonly number[]>;
};

const NONE: GivenShapes = { inputs: new Map(), outputs: new Map() };

/**
 * What callers send and get, from the graph. An initializer of the same name makes an input optional; IR version 3 and older list every
 * initializer among the inputs, and those are no inputs of the model.
 * @throws SlipwayError `model_unsupported` when an input cannot be sent, or no output can be returned
 */
export function signatureOfModel(model: OnnxModel, path: string, given: GivenShapes = NONE): ReadSignature {
  const warnings: string[] = [];
  const inputs = model.inputs
    .filter((input) => model.irVersion >= 4 || !model.defaulted.has(input.name))
    .map((input) => inputSpec(input, model, path, given));
  if (inputs.length === 0) {
    throw unsupported(path, 'has no inputs', 'Export the model so that its graph takes at least one input.');
  }
  const labels = new Map(model.zipMaps.map((zipMap) => [zipMap.output, zipMap.labels]));
  const outputs: TensorSpec[] = [];
  const left: string[] = [];
  for (const output of model.outputs) {
    const spec = outputSpec(output, labels.get(output.name), given, warnings);
    if (typeof spec === 'string') left.push(spec);
    else outputs.push(spec);
  }
  if (outputs.length === 0) {
    throw unsupported(
      path,
      left.length === 0 ? 'has no outputs' : `has no output that can be returned: ${left.join('; ')}`,
      'Export it with tensor outputs only; for scikit-learn: to_onnx(model, X, options={"zipmap": False}).',
    );
  }
  warnings.push(...left.map((reason) => `${reason}; it is left out`));
  return { signature: withMetadata({ inputs, outputs }, model.metadata, warnings), warnings };
}

function inputSpec(input: OnnxValue, model: OnnxModel, path: string, given: GivenShapes): TensorSpec {
  const { name, type } = input;
  if (type.kind !== 'tensor') {
    throw unsupported(path, `takes ${article(type)} as input ${name}`, 'Export it with tensor inputs only.');
  }
  const datatype = datatypeOfElem(type.elemType);
  if (!datatype) {
    throw unsupported(
      path,
      `takes a tensor ${elemName(type.elemType)} as input ${name}, a type that callers cannot send`,
      'Export it with an input of another type and a Cast node.',
    );
  }
  const shape = shapeOf(type.dims, given.inputs.get(name));
  if (!shape) {
    throw unsupported(
      path,
      `does not say how many dimensions its input ${name} has`,
      `Give its shape in slipway.yaml (signature: {inputs: {${name}: {shape: [-1, 3]}}}), or declare it when exporting.`,
    );
  }
  return { name, datatype, ...shape, ...(model.defaulted.has(name) ? { optional: true } : {}) };
}

/** The spec, or why the output cannot be returned. */
function outputSpec(
  output: OnnxValue,
  labels: readonly string[] | undefined,
  given: GivenShapes,
  warnings: string[],
): TensorSpec | string {
  const { name, type } = output;
  if (labels) {
    const classes = labels.length === 0 ? -1 : labels.length;
    return { name, datatype: 'FP32', shape: [-1, classes], ...(labels.length === 0 ? {} : { labels }) };
  }
  if (type.kind !== 'tensor') return `the output ${name} is ${article(type)}, which no engine here returns`;
  const datatype = datatypeOfElem(type.elemType);
  if (!datatype) return `the output ${name} is a tensor ${elemName(type.elemType)}, which no engine here returns`;
  const shape = shapeOf(type.dims, given.outputs.get(name));
  if (shape) return { name, datatype, ...shape };
  warnings.push(`the graph does not say how many dimensions the output ${name} has; [-1] is shown`);
  return { name, datatype, shape: [-1] };
}

function shapeOf(
  dims: Extract<OnnxType, { kind: 'tensor' }>['dims'],
  given: readonly number[] | undefined,
): Pick<TensorSpec, 'shape' | 'symbols'> | null {
  if (dims === null) return given ? { shape: given } : null;
  const shape = dims.map((dim, at) => (typeof dim === 'number' ? dim : (given?.[at] ?? -1)));
  const symbols = dims.map((dim) => (typeof dim === 'string' ? dim : null));
  return symbols.some((symbol) => symbol !== null) ? { shape, symbols } : { shape };
}

/**
 * Names from the model's metadata: `slipway.features.<input>` and `slipway.labels.<output>`, JSON arrays of text. `slipway.features`,
 * or the often used `feature_names`, mean the only input that has columns.
 */
function withMetadata(signature: Signature, metadata: OnnxModel['metadata'], warnings: string[]): Signature {
  const wide = signature.inputs.filter((input) => input.shape.length === 2 && input.shape[1] !== 1);
  const inputs = signature.inputs.map((input) => {
    const only = wide.length === 1 && wide[0] === input ? ['slipway.features', 'feature_names'] : [];
    for (const key of [`slipway.features.${input.name}`, ...only]) {
      const features = namesIn(metadata, key, input.shape, warnings);
      if (features) return { ...input, features };
    }
    return input;
  });
  const outputs = signature.outputs.map((output) => {
    const labels = namesIn(metadata, `slipway.labels.${output.name}`, output.shape, warnings);
    return labels ? { ...output, labels } : output;
  });
  return { inputs, outputs };
}

function namesIn(
  metadata: OnnxModel['metadata'],
  key: string,
  shape: readonly number[],
  warnings: string[],
): readonly string[] | null {
  const text = metadata.get(key);
  if (text === undefined) return null;
  let names: unknown;
  try {
    names = JSON.parse(text);
  } catch {
    names = null;
  }
  const reason = assessNames(names, shape);
  if (reason === null) return names as string[];
  warnings.push(`the model's metadata ${key} is ignored: ${reason}`);
  return null;
}

/** Whether names fit the columns of a tensor [-1, n]; the reason when not. */
export function assessNames(names: unknown, shape: readonly number[]): string | null {
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string' && name !== '')) {
    return 'it is not a list of names';
  }
  if (new Set(names).size !== names.length) return 'a name is there twice';
  if (shape.length !== 2) return `the tensor has ${shape.length} dimensions, and columns need two`;
  if (shape[1] !== -1 && shape[1] !== names.length) {
    return `it has ${names.length} names, and the tensor ${shape[1]} columns`;
  }
  return null;
}

function article(type: OnnxType): string {
  if (type.kind === 'sequence') return 'a sequence';
  if (type.kind === 'map') return 'a map';
  if (type.kind === 'sparse') return 'a sparse tensor';
  if (type.kind === 'optional') return 'an optional value';
  return 'a value of unknown type';
}

function unsupported(path: string, what: string, hint: string): SlipwayError {
  return new SlipwayError('model_unsupported', `${path} ${what}`, { hint });
}
