import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf, setEtag } from '../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../base/http/paging.ts';
import { AliasName, Name, Nullable, Time } from '../base/http/schema-parts.ts';
import type { AliasService } from './alias-service.ts';
import { Reason } from './version-schema.ts';

export const AliasSchema = Type.Object({
  model: Name,
  name: AliasName,
  version: Type.Integer(),
  revision: Type.Integer(),
  updatedAt: Time,
});

export const AliasChangeSchema = Type.Object({
  name: AliasName,
  from: Nullable(Type.Integer()),
  to: Nullable(Type.Integer()),
  actor: Type.String(),
  reason: Nullable(Type.String()),
  at: Time,
});

const SetAliasBody = Type.Object({
  version: Type.Integer({ minimum: 1 }),
  reason: Type.Optional(Reason),
  allowBreaking: Type.Optional(Type.Boolean()),
});

const ByModel = Type.Object({ model: Name });
const ByAlias = Type.Object({ model: Name, alias: AliasName });
const tags = ['aliases'];

export function registerAliasRoutes(instance: FastifyInstance, aliases: AliasService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.get(
    '/models/:model/aliases',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'List the aliases of a model',
        params: ByModel,
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(AliasSchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const items = await aliases.list(callOf(request), request.params.model, { after, limit: limit + 1 });
      return pageOf(items, limit, (item) => item.name);
    },
  );

  scope.get(
    '/models/:model/aliases/:alias/history',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Every move of an alias, the last one first: who, when, from, to and why',
        params: ByAlias,
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(AliasChangeSchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const { model, alias } = request.params;
      const moves = await aliases.history(callOf(request), model, alias, { after, limit: limit + 1 });
      const page = pageOf(moves, limit, (move) => move.id);
      return { ...page, items: page.items.map(({ id: _id, ...move }) => move) };
    },
  );

  scope.put(
    '/models/:model/aliases/:alias',
    {
      config: { permission: 'promote' },
      schema: {
        tags,
        summary: 'Set or move an alias',
        params: ByAlias,
        body: SetAliasBody,
        response: { 200: AliasSchema },
      },
    },
    async (request, reply) => {
      const { model, alias } = request.params;
      const set = await aliases.set(callOf(request), model, alias, request.body);
      setEtag(reply, set.revision);
      return set;
    },
  );

  scope.delete(
    '/models/:model/aliases/:alias',
    {
      config: { permission: 'promote' },
      schema: {
        tags,
        summary: 'Remove an alias; refused while an endpoint follows it',
        params: ByAlias,
        querystring: Type.Object({ reason: Type.Optional(Reason) }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { model, alias } = request.params;
      await aliases.remove(callOf(request), model, alias, request.query);
      return reply.code(204).send(null);
    },
  );
}
