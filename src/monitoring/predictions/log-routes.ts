import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf, setEtag } from '../../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../../base/http/paging.ts';
import { Name, Nullable, oneOf, Time } from '../../base/http/schema-parts.ts';
import { FeedbackEventSchema } from '../feedback/feedback-routes.ts';
import type { ErasureService } from './erasure-service.ts';
import { EXPORT_FORMATS, type LogService } from './log-service.ts';
import { cursorOf } from './logged-prediction.ts';
import type { PolicyService } from './policy-service.ts';

export const LoggedPredictionSchema = Type.Object({
  id: Type.String(),
  row: Type.Integer(),
  at: Time,
  model: Nullable(Type.String()),
  version: Nullable(Type.Integer()),
  digest: Nullable(Type.String()),
  arm: Nullable(Type.String()),
  reason: Nullable(Type.String()),
  unit: Nullable(Type.String()),
  status: Type.String({ description: '`answered`, or the code of the error.' }),
  latencyMs: Nullable(Type.Number()),
  requestId: Nullable(Type.String()),
  protocol: Nullable(Type.String()),
  shadowOf: Nullable(Type.String()),
  joinKey: Nullable(Type.String()),
  weight: Nullable(
    Type.Number({ description: 'How many predictions it stands for: 1 over the share that is logged.' }),
  ),
  inputs: Type.Record(Type.String(), Type.Unknown()),
  outputs: Type.Record(Type.String(), Type.Unknown()),
});

const LeftOutSchema = Nullable(
  Type.Object(
    { files: Type.Integer(), rows: Type.Integer() },
    { description: 'Of the time that was asked for, but in files that are damaged; null: nothing.' },
  ),
);

export const ShownPredictionSchema = Type.Object({
  endpoint: Name,
  rows: Type.Array(LoggedPredictionSchema),
  feedback: Type.Array(FeedbackEventSchema),
});

export const FieldActionSchema = Type.Union([
  Type.Object({ action: oneOf(['keep', 'drop', 'hash'] as const) }),
  Type.Object({ action: Type.Literal('truncate'), chars: Type.Integer() }),
  Type.Object({ action: Type.Literal('bucket'), width: Type.Number() }),
]);

export const ShownPolicySchema = Type.Object({
  endpoint: Name,
  policy: Type.Object({
    sample: Type.Number(),
    profile: Type.Boolean(),
    fields: Type.Record(Type.String(), FieldActionSchema),
    subject: Nullable(Type.String()),
    joinKey: Nullable(Type.String()),
    slices: Type.Array(Type.String()),
    retention: Type.Object({ payloadDays: Type.Number(), feedbackDays: Type.Number() }),
  }),
  revision: Type.Integer({ description: '0: none was set, the default holds.' }),
  updatedAt: Nullable(Time),
  updatedBy: Nullable(Type.String()),
  fields: Type.Array(
    Type.Object({
      field: Type.String(),
      kind: Type.String(),
      action: FieldActionSchema,
      by: Nullable(Type.String({ description: 'The line of the policy that says so; null: the default.' })),
      uses: Type.Array(Type.String()),
    }),
  ),
});

export const ErasureProofSchema = Type.Object({
  subject: Type.String({ description: 'Keyed hash by which it was known.' }),
  rows: Type.Integer(),
  feedback: Type.Integer(),
  reservoirRows: Type.Integer(),
  files: Type.Array(Type.Object({ before: Type.String(), after: Nullable(Type.String()), rows: Type.Integer() })),
  openSegments: Type.Integer(),
  left: Type.Integer(),
});

export const SubjectRecordsSchema = Type.Object({
  subject: Type.String({ description: 'Keyed hash by which it is known.' }),
  endpoints: Type.Array(
    Type.Object({
      endpoint: Name,
      predictions: Type.Array(Type.Record(Type.String(), Type.Unknown())),
      feedback: Type.Array(FeedbackEventSchema),
      samples: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
        description: 'Rows in the samples of profiles; one may be in that of a minute, an hour and a day.',
      }),
    }),
  ),
  feedback: Type.Array(FeedbackEventSchema, { description: 'Such that names no endpoint.' }),
});

const ByName = Type.Object({ endpoint: Name });
const Range = {
  since: Type.Optional(Time),
  until: Type.Optional(Time),
  where: Type.Optional(Type.String({ maxLength: 4000, description: 'For example `output.score > 0.9`.' })),
};
const tags = ['predictions'];
const CONTENT_TYPES = {
  parquet: 'application/vnd.apache.parquet',
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
} as const;

export type LogRoutesDeps = {
  readonly predictions: LogService;
  readonly policies: PolicyService;
  readonly erasures: ErasureService;
};

/** Mounted once for the default project and once for named ones. */
export function registerLogRoutes(instance: FastifyInstance, deps: LogRoutesDeps): void {
  const { predictions, policies, erasures } = deps;
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.get(
    '/endpoints/:endpoint/predictions',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Logged predictions of an endpoint, the youngest first',
        params: ByName,
        querystring: Type.Object({ ...PageQuery.properties, ...Range }),
        response: {
          200: Type.Object({
            items: Type.Array(LoggedPredictionSchema),
            nextCursor: Nullable(Type.String()),
            leftOut: LeftOutSchema,
          }),
        },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const { since, until, where } = request.query;
      const page = { after, limit: limit + 1 };
      const items = await predictions.list(callOf(request), request.params.endpoint, { since, until, where }, page);
      const leftOut = await predictions.leftOut(callOf(request), request.params.endpoint, { since, until });
      return { ...pageOf(items, limit, cursorOf), leftOut } as never;
    },
  );

  scope.get(
    '/endpoints/:endpoint/predictions/:id',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'One logged prediction, with what was said of it',
        params: Type.Object({ endpoint: Name, id: Type.String({ maxLength: 256 }) }),
        response: { 200: ShownPredictionSchema },
      },
    },
    async (request) => (await predictions.show(callOf(request), request.params.endpoint, request.params.id)) as never,
  );

  scope.get(
    '/predictions/:id',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'One logged prediction by its id alone, with what was said of it',
        params: Type.Object({ id: Type.String({ maxLength: 256 }) }),
        response: { 200: ShownPredictionSchema },
      },
    },
    async (request) => (await predictions.show(callOf(request), null, request.params.id)) as never,
  );

  scope.get(
    '/endpoints/:endpoint/predictions-export',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Logged predictions as one file',
        params: ByName,
        querystring: Type.Object({
          ...Range,
          format: Type.Optional(oneOf(EXPORT_FORMATS)),
          feedback: Type.Optional(Type.Boolean({ description: 'With columns for what became of them.' })),
        }),
      },
    },
    async (request, reply) => {
      const { since, until, where, format = 'parquet', feedback = false } = request.query;
      const { endpoint } = request.params;
      const file = await predictions.export(callOf(request), endpoint, { since, until, where }, format, feedback);
      const leftOut = await predictions.leftOut(callOf(request), endpoint, { since, until });
      if (leftOut !== null) reply.header('x-rows-left-out', leftOut.rows);
      if (file === null) return reply.code(204).send();
      return reply
        .type(CONTENT_TYPES[format])
        .header('content-disposition', `attachment; filename="${endpoint}.${format}"`)
        .header('content-length', file.sizeBytes)
        .header('x-rows', file.rows)
        .send(file.stream);
    },
  );

  scope.get(
    '/endpoints/:endpoint/policy',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What is kept of predictions, field by field',
        params: ByName,
        response: { 200: ShownPolicySchema },
      },
    },
    async (request, reply) => {
      const shown = await policies.show(callOf(request), request.params.endpoint);
      setEtag(reply, shown.revision);
      return shown as never;
    },
  );

  scope.put(
    '/endpoints/:endpoint/policy',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Say what may be kept of predictions; a dry run shows what it means for each field',
        params: ByName,
        querystring: Type.Object({
          elsewhere: Type.Optional(
            Type.Boolean({
              description: 'The model is served elsewhere, and its predictions will be imported under this name.',
            }),
          ),
        }),
        body: Type.Object({}, { additionalProperties: true }),
        response: { 200: ShownPolicySchema },
      },
    },
    async (request, reply) => {
      const { elsewhere = false } = request.query;
      const shown = await policies.set(callOf(request), request.params.endpoint, request.body, { elsewhere });
      setEtag(reply, shown.revision);
      return shown as never;
    },
  );

  scope.get(
    '/subjects/:subject',
    {
      config: { permission: 'admin' },
      schema: {
        tags,
        summary: 'All that is kept of a subject',
        params: Type.Object({ subject: Type.String({ maxLength: 512 }) }),
        response: { 200: SubjectRecordsSchema },
      },
    },
    async (request) => (await erasures.find(callOf(request), request.params.subject)) as never,
  );

  scope.delete(
    '/subjects/:subject',
    {
      config: { permission: 'admin' },
      schema: {
        tags,
        summary: 'Erase all that is kept of a subject, with proof',
        params: Type.Object({ subject: Type.String({ maxLength: 512 }) }),
        querystring: Type.Object({ reason: Type.Optional(Type.String({ maxLength: 1000 })) }),
        response: { 200: ErasureProofSchema },
      },
    },
    async (request) =>
      (await erasures.erase(callOf(request), request.params.subject, request.query.reason ?? null)) as never,
  );

  scope.put(
    '/endpoints/:endpoint/hold',
    {
      config: { permission: 'admin' },
      schema: {
        tags,
        summary: 'Legal hold: nothing of the log of this endpoint goes',
        params: ByName,
        body: Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1000 }) }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await erasures.hold(callOf(request), request.params.endpoint, request.body.reason);
      return reply.code(204).send(null);
    },
  );

  scope.delete(
    '/endpoints/:endpoint/hold',
    {
      config: { permission: 'admin' },
      schema: { tags, summary: 'Lift a legal hold', params: ByName, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      await erasures.hold(callOf(request), request.params.endpoint, null);
      return reply.code(204).send(null);
    },
  );
}
