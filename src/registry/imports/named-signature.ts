import { closestWord } from '../../base/closest-word.ts';
import type { FieldError } from '../../base/errors.ts';
import { type InputDecoder, resolveDecoder } from '../input-decoder.ts';
import { type InputPadding, paddingFaults, resolvePadding } from '../input-padding.ts';
import type { Signature } from '../signature.ts';
import { faulty } from './file-fault.ts';
import { assessNames, type GivenShapes } from './onnx-signature.ts';
import { SLIPWAY_FILE, type SlipwayFile } from './slipway-file.ts';

type SlipwayInput = Omit<NonNullable<NonNullable<SlipwayFile['signature']>['inputs']>[string], 'shape' | 'datatype'>;

/** The shapes that slipway.yaml gives. */
export function shapesOf(about: SlipwayFile): GivenShapes {
  const shapes = (side: Readonly<Record<string, { readonly shape?: readonly number[] }>> = {}) =>
    new Map(Object.entries(side).flatMap(([name, { shape }]) => (shape ? [[name, shape] as const] : [])));
  return { inputs: shapes(about.signature?.inputs), outputs: shapes(about.signature?.outputs) };
}

/**
 * Names of slipway.yaml, laid over those of the model's metadata.
 * @throws SlipwayError `model_invalid` when they do not fit the graph
 */
export function withNames(signature: Signature, about: SlipwayFile): Signature {
  const faults: FieldError[] = [];
  const inputs = about.signature?.inputs ?? {};
  const outputs = about.signature?.outputs ?? {};
  const decoders = new Map<string, InputDecoder>();
  const paddings = new Map<string, InputPadding>();
  for (const [side, named, known] of [
    ['inputs', inputs, signature.inputs],
    ['outputs', outputs, signature.outputs],
  ] as const) {
    const tensorNames = known.map((tensor) => tensor.name);
    for (const [name, { shape, datatype, ...all }] of Object.entries(named)) {
      const { method: _method, ...rest } = all as { method?: string };
      const pointer = `/signature/${side}/${name}`;
      const tensor = known.find((one) => one.name === name);
      if (!tensor) {
        const near = closestWord(name, tensorNames);
        const known = near ? `did you mean ${near}?` : `it has ${tensorNames.slice(0, 20).join(', ')}`;
        faults.push({ pointer, message: `the model has no such ${side.slice(0, -1)}; ${known}` });
        continue;
      }
      if (shape && !matches(shape, tensor.shape)) {
        faults.push({ pointer: `${pointer}/shape`, message: `the graph says [${tensor.shape.join(', ')}]` });
      }
      if (datatype !== undefined && datatype !== tensor.datatype) {
        faults.push({ pointer: `${pointer}/datatype`, message: `the model says ${tensor.datatype}` });
      }
      const { decoder, pad, ...names } = rest as SlipwayInput;
      if (decoder !== undefined) {
        const resolved = resolveDecoder(decoder, tensor);
        if ('kind' in resolved) decoders.set(name, resolved);
        else for (const { key, message } of resolved) faults.push({ pointer: `${pointer}/decoder/${key}`, message });
      }
      if (pad !== undefined) {
        const resolved = resolvePadding(pad, tensor);
        if ('axis' in resolved) paddings.set(name, resolved);
        else for (const { key, message } of resolved) faults.push({ pointer: `${pointer}/pad/${key}`, message });
      }
      for (const [word, columns] of Object.entries(names)) {
        const reason = assessNames(columns, tensor.shape);
        if (reason !== null) faults.push({ pointer: `${pointer}/${word}`, message: reason });
      }
    }
  }
  const padded = signature.inputs.map((input) => {
    const pad = paddings.get(input.name);
    return pad ? { ...input, pad } : input;
  });
  for (const { input, message } of paddingFaults(padded)) {
    faults.push({ pointer: `/signature/inputs/${input}/pad`, message });
  }
  if (faults.length > 0) throw faulty(SLIPWAY_FILE, faults);
  return {
    inputs: padded.map((input) => {
      const features = inputs[input.name]?.features;
      const decoder = decoders.get(input.name);
      return { ...input, ...(features ? { features } : {}), ...(decoder ? { decoder } : {}) };
    }),
    outputs: signature.outputs.map((output) => {
      const labels = outputs[output.name]?.labels;
      return labels ? { ...output, labels } : output;
    }),
  };
}

/** A given shape may only fill in what the graph leaves open. */
function matches(given: readonly number[], shape: readonly number[]): boolean {
  return given.length === shape.length && given.every((size, at) => size === shape[at] && size !== 0);
}
