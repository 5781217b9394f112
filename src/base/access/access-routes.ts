import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callerOf } from '../http/call-context.ts';
import { decodeCursor, PageQuery, pageOf } from '../http/paging.ts';
import { KeyName, Nullable, ProjectName, Time } from '../http/schema-parts.ts';
import { KEY_LIMIT_RANGES } from './key-limits.ts';
import { type KeyService, keyCursor } from './key-service.ts';
import type { ProjectService } from './project-service.ts';

export const ProjectSchema = Type.Object({ name: ProjectName, createdAt: Time });

const range = ([minimum, maximum]: readonly [number, number], description: string) => ({
  minimum,
  maximum,
  description,
});
const LIMIT_SCHEMAS = {
  rate: Nullable(Type.Number(range(KEY_LIMIT_RANGES.rate, 'Predictions per second, on average; null: no limit.'))),
  burst: Nullable(Type.Integer(range(KEY_LIMIT_RANGES.burst, "Predictions at once; null: one second's."))),
  concurrency: Nullable(
    Type.Integer(range(KEY_LIMIT_RANGES.concurrency, 'Predictions under way at once; null: no limit.')),
  ),
};
const WEIGHT = Type.Integer(range(KEY_LIMIT_RANGES.weight, 'Share of a queue beside other keys.'));

export const KeyLimitsSchema = Type.Object({ ...LIMIT_SCHEMAS, weight: WEIGHT });

const KeyLimitsChangeSchema = Type.Partial(Type.Object({ ...LIMIT_SCHEMAS, weight: Nullable(WEIGHT) }), {
  additionalProperties: false,
  description: 'What is not named stays as it is; null takes a limit away.',
});

export const ApiKeySchema = Type.Object({
  id: Type.String(),
  name: KeyName,
  project: Nullable(ProjectName),
  scopes: Type.Array(Type.String()),
  createdAt: Time,
  createdBy: Type.String(),
  expiresAt: Nullable(Time),
  revokedAt: Nullable(Time),
  lastUsedAt: Nullable(Time),
  rotatedFrom: Nullable(Type.String()),
  limits: KeyLimitsSchema,
  accessKeyId: Nullable(Type.String({ description: 'Under which it signs requests; null: it signs none.' })),
});

export const NewApiKeySchema = Type.Object({
  ...ApiKeySchema.properties,
  key: Type.String({ description: 'Shown this once.' }),
  signingPair: Nullable(
    Type.Object(
      { accessKeyId: Type.String(), secretAccessKey: Type.String() },
      { description: 'For clients that sign with AWS Signature Version 4. Shown this once.' },
    ),
  ),
});

const CreateKeyBody = Type.Object({
  name: KeyName,
  scopes: Type.Array(Type.String({ maxLength: 80 }), {
    minItems: 1,
    maxItems: 100,
    description: '`verb` or `verb:model`; verbs are read, predict, deploy, promote and admin.',
    examples: [['predict:churn']],
  }),
  project: Type.Optional(Nullable(ProjectName)),
  expiresAt: Type.Optional(Nullable(Time)),
  limits: Type.Optional(KeyLimitsChangeSchema),
  signing: Type.Optional(
    Type.Boolean({
      description:
        'Whether the key gets a pair with which clients of AWS sign. Its secret is kept readable, unlike the key.',
    }),
  ),
});

export const MeSchema = Type.Object({
  actor: Type.String(),
  keyId: Type.String(),
  project: Nullable(ProjectName),
  scopes: Type.Array(Type.String()),
});

const KeyId = Type.Object({ id: Type.String({ maxLength: 64 }) });

export type AccessRoutesDeps = { readonly keys: KeyService; readonly projects: ProjectService };

/** Keys, projects and who am I. They belong to no project; paths are absolute. */
export function registerAccessRoutes(instance: FastifyInstance, { keys, projects }: AccessRoutesDeps): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();

  app.get(
    '/api/v1/me',
    {
      config: { permission: 'any-key', boundKeys: true },
      schema: { tags: ['access'], summary: 'What the key that asks may do', response: { 200: MeSchema } },
    },
    async (request) => {
      const { actor, keyId, project, scopes } = callerOf(request).principal;
      return { actor, keyId, project, scopes: [...scopes] };
    },
  );

  app.get(
    '/api/v1/keys',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'List API keys, never their secrets',
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(ApiKeySchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      return pageOf(await keys.list(callerOf(request), { after, limit: limit + 1 }), limit, keyCursor);
    },
  );

  app.post(
    '/api/v1/keys',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'Make an API key; its text is in this answer only',
        body: CreateKeyBody,
        response: { 200: NewApiKeySchema, 201: NewApiKeySchema },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      return reply.code(caller.dryRun ? 200 : 201).send(await keys.create(caller, request.body));
    },
  );

  app.post(
    '/api/v1/keys/:id/rotate',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'Make a second live key with the same rights; the first stays valid until it is revoked',
        params: KeyId,
        body: Type.Optional(Type.Union([Type.Object({}), Type.Null()])),
        response: { 200: NewApiKeySchema, 201: NewApiKeySchema },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      return reply.code(caller.dryRun ? 200 : 201).send(await keys.rotate(caller, request.params.id));
    },
  );

  app.patch(
    '/api/v1/keys/:id',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'Give an API key other limits',
        params: KeyId,
        body: Type.Object({ limits: KeyLimitsChangeSchema }),
        response: { 200: ApiKeySchema },
      },
    },
    (request) => keys.update(callerOf(request), request.params.id, request.body),
  );

  app.delete(
    '/api/v1/keys/:id',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'Revoke an API key, at once and for good',
        params: KeyId,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await keys.revoke(callerOf(request), request.params.id);
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/api/v1/projects',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'List projects',
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(ProjectSchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      return pageOf(await projects.list(callerOf(request), { after, limit: limit + 1 }), limit, (item) => item.name);
    },
  );

  app.post(
    '/api/v1/projects',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'Create a project',
        body: Type.Object({ name: ProjectName }),
        response: { 200: ProjectSchema, 201: ProjectSchema },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      return reply.code(caller.dryRun ? 200 : 201).send(await projects.create(caller, request.body));
    },
  );

  app.delete(
    '/api/v1/projects/:project',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['access'],
        summary: 'Delete a project that is empty',
        params: Type.Object({ project: ProjectName }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await projects.remove(callerOf(request), request.params.project);
      return reply.code(204).send(null);
    },
  );
}
