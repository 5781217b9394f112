import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf } from '../../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../../base/http/paging.ts';
import { Name, Nullable, oneOf, Time, VersionRef } from '../../base/http/schema-parts.ts';
import { QUANTIZATIONS } from '../../registry/conversion-report.ts';
import { ConversionReportSchema } from '../../registry/version-schema.ts';
import type { Conversion } from './conversion.ts';
import { type ConversionService, MAX_WAIT_MS } from './conversion-service.ts';

const tags = ['versions'];
const Share = Type.Number({ minimum: 0, maximum: 1 });

const ConvertBody = Type.Object({
  kind: Type.Literal('convert'),
  to: Type.Literal('onnx'),
  tolerance: Type.Optional(
    Type.Object(
      {
        absolute: Type.Optional(Type.Number({ minimum: 0 })),
        relative: Type.Optional(Type.Number({ minimum: 0 })),
      },
      {
        description:
          'A number passes when |after - before| <= absolute + relative * |before|; 1e-5 and 1e-4 unless given.',
      },
    ),
  ),
});

const OptimizeBody = Type.Object({
  kind: Type.Literal('optimize'),
  quantize: oneOf(QUANTIZATIONS),
  leastFidelity: Type.Optional({ ...Share, description: 'Least share of rows answered alike; 0.99 unless given.' }),
  truth: Type.Optional(
    Type.String({ minLength: 1, maxLength: 256, description: 'Column of the reference set that has what was right.' }),
  ),
  output: Type.Optional(
    Type.String({ minLength: 1, maxLength: 256, description: 'The output held against it; the first unless given.' }),
  ),
  mostLost: Type.Optional({ ...Share, description: 'Most of the accuracy that may be lost; 0.01 unless given.' }),
});

export const ConversionSchema = Type.Object({
  id: Type.String(),
  model: Name,
  from: Type.Integer({ description: 'Number of the version that it is made of.' }),
  spec: Type.Union([ConvertBody, OptimizeBody]),
  status: oneOf(['waiting', 'working', 'made', 'refused', 'failed']),
  reason: Nullable(Type.String({ description: 'What it is doing, or why it was refused or failed.' })),
  hint: Nullable(Type.String()),
  report: Nullable(ConversionReportSchema),
  version: Nullable(Type.Integer({ description: 'The version that was made; it is validated like any other.' })),
  createdAt: Time,
  createdBy: Type.String(),
  finishedAt: Nullable(Time),
});
const ConversionAnswer = Type.Unsafe<Conversion>(ConversionSchema);

const ByModel = Type.Object({ model: Name });

export function registerConversionRoutes(instance: FastifyInstance, conversions: ConversionService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.post(
    '/models/:model/versions/:ref/conversions',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Make a version of another one: converted to ONNX, or optimised; both are compared, and it must agree',
        description: 'Done in the background. Ask GET …/conversions/{conversion}?waitMs= for its end.',
        params: Type.Object({ model: Name, ref: VersionRef }),
        body: Type.Union([ConvertBody, OptimizeBody]),
        response: { 200: ConversionAnswer, 202: ConversionAnswer },
      },
    },
    async (request, reply) => {
      const call = callOf(request);
      const { model, ref } = request.params;
      const conversion = await conversions.create(call, model, ref, request.body);
      return reply.code(call.dryRun ? 200 : 202).send(conversion);
    },
  );

  scope.get(
    '/models/:model/conversions',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'List the conversions of a model, the newest first',
        params: ByModel,
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(ConversionAnswer), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const items = await conversions.list(callOf(request), request.params.model, { after, limit: limit + 1 });
      return pageOf(items, limit, (item) => item.id);
    },
  );

  scope.get(
    '/models/:model/conversions/:conversion',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Show a conversion, with its report when it has ended',
        params: Type.Object({ model: Name, conversion: Type.String({ maxLength: 64 }) }),
        querystring: Type.Object({
          waitMs: Type.Optional(
            Type.Integer({ minimum: 0, maximum: MAX_WAIT_MS, description: 'Answer when it ends, or after this time.' }),
          ),
        }),
        response: { 200: ConversionAnswer },
      },
    },
    async (request) => conversions.get(callOf(request), request.params.model, request.params.conversion, request.query),
  );
}
