/** TensorFlow Serving's PredictionService and ModelService, over the same versions, keys and quotas as everything else. */
import { SlipwayError } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import type { EndpointFinder } from '../gateway/find-endpoint.ts';
import type { InferenceAccess } from '../gateway/inference-access.ts';
import type { GatewayMetrics } from '../gateway/metrics.ts';
import { viewEndpoint, viewServer } from '../gateway/server-view.ts';
import type { Readiness, ServingState } from '../gateway/serving-state.ts';
import type { EndpointView } from '../protocols/protocol.ts';
import { METHODS, SIGNATURE_NAME, tensorflowTypeOf } from '../protocols/tensorflow-names.ts';
import { heldOf, type VersionStatus, versionStatus } from '../protocols/tensorflow-status.ts';
import type { GrpcCall, Method } from './grpc-call.ts';
import { frameMessage } from './message-frame.ts';
import { decode } from './model-service.ts';
import { createModelNames } from './named-model.ts';
import type { MessageForm, Predictions, WireMessage } from './predictions.ts';
import type { Message, MessageCodec } from './protobuf/message-codec.ts';
import {
  examplesForm,
  type ModelSpec,
  multiInferenceForm,
  predictForm,
  readModelSpec,
  tellNotFound,
} from './tensorflow-messages.ts';

export type TensorflowServiceDeps = {
  readonly predictions: Predictions;
  readonly codec: MessageCodec;
  readonly state: ServingState;
  readonly access: InferenceAccess;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  readonly assertTold: () => void;
  readonly assess: () => Readiness;
};

const PACKAGE = 'tensorflow.serving.';
const PREDICTION = `/${PACKAGE}PredictionService/`;
const MODEL = `/${PACKAGE}ModelService/`;

export const TENSORFLOW_NOT_OFFERED: ReadonlyMap<string, string> = new Map([
  [
    `${MODEL}HandleReloadConfigRequest`,
    'What is served is changed by `slipway deploy` and the management API, not by a model config',
  ],
]);

export function createTensorflowServices(deps: TensorflowServiceDeps): readonly Method[] {
  const { predictions, codec, access, finder, state, metrics } = deps;
  const { admit } = predictions;
  const nameOf = createModelNames();

  const prediction = <W extends WireMessage>(name: string, form: MessageForm<W>): Method => ({
    kind: 'unary',
    path: PREDICTION + name,
    admit,
    answer: (call, message) => predictions.answer(call, form, message),
  });

  const question = (
    path: string,
    type: string,
    answer: (call: GrpcCall, request: Message, spec: ModelSpec) => Message,
  ): Method => ({
    kind: 'unary',
    path,
    admit,
    answer(call, message) {
      const request = decode(codec, `${PACKAGE}${type}Request`, message);
      const spec = readModelSpec(request['model_spec'] as Message | undefined);
      let said: Message;
      try {
        said = answer(call, request, spec);
      } catch (thrown) {
        throw thrown instanceof SlipwayError && type === 'GetModelMetadata' ? tellNotFound(thrown, spec) : thrown;
      }
      call.reply(frameMessage(codec.encode(`${PACKAGE}${type}Response`, said)));
    },
  });

  const viewOf = (call: GrpcCall, { modelName, modelVersion, label }: ModelSpec): EndpointView => {
    const named = nameOf(modelName, modelVersion, label);
    const principal = access.principalOf(call.headers);
    finder.assertProject(named.project, principal);
    const endpoint = finder.locate(named, principal, 'read');
    const view = viewEndpoint(endpoint, finder.pinOf(endpoint, named.ref), metrics);
    call.version = `${view.version}`;
    return view;
  };

  const metadata = (call: GrpcCall, request: Message, spec: ModelSpec): Message => {
    const fields = (request['metadata_field'] ?? []) as string[];
    if (fields.length === 0) {
      throw new SlipwayError('invalid_request', 'GetModelMetadataRequest must specify at least one metadata_field');
    }
    const odd = fields.find((field) => field !== 'signature_def');
    if (odd !== undefined)
      throw new SlipwayError('invalid_request', `Metadata field ${odd.slice(0, 100)} is not supported`);
    const { version, signature } = viewOf(call, spec);
    const signatures = {
      signature_def: {
        [SIGNATURE_NAME]: {
          inputs: tensorInfos(signature.inputs),
          outputs: tensorInfos(signature.outputs),
          method_name: METHODS.predict,
        },
      },
    };
    const value = codec.encode(`${PACKAGE}SignatureDefMap`, signatures);
    return {
      model_spec: { name: spec.modelName, version: { value: version } },
      metadata: { signature_def: { type_url: `type.googleapis.com/${PACKAGE}SignatureDefMap`, value } },
    };
  };

  const status = (call: GrpcCall, _request: Message, spec: ModelSpec): Message => {
    const principal = access.principalOf(call.headers);
    const { project, ref } = nameOf(spec.modelName, spec.modelVersion, spec.label);
    finder.assertProject(project, principal);
    const server = viewServer(
      { state, keyNeeded: access.keyNeeded, spoken: ['tensorflow-serving'], assess: deps.assess, metrics },
      { project, principal, host: call.headers[':authority'], prefix: '' },
    );
    const name = spec.modelName;
    const held = heldOf(server, ref?.name ?? '');
    if (held.length === 0) throw new SlipwayError('endpoint_not_found', `Could not find any versions of model ${name}`);
    const wanted = spec.label === undefined ? (ref?.pin ?? null) : tolerantVersion(call, spec);
    const found = wanted === null ? held : held.filter(({ version }) => version === wanted);
    if (found.length === 0)
      throw new SlipwayError('version_not_found', `Could not find version ${wanted} of model ${name}`);
    return { model_version_status: found.map(versionStatus).reverse().map(statusMessage) };
  };

  const tolerantVersion = (call: GrpcCall, spec: ModelSpec): number => {
    try {
      return viewOf(call, spec).version;
    } catch (thrown) {
      throw thrown instanceof SlipwayError ? tellNotFound(thrown, spec) : thrown;
    }
  };

  return [
    prediction('Predict', predictForm(codec)),
    prediction('Classify', examplesForm(codec, 'classify')),
    prediction('Regress', examplesForm(codec, 'regress')),
    prediction('MultiInference', multiInferenceForm(codec)),
    question(`${PREDICTION}GetModelMetadata`, 'GetModelMetadata', metadata),
    question(`${MODEL}GetModelStatus`, 'GetModelStatus', status),
  ];
}

function tensorInfos(specs: readonly TensorSpec[]): Message {
  return Object.fromEntries(
    specs.map(({ name, datatype, shape }) => [
      name,
      {
        name: `${name}:0`,
        dtype: tensorflowTypeOf(datatype).number,
        tensor_shape: { dim: shape.map((size) => ({ size })) },
      },
    ]),
  );
}

const CODES: Readonly<Record<string, number>> = { OK: 0, UNKNOWN: 2 };

function statusMessage({ version, state, status }: VersionStatus): Message {
  const { error_code: code, error_message } = status;
  return { version: Number(version), state, status: { error_code: CODES[code] ?? 2, error_message } };
}
