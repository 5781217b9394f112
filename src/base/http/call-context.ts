import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Call, Caller } from '../access/call.ts';
import type { Principal, Verb } from '../access/permission.ts';
import { SlipwayError } from '../errors.ts';
import { etag, parseIfMatch } from './paging.ts';

/** What a route asks of its callers. `any-key` is for what every key may know about itself. */
export type Permission = Verb | 'public' | 'any-key';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route declares it; one that does not fails at start. */
    permission?: Permission;
    /** Lets keys that are bound to a project use a route that belongs to none. The route then shows only what is the key's. */
    boundKeys?: boolean;
    /** `stream`: the body is bytes, handed over as a stream; JSON otherwise. */
    body?: 'json' | 'stream';
    /** Set by `registerProjectRoutes`. */
    mount?: 'default' | 'named';
  }
  interface FastifyRequest {
    principal: Principal | null;
    project: { readonly id: string; readonly name: string } | null;
  }
}

/** The call on a project's things that this request makes. Only for routes of `registerProjectRoutes`. */
export function callOf(request: FastifyRequest): Call {
  if (request.project === null) throw new Error(`${request.routeOptions.url} belongs to no project: use callerOf`);
  return { ...callerOf(request), project: request.project };
}

/** The same for routes that belong to no project. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.principal === null) throw new Error(`${request.routeOptions.url} is public: it has no caller`);
  const query = request.query as { dryRun?: unknown };
  const { 'if-match': ifMatch, 'idempotency-key': idempotencyKey } = request.headers;
  return {
    principal: request.principal,
    requestId: request.id,
    dryRun: query.dryRun === '1' || query.dryRun === 'true' || query.dryRun === true,
    ifMatch: parseIfMatch(ifMatch),
    idempotencyKey: parseIdempotencyKey(idempotencyKey),
  };
}

export function setEtag(reply: FastifyReply, revision: number): FastifyReply {
  return reply.header('etag', etag(revision));
}

function parseIdempotencyKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  if (typeof header === 'string' && /^[\x21-\x7e]{1,200}$/.test(header)) return header;
  throw new SlipwayError('invalid_request', 'Idempotency-Key must be 1 to 200 visible ASCII characters');
}
