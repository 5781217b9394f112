import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf } from '../../base/http/management-server.ts';
import { Name, Nullable, Time } from '../../base/http/schema-parts.ts';
import type { ProfileService } from './profile-service.ts';

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
  slices: Type.Array(Type.String()),
  columns: Type.Array(ShownProfileSchema),
});

/** Mounted once for the default project and once for named ones. */
export function registerProfileRoutes(instance: FastifyInstance, profiles: ProfileService): void {
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
          column: Type.Optional(Type.String({ maxLength: 512, description: 'For example `input.age`, or `age`.' })),
          slice: Type.Optional(Type.String({ maxLength: 512, description: 'For example `input.country=DE`.' })),
          version: Type.Optional(Type.Integer({ minimum: 1 })),
        }),
        response: { 200: ShownProfilesSchema },
      },
    },
    async (request) => (await profiles.show(callOf(request), request.params.endpoint, request.query)) as never,
  );
}
