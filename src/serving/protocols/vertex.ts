/**
 * Vertex AI, both sides: what its containers answer, and what its callers ask (`projects.locations.endpoints`). The project of a caller's path is the Slipway project of
 * that name; a location says nothing here.
 */
import { type ErrorKind, SlipwayError } from '../../base/errors.ts';
import { parseMediaType } from '../inputs/media-type.ts';
import { type InputTarget, invalidInput } from '../tensors/input-check.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { predictionsToJson } from '../tensors/nested-json.ts';
import { mostKeysOf, type PlainInputs } from '../tensors/plain-codec.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { decodeRequest } from './decode-request.ts';
import { readInstances } from './instances.ts';
import { assertJson, readJsonBody } from './json-body.ts';
import { quotedKeys, readRowsUnder } from './number-rows.ts';
import { errorText } from './open-inference.ts';
import { readOtherBody } from './plain-bodies.ts';
import {
  type Answered,
  type EndpointName,
  type EndpointView,
  HTTP_STATUSES,
  type InferRequest,
  type InferRoute,
  type Protocol,
  type Route,
  type ServerView,
  type WireAnswer,
  type WireCall,
  type WireHead,
  written,
} from './protocol.ts';
import { isTensor, isTritonType, parseTriton, type TritonForm, writeTriton } from './triton-body.ts';
import { outputsUs } from './writing-time.ts';

const ENDPOINT = '/v1/projects/{project}/locations/{location}/endpoints/{endpoint}';
/** Where a container answers unless it is told otherwise; both ids are Google's own, so the default endpoint answers. */
const CONTAINER = '/v1/endpoints/{endpointId}/deployedModels/{deployedModelId}';

const KEYS_OF_ROWS = quotedKeys('instances');

/** Where the answer names the model, in the words of the caller's path. */
type Form = { readonly parent: string | null; readonly triton?: TritonForm };

const predict: Omit<InferRoute, 'path' | 'parse' | 'write'> = {
  kind: 'infer',
  decode: decodeRequest,
  writeUs: outputsUs,
};
const contained: Omit<InferRoute, 'path'> = {
  ...predict,
  parse: parseAny,
  write: writeContained,
  nameEndpoint: redirectOf,
};

const healthRoute: Route = { kind: 'read', public: true, path: '/vertex/health', read: readHealth };
const predictRoute: InferRoute = { ...contained, path: '/vertex/predict' };

const NO_STREAMS = 'Models here give one answer; use :predict or :rawPredict';
const absent: readonly Route[] = [
  ['explain', 'Explanations are not computed here; :predict gives the predictions alone'],
  ['streamRawPredict', NO_STREAMS],
  ['serverStreamingPredict', NO_STREAMS],
  ['directPredict', 'Tensors of gRPC are sent with the Open Inference Protocol here; use :predict'],
  ['directRawPredict', 'Bytes of gRPC are sent with the Open Inference Protocol here; use :rawPredict'],
].map(([verb, reason]): Route => ({ kind: 'absent', path: `${ENDPOINT}:${verb}`, reason: reason! }));

export const vertex: Protocol = {
  name: 'vertex',
  routes: [
    { ...predict, path: `${ENDPOINT}:predict`, parse: parsePredict, write: writePredict },
    {
      ...predict,
      path: `${ENDPOINT}:rawPredict`,
      nameEndpoint: (head: WireHead) => redirectOf(head) ?? { name: head.params!['endpoint']! },
      parse: parseAny,
      write: writeRawPredict,
    },
    ...absent,
    { ...contained, path: `${CONTAINER}:predict` },
    { kind: 'read', public: true, path: CONTAINER, read: readHealth },
    healthRoute,
    predictRoute,
  ],
  statuses: HTTP_STATUSES,
  writeError(error, { status }) {
    const body = { error: { code: status, message: errorText(error), status: statusName(error, status), details: [] } };
    return { contentType: 'application/json; charset=UTF-8', body: JSON.stringify(body) };
  },
};

/** The same where the platform chose the paths of its container. */
export function vertexAt(paths: { readonly predict: string | null; readonly health: string | null }): Protocol {
  return {
    ...vertex,
    routes: [
      ...vertex.routes,
      ...(paths.predict === null ? [] : [{ ...predictRoute, at: paths.predict }]),
      ...(paths.health === null ? [] : [{ ...healthRoute, at: paths.health }]),
    ],
  };
}

/** By google.rpc.Code. */
const NAMES: Readonly<Record<ErrorKind, string>> = {
  invalid: 'INVALID_ARGUMENT',
  unauthorized: 'UNAUTHENTICATED',
  forbidden: 'PERMISSION_DENIED',
  not_found: 'NOT_FOUND',
  conflict: 'ABORTED',
  too_large: 'INVALID_ARGUMENT',
  overloaded: 'UNAVAILABLE',
  unavailable: 'UNAVAILABLE',
  internal: 'INTERNAL',
};

function statusName({ kind }: SlipwayError, status: number): string {
  if (status === 429) return 'RESOURCE_EXHAUSTED';
  if (status === 501) return 'UNIMPLEMENTED';
  return status === 504 ? 'DEADLINE_EXCEEDED' : NAMES[kind];
}

function readHealth(server: ServerView, _endpoint: EndpointView | null): unknown {
  if (!server.ready) throw new SlipwayError('not_ready', server.reason ?? 'The server is starting', { retryAfterS: 1 });
  return written({ contentType: 'application/json', body: '{}' });
}

function parsePredict(call: WireCall, target: InputTarget): InferRequest {
  return requestOf(readDocument(call, target), call);
}

/** A raw request is whatever the model takes. JSON has instances, as its container would read it, or is that of NVIDIA's containers. */
function parseAny(call: WireCall, target: InputTarget): InferRequest {
  const header = call.headers['content-type'];
  const type = typeof header === 'string' ? parseMediaType(header) : null;
  if (type !== null && isTritonType(type, 'vertex-ai')) return inTritonForm(parseTriton(call, type, target));
  const other = readOtherBody(call, target);
  if (other !== null) return requestOf(other, call);
  if (call.headers[REDIRECT] !== undefined || isOpenInference(call, target))
    return inTritonForm(parseTriton(call, null, target));
  return requestOf(readDocument(call, target), call);
}

/** With which NVIDIA's containers are asked for one of their models, in the paths of their own. */
const REDIRECT = 'x-vertex-ai-triton-redirect';

/** @throws SlipwayError `unsupported_option` for all but predictions */
function redirectOf({ headers }: WireHead): EndpointName | null {
  const path = headers[REDIRECT];
  if (path === undefined) return null;
  const [, name, version] = /^\/?v2\/models\/([^/]+)(?:\/versions\/(\d+))?\/infer$/.exec(String(path)) ?? [];
  if (name !== undefined) return { name, ...(version === undefined ? {} : { version }) };
  throw new SlipwayError('unsupported_option', `${REDIRECT} says ${JSON.stringify(String(path).slice(0, 100))}`, {
    hint: 'Here it may name v2/models/{endpoint}/infer, with or without a version; all other paths are asked themselves.',
  });
}

/** By its key before anything is parsed: rows are under another. */
function isOpenInference(call: WireCall, target: InputTarget): boolean {
  const { buffer, byteOffset, byteLength } = call.body;
  if (Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).indexOf('"datatype"') === -1) return false;
  const body = readJsonBody(call, mostKeysOf(target.signature));
  const inputs = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)['inputs'] : undefined;
  return Array.isArray(inputs) && isTensor(inputs[0]);
}

function inTritonForm({ triton, ...request }: ReturnType<typeof parseTriton>): InferRequest {
  return { ...request, form: { parent: null, triton } satisfies Form };
}

function requestOf(read: PlainInputs, { params = {} }: WireCall): InferRequest {
  const { project, location } = params;
  const parent = project === undefined ? null : `projects/${project}/locations/${location}`;
  return { id: null, outputs: null, ...read, form: { parent } satisfies Form };
}

function readDocument(call: WireCall, target: InputTarget): PlainInputs {
  assertJson(call);
  const rows = readRowsUnder(KEYS_OF_ROWS, call.body, target);
  if (rows !== null) return rows;
  const body = readJsonBody(call, mostKeysOf(target.signature));
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalidInput(target, [{ pointer: '', message: `must be an object with "instances", not ${kindOf(body)}` }]);
  }
  const { instances, parameters, ...others } = body as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) {
    const message = 'is not known; a request has instances, parameters';
    throw invalidInput(target, [{ pointer: `/${other.slice(0, 100)}`, message }]);
  }
  assertNoParameters(parameters, target);
  if (instances === undefined) throw invalidInput(target, [{ pointer: '/instances', message: 'is missing' }]);
  return readInstances(instances, target);
}

/** Clients send null or an empty object where they have none. */
function assertNoParameters(parameters: unknown, target: InputTarget): void {
  if (parameters === undefined || parameters === null) return;
  if (typeof parameters === 'object' && Object.keys(parameters).length === 0) return;
  throw new SlipwayError('unsupported_option', `${target.name} takes no parameters besides its inputs`, {
    fields: [{ pointer: '/parameters', message: 'must be left out' }],
  });
}

function writeContained(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string | WireAnswer {
  const { triton } = request.form as Form;
  return triton === undefined
    ? writePredictions(request, outputs, answered)
    : writeTriton(request, triton, outputs, answered, null);
}

function writePredictions(request: InferRequest, outputs: readonly Tensor[], { signature }: Answered): string {
  return `{"predictions":${predictionsToJson(signature, outputs, request.rows)}}`;
}

function writePredict(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string {
  const { endpoint, version } = answered;
  const { parent } = request.form as Form;
  const model = JSON.stringify(`${parent}/models/${endpoint}`);
  const about = `"deployedModelId":"${version}","model":${model},"modelDisplayName":"${endpoint}","modelVersionId":"${version}"`;
  return `${writePredictions(request, outputs, answered).slice(0, -1)},${about}}`;
}

function writeRawPredict(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const ids = ['X-Vertex-AI-Endpoint-Id', answered.endpoint, 'X-Vertex-AI-Deployed-Model-Id', `${answered.version}`];
  const written = writeContained(request, outputs, answered);
  if (typeof written === 'string') return { contentType: 'application/json', headers: ids, body: written };
  return { ...written, headers: [...ids, ...(written.headers ?? [])] };
}
