/** The signature of a model whose files may say none: what they say, and what slipway.yaml adds. */
import { SlipwayError } from '../../../base/errors.ts';
import type { Signature, TensorSpec } from '../../signature.ts';
import type { SlipwayFile } from '../slipway-file.ts';

/** How a model takes its inputs: as a table with named columns, as one array, or as several by name. */
export type InputForm = 'frame' | 'columns' | 'matrix' | 'tensors';

export type KnownSignature = {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly how: InputForm;
};

export type GivenSignature = {
  readonly signature: Signature;
  readonly how: InputForm;
  /** By output, the method that slipway.yaml names; null where it names none. */
  readonly methods: readonly (string | null)[];
};

/**
 * What slipway.yaml declares whole (with datatypes) stands in for a side that the files leave open, and never against one that they give.
 * @param known of the model's own files; null where they say nothing
 * @throws SlipwayError `model_invalid`, with an example to fill in
 */
export function givenSignature(about: SlipwayFile, known: KnownSignature | null, entry: string): GivenSignature {
  const declared = { inputs: declaredSide(about, 'inputs'), outputs: declaredSide(about, 'outputs') };
  const inputs = known !== null && known.inputs.length > 0 ? known.inputs : declared.inputs;
  const hasOwnOutputs = known !== null && known.outputs.length > 0;
  const methodsGiven = Object.values(about.signature?.outputs ?? {}).some((one) => one.method !== undefined);
  const outputs = hasOwnOutputs && !methodsGiven ? known.outputs : declared.outputs;
  if (inputs.length === 0 || outputs.length === 0) {
    const missing = [inputs.length === 0 ? 'takes' : '', outputs.length === 0 ? 'gives' : ''].filter(
      (word) => word !== '',
    );
    throw new SlipwayError('model_invalid', `Nothing says what ${entry} ${missing.join(' and ')}`, {
      hint: 'Put a slipway.yaml beside it, such as: signature: {inputs: {x: {datatype: FP64, shape: [-1, 4]}}, outputs: {label: {datatype: INT64, shape: [-1]}}}; docs/guides/any-framework.md says more.',
    });
  }
  const how = known !== null && known.inputs.length > 0 ? known.how : formOf(inputs);
  return {
    signature: { inputs, outputs },
    how,
    methods: outputs.map(({ name }) => about.signature?.outputs?.[name]?.method ?? null),
  };
}

function declaredSide(about: SlipwayFile, side: 'inputs' | 'outputs'): TensorSpec[] {
  const named = about.signature?.[side] ?? {};
  return Object.entries(named).flatMap(([name, { datatype, shape }]) =>
    datatype === undefined ? [] : [{ name, datatype, shape: shape ?? [-1] }],
  );
}

function formOf(inputs: readonly TensorSpec[]): InputForm {
  if (inputs.length === 1 && inputs[0]!.shape.length > 1 && inputs[0]!.features === undefined) return 'matrix';
  return inputs.every((one) => one.shape.length === 1) ? 'columns' : 'tensors';
}
