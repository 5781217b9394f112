/** The plain form: requests that people type by hand, answers that they read. */
import { ERRORS, type FieldError, SlipwayError } from '../../base/errors.ts';
import { quoteForShell } from '../../base/shell.ts';
import { sampleRequestFor } from '../../registry/sample-request.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { mostKeysOf, readPlainBody } from '../tensors/plain-codec.ts';
import { decodeRequest } from './decode-request.ts';
import { readJsonBody } from './json-body.ts';
import { answerFormOf, writePredictions } from './plain-answers.ts';
import { isPassedOn, readOtherBody } from './plain-bodies.ts';
import {
  type EndpointView,
  HTTP_STATUSES,
  type InferRequest,
  type Protocol,
  type ServerView,
  type WireCall,
} from './protocol.ts';
import { predictionsUs } from './writing-time.ts';

export const plain: Protocol = {
  name: 'plain',
  routes: [
    {
      kind: 'read',
      path: '/endpoints',
      read: (server) => ({ endpoints: server.endpoints().map((endpoint) => summary(server, endpoint)) }),
    },
    { kind: 'read', path: '/endpoints/{endpoint}', read: (server, endpoint) => describe(server, endpoint!) },
    { kind: 'read', path: '/', public: true, read: listing },
    {
      kind: 'infer',
      path: '/endpoints/{endpoint}/predict',
      parsesFast: isPassedOn,
      parse: parsePredict,
      decode: decodeRequest,
      write: writePredictions,
      writeUs: predictionsUs,
    },
  ],
  statuses: HTTP_STATUSES,
  writeError(error, about) {
    return { contentType: 'application/problem+json', body: JSON.stringify(problemOf(error, about)) };
  },
};

function parsePredict(call: WireCall, target: InputTarget): InferRequest {
  const read = readOtherBody(call, target) ?? readPlainBody(target, readBody(call, target));
  const { inputs, rows, encoded } = read;
  const form = answerFormOf(call.headers['accept']);
  if (encoded === undefined && form === undefined) return { id: null, inputs, rows, outputs: null };
  return { id: null, inputs, rows, outputs: null, form, ...(encoded === undefined ? {} : { encoded }) };
}

const MAX_EXAMPLE_CHARS = 1000;

function readBody(call: WireCall, target: InputTarget): unknown {
  try {
    return readJsonBody(call, mostKeysOf(target.signature));
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'invalid_json' || error.hint !== undefined) throw error;
    const example = JSON.stringify(sampleRequestFor(target.signature));
    const form = example.length <= MAX_EXAMPLE_CHARS ? example : '{"records": [{…}]}';
    throw new SlipwayError(error.code, error.message, {
      fields: error.fields,
      hint: `Send a JSON document such as ${form}`,
    });
  }
}

/** For a person who opens the bare address. It says nothing that depends on who asks. */
function listing({ baseUrl }: ServerView): unknown {
  return {
    slipway: 'inference; the management API has an address of its own',
    endpoints: `${baseUrl}/endpoints`,
    endpoint: `${baseUrl}/endpoints/{name}`,
    predict: `POST ${baseUrl}/endpoints/{name}/predict`,
    openInferenceProtocol: `${baseUrl}/v2`,
    ready: `${baseUrl}/v2/health/ready`,
    status: 'alive', // what KServe's clients look for at this address
  };
}

function summary(server: ServerView, endpoint: EndpointView): unknown {
  return {
    endpoint: endpoint.name,
    environment: endpoint.environment,
    model: endpoint.model,
    version: endpoint.version,
    ready: endpoint.ready,
    reason: endpoint.reason,
    pending: endpoint.pending,
    url: predictUrl(server, endpoint),
  };
}

function describe(server: ServerView, endpoint: EndpointView): unknown {
  const key = server.keyNeeded ? ' -H "Authorization: Bearer $SLIPWAY_API_KEY"' : '';
  const json = quoteForShell(JSON.stringify(endpoint.sampleRequest));
  const body = fileExample(endpoint) ?? `-H "Content-Type: application/json" -d ${json}`;
  return {
    ...(summary(server, endpoint) as object),
    versions: endpoint.versions,
    digest: endpoint.digest,
    inputs: endpoint.signature.inputs,
    outputs: endpoint.signature.outputs,
    example: {
      request: endpoint.sampleRequest,
      curl: `curl ${predictUrl(server, endpoint)}${key} ${body}`,
    },
  };
}

/** Models that take one file are best tried with one. */
function fileExample({ signature }: EndpointView): string | null {
  const needed = signature.inputs.filter((input) => input.optional !== true);
  const [only] = needed.length === 1 ? needed : [];
  if (only?.decoder === undefined) return null;
  return only.decoder.kind === 'image'
    ? '-H "Content-Type: image/jpeg" --data-binary @photo.jpg'
    : '-H "Content-Type: application/octet-stream" --data-binary @tensor.bin';
}

function predictUrl(server: ServerView, endpoint: EndpointView): string {
  return `${server.baseUrl}/endpoints/${endpoint.name}/predict`;
}

type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  pointer?: string;
  errors?: readonly FieldError[];
  hint?: string;
  request_id: string;
  retryable: boolean;
};

/** RFC 9457, in the management API's form. */
function problemOf(error: SlipwayError, about: { status: number; requestId: string; path: string }): Problem {
  return {
    type: `urn:slipway:error:${error.code}`,
    title: ERRORS[error.code].title,
    status: about.status,
    detail: error.message,
    instance: about.path,
    code: error.code,
    ...(error.fields.length > 0 ? { pointer: error.fields[0]!.pointer, errors: error.fields } : {}),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    request_id: about.requestId,
    retryable: error.kind === 'overloaded' || error.kind === 'unavailable',
  };
}
