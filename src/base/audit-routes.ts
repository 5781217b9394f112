import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { listAudit, verifyAudit } from './audit.ts';
import type { Database } from './db/database.ts';
import { SlipwayError } from './errors.ts';
import { decodeCursor, PageQuery, pageOf } from './http/paging.ts';
import { Nullable, Time } from './http/schema-parts.ts';

const Filter = Type.Optional(Type.String({ maxLength: 200 }));

export const AuditRecordSchema = Type.Object({
  seq: Type.Integer(),
  at: Time,
  project: Nullable(Type.String()),
  actor: Type.String(),
  action: Type.String(),
  resource: Type.String(),
  detail: Type.Unknown(),
  reason: Nullable(Type.String()),
  requestId: Nullable(Type.String()),
  hash: Type.String(),
});

export const AuditVerdictSchema = Type.Object({
  intact: Type.Boolean(),
  records: Type.Integer(),
  lastHash: Type.String({ description: 'Keep it elsewhere: a later log that is intact contains it.' }),
  brokenAt: Nullable(Type.Integer()),
});

/** The audit log covers all projects, so only a key bound to none reads it. */
export function registerAuditRoutes(instance: FastifyInstance, { database }: { readonly database: Database }): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();

  app.get(
    '/api/v1/audit',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['audit'],
        summary: 'Who changed what, when and why; newest first',
        querystring: Type.Object({
          ...PageQuery.properties,
          project: Filter,
          actor: Filter,
          action: Filter,
          resource: Filter,
        }),
        response: { 200: Type.Object({ items: Type.Array(AuditRecordSchema), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const { project, actor, action, resource } = request.query;
      const items = await listAudit(database.db, {
        beforeSeq: after === null ? null : parseSeq(after),
        limit: limit + 1,
        ...(project === undefined ? {} : { project }),
        ...(actor === undefined ? {} : { actor }),
        ...(action === undefined ? {} : { action }),
        ...(resource === undefined ? {} : { resource }),
      });
      return pageOf(items, limit, (item) => String(item.seq));
    },
  );

  app.get(
    '/api/v1/audit/verify',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['audit'],
        summary: 'Recompute the chain of hashes over the whole log',
        response: { 200: AuditVerdictSchema },
      },
    },
    async () => verifyAudit(database.db),
  );
}

function parseSeq(after: string): number {
  if (/^\d{1,15}$/.test(after)) return Number(after);
  throw new SlipwayError('invalid_cursor', 'The cursor was made by another list');
}
