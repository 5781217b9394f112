/** Azure ML online endpoints: the inference server's contract, and the pin that its callers send as a header. */
import { SlipwayError } from '../../base/errors.ts';
import { parseVersion } from '../endpoints/routing.ts';
import { predictionsToJson } from '../tensors/nested-json.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { parseScore } from './azure-ml-request.ts';
import { readSwagger } from './azure-ml-swagger.ts';
import { decodeRequest } from './decode-request.ts';
import { errorText } from './open-inference.ts';
import {
  type Answered,
  type EndpointName,
  type ErrorContext,
  HTTP_STATUSES,
  type InferRequest,
  type InferRoute,
  type Protocol,
  type WireAnswer,
  type WireHead,
  written,
} from './protocol.ts';
import { outputsUs } from './writing-time.ts';

/** Longest id that a caller may give a request. */
const HEADER_LIMIT = 100;
const TOO_LONG = 'headerTooLong';

/** What of the request is in its answer. */
export type Form = { readonly ids: readonly string[]; readonly requestId: string | null; readonly results: boolean };

const score: Omit<InferRoute, 'path'> = {
  kind: 'infer',
  nameEndpoint: namedBy,
  parse(call, target) {
    const { results, ...read } = parseScore(call, target);
    const form: Form = { ids: idsOf(call.headers), requestId: textOf(call.headers, 'x-request-id'), results };
    return { id: null, outputs: null, ...read, form };
  },
  decode: decodeRequest,
  write: writeScore,
  writeUs: outputsUs,
};

/** A browser's question whether it may ask; CORS headers are not given, so only pages of the same origin may. */
const options = {
  kind: 'read',
  public: true,
  methods: ['OPTIONS'],
  read: () => written({ contentType: 'text/plain', body: '' }),
} as const;

export const azureMl: Protocol = {
  name: 'azure-ml',
  routes: [
    { ...score, path: '/aml/{endpoint}/score' },
    { ...options, path: '/aml/{endpoint}/score' },
    {
      kind: 'read',
      path: '/aml/{endpoint}/swagger.json',
      read: (_server, endpoint, head) => readSwagger(endpoint!, head),
    },
    { ...score, path: '/score' },
    { ...options, path: '/score' },
    {
      kind: 'read',
      path: '/swagger.json',
      nameEndpoint: () => null,
      read: (_server, endpoint, head) => readSwagger(endpoint!, head),
    },
    {
      kind: 'read',
      path: '/',
      public: true,
      read: ({ ready }) =>
        written({
          contentType: 'text/html; charset=utf-8',
          body: ready ? 'Healthy' : 'Unhealthy',
          status: ready ? 200 : 503,
        }),
    },
  ],
  statuses: HTTP_STATUSES,
  writeError(error, about) {
    const tooLong = error.extra?.[TOO_LONG] as string | undefined;
    const failed = error.code === 'run_failed' || error.kind === 'internal' ? 'True' : 'False';
    return {
      contentType: 'application/json',
      body: JSON.stringify({ message: messageOf(error) }),
      ...(tooLong === undefined ? {} : { status: 431 }),
      headers: ['x-ms-run-function-failed', failed, ...(tooLong === undefined ? errorIds(about) : [])],
    };
  },
};

/** Where its own server has a text for what any server says, that is the text. */
function messageOf(error: SlipwayError): string {
  if (error.code === 'route_not_found') {
    return 'The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.';
  }
  if (error.code === 'method_not_allowed') return 'The method is not allowed for the requested URL.';
  return errorText(error);
}

/** A deployment is a version here: by its number, or by an alias. */
function namedBy(head: WireHead): EndpointName | null {
  assertShort(head);
  const { params, headers } = head;
  const name = params?.['endpoint'];
  const deployment = textOf(headers, 'azureml-model-deployment');
  if (deployment === null) return name === undefined ? null : { name };
  return {
    ...(name === undefined ? {} : { name }),
    ...(parseVersion(deployment) === null ? { label: deployment } : { version: deployment }),
  };
}

function assertShort({ headers }: WireHead): void {
  const isLong = (name: string): boolean => (textOf(headers, name)?.length ?? 0) > HEADER_LIMIT;
  if (isLong('x-request-id')) throw tooLong('x-request-id');
  if (isLong('x-ms-request-id') || isLong('x-ms-client-request-id'))
    throw tooLong('x-ms-request-id and x-ms-client-request-id');
}

function tooLong(which: string): SlipwayError {
  return new SlipwayError('invalid_request', `${which} must not exceed ${HEADER_LIMIT} characters`, {
    extra: { [TOO_LONG]: which },
  });
}

/** The caller's ids, to be sent back: the older name of one stands for both, and the other way round. */
function idsOf(headers: WireHead['headers']): string[] {
  const legacy = textOf(headers, 'x-ms-request-id');
  const client = textOf(headers, 'x-ms-client-request-id') ?? legacy;
  const trace = textOf(headers, 'traceid');
  return [
    ...(client === null ? [] : ['x-ms-request-id', legacy ?? client, 'x-ms-client-request-id', client]),
    ...(trace === null ? [] : ['TraceId', trace.slice(0, HEADER_LIMIT)]),
  ];
}

function errorIds({ headers, requestId }: ErrorContext): string[] {
  const ids = idsOf(headers ?? {});
  return ids.includes('x-ms-request-id') ? ids : [...ids, 'x-ms-request-id', requestId];
}

function textOf(headers: WireHead['headers'], name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

function writeScore(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const { ids, requestId, results } = request.form as Form;
  const predictions = predictionsToJson(answered.signature, outputs, request.rows);
  const own = ids.includes('x-ms-request-id') ? [] : ['x-ms-request-id', requestId ?? answered.predictionId];
  return {
    contentType: 'application/json',
    headers: [...ids, ...own, 'x-ms-run-function-failed', 'False', 'azureml-model-deployment', `${answered.version}`],
    body: results ? `{"Results":${predictions}}` : predictions,
  };
}
