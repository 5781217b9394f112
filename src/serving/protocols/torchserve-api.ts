/** What TorchServe's APIs are, as OpenAPI 3.0.1, which it answers to OPTIONS and under /api-description. */
import type { TensorSpec } from '../../registry/signature.ts';
import type { EndpointView, ServerView } from './protocol.ts';

const ERROR = {
  type: 'object',
  required: ['code', 'type', 'message'],
  properties: {
    code: { type: 'integer', description: 'Error code.' },
    type: { type: 'string', description: 'Error type.' },
    message: { type: 'string', description: 'Error message.' },
  },
};
const STATUS = { type: 'object', required: ['status'], properties: { status: { type: 'string' } } };
const json = (schema: object) => ({ 'application/json': { schema } });
const refused = (description: string) => ({ description, content: json(ERROR) });
const answered = (schema?: object) => ({
  description: 'OK',
  ...(schema === undefined ? {} : { content: json(schema) }),
});

const parameter = (name: string, place: 'path' | 'query', description: string, type = 'string') => ({
  in: place,
  name,
  description,
  required: place === 'path',
  schema: { type },
});
const MODEL = parameter('model_name', 'path', 'Name of the model: an endpoint.');
const VERSION = parameter('model_version', 'path', 'Version, such as 1.0.');

function operation(
  operationId: string,
  description: string,
  parameters: readonly object[],
  more: object = {},
  schema?: object,
) {
  return {
    description,
    operationId,
    parameters,
    ...more,
    responses: {
      200: answered(schema),
      400: refused('Bad Request'),
      404: refused('Model not found'),
      503: refused('No worker is available to serve the request'),
    },
  };
}

const FORMS = {
  requestBody: {
    description: 'A file as it is, JSON, or a form whose part is called data.',
    content: { '*/*': { schema: { type: 'string', format: 'binary' } } },
    required: true,
  },
};

function document(title: string, { release, baseUrl }: Pick<ServerView, 'release' | 'baseUrl'>, paths: object): object {
  return { openapi: '3.0.1', info: { title, version: release }, servers: [{ url: baseUrl }], paths };
}

export function describeInference(server: ServerView): object {
  const predict = (id: string, parameters: readonly object[]) => ({
    post: operation(id, 'Predictions entry point to get inference using the model.', parameters, FORMS),
    put: operation(`${id}_put`, 'The same with a body as curl -T sends it.', parameters, FORMS),
    options: operation(`${id}_options`, 'Describes the model as OpenAPI 3.0.1.', parameters),
  });
  return document('TorchServe APIs', server, {
    '/': { options: operation('apiDescription', 'Get openapi description.', []) },
    '/api-description': { get: operation('api-description', 'Get openapi description.', []) },
    '/ping': { get: operation('ping', 'Get TorchServe status.', [], {}, STATUS) },
    '/predictions/{model_name}': predict('predictions', [MODEL]),
    '/predictions/{model_name}/{model_version}': predict('version_predictions', [MODEL, VERSION]),
  });
}

export function describeManagement(server: ServerView): object {
  const query = (name: string, description: string, type = 'string') => parameter(name, 'query', description, type);
  const scale = [
    query('min_worker', '0 unloads, 1 loads.', 'integer'),
    query('max_worker', 'Not below min_worker.', 'integer'),
    query('synchronous', 'Whether to wait.', 'boolean'),
  ];
  return document('TorchServe APIs', server, {
    '/': { options: operation('apiDescription', 'Get openapi description.', []) },
    '/models': {
      get: operation('listModels', 'List models.', [
        query('limit', 'Models of a page.', 'integer'),
        query('next_page_token', 'Where the page begins.'),
      ]),
      post: operation(
        'registerModel',
        'Makes an endpoint over a version of the registry.',
        [
          query('url', 'model@version, or model@alias.'),
          query('model_name', 'Name of the endpoint; that of the model without it.'),
          query('initial_workers', '0 or 1.', 'integer'),
          query('synchronous', 'Whether to wait.', 'boolean'),
        ],
        {},
        STATUS,
      ),
    },
    '/models/{model_name}': {
      get: operation('describeModel', 'Describes the version that answers.', [
        MODEL,
        query('customized', 'Whether to tell the signature.', 'boolean'),
      ]),
      put: operation('setAutoScale', 'Loads or unloads.', [MODEL, ...scale], {}, STATUS),
      delete: operation('unregisterModel', 'Removes the endpoint.', [MODEL], {}, STATUS),
    },
    '/models/{model_name}/{model_version}': {
      get: operation('version_describeModel', 'Describes a version; all for all of them.', [MODEL, VERSION]),
      put: operation('version_setAutoScale', 'Loads or unloads.', [MODEL, VERSION, ...scale], {}, STATUS),
      delete: operation('version_unregisterModel', 'Keeps a version loaded no longer.', [MODEL, VERSION], {}, STATUS),
    },
    '/models/{model_name}/{model_version}/set-default': {
      put: operation('setDefault', 'Moves the endpoint to a version.', [MODEL, VERSION], {}, STATUS),
    },
  });
}

/** One model, with what it takes and gives. */
export function describeModel({ name, version, signature, sampleRequest }: EndpointView): object {
  const shape = (spec: TensorSpec) => ({
    datatype: spec.datatype,
    shape: spec.shape,
    ...(spec.labels === undefined ? {} : { labels: spec.labels }),
  });
  const tensors = (specs: readonly TensorSpec[]) => Object.fromEntries(specs.map((spec) => [spec.name, shape(spec)]));
  return {
    openapi: '3.0.1',
    info: { title: `RESTful API for: ${name}`, version: `${version}.0` },
    paths: {
      [`/predictions/${name}`]: {
        post: {
          ...operation(name, `A predict entry point for model: ${name}.`, [], FORMS),
          'x-inputs': tensors(signature.inputs),
          'x-outputs': tensors(signature.outputs),
          'x-sample': sampleRequest,
        },
      },
    },
  };
}
