import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { callOf, setEtag } from '../../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../../base/http/paging.ts';
import { reachableUrl } from '../../base/http/reachable-url.ts';
import { AliasName, EnvironmentName, Name, Nullable, ProjectName } from '../../base/http/schema-parts.ts';
import type { Endpoint, EndpointService } from './endpoint-service.ts';

export const TargetSchema = Type.Union(
  [
    Type.Object({ version: Type.Integer({ minimum: 1 }) }, { additionalProperties: false }),
    Type.Object({ alias: AliasName }, { additionalProperties: false }),
  ],
  { description: 'A fixed version, or an alias that is followed.' },
);

const LoadedVersion = Type.Object({
  version: Type.Integer(),
  state: Type.Enum(['loading', 'warming', 'ready', 'restarting', 'quarantined', 'failed', 'draining']),
  reason: Nullable(Type.String()),
  since: Type.String(),
  memoryBytes: Nullable(Type.Integer()),
  restarts: Type.Integer(),
  waiting: Type.Integer(),
});

export const EndpointSchema = Type.Object({
  project: ProjectName,
  name: Name,
  environment: EnvironmentName,
  model: Name,
  target: TargetSchema,
  targetVersion: Nullable(
    Type.Integer({ description: 'The version the target names now; null when its alias is gone.' }),
  ),
  pins: Type.Array(Type.Integer()),
  loaded: Type.Boolean({
    description: 'Whether its versions are kept running; unloaded, calls are answered with 503.',
  }),
  url: Nullable(Type.String({ description: 'Where predictions are sent.' })),
  status: Type.Object({
    state: Type.Enum(['ready', 'starting', 'updating', 'failed', 'unloaded', 'unknown']),
    reason: Nullable(Type.String()),
    fix: Nullable(Type.String()),
    servingVersion: Nullable(Type.Integer()),
    versions: Type.Array(LoadedVersion),
    observedAt: Nullable(Type.String()),
  }),
  revision: Type.Integer(),
  createdAt: Type.String(),
  createdBy: Type.String(),
  updatedAt: Type.String(),
});

const Pins = Type.Array(Type.Integer({ minimum: 1 }), {
  maxItems: 16,
  description: 'Further versions kept loaded, reached by name@version.',
});

const CreateEndpointBody = Type.Object(
  {
    name: Name,
    model: Name,
    target: TargetSchema,
    environment: Type.Optional(EnvironmentName),
    pins: Type.Optional(Pins),
  },
  { additionalProperties: false },
);

const ChangeEndpointBody = Type.Object(
  {
    target: Type.Optional(TargetSchema),
    environment: Type.Optional(EnvironmentName),
    pins: Type.Optional(Pins),
    loaded: Type.Optional(Type.Boolean({ description: 'false takes it out of service, true puts it back.' })),
    allowBreaking: Type.Optional(Type.Boolean()),
    reason: Type.Optional(Type.String({ maxLength: 1000 })),
  },
  { additionalProperties: false },
);

export const WhySchema = Type.Object({
  endpoint: Name,
  ready: Type.Boolean(),
  reason: Type.String(),
  fix: Nullable(Type.String()),
  observedAt: Nullable(Type.String()),
});

const ByName = Type.Object({ endpoint: Name });
const tags = ['endpoints'];

export type EndpointRoutesDeps = {
  readonly endpoints: EndpointService;
  /** The address that the servers are bound to. */
  readonly host: string;
};

/** Mounted once for the default project and once for named ones. */
export function registerEndpointRoutes(instance: FastifyInstance, deps: EndpointRoutesDeps): void {
  const { endpoints, host } = deps;
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();
  /** The endpoint with an address that whoever asks can reach. */
  const reachable = (endpoint: Endpoint, request: FastifyRequest): Endpoint =>
    endpoint.url === null ? endpoint : { ...endpoint, url: reachableUrl(endpoint.url, host, request.headers.host) };

  scope.get(
    '/endpoints',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'List endpoints',
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(EndpointSchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const items = await endpoints.list(callOf(request), { after, limit: limit + 1 });
      const page = pageOf(items, limit, (item) => item.name);
      return { ...page, items: page.items.map((item) => reachable(item, request)) };
    },
  );

  scope.post(
    '/endpoints',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Create an endpoint',
        body: CreateEndpointBody,
        response: { 200: EndpointSchema, 201: EndpointSchema },
      },
    },
    async (request, reply) => {
      const call = callOf(request);
      const endpoint = await endpoints.create(call, request.body);
      setEtag(reply, endpoint.revision);
      return reply.code(call.dryRun ? 200 : 201).send(reachable(endpoint, request));
    },
  );

  scope.get(
    '/endpoints/:endpoint',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Show an endpoint and its observed status',
        params: ByName,
        response: { 200: EndpointSchema },
      },
    },
    async (request, reply) => {
      const endpoint = await endpoints.get(callOf(request), request.params.endpoint);
      setEtag(reply, endpoint.revision);
      return reachable(endpoint, request);
    },
  );

  scope.patch(
    '/endpoints/:endpoint',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Move an endpoint to another version, load or unload it, or change its pins or environment',
        params: ByName,
        body: ChangeEndpointBody,
        response: { 200: EndpointSchema },
      },
    },
    async (request, reply) => {
      const endpoint = await endpoints.update(callOf(request), request.params.endpoint, request.body);
      setEtag(reply, endpoint.revision);
      return reachable(endpoint, request);
    },
  );

  scope.delete(
    '/endpoints/:endpoint',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Delete an endpoint',
        params: ByName,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await endpoints.remove(callOf(request), request.params.endpoint);
      return reply.code(204).send(null);
    },
  );

  scope.get(
    '/endpoints/:endpoint/why',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Why an endpoint is, or is not, ready: the observed reason in one sentence, with the fix',
        params: ByName,
        response: { 200: WhySchema },
      },
    },
    async (request) => endpoints.why(callOf(request), request.params.endpoint),
  );
}
