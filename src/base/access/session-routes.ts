import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { Time } from '../http/schema-parts.ts';
import { MeSchema } from './access-routes.ts';
import { sessionCookie, sessionOf } from './session-cookie.ts';
import type { Session, SessionService } from './session-service.ts';

export const SessionSchema = Type.Object({
  me: MeSchema,
  endsAt: Time,
  idleMs: Type.Integer({ description: 'After how long without a use it ends.' }),
});

/** Sessions of browsers: a key is shown once and a cookie stands for it after. */
export function registerSessionRoutes(instance: FastifyInstance, sessions: SessionService): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();

  app.post(
    '/api/v1/session',
    {
      config: { permission: 'public' },
      schema: {
        tags: ['access'],
        summary: 'Open a session of the console with a key: the cookie of the answer stands for it',
        body: Type.Object({ key: Type.String({ minLength: 1, maxLength: 200 }) }),
        response: { 200: SessionSchema },
      },
    },
    async (request, reply) => {
      const { secret, lifeMs, ...session } = await sessions.open(request.body.key, request.id);
      return reply.header('set-cookie', sessionCookie(secret, lifeMs, request.headers.origin)).send(shown(session));
    },
  );

  app.delete(
    '/api/v1/session',
    {
      config: { permission: 'any-key', boundKeys: true },
      schema: { tags: ['access'], summary: 'End the session', response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      const secret = sessionOf(request.headers);
      if (secret !== null) await sessions.close(secret);
      return reply
        .header('set-cookie', sessionCookie('', 0, request.headers.origin))
        .code(204)
        .send(null);
    },
  );
}

function shown({ principal, endsAt, idleMs }: Session) {
  const { actor, keyId, project, scopes } = principal;
  return { me: { actor, keyId, project, scopes: [...scopes] }, endsAt, idleMs };
}
