/** The description of one endpoint that Azure ML's inference server gives: OpenAPI 2, 3.0 or 3.1. */
import { SlipwayError } from '../../base/errors.ts';
import type { Datatype, TensorSpec } from '../../registry/signature.ts';
import type { EndpointView, WireHead } from './protocol.ts';

const VERSIONS: ReadonlyMap<string, '2.0' | '3.0.0' | '3.1.0'> = new Map([
  ['2', '2.0'],
  ['2.0', '2.0'],
  ['3', '3.0.0'],
  ['3.0', '3.0.0'],
  ['3.1', '3.1.0'],
]);

/** @throws SlipwayError `version_not_found` for another version of OpenAPI */
export function readSwagger(endpoint: EndpointView, { query, params }: WireHead): unknown {
  const asked = new URLSearchParams(query ?? '').get('version') ?? '2';
  const version = VERSIONS.get(asked);
  if (version === undefined) {
    const known = '[2, 3, 3.1]';
    throw new SlipwayError(
      'version_not_found',
      `Swagger version [${asked.slice(0, 20)}] is not valid. Supported versions: ${known}.`,
    );
  }
  const path = params?.['endpoint'] === undefined ? '/score' : `/aml/${params['endpoint']}/score`;
  const schemas = { ServiceInput: inputSchema(endpoint), ServiceOutput: outputSchema(endpoint), ErrorResponse };
  const info = {
    title: endpoint.name,
    description: `API specification for ${endpoint.name}`,
    version: `${endpoint.version}`,
  };
  const said = { operationId: 'RunMLService', description: "Run web service's model and get the prediction output" };
  if (version === '2.0') {
    const ref = (name: string): unknown => ({ $ref: `#/definitions/${name}` });
    return {
      swagger: version,
      info,
      schemes: ['https', 'http'],
      consumes: ['application/json'],
      produces: ['application/json'],
      securityDefinitions: {
        Bearer: { type: 'apiKey', name: 'Authorization', in: 'header', description: 'For example: Bearer abc123' },
      },
      paths: {
        [path]: {
          post: {
            ...said,
            security: [{ Bearer: [] }],
            parameters: [
              {
                name: 'serviceInputPayload',
                in: 'body',
                description: 'The input payload',
                schema: ref('ServiceInput'),
              },
            ],
            responses: {
              200: {
                description: 'The service processed the input correctly and provided a result prediction.',
                schema: ref('ServiceOutput'),
              },
              default: { description: 'The service failed to execute due to an error.', schema: ref('ErrorResponse') },
            },
          },
        },
      },
      definitions: schemas,
    };
  }
  const content = (name: string): unknown => ({
    'application/json': { schema: { $ref: `#/components/schemas/${name}` } },
  });
  return {
    openapi: version,
    info,
    paths: {
      [path]: {
        post: {
          ...said,
          security: [{ bearerAuth: [] }],
          requestBody: { content: content('ServiceInput') },
          responses: {
            200: {
              description: 'The service processed the input correctly and provided a result prediction.',
              content: content('ServiceOutput'),
            },
            default: {
              description: 'The service failed to execute due to an error.',
              content: content('ErrorResponse'),
            },
          },
        },
      },
    },
    components: { securitySchemes: { bearerAuth: { type: 'http', scheme: 'bearer' } }, schemas },
  };
}

const ErrorResponse = { type: 'object', properties: { message: { type: 'string' } } };

function inputSchema({ signature, sampleRequest }: EndpointView): unknown {
  const rows = { type: 'array', items: { type: 'object', properties: propertiesOf(signature.inputs) } };
  const data = 'records' in sampleRequest ? sampleRequest.records : sampleRequest.inputs;
  return { type: 'object', required: ['data'], properties: { data: rows }, example: { data } };
}

function propertiesOf(inputs: readonly TensorSpec[]): Record<string, unknown> {
  return Object.fromEntries(
    inputs.flatMap(({ name, features, datatype, shape }): [string, unknown][] =>
      features === undefined
        ? [[name, arraysOf(datatype, shape.slice(1))]]
        : features.map((feature): [string, unknown] => [feature, elementOf(datatype)]),
    ),
  );
}

function outputSchema({ signature }: EndpointView): unknown {
  const { outputs } = signature;
  const [only] = outputs;
  if (outputs.length === 1) return arraysOf(only!.datatype, only!.shape);
  const properties = Object.fromEntries(
    outputs.map(({ name, datatype, shape }) => [name, arraysOf(datatype, shape.slice(1))]),
  );
  return { type: 'array', items: { type: 'object', properties } };
}

function arraysOf(datatype: Datatype, shape: readonly number[]): unknown {
  return shape.reduceRight<unknown>((items) => ({ type: 'array', items }), elementOf(datatype));
}

function elementOf(datatype: Datatype): unknown {
  if (datatype === 'BYTES') return { type: 'string' };
  if (datatype === 'BOOL') return { type: 'boolean' };
  if (/^(FP|BF)/.test(datatype)) return { type: 'number', format: datatype === 'FP64' ? 'double' : 'float' };
  return { type: 'integer', format: /64$/.test(datatype) ? 'int64' : 'int32' };
}
