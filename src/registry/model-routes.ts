import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf, setEtag } from '../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../base/http/paging.ts';
import { Name, Nullable, ProjectName, Time } from '../base/http/schema-parts.ts';
import { MAX_DESCRIPTION_LENGTH } from './model.ts';
import type { ModelService } from './model-service.ts';
import { Card, Tags } from './version-schema.ts';

const Description = Type.String({ maxLength: MAX_DESCRIPTION_LENGTH });

export const ModelSchema = Type.Object({
  project: ProjectName,
  name: Name,
  description: Nullable(Type.String()),
  card: Nullable(Type.String()),
  tags: Tags,
  latestVersion: Nullable(Type.Integer()),
  aliases: Type.Record(Type.String(), Type.Integer()),
  revision: Type.Integer(),
  createdAt: Time,
  createdBy: Type.String(),
});

const CreateModelBody = Type.Object({
  name: Name,
  description: Type.Optional(Description),
  card: Type.Optional(Card),
  tags: Type.Optional(Tags),
});

const ChangeModelBody = Type.Object({
  description: Type.Optional(Nullable(Description)),
  card: Type.Optional(Nullable(Card)),
  tags: Type.Optional(Tags),
});

const ByName = Type.Object({ model: Name });
const tags = ['models'];

export function registerModelRoutes(instance: FastifyInstance, models: ModelService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.get(
    '/models',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'List models',
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(ModelSchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const items = await models.list(callOf(request), { after, limit: limit + 1 });
      return pageOf(items, limit, (item) => item.name);
    },
  );

  scope.post(
    '/models',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Create a model',
        body: CreateModelBody,
        response: { 200: ModelSchema, 201: ModelSchema },
      },
    },
    async (request, reply) => {
      const call = callOf(request);
      const model = await models.create(call, request.body);
      setEtag(reply, model.revision);
      return reply.code(call.dryRun ? 200 : 201).send(model);
    },
  );

  scope.get(
    '/models/:model',
    {
      config: { permission: 'read' },
      schema: { tags, summary: 'Show a model', params: ByName, response: { 200: ModelSchema } },
    },
    async (request, reply) => {
      const model = await models.get(callOf(request), request.params.model);
      setEtag(reply, model.revision);
      return model;
    },
  );

  scope.patch(
    '/models/:model',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Change the words about a model',
        params: ByName,
        body: ChangeModelBody,
        response: { 200: ModelSchema },
      },
    },
    async (request, reply) => {
      const model = await models.update(callOf(request), request.params.model, request.body);
      setEtag(reply, model.revision);
      return model;
    },
  );

  scope.delete(
    '/models/:model',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Delete a model with its versions and aliases; refused while an endpoint is there',
        params: ByName,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await models.remove(callOf(request), request.params.model);
      return reply.code(204).send(null);
    },
  );
}
