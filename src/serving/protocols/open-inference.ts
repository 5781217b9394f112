/**
 * The Open Inference Protocol, version 2, over REST, with the extensions that Triton made common. Where known servers differ, docs/reference/protocols.md says what
 * is done here and why.
 */
import { SlipwayError } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { generate, generateStream } from './generate.ts';
import { modelConfigOf, platformOf } from './model-config.ts';
import { repositoryRoutes } from './model-repository.ts';
import { inferUs, writeInfer } from './open-inference-answer.ts';
import { parsesFast } from './open-inference-binary.ts';
import { parseInfer } from './open-inference-request.ts';
import { writeStatistics } from './open-inference-statistics.ts';
import { type EndpointView, HTTP_STATUSES, type Protocol, type Route, type ServerView } from './protocol.ts';
import { SELDON_MODEL } from './seldon-model.ts';

const infer = { kind: 'infer', parsesFast, parse: parseInfer, write: writeInfer, writeUs: inferUs } as const;

/** The extensions of Triton, by its names for them. */
const EXTENSIONS = [
  'binary_tensor_data',
  'classification',
  'generate',
  'model_configuration',
  'model_repository',
  'parameters',
  'schedule_policy',
  'statistics',
];

const NO_TRACES = 'Traces are not kept; GET /metrics of the management API and Server-Timing say where time goes';
const NO_LOG_SETTINGS = 'The log is set by SLIPWAY_LOG_LEVEL and read by `slipway logs`, not over this protocol';
const NO_SHARED_MEMORY = 'Shared memory is not offered; send tensors with the binary extension';

const routes: readonly Route[] = [
  {
    kind: 'read',
    path: '/v2',
    read: (server) => ({ name: 'slipway', version: server.release, extensions: EXTENSIONS }),
  },
  { kind: 'read', path: '/v2/health/live', public: true, read: () => ({ live: true }) },
  { kind: 'read', path: '/v2/health/ready', public: true, read: readServerReady },
  { kind: 'read', path: '/v2/models', read: listModels },
  { kind: 'read', path: '/v2/models/stats', read: readAllStatistics },
  ...repositoryRoutes,
  ...['/v2/models/{endpoint}', '/v2/models/{endpoint}/versions/{version}']
    .flatMap((path): Route[] => [
      { kind: 'read', path, read: (_server, endpoint) => readMetadata(endpoint!) },
      { kind: 'read', path: `${path}/ready`, read: (_server, endpoint) => readReady(endpoint!) },
      { kind: 'read', path: `${path}/config`, read: (_server, endpoint) => modelConfigOf(endpoint!) },
      { kind: 'read', path: `${path}/stats`, read: (_server, endpoint) => writeStatistics(endpoint!.statistics()) },
      { ...infer, path: `${path}/infer` },
      { ...generate, path: `${path}/generate` },
      { ...generateStream, path: `${path}/generate_stream` },
      { kind: 'absent', path: `${path}/trace/setting`, reason: NO_TRACES },
    ])
    .map((route): Route => ({ ...route, routedBy: SELDON_MODEL })),
  { kind: 'absent', path: '/v2/trace/setting', reason: NO_TRACES },
  { kind: 'absent', path: '/v2/logging', reason: NO_LOG_SETTINGS },
  { kind: 'absent', path: '/v2/systemsharedmemory/{rest}', reason: NO_SHARED_MEMORY },
  { kind: 'absent', path: '/v2/cudasharedmemory/{rest}', reason: NO_SHARED_MEMORY },
];

export const openInference: Protocol = {
  name: 'open-inference',
  routes,
  statuses: HTTP_STATUSES,
  writeError(error) {
    return { contentType: 'application/json', body: JSON.stringify({ error: errorText(error) }) };
  },
};

/** An error in one text, which is all that the protocol has for it: with the faults and the hint. */
export function errorText({ message, fields, hint }: SlipwayError): string {
  const faults = fields.map((field) => `${field.pointer} ${field.message}`);
  const others = faults.filter((fault) => !message.includes(fault));
  return [message, ...others, ...(hint === undefined ? [] : [hint])].join('; ');
}

function readServerReady(server: ServerView): unknown {
  if (!server.ready) throw new SlipwayError('not_ready', server.reason ?? 'The server is starting', { retryAfterS: 1 });
  return { ready: true };
}

/** As KServe does. */
function listModels(server: ServerView): unknown {
  return { models: server.endpoints().map(({ name }) => name) };
}

function readAllStatistics(server: ServerView): unknown {
  return writeStatistics(server.endpoints().flatMap((endpoint) => endpoint.statistics()));
}

function readReady(endpoint: EndpointView): unknown {
  if (!endpoint.ready) {
    throw new SlipwayError('not_ready', `${endpoint.name} is not ready: ${endpoint.reason}`, { retryAfterS: 1 });
  }
  return { name: endpoint.name, ready: true };
}

function readMetadata(endpoint: EndpointView): unknown {
  const tensor = ({ name, datatype, shape }: TensorSpec) => ({ name, datatype, shape });
  return {
    name: endpoint.name,
    versions: endpoint.versions.map(String),
    platform: platformOf(endpoint.engine),
    inputs: endpoint.signature.inputs.map(tensor),
    outputs: endpoint.signature.outputs.map(tensor),
  };
}
