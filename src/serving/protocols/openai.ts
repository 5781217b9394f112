/** The part of OpenAI's API that models of today's engines can answer: the list of models, and embeddings. The model is named in the body. */
import { SlipwayError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { errorText } from './open-inference.ts';
import { parseEmbeddings, writeEmbeddings } from './openai-embeddings.ts';
import { openaiModel, openaiModels } from './openai-models.ts';
import {
  type ActionCall,
  type EndpointName,
  HTTP_STATUSES,
  type InferRoute,
  type Protocol,
  type Route,
  type WireHead,
} from './protocol.ts';
import { outputsUs } from './writing-time.ts';

const embeddings: Omit<InferRoute, 'path'> = {
  kind: 'infer',
  nameEndpoint: namedInBody,
  namedInBody: true,
  parse: parseEmbeddings,
  write: writeEmbeddings,
  writeUs: outputsUs,
};

/** What needs a model that writes text; refused as a bad request, because clients try again after any 5xx. */
const GENERATIVE = ['chat/completions', 'completions', 'responses'];
const ABSENT = [
  'audio',
  'images',
  'files',
  'fine_tuning',
  'batches',
  'moderations',
  'assistants',
  'threads',
  'vector_stores',
  'rerank',
];

/** Below `/openai`, where nothing else is, and at the root, where the order of the protocols decides. */
export const openai: Protocol = {
  name: 'openai',
  routes: ['/openai/v1', '/v1'].flatMap((base): Route[] => [
    { ...embeddings, path: `${base}/embeddings` },
    ...GENERATIVE.map((path): Route => ({ kind: 'action', path: `${base}/${path}`, act: refuseGeneration })),
    { kind: 'read', path: `${base}/models`, read: (server) => openaiModels(server) },
    { kind: 'read', path: `${base}/models/{endpoint}`, read: (_server, endpoint) => openaiModel(endpoint!.name) },
    ...ABSENT.flatMap((name): Route[] => {
      const reason = `Of OpenAI's API there are models and embeddings here, not ${name}`;
      return [
        { kind: 'absent', path: `${base}/${name}`, reason },
        { kind: 'absent', path: `${base}/${name}/{rest}`, reason },
      ];
    }),
  ]),
  statuses: HTTP_STATUSES,
  writeError(error, { status }) {
    const [field] = error.fields;
    const body = {
      message: errorText(error),
      type: typeOf(status),
      param: field?.pointer.slice(1) || null,
      code: codeOf(error),
    };
    return { contentType: 'application/json', body: JSON.stringify({ error: body }) };
  },
};

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** Where OpenAI has a code for it, that one. */
function codeOf({ code }: SlipwayError): string {
  if (code === 'endpoint_not_found' || code === 'version_not_found') return 'model_not_found';
  if (code === 'key_missing' || code === 'key_invalid') return 'invalid_api_key';
  return code === 'rate_limited' ? 'rate_limit_exceeded' : code;
}

/** Only looked for here; the body is read in full, and its faults are told, when it is known for which model it is. */
function namedInBody(_head: WireHead, body: Uint8Array | null): EndpointName | null {
  if (body === null) return null;
  const model = modelIn(body);
  if (typeof model === 'string' && model !== '') return { name: model };
  throw new SlipwayError('invalid_request', 'you must provide a model parameter', {
    fields: [{ pointer: '/model', message: model === undefined ? 'is missing' : 'must be a string' }],
  });
}

function modelIn(body: Uint8Array): unknown {
  const value = parseJson(body, { maxDepth: 100 });
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)['model'] : undefined;
}

function refuseGeneration({ body, server }: ActionCall): never {
  const model = modelIn(body);
  const named = typeof model === 'string' ? model : '';
  const known = server.endpoints().some(({ name }) => name === named.split('@')[0]);
  if (named !== '' && !known) {
    throw new SlipwayError('endpoint_not_found', `The model ${JSON.stringify(named.slice(0, 80))} does not exist`, {
      fields: [{ pointer: '/model', message: 'names no endpoint' }],
      hint: 'GET /v1/models lists what is served.',
    });
  }
  throw new SlipwayError(
    'unsupported_option',
    named === '' ? 'There is no text-generation model' : `${named.slice(0, 80)} is no text-generation model`,
    {
      fields: [{ pointer: '/model', message: 'must be a text-generation model' }],
      hint: 'No engine here generates text; /v1/embeddings is answered by models that embed.',
    },
  );
}
