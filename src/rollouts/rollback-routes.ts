import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Call } from '../base/access/call.ts';
import { callOf } from '../base/http/management-server.ts';
import { Name } from '../base/http/schema-parts.ts';
import { Reason } from '../registry/version-schema.ts';

export type RollbackInput = { readonly to?: number; readonly reason?: string };

export type RolledBack = {
  readonly version: number;
  /** False while the database is down: gateways follow already, and history has it when the database is back. */
  readonly isEntered: boolean;
};

export type RollBack = (call: Call, endpoint: string, input: RollbackInput) => Promise<RolledBack>;

/** The one route that works without a database too. */
export function registerRollbackRoute(instance: FastifyInstance, rollBack: RollBack): void {
  instance.withTypeProvider<TypeBoxTypeProvider>().post(
    '/endpoints/:endpoint/rollback',
    {
      config: { permission: 'deploy' },
      schema: {
        tags: ['rollouts'],
        summary: 'Give all traffic back to the version before, or to one that is named',
        params: Type.Object({ endpoint: Name }),
        body: Type.Object({
          to: Type.Optional(Type.Integer({ minimum: 1, maximum: 999_999_999 })),
          reason: Type.Optional(Reason),
        }),
        response: {
          200: Type.Object({
            version: Type.Integer(),
            isEntered: Type.Boolean({
              description:
                'False while the database is down: gateways follow already, and history has it when the database is back.',
            }),
          }),
        },
      },
    },
    async (request) => rollBack(callOf(request), request.params.endpoint, request.body),
  );
}
