/** TorchServe's inference API. docs/reference/protocols.md has the table of what is supported and what is refused. */
import type { InputTarget } from '../tensors/input-check.ts';
import { decodeRequest } from './decode-request.ts';
import {
  HTTP_STATUSES,
  type InferRequest,
  type Protocol,
  type Route,
  type WireCall,
  type WireHead,
  written,
} from './protocol.ts';
import { describeInference, describeModel } from './torchserve-api.ts';
import { writeTorchserveError } from './torchserve-errors.ts';
import { isPassedOn, parseTorchserve, writeTorchserve } from './torchserve-request.ts';
import { versionNumber } from './torchserve-versions.ts';
import { predictionsUs } from './writing-time.ts';

const NO_EXPLANATIONS = 'Explanations are not offered: no explainer runs beside the model';

const infer = {
  kind: 'infer',
  methods: ['POST', 'PUT'],
  parse: (call: WireCall, target: InputTarget): InferRequest => parseTorchserve(call, target),
  decode: decodeRequest,
  write: writeTorchserve,
  writeUs: predictionsUs,
} as const;

const nameOf = ({ params }: WireHead) => ({ name: params!['endpoint']!, version: versionNumber(params!['version']!) });

const routes: readonly Route[] = [
  {
    kind: 'read',
    path: '/ping',
    methods: ['GET', 'OPTIONS'],
    public: true,
    read: ({ ready }) =>
      ready
        ? { status: 'Healthy' }
        : written({ contentType: 'application/json', body: '{"status":"Unhealthy"}', status: 500 }),
  },
  { kind: 'read', path: '/', methods: ['OPTIONS'], public: true, read: (server) => describeInference(server) },
  { kind: 'read', path: '/api-description', public: true, read: (server) => describeInference(server) },
  {
    kind: 'read',
    path: '/predictions/{endpoint}',
    methods: ['OPTIONS'],
    read: (_, endpoint) => describeModel(endpoint!),
  },
  { ...infer, path: '/predictions/{endpoint}' },
  // Versions are written 1.0 there.
  { ...infer, path: '/predictions/{endpoint}/{version}', nameEndpoint: nameOf },
  { ...infer, path: '/v1/models/{endpoint}:predict', methods: ['POST'] },
  { kind: 'absent', path: '/explanations/{rest}', reason: NO_EXPLANATIONS },
];

export const torchserve: Protocol = {
  name: 'torchserve',
  routes: routes.map((route) =>
    route.kind === 'infer'
      ? { ...route, parsesFast: (call: WireCall, target: InputTarget) => isPassedOn(call, target) }
      : route,
  ),
  statuses: HTTP_STATUSES,
  writeError: writeTorchserveError,
};
