/** MLflow's scoring server, as of MLflow 3: for every endpoint under its name, and at the root for the default one. */
import type { ErrorKind, SlipwayError } from '../../base/errors.ts';
import { predictionsToJson } from '../tensors/nested-json.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { decodeRequest } from './decode-request.ts';
import { parseInvocation } from './mlflow-request.ts';
import { errorText } from './open-inference.ts';
import {
  type Answered,
  type EndpointView,
  HTTP_STATUSES,
  type InferRequest,
  type InferRoute,
  type Protocol,
  type ReadRoute,
  type ServerView,
  written,
} from './protocol.ts';
import { outputsUs } from './writing-time.ts';

const invocations: Omit<InferRoute, 'path'> = {
  kind: 'infer',
  parse: parseInvocation,
  decode: decodeRequest,
  write: writeInvocation,
  writeUs: outputsUs,
};

/** Probes are answered with an empty line, and with 404 where there is no model. */
const ping: Omit<ReadRoute, 'path'> = { kind: 'read', public: true, read: (server) => probe(server.ready) };
const pingOne: Omit<ReadRoute, 'path'> = { kind: 'read', read: (_server, endpoint) => probe(endpoint!.ready) };

export const mlflow: Protocol = {
  name: 'mlflow',
  routes: [
    { ...invocations, path: '/m/{endpoint}/invocations' },
    { ...pingOne, path: '/m/{endpoint}/ping' },
    { ...pingOne, path: '/m/{endpoint}/health' },
    { kind: 'read', path: '/m/{endpoint}/version', read: writeRelease },
    { ...invocations, path: '/invocations', nameEndpoint: () => null },
    { ...ping, path: '/ping' },
    { ...ping, path: '/health' },
    { kind: 'read', public: true, path: '/version', read: writeRelease },
  ],
  statuses: HTTP_STATUSES,
  writeError(error, { status }) {
    // Its own server answers these without JSON.
    if (status === 415) return { contentType: 'text/plain; charset=utf-8', body: errorText(error) };
    if (error.code === 'deadline_exceeded') return { contentType: 'application/json', body: TOO_LATE };
    return {
      contentType: 'application/json',
      body: JSON.stringify({ error_code: codeOf(error), message: errorText(error) }),
    };
  },
};

/** By the names that MLflow's clients know (its databricks.proto). */
const CODES: Readonly<Record<ErrorKind, string>> = {
  invalid: 'BAD_REQUEST',
  unauthorized: 'UNAUTHENTICATED',
  forbidden: 'PERMISSION_DENIED',
  not_found: 'RESOURCE_DOES_NOT_EXIST',
  conflict: 'RESOURCE_CONFLICT',
  too_large: 'BAD_REQUEST',
  overloaded: 'REQUEST_LIMIT_EXCEEDED',
  unavailable: 'TEMPORARILY_UNAVAILABLE',
  internal: 'INTERNAL_ERROR',
};

const TOO_LATE = 'Request processing time exceeded limit';

function codeOf({ code, kind }: SlipwayError): string {
  if (code === 'not_offered' || code === 'unsupported_option') return 'NOT_IMPLEMENTED';
  return CODES[kind];
}

function probe(ready: boolean): unknown {
  return written({ contentType: 'application/json', body: '\n', status: ready ? 200 : 404 });
}

function writeRelease({ release }: ServerView, _endpoint: EndpointView | null): unknown {
  return written({ contentType: 'text/plain; charset=utf-8', body: release });
}

/** Numbers that are not finite are written as Python writes them. */
function writeInvocation(request: InferRequest, outputs: readonly Tensor[], { signature }: Answered): string {
  return `{"predictions":${predictionsToJson(signature, outputs, request.rows, 'bare')}}`;
}
