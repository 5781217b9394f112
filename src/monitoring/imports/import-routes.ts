import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf } from '../../base/http/management-server.ts';
import { Name, oneOf } from '../../base/http/schema-parts.ts';
import { IMPORT_FORMATS, type ImportService } from './import-service.ts';

export const ImportReceiptSchema = Type.Object({
  accepted: Type.Integer({ description: 'Predictions that were taken.' }),
  repeated: Type.Integer({ description: 'Already there; nothing was written.' }),
  waiting: Type.Integer({ description: 'Requests or responses that wait for their other half, at most a minute.' }),
});

const ByName = Type.Object({ endpoint: Name });
const Names = Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 2000 }));
const ColumnName = Type.Optional(Type.String({ minLength: 1, maxLength: 256 }));
const tags = ['predictions'];

/** Mounted once for the default project and once for named ones. */
export function registerImportRoutes(instance: FastifyInstance, imports: ImportService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.post(
    '/endpoints/:endpoint/predictions-import',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: "Take predictions of another system's log",
        params: ByName,
        body: Type.Object({
          format: oneOf(IMPORT_FORMATS),
          text: Type.String({ description: 'Whole lines of the file; of a CSV with its header before them.' }),
          firstLine: Type.Optional(Type.Integer({ minimum: 1, description: 'Line of the file at which they begin.' })),
          inputs: Names,
          outputs: Names,
          id: ColumnName,
          at: ColumnName,
        }),
        response: { 200: ImportReceiptSchema },
      },
    },
    async (request) => (await imports.import(callOf(request), request.params.endpoint, request.body)) as never,
  );

  scope.post(
    '/endpoints/:endpoint/cloud-events',
    {
      config: { permission: 'predict' },
      schema: {
        tags,
        summary: 'CloudEvents of an inference logger: requests and responses, alone or in a batch',
        params: ByName,
        body: Type.Unknown(),
        response: { 200: ImportReceiptSchema },
      },
    },
    async (request) =>
      (await imports.events(callOf(request), request.params.endpoint, request.headers, request.body)) as never,
  );
}
