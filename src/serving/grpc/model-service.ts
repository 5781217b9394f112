/**
 * Everything of GRPCInferenceService but the hot methods. What it says is what the protocol's REST form says: each method asks the route
 * of its REST twin and writes the answer, whose words are the same, as a message.
 */
import { SlipwayError } from '../../base/errors.ts';
import { type AskControl, keyForChange } from '../gateway/actions.ts';
import type { EndpointFinder } from '../gateway/find-endpoint.ts';
import type { InferenceAccess } from '../gateway/inference-access.ts';
import type { GatewayMetrics } from '../gateway/metrics.ts';
import { viewEndpoint, viewServer } from '../gateway/server-view.ts';
import type { Readiness, ServingState } from '../gateway/serving-state.ts';
import type { ActionRoute, Protocol, ReadRoute, ServerView, WireHead } from '../protocols/protocol.ts';
import { SELDON_MODEL, seldonModelOf } from '../protocols/seldon-model.ts';
import type { GrpcCall, Method } from './grpc-call.ts';
import { frameMessage } from './message-frame.ts';
import { createModelNames, type NamedModel } from './named-model.ts';
import type { Message, MessageCodec } from './protobuf/message-codec.ts';
import { ProtobufFault } from './protobuf/reader.ts';

export type ModelServiceDeps = {
  readonly state: ServingState;
  readonly access: InferenceAccess;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  readonly codec: MessageCodec;
  /** The REST form. */
  readonly rest: Protocol;
  readonly askControl: AskControl;
  readonly assertTold: () => void;
  readonly assess: () => Readiness;
};

/** What REST routes are told of a head that gRPC does not have. */
const HEAD: WireHead = { headers: {} };
const SERVICE = '/inference.GRPCInferenceService/';
/** Requests other than for predictions are a few names. */
const MAX_REQUEST_BYTES = 64 * 1024;
const MODEL = '/v2/models/{endpoint}';

const NO_SHARED_MEMORY = 'Shared memory is not offered: clients cannot name memory of the server';

/** Methods of the service that are not offered, with the reason. */
export const NOT_OFFERED: ReadonlyMap<string, string> = new Map(
  [
    ...['System', 'Cuda'].flatMap((kind) =>
      ['Status', 'Register', 'Unregister'].map((verb) => [`${kind}SharedMemory${verb}`, NO_SHARED_MEMORY] as const),
    ),
    ['TraceSetting', 'Tracing is not set by clients; x-request-id finds a call in the log'] as const,
    ['LogSettings', 'No API sets what is logged or where; see SLIPWAY_LOG_LEVEL'] as const,
  ].map(([name, reason]) => [SERVICE + name, reason]),
);

export function createModelService(deps: ModelServiceDeps): readonly Method[] {
  const { access, finder, metrics, codec, state, rest } = deps;
  const nameOf = createModelNames();

  const principalOf = (call: GrpcCall) => access.principalOf(call.headers);

  const open = (): void => {};
  const keyed = (call: GrpcCall): void => {
    deps.assertTold();
    principalOf(call);
  };

  const viewOf = (call: GrpcCall, project: string): ServerView =>
    viewServer(
      { state, keyNeeded: access.keyNeeded, spoken: [rest.name], assess: deps.assess, metrics },
      { project, principal: principalOf(call), host: call.headers[':authority'], prefix: '' },
    );

  /** Where a call names no model: the project of its key. */
  const ownProject = (call: GrpcCall): string => principalOf(call)?.project ?? 'default';

  const route = (path: string): ReadRoute =>
    rest.routes.find((one): one is ReadRoute => one.kind === 'read' && one.path === path)!;

  const read = (call: GrpcCall, path: string, named: NamedModel): unknown => {
    const principal = principalOf(call);
    finder.assertProject(named.project, principal);
    const endpoint = viewEndpoint(finder.locate(named, principal, 'read'), named.ref!.pin, metrics);
    call.version = `${endpoint.version}`;
    return route(path).read(viewOf(call, named.project), endpoint, HEAD);
  };

  const act = (call: GrpcCall, path: string, project: string, named: NamedModel | null, body: unknown): unknown => {
    const action = rest.routes.find((one): one is ActionRoute => one.kind === 'action' && one.path === path)!;
    finder.assertProject(project, principalOf(call));
    return action.act({
      body: Buffer.from(JSON.stringify(body)),
      headers: {},
      server: viewOf(call, project),
      endpoint: named?.ref ?? null,
      changeEndpoint: async (endpoint, change) => {
        const key = keyForChange(call.headers);
        await deps.askControl({ key, project, endpoint, change, requestId: call.requestId });
      },
      giveFeedback: async () => {
        throw new SlipwayError('not_offered', 'The Open Inference Protocol has no feedback');
      },
    });
  };

  /** A method whose answer is known, or promised, from its message. */
  const unary = (
    name: string,
    admit: (call: GrpcCall) => void,
    answer: (call: GrpcCall, request: Message) => Message | Promise<Message>,
  ): Method => ({
    kind: 'unary',
    path: SERVICE + name,
    admit,
    async answer(call, message) {
      const request = decode(codec, `inference.${name}Request`, message);
      const said = codec.encode(`inference.${name}Response`, await answer(call, request));
      call.reply(frameMessage(said));
    },
  });

  const named = (call: GrpcCall, request: Message): NamedModel =>
    nameOf(seldonModelOf(call.headers.more?.get(SELDON_MODEL)) ?? textOf(request, 'name'), textOf(request, 'version'));

  const repository = (request: Message): void => {
    const given = textOf(request, 'repository_name');
    if (given === '') return;
    throw new SlipwayError('not_offered', 'There is one repository, which has no name', {
      hint: 'Leave out repository_name. Projects are named in the model: project/endpoint.',
    });
  };

  const change = (verb: 'load' | 'unload') => async (call: GrpcCall, request: Message) => {
    repository(request);
    const model = nameOf(textOf(request, 'model_name'), '');
    const parameters: Record<string, unknown> = {};
    for (const [key, choice] of Object.entries((request['parameters'] ?? {}) as Record<string, Message>)) {
      const [value] = Object.values(choice ?? {});
      parameters[key] = Buffer.isBuffer(value)
        ? value.toString('base64')
        : typeof value === 'bigint'
          ? `${value}`
          : value;
    }
    await act(call, `/v2/repository/models/{endpoint}/${verb}`, model.project, model, { parameters });
    return {};
  };

  return [
    unary('ServerLive', open, () => ({ live: true })),
    unary('ServerReady', open, () => ({ ready: deps.assess().ready })),
    unary('ModelReady', keyed, (call, request) => {
      try {
        read(call, `${MODEL}/ready`, named(call, request));
        return { ready: true };
      } catch (thrown) {
        // Loading is an answer here; a model that does not exist is none.
        if (thrown instanceof SlipwayError && thrown.kind === 'unavailable') return { ready: false };
        throw thrown;
      }
    }),
    unary('ServerMetadata', keyed, (call) => route('/v2').read(viewOf(call, ownProject(call)), null, HEAD) as Message),
    unary('ModelMetadata', keyed, (call, request) => read(call, MODEL, named(call, request)) as Message),
    unary('ModelConfig', keyed, (call, request) => ({ config: read(call, `${MODEL}/config`, named(call, request)) })),
    unary('ModelStatistics', keyed, (call, request) => {
      if (textOf(request, 'name') !== '') return read(call, `${MODEL}/stats`, named(call, request)) as Message;
      const project = ownProject(call);
      const said = route('/v2/models/stats').read(viewOf(call, project), null, HEAD) as { model_stats: Message[] };
      return { model_stats: said.model_stats.map((one) => inProject(project, one)) };
    }),
    unary('RepositoryIndex', keyed, async (call, request) => {
      repository(request);
      const project = ownProject(call);
      const asked = { ready: request['ready'] === true };
      const models = (await act(call, '/v2/repository/index', project, null, asked)) as Message[];
      return { models: models.map((one) => inProject(project, one)) };
    }),
    unary('RepositoryModelLoad', keyed, change('load')),
    unary('RepositoryModelUnload', keyed, change('unload')),
  ];
}

/** @throws SlipwayError `invalid_request`, `too_large` */
export function decode(codec: MessageCodec, type: string, message: Buffer): Message {
  if (message.length > MAX_REQUEST_BYTES) {
    throw new SlipwayError('too_large', `A ${type.split('.').at(-1)} of ${message.length} bytes is larger than 64 KiB`);
  }
  try {
    return codec.decode(type, message);
  } catch (error) {
    if (error instanceof ProtobufFault) throw new SlipwayError('invalid_request', error.message);
    throw error;
  }
}

function textOf(request: Message, field: string): string {
  return (request[field] as string | undefined) ?? '';
}

/** By the name under which it can be called. */
function inProject(project: string, model: Message): Message {
  return project === 'default' ? model : { ...model, name: `${project}/${model['name']}` };
}
