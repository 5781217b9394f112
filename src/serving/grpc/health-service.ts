/** grpc.health.v1.Health: what load balancers and orchestrators ask. */
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import { pickVersion } from '../endpoints/routing.ts';
import type { EndpointFinder } from '../gateway/find-endpoint.ts';
import { type InferenceAccess, mayUse } from '../gateway/inference-access.ts';
import { observeEndpoint, type Readiness, type ServingState } from '../gateway/serving-state.ts';
import type { GrpcCall, Method } from './grpc-call.ts';
import { frameMessage } from './message-frame.ts';
import { decode } from './model-service.ts';
import { createModelNames } from './named-model.ts';
import type { Message, MessageCodec } from './protobuf/message-codec.ts';

export type HealthDeps = {
  readonly state: ServingState;
  readonly access: InferenceAccess;
  readonly finder: EndpointFinder;
  readonly codec: MessageCodec;
  readonly assess: () => Readiness;
  /** Services of this server, which are as well as the server is. */
  readonly services: readonly string[];
};

export type HealthService = {
  readonly methods: readonly Method[];
  /** Tells those who watch, when something is another than it was. */
  changed(): void;
  /** Tells them that the server ends, and ends their calls. */
  stop(): void;
};

type ServingStatus = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
type Watcher = { readonly call: GrpcCall; readonly service: string; last: ServingStatus | null };

const SERVICE = '/grpc.health.v1.Health/';
const RESPONSE = 'grpc.health.v1.HealthCheckResponse';

export function createHealthService(deps: HealthDeps): HealthService {
  const { state, access, finder, codec } = deps;
  const nameOf = createModelNames();
  const watchers = new Set<Watcher>();

  const admit = (): void => {};
  const framed = (type: string, message: Message): Buffer => frameMessage(codec.encode(type, message));
  const principalOf = (call: GrpcCall) => access.principalOf(call.headers);

  /** The server itself may be asked without a key, like the REST probes; models may not, where predictions need one. */
  const statusOf = (call: GrpcCall, service: string): ServingStatus => {
    if (service === '' || deps.services.includes(service)) return deps.assess().ready ? 'SERVING' : 'NOT_SERVING';
    const principal = principalOf(call);
    try {
      const named = nameOf(service, '');
      finder.assertProject(named.project, principal);
      const endpoint = finder.locate(named, principal, 'read');
      const pin = named.ref!.pin;
      if (pin === null) return observeEndpoint(endpoint).ready ? 'SERVING' : 'NOT_SERVING';
      const { version } = pickVersion(endpoint, pin);
      if (version === null) return 'SERVICE_UNKNOWN';
      return version.observe().state === 'ready' ? 'SERVING' : 'NOT_SERVING';
    } catch (thrown) {
      if (thrown instanceof SlipwayError && thrown.kind === 'not_found') return 'SERVICE_UNKNOWN';
      throw thrown;
    }
  };

  const serviceOf = (message: Buffer): string =>
    (decode(codec, 'grpc.health.v1.HealthCheckRequest', message)['service'] as string | undefined) ?? '';

  const tell = (watcher: Watcher): void => {
    const { call, service } = watcher;
    let status: ServingStatus;
    try {
      status = statusOf(call, service);
    } catch (thrown) {
      // The key was revoked meanwhile.
      watchers.delete(watcher);
      call.fail(toSlipwayError(thrown));
      return;
    }
    if (status === watcher.last) return;
    watcher.last = status;
    call.send(framed(RESPONSE, { status }));
  };

  const watch = (call: GrpcCall) => {
    let watcher: Watcher | null = null;
    call.onGone = () => {
      if (watcher !== null) watchers.delete(watcher);
    };
    return {
      message(bytes: Buffer) {
        if (watcher !== null) throw new SlipwayError('invalid_request', 'Watch takes one message');
        watcher = { call, service: serviceOf(bytes), last: null };
        watchers.add(watcher);
        tell(watcher);
      },
      end() {
        if (watcher === null) throw new SlipwayError('invalid_request', 'The call has no message');
      },
    };
  };

  return {
    methods: [
      {
        kind: 'unary',
        path: `${SERVICE}Check`,
        admit,
        answer(call, message) {
          const service = serviceOf(message);
          const status = statusOf(call, service);
          if (status === 'SERVICE_UNKNOWN') {
            throw new SlipwayError(
              'endpoint_not_found',
              `There is no service and no endpoint ${JSON.stringify(service.slice(0, 100))}`,
            );
          }
          call.reply(framed(RESPONSE, { status }));
        },
      },
      {
        kind: 'unary',
        path: `${SERVICE}List`,
        admit,
        answer(call) {
          const server = statusOf(call, '');
          const statuses: Record<string, Message> = { '': { status: server } };
          for (const service of deps.services) statuses[service] = { status: server };
          // Without a key, where one is needed, there are no models to be seen.
          const { authorization = call.headers['x-api-key'] } = call.headers;
          const mayLook = !access.keyNeeded || authorization !== undefined;
          const caller = mayLook ? principalOf(call) : null;
          const project = caller?.project ?? 'default';
          const endpoints = mayLook ? [...(state.endpointsOf(project)?.values() ?? [])] : [];
          for (const endpoint of endpoints) {
            if (!mayUse(caller, 'read', project, endpoint.spec.model)) continue;
            const name = project === 'default' ? endpoint.spec.name : `${project}/${endpoint.spec.name}`;
            statuses[name] = { status: observeEndpoint(endpoint).ready ? 'SERVING' : 'NOT_SERVING' };
          }
          call.reply(framed('grpc.health.v1.HealthListResponse', { statuses }));
        },
      },
      { kind: 'streaming', path: `${SERVICE}Watch`, admit, open: watch },
    ],
    changed() {
      for (const watcher of [...watchers]) tell(watcher);
    },
    stop() {
      for (const watcher of [...watchers]) {
        tell(watcher);
        watchers.delete(watcher);
        watcher.call.onGone = null;
        watcher.call.finish();
      }
    },
  };
}
