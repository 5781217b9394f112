import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { registerApiBrowser } from './api-browser.ts';
import { ProblemSchema } from './problem.ts';

const PREFIX = '/api/v1';
const KEY_HELP =
  'An API key: `slipway_live_…`. The first one, with every right, is in the file `admin.key` in the data folder (`.slipway` unless told); `slipway keys create` makes others.';
const METHODS = ['get', 'put', 'post', 'patch', 'delete'] as const;

type Operation = {
  operationId?: string;
  summary?: string;
  tags?: string[];
  responses?: Record<string, { description?: string }>;
  security?: unknown[];
  servers?: unknown[];
  [extension: `x-${string}`]: unknown;
};
export type OpenApiDocument = {
  openapi: string;
  servers: { url: string; description?: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
};

/**
 * The API's description, made from the very schemas that validate, and a page to browse it. Things of a project are described once;
 * the two servers are the two places where they are mounted.
 */
export async function registerOpenApi(app: FastifyInstance, options: { release: string }): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Slipway management API',
        version: options.release,
        description:
          'Models, versions, aliases, endpoints, keys and the audit log. Errors are RFC 9457 problem documents.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          key: { type: 'http', scheme: 'bearer', description: KEY_HELP },
          keyHeader: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        },
      },
    },
    transform: ({ schema, url, route }) => {
      const config = route.config ?? {};
      const isPublic = config.permission === 'public';
      const described = {
        ...(schema ?? {}),
        'x-slipway-permission': config.permission,
        ...(config.body === 'stream' ? { consumes: ['application/octet-stream'] } : {}),
        security: isPublic ? [] : [{ key: [] }, { keyHeader: [] }],
        hide: config.mount === 'named' || (schema as { hide?: boolean } | undefined)?.hide === true,
      };
      return { schema: described as unknown as typeof schema, url };
    },
  });

  let document: string | undefined;
  app.get(
    '/api/openapi.json',
    {
      config: { permission: 'public' },
      schema: { tags: ['server'], summary: 'This description' },
    },
    async (_request, reply) => {
      document ??= JSON.stringify(finish(app));
      return reply.type('application/json').serializer(String).send(document);
    },
  );
  registerApiBrowser(app);
}

/** Paths relative to the servers, the common error answer, and an id for every operation. */
function finish(app: FastifyInstance): OpenApiDocument {
  const document = app.swagger() as unknown as OpenApiDocument;
  const ofProjects = new Set(
    app.routeTable
      .filter((entry) => entry.config.mount === 'default')
      .map((entry) => entry.url.replace(/:(\w+)/g, '{$1}').replace(/\/\*$/, '/{*}')),
  );
  const paths: OpenApiDocument['paths'] = {};
  for (const [path, operations] of Object.entries(document.paths)) {
    const isOfProject = ofProjects.has(path) || ofProjects.has(path.replace(/\{[^}]*\}$/, '{*}'));
    const isInApi = path.startsWith(`${PREFIX}/`);
    const shown = isInApi ? path.slice(PREFIX.length) : path;
    for (const method of METHODS) {
      const operation = operations[method];
      if (!operation) continue;
      operation.operationId ??= operationId(method, shown);
      operation.responses = describeAnswers(operation.responses ?? {});
      operation.responses['default'] = { $ref: '#/components/responses/Problem' } as { description?: string };
      if (!isOfProject) operation.servers = [{ url: isInApi ? PREFIX : '/' }];
    }
    paths[shown] = { ...paths[shown], ...operations };
  }
  return {
    ...document,
    servers: [
      { url: PREFIX, description: 'The default project' },
      {
        url: `${PREFIX}/projects/{project}`,
        description: 'A named project',
        variables: { project: { default: 'default', description: 'Name of the project' } },
      } as OpenApiDocument['servers'][0],
    ],
    paths,
    components: {
      ...document.components,
      schemas: { ...document.components.schemas, Problem: ProblemSchema },
      responses: {
        Problem: {
          description: 'What went wrong, and what to do next',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    } as OpenApiDocument['components'],
  };
}

type Responses = NonNullable<Operation['responses']>;

/** The generator calls every answer the default one unless its schema has a description. */
function describeAnswers(responses: Responses): Responses {
  const isMaking = '201' in responses || '202' in responses;
  const usual: Record<string, string> = {
    200: isMaking ? 'Nothing new was made: a dry run, or it was there already' : 'What was asked for, or how it is now',
    201: 'It was made',
    202: 'It was made, and work on it goes on',
    204: 'It was done; there is nothing more to say',
  };
  const described = Object.entries(responses)
    .filter(([status]) => status !== 'default')
    .map(([status, response]) => {
      const isNamed = response.description !== undefined && response.description !== 'Default Response';
      return [status, isNamed ? response : { ...response, description: usual[status] ?? 'The answer' }] as const;
    });
  return Object.fromEntries(described);
}

function operationId(method: string, path: string): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  return method + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}
