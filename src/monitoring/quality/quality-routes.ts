import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf, setEtag } from '../../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../../base/http/paging.ts';
import { Name, Nullable, oneOf, Time } from '../../base/http/schema-parts.ts';
import { RULE_NAMES } from './check-quality.ts';
import type { QualityService } from './quality-service.ts';

const Outcome = oneOf(['passed', 'failed', 'unknown'] as const);

export const ShownRulesSchema = Type.Object({
  endpoint: Name,
  revision: Type.Integer({ description: '0: none were set.' }),
  setAt: Nullable(Time),
  setBy: Nullable(Type.String()),
  rules: Type.Record(Type.String(), Type.Unknown()),
});

export const QualityVerdictSchema = Type.Object({
  endpoint: Name,
  from: Time,
  to: Time,
  rows: Type.Number(),
  revision: Type.Integer({
    description: 'Of the rules; 0: none were set, and those that the reference suggests hold.',
  }),
  outcome: Outcome,
  findings: Type.Array(
    Type.Object({
      rule: oneOf(RULE_NAMES),
      column: Nullable(Type.String()),
      outcome: Outcome,
      seen: Nullable(Type.Number()),
      allowed: Nullable(Type.Number()),
      message: Type.String(),
    }),
  ),
});

const ByName = Type.Object({ endpoint: Name });
const tags = ['monitoring'];

/** Mounted once for the default project and once for named ones. */
export function registerQualityRoutes(instance: FastifyInstance, quality: QualityService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.get(
    '/endpoints/:endpoint/quality',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Whether the values of a time are as the rules say',
        params: ByName,
        querystring: Type.Object({
          since: Type.Optional(Time),
          until: Type.Optional(Time),
          last: Type.Optional(Type.Integer({ minimum: 1, description: 'The last so many rows instead.' })),
          slice: Type.Optional(Type.String({ maxLength: 512, description: 'For example `input.country=DE`.' })),
        }),
        response: { 200: QualityVerdictSchema },
      },
    },
    async (request) => (await quality.check(callOf(request), request.params.endpoint, request.query)) as never,
  );

  scope.get(
    '/endpoints/:endpoint/quality/rules',
    {
      config: { permission: 'read' },
      schema: { tags, summary: 'The rules that hold', params: ByName, response: { 200: ShownRulesSchema } },
    },
    async (request, reply) => {
      const shown = await quality.show(callOf(request), request.params.endpoint);
      setEtag(reply, shown.revision);
      return shown as never;
    },
  );

  scope.put(
    '/endpoints/:endpoint/quality/rules',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Set the rules: a further revision',
        params: ByName,
        body: Type.Object({}, { additionalProperties: true }),
        response: { 200: ShownRulesSchema },
      },
    },
    async (request, reply) => {
      const shown = await quality.set(callOf(request), request.params.endpoint, request.body);
      setEtag(reply, shown.revision);
      return shown as never;
    },
  );

  scope.get(
    '/endpoints/:endpoint/quality/rules/history',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Every revision of the rules, the newest first',
        params: ByName,
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(ShownRulesSchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const items = await quality.history(callOf(request), request.params.endpoint, { after, limit: limit + 1 });
      return pageOf(items, limit, (item) => String(item.revision)) as never;
    },
  );

  scope.get(
    '/endpoints/:endpoint/quality/suggestion',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Rules that the reference keeps, to be edited',
        params: ByName,
        response: { 200: ShownRulesSchema },
      },
    },
    async (request) => (await quality.suggest(callOf(request), request.params.endpoint)) as never,
  );
}
