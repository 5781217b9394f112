/** What TensorFlow Serving tells of a model: the states of its versions, and its signature. */

import { SlipwayError } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { openaiModel, speaksOpenai } from './openai-models.ts';
import type { EndpointView, HeldVersion, ServerView } from './protocol.ts';
import { METHODS, SIGNATURE_NAME, tensorflowTypeOf } from './tensorflow-names.ts';

const STATES: Readonly<Record<HeldVersion['state'], string>> = {
  ready: 'AVAILABLE',
  loading: 'LOADING',
  unloading: 'UNLOADING',
  unavailable: 'END',
};

export type VersionStatus = {
  readonly version: string;
  readonly state: string;
  readonly status: { readonly error_code: string; readonly error_message: string };
};

export function versionStatus({ version, state, reason }: HeldVersion): VersionStatus {
  const isFault = state === 'unavailable' && reason !== null && reason !== 'unloaded';
  const status = isFault ? { error_code: 'UNKNOWN', error_message: reason } : { error_code: 'OK', error_message: '' };
  return { version: `${version}`, state: STATES[state], status };
}

export function heldOf(server: Pick<ServerView, 'held'>, model: string): HeldVersion[] {
  return server.held().filter(({ endpoint, version }) => endpoint === model && version !== null);
}

/** All versions of a model, newest first. Where KServe's clients ask the same path, they find what they look for beside it. */
export function statusOfAll(server: ServerView, { model = '' }: Readonly<Record<string, string>>): unknown {
  const held = heldOf(server, model);
  if (held.length === 0) {
    throw new SlipwayError('endpoint_not_found', `Could not find any versions of model ${model}`);
  }
  const status = { model_version_status: held.map(versionStatus).reverse() };
  return {
    ...status,
    ...(server.spoken.includes('kserve-v1') ? { name: model, ready: held.some(({ state }) => state === 'ready') } : {}),
    ...(speaksOpenai(server) ? openaiModel(model) : {}),
  };
}

export function statusOfOne(
  server: ServerView,
  { model = '', number = '' }: Readonly<Record<string, string>>,
): unknown {
  const one = heldOf(server, model).find(({ version }) => `${version}` === number);
  if (one === undefined) {
    throw new SlipwayError('version_not_found', `Could not find version ${number} of model ${model}`);
  }
  return { model_version_status: [versionStatus(one)] };
}

export function metadataOf({ name, version, signature }: EndpointView): unknown {
  const tensors = (specs: readonly TensorSpec[]): object =>
    Object.fromEntries(specs.map((spec) => [spec.name, infoOf(spec)]));
  const signatures = {
    [SIGNATURE_NAME]: {
      inputs: tensors(signature.inputs),
      outputs: tensors(signature.outputs),
      method_name: METHODS.predict,
      defaults: {},
    },
  };
  return {
    model_spec: { name, signature_name: '', version: `${version}` },
    metadata: { signature_def: { signature_def: signatures } },
  };
}

export function infoOf({ name, datatype, shape }: TensorSpec): object {
  return {
    dtype: tensorflowTypeOf(datatype).dtype,
    tensor_shape: { dim: shape.map((size) => ({ size: `${size}`, name: '' })), unknown_rank: false },
    name: `${name}:0`,
  };
}
