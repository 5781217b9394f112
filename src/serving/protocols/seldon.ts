/**
 * Seldon Core v1: SeldonMessages for the default endpoint at the root, and for each below `/seldon/{namespace}/{name}`, where a namespace is the Slipway project of that name.
 */
import { SlipwayError } from '../../base/errors.ts';
import { decodeRequest } from './decode-request.ts';
import { platformOf } from './model-config.ts';
import { errorText } from './open-inference.ts';
import {
  type EndpointView,
  HTTP_STATUSES,
  type InferRoute,
  type Protocol,
  type Route,
  type ServerView,
  written,
} from './protocol.ts';
import { writePredictions } from './seldon-answer.ts';
import { giveFeedback } from './seldon-feedback.ts';
import { parsePredictions } from './seldon-message.ts';
import { outputsUs } from './writing-time.ts';

const predictions: Omit<InferRoute, 'path'> = {
  kind: 'infer',
  parse: parsePredictions,
  decode: decodeRequest,
  write: writePredictions,
  writeUs: outputsUs,
};

const NO_DOCS =
  'There is no page of documentation here; /metadata says what a model takes, docs/reference/protocols.md how it is asked';

const DEPLOYMENT = '/seldon/{project}/{endpoint}';

export const seldon: Protocol = {
  name: 'seldon',
  routes: [
    ...['/api/v1.0', '/api/v0.1'].flatMap((api): Route[] => [
      { ...predictions, path: `${DEPLOYMENT}${api}/predictions` },
      { kind: 'read', path: `${DEPLOYMENT}${api}/metadata`, read: (_server, endpoint) => readGraph(endpoint!) },
      {
        kind: 'read',
        path: `${DEPLOYMENT}${api}/metadata/{model}`,
        read: (_server, endpoint, { params }) => readMetadata(endpoint!, params!['model']!),
      },
      { kind: 'read', path: `${DEPLOYMENT}${api}/health/status`, read: (_server, endpoint) => readReady(endpoint!) },
      { kind: 'read', path: `${DEPLOYMENT}${api}/status/{model}`, read: (_server, endpoint) => readReady(endpoint!) },
      { kind: 'action', path: `${DEPLOYMENT}${api}/feedback`, act: giveFeedback },
      { kind: 'absent', path: `${DEPLOYMENT}${api}/doc/{rest}`, reason: NO_DOCS },
      { ...predictions, path: `${api}/predictions`, nameEndpoint: () => null },
      {
        kind: 'read',
        nameEndpoint: () => null,
        path: `${api}/metadata`,
        read: (_server, endpoint) => readGraph(endpoint!),
      },
      {
        kind: 'read',
        path: `${api}/metadata/{endpoint}`,
        read: (_server, endpoint) => readMetadata(endpoint!, endpoint!.name),
      },
      {
        kind: 'read',
        path: `${api}/health/status`,
        nameEndpoint: () => null,
        read: (_server, endpoint) => readReady(endpoint!),
      },
      { kind: 'read', path: `${api}/status/{endpoint}`, read: (_server, endpoint) => readReady(endpoint!) },
      { kind: 'action', path: `${api}/feedback`, act: giveFeedback },
      { kind: 'absent', path: `${api}/doc/{rest}`, reason: NO_DOCS },
    ]),
    { kind: 'read', public: true, path: '/live', read: () => written({ contentType: 'text/plain', body: 'live' }) },
    { kind: 'read', public: true, path: '/ready', read: readServerReady },
  ],
  statuses: HTTP_STATUSES,
  writeError(error, { status }) {
    // Its model servers and its executor each have a form; the one of a model is that of a client's mistake.
    const isBadData = status === 400 || status === 415;
    const said = isBadData
      ? { status: 1, info: errorText(error), code: -1, reason: 'MICROSERVICE_BAD_DATA' }
      : { status: 'FAILURE', info: errorText(error), code: status, reason: error.code.toUpperCase() };
    return { contentType: 'application/json', body: JSON.stringify({ status: said }) };
  },
};

function readGraph(endpoint: EndpointView): unknown {
  const { inputs, outputs } = readMetadata(endpoint, endpoint.name) as { inputs: unknown; outputs: unknown };
  const models = { [endpoint.name]: readMetadata(endpoint, endpoint.name) };
  return { name: endpoint.name, models, graphinputs: inputs, graphoutputs: outputs };
}

/** A deployment has one model here, of its own name. */
function readMetadata(endpoint: EndpointView, model: string): unknown {
  const { name, version, engine, signature } = endpoint;
  if (model !== name)
    throw new SlipwayError('endpoint_not_found', `${name} has no model ${model.slice(0, 80)}`, {
      hint: `Its one model is ${name}.`,
    });
  const tensors = (specs: EndpointView['signature']['inputs']): unknown =>
    specs.map((spec) => ({
      messagetype: 'tensor',
      schema: { names: spec.features ?? spec.labels ?? [], shape: spec.shape },
      name: spec.name,
      datatype: spec.datatype,
      shape: spec.shape,
    }));
  return {
    name,
    versions: [`${version}`],
    platform: platformOf(engine),
    inputs: tensors(signature.inputs),
    outputs: tensors(signature.outputs),
  };
}

function readReady(endpoint: EndpointView): unknown {
  if (!endpoint.ready)
    throw new SlipwayError('not_ready', `${endpoint.name} is not ready: ${endpoint.reason}`, { retryAfterS: 1 });
  return {
    data: { names: [], ndarray: [] },
    meta: { requestPath: { [endpoint.name]: `slipway:${endpoint.version}` } },
  };
}

function readServerReady(server: ServerView): unknown {
  if (!server.ready) throw new SlipwayError('not_ready', server.reason ?? 'The server is starting', { retryAfterS: 1 });
  return written({ contentType: 'text/plain', body: 'ready' });
}
