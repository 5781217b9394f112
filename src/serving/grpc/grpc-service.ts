/** All methods of the gRPC listener, put together, and what it says to those who call others. */
import { closestWord } from '../../base/closest-word.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { AskControl } from '../gateway/actions.ts';
import type { Admission } from '../gateway/admission.ts';
import type { EndpointFinder } from '../gateway/find-endpoint.ts';
import type { InferenceAccess } from '../gateway/inference-access.ts';
import type { GatewayMetrics } from '../gateway/metrics.ts';
import type { PredictionObserver } from '../gateway/prediction-observer.ts';
import { assertTold, assessListener } from '../gateway/readiness.ts';
import type { Readiness, ServingState } from '../gateway/serving-state.ts';
import { openInference } from '../protocols/open-inference.ts';
import { DESCRIPTOR_SET } from './descriptors.ts';
import type { Method } from './grpc-call.ts';
import { createHealthService, type HealthService } from './health-service.ts';
import { createModelInfer } from './model-infer.ts';
import { createModelService, NOT_OFFERED } from './model-service.ts';
import { createPredictions } from './predictions.ts';
import { readDescriptorSet } from './protobuf/descriptor-set.ts';
import { createMessageCodec } from './protobuf/message-codec.ts';
import { createReflectionService } from './reflection-service.ts';
import { createTensorflowServices, TENSORFLOW_NOT_OFFERED } from './tensorflow-services.ts';

export type GrpcServiceDeps = {
  readonly settings: { readonly requestTimeoutMs: number; readonly retryAfterS: number };
  readonly state: ServingState;
  readonly access: InferenceAccess;
  readonly admission: Admission;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  readonly askControl: AskControl;
  /** Told of every prediction for which a version was found. */
  readonly observe: PredictionObserver | null;
  readonly stopping: () => boolean;
  /** Names of the protocols whose services are offered; all where it is absent. */
  readonly spoken?: readonly string[];
};

export type GrpcService = {
  /** @throws SlipwayError `route_not_found`, `not_offered` */
  methodOf(path: string): Method;
  readonly health: HealthService;
};

export function createGrpcService(deps: GrpcServiceDeps): GrpcService {
  const { settings, state, access, finder, metrics, stopping } = deps;
  const speaks = (protocol: string): boolean => deps.spoken === undefined || deps.spoken.includes(protocol);
  const offers = (service: string): boolean => {
    const protocol = protocolOf(service);
    return protocol === null || speaks(protocol);
  };
  const files = readDescriptorSet(Buffer.from(DESCRIPTOR_SET, 'base64')).filter(
    ({ services: own }) => own.length === 0 || own.every(({ fullName }) => offers(fullName)),
  );
  const codec = createMessageCodec(files);
  const services = files.flatMap((file) => file.services.map((service) => service.fullName));

  const assess = (): Readiness => assessListener(state, stopping());
  const told = (): void => assertTold(state, settings.retryAfterS);

  const predictions = createPredictions({ ...deps, assertTold: told, requestTimeoutMs: settings.requestTimeoutMs });
  const health = createHealthService({ state, access, finder, codec, assess, services });
  const methods = new Map(
    [
      ...(speaks('open-inference')
        ? [
            ...createModelInfer({ predictions, metrics, codec }),
            ...createModelService({ ...deps, codec, rest: openInference, assertTold: told, assess }),
          ]
        : []),
      ...(speaks('tensorflow-serving')
        ? createTensorflowServices({ ...deps, predictions, codec, assertTold: told, assess })
        : []),
      ...health.methods,
      ...createReflectionService(files, codec),
    ].map((method): [string, Method] => [method.path, method]),
  );

  return {
    health,
    methodOf(path) {
      const method = methods.get(path);
      if (method !== undefined) return method;
      const reason = NOT_OFFERED.get(path) ?? TENSORFLOW_NOT_OFFERED.get(path);
      if (reason !== undefined) throw new SlipwayError('not_offered', reason);
      const near = closestWord(path.slice(0, 200), [...methods.keys()]);
      throw new SlipwayError('route_not_found', `There is no method ${JSON.stringify(path.slice(0, 200))}`, {
        hint: near === null ? `Services here: ${services.join(', ')}.` : `Did you mean ${near}?`,
      });
    },
  };
}

/** Whose a service is; null for those that every port has. */
function protocolOf(service: string): string | null {
  if (service.startsWith('inference.')) return 'open-inference';
  return service.startsWith('tensorflow.serving.') ? 'tensorflow-serving' : null;
}
