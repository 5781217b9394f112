/**
 * The Open Inference Protocol, version 2, over REST with JSON bodies. Where known servers differ, docs/reference/protocols.md says what
 * is done here and why.
 */
import { SlipwayError } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { writeInfer } from './open-inference-answer.ts';
import { parsesFast } from './open-inference-binary.ts';
import { parseInfer } from './open-inference-request.ts';
import { type EndpointView, HTTP_STATUSES, type Protocol, type Route, type ServerView } from './protocol.ts';

/** The protocol's names for model formats; an engine not listed goes by its own. */
const PLATFORMS: Readonly<Record<string, string>> = { onnxruntime: 'onnx_onnxv1' };

const infer = { kind: 'infer', parsesFast, parse: parseInfer, write: writeInfer } as const;

/** The extensions of Triton, by its names for them. */
const EXTENSIONS = ['binary_tensor_data', 'classification', 'parameters', 'schedule_policy'];

const routes: readonly Route[] = [
  {
    kind: 'read',
    path: '/v2',
    read: (server) => ({ name: 'slipway', version: server.release, extensions: EXTENSIONS }),
  },
  { kind: 'read', path: '/v2/health/live', public: true, read: () => ({ live: true }) },
  { kind: 'read', path: '/v2/health/ready', public: true, read: readServerReady },
  ...['/v2/models/{endpoint}', '/v2/models/{endpoint}/versions/{version}'].flatMap((path): Route[] => [
    { kind: 'read', path, read: (_server, endpoint) => readMetadata(endpoint!) },
    { kind: 'read', path: `${path}/ready`, read: (_server, endpoint) => readReady(endpoint!) },
    { ...infer, path: `${path}/infer` },
  ]),
];

export const openInference: Protocol = {
  name: 'open-inference',
  routes,
  statuses: HTTP_STATUSES,
  writeError(error) {
    const fields = error.fields.map((field) => `${field.pointer} ${field.message}`);
    const others = fields.filter((field) => !error.message.includes(field));
    const text = [error.message, ...others, ...(error.hint === undefined ? [] : [error.hint])].join('; ');
    return { contentType: 'application/json', body: JSON.stringify({ error: text }) };
  },
};

function readServerReady(server: ServerView): unknown {
  if (!server.ready) throw new SlipwayError('not_ready', server.reason ?? 'The server is starting', { retryAfterS: 1 });
  return { ready: true };
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
    platform: PLATFORMS[endpoint.engine] ?? endpoint.engine,
    inputs: endpoint.signature.inputs.map(tensor),
    outputs: endpoint.signature.outputs.map(tensor),
  };
}
