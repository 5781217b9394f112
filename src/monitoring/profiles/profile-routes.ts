import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf } from '../../base/http/management-server.ts';
import { Name, Nullable, oneOf, Time } from '../../base/http/schema-parts.ts';
import type { ProfileService } from './profile-service.ts';
import type { ReferenceService } from './reference-service.ts';

export const ShownProfileSchema = Type.Object({
  column: Type.String(),
  values: Type.Number(),
  missing: Type.Number(),
  nan: Type.Number(),
  infinite: Type.Number(),
  zeros: Type.Number({ description: 'Zeros, and texts of no characters; never missing ones.' }),
  kinds: Type.Object({
    numbers: Type.Number(),
    texts: Type.Number(),
    booleans: Type.Number(),
    vectors: Type.Number(),
  }),
  mean: Nullable(Type.Number()),
  standardDeviation: Nullable(Type.Number()),
  min: Nullable(Type.Number()),
  max: Nullable(Type.Number()),
  quantiles: Type.Record(Type.String(), Type.Number()),
  distinct: Type.Number(),
  top: Type.Array(Type.Object({ value: Type.String(), count: Type.Number() })),
  topError: Type.Number({ description: 'How much below the truth a count can be.' }),
  histogram: Nullable(
    Type.Object({ edges: Type.Array(Type.Number()), counts: Type.Array(Type.Number()), revision: Type.Number() }),
  ),
  text: Nullable(
    Type.Object({
      chars: Type.Number(),
      letters: Type.Number(),
      digits: Type.Number(),
      spaces: Type.Number(),
      beyondAscii: Type.Number(),
    }),
  ),
  vector: Nullable(
    Type.Object(
      {
        dimensions: Type.Number(),
        mean: Type.Array(Type.Number()),
        covariance: Nullable(Type.Array(Type.Array(Type.Number()))),
      },
      { description: 'The covariance is that of a fixed random projection to eight dimensions.' },
    ),
  ),
});

export const ShownReferenceSchema = Type.Object({
  endpoint: Name,
  model: Name,
  version: Type.Integer(),
  origin: Nullable(oneOf(['file', 'first'] as const)),
  rows: Type.Number(),
  revision: Type.Integer(),
  madeAt: Nullable(Time),
  awaitedRows: Nullable(Type.Integer({ description: 'Of a reference of the first rows that was asked for.' })),
});

export const ShownProfilesSchema = Type.Object({
  endpoint: Name,
  from: Time,
  to: Time,
  slice: Type.String(),
  versions: Type.Array(Type.Object({ model: Name, version: Type.Integer(), digest: Type.String() })),
  predictions: Type.Number({ description: 'Counted exactly.' }),
  failed: Type.Number(),
  rows: Type.Number(),
  profiled: Type.Number({ description: 'Rows that the profiles saw; fewer than `rows` under much traffic.' }),
  unrecorded: Type.Number({ description: 'Columns beyond the bound, which have no profile.' }),
  distinctRows: Nullable(Type.Number({ description: 'Different rows of inputs, within some 1.6 %.' })),
  slices: Type.Array(Type.String()),
  reference: Nullable(
    Type.Object(
      { origin: oneOf(['file', 'first'] as const), rows: Type.Number(), revision: Type.Integer(), madeAt: Time },
      { description: 'Null where the version has none, or several versions answered.' },
    ),
  ),
  columns: Type.Array(Type.Object({ ...ShownProfileSchema.properties, reference: Nullable(ShownProfileSchema) })),
});

/** Mounted once for the default project and once for named ones. */
export function registerProfileRoutes(
  instance: FastifyInstance,
  { profiles, references }: { profiles: ProfileService; references: ReferenceService },
): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();
  scope.get(
    '/endpoints/:endpoint/profile',
    {
      config: { permission: 'read' },
      schema: {
        tags: ['monitoring'],
        summary: 'What the values of an endpoint were over a time, by column',
        params: Type.Object({ endpoint: Name }),
        querystring: Type.Object({
          since: Type.Optional(Time),
          until: Type.Optional(Time),
          last: Type.Optional(
            Type.Integer({ minimum: 1, description: 'The last so many rows instead, in whole minutes or hours.' }),
          ),
          column: Type.Optional(Type.String({ maxLength: 512, description: 'For example `input.age`, or `age`.' })),
          slice: Type.Optional(Type.String({ maxLength: 512, description: 'For example `input.country=DE`.' })),
          version: Type.Optional(Type.Integer({ minimum: 1 })),
        }),
        response: { 200: ShownProfilesSchema },
      },
    },
    async (request) => (await profiles.show(callOf(request), request.params.endpoint, request.query)) as never,
  );

  scope.get(
    '/endpoints/:endpoint/reference',
    {
      config: { permission: 'read' },
      schema: {
        tags: ['monitoring'],
        summary: 'What the predictions of the version that is served are compared with',
        params: Type.Object({ endpoint: Name }),
        response: { 200: ShownReferenceSchema },
      },
    },
    async (request) => (await references.show(callOf(request), request.params.endpoint)) as never,
  );

  scope.put(
    '/endpoints/:endpoint/reference',
    {
      config: { permission: 'deploy' },
      schema: {
        tags: ['monitoring'],
        summary: 'Make the reference of the first predictions of the version that is served',
        params: Type.Object({ endpoint: Name }),
        body: Type.Object({ first: Type.Integer({ minimum: 10, maximum: 100_000_000, description: 'Rows.' }) }),
        response: { 200: ShownReferenceSchema },
      },
    },
    async (request) =>
      (await references.askForFirst(callOf(request), request.params.endpoint, request.body.first)) as never,
  );
}
