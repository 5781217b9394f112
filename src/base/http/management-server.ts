import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { can, notPermitted, type Principal, type Verb } from '../access/permission.ts';
import { sessionOf } from '../access/session-cookie.ts';
import { SlipwayError } from '../errors.ts';
import { isRequestId, uuidv7 } from '../ids.ts';
import { parseJson } from '../json.ts';
import type { Logger } from '../log.ts';
import { createSchemaValidator, type HttpPart } from '../schema-validation.ts';
import type { Settings } from '../settings.ts';
import type { Permission } from './call-context.ts';
import { registerOpenApi } from './openapi.ts';
import { createOriginCheck } from './origin.ts';
import { fromThrown, PROBLEM_TYPE, problemOf } from './problem.ts';
import type { FindProject } from './project-routes.ts';
import { applyRouteRules, createMethodLookup } from './route-rules.ts';
import { guardSlowBodies, type SlowBodyLimits } from './slow-bodies.ts';

export type { Call, Caller } from '../access/call.ts';
export { callerOf, callOf, type Permission, setEtag } from './call-context.ts';
export { registerProjectRoutes } from './project-routes.ts';

export type ManagementServerDeps = {
  readonly settings: Pick<Settings, 'host' | 'allowedHosts' | 'maxBodyBytes' | 'maxConnections'>;
  readonly log: Logger;
  /** Whose key this text is; null when it is nobody's, expired or revoked. */
  readonly authenticate: (key: string) => Promise<Principal | null>;
  /** Whose session a browser's cookie stands for; null when it is nobody's or over. */
  readonly findSession: (secret: string, attended: boolean) => Promise<{ readonly principal: Principal } | null>;
  readonly findProject: FindProject;
  readonly release: string;
  /** Limits that tests make shorter. */
  readonly limits?: Partial<SlowBodyLimits & { headersMs: number }>;
};

const HEADERS_TIMEOUT_MS = 10_000;
const BODY_IDLE_MS = 30_000;
const JSON_BODY_TOTAL_MS = 60_000;
const KEEP_ALIVE_MS = 30_000;
const CLOSE_GRACE_MS = 3000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 200;
/** CloudEvents are JSON by other names. */
const JSON_TYPES = ['application/json', 'application/cloudevents+json', 'application/cloudevents-batch+json'];
const STREAM_TYPES = ['application/octet-stream', 'application/offset+octet-stream'];

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/**
 * The management API's server, without its routes. Order of checks on every request, unknown methods and paths included: Host and
 * Origin, key, project, permission; then body, schema, service.
 */
export async function createManagementServer(deps: ManagementServerDeps): Promise<FastifyInstance> {
  const { settings, log, limits } = deps;
  const validator = createSchemaValidator();
  const app: FastifyInstance = fastify({
    logger: false,
    bodyLimit: settings.maxBodyBytes,
    requestTimeout: 0, // see slow-bodies.ts
    connectionTimeout: 0, // would cut long polls; headers and bodies have limits of their own
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    http: {
      headersTimeout: limits?.headersMs ?? HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: Math.min(1000, (limits?.headersMs ?? HEADERS_TIMEOUT_MS) / 2),
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    routerOptions: { maxParamLength: 1024 },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return isRequestId(given) ? given : uuidv7();
    },
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply),
    clientErrorHandler: (error, socket) => answerClientError(error, socket),
  });
  app.server.maxConnections = settings.maxConnections;
  app.server.maxHeadersCount = MAX_HEADERS;

  app.decorate('findProject', deps.findProject);
  app.decorateRequest('principal', null);
  app.decorateRequest('project', null);
  app.setValidatorCompiler(({ schema, httpPart }) => validator.compile(schema, httpPart as HttpPart));
  app.setSerializerCompiler(() => JSON.stringify);
  app.decorate('compileSchemas', () => validator.compileAll());
  applyRouteRules(app);

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(JSON_TYPES, { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  app.addContentTypeParser(STREAM_TYPES, (_request, payload, done) => done(null, payload));

  const checkOrigin = createOriginCheck(settings);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id });
    const foreign = checkOrigin(request.raw);
    if (foreign) throw foreign;
    const { permission, boundKeys, mount } = request.routeOptions.config;
    if (permission === undefined || permission === 'public') return; // no permission: there is no such route
    request.principal = await authenticate(request, reply);
    if (mount === undefined) assertOutsideProjects(request.principal, permission, boundKeys === true);
  });
  app.addHook('preParsing', async (request) => assertMedia(request));
  guardSlowBodies(app, {
    idleMs: limits?.idleMs ?? BODY_IDLE_MS,
    jsonTotalMs: limits?.jsonTotalMs ?? JSON_BODY_TOTAL_MS,
  });

  async function authenticate(request: FastifyRequest, reply: FastifyReply): Promise<Principal> {
    const text = keyOf(request);
    const session = text === null ? sessionOf(request.headers) : null;
    if (session !== null) {
      assertOwnPage(request);
      const found = await deps.findSession(session, request.headers['x-slipway-unattended'] === undefined);
      if (found) return found.principal;
      throw new SlipwayError('session_ended', 'The session is over', { hint: 'Log in again with a key.' });
    }
    if (text === null) {
      reply.header('www-authenticate', 'Bearer realm="slipway"');
      throw new SlipwayError('key_missing', 'The request carries no API key', {
        hint: 'Send it as Authorization: Bearer <key>. The first one is in admin.key in the data folder.',
      });
    }
    const principal = await deps.authenticate(text);
    if (principal) return principal;
    reply.header('www-authenticate', 'Bearer realm="slipway", error="invalid_token"');
    throw new SlipwayError('key_invalid', 'The API key is unknown, expired or revoked', {
      hint: 'Check that it was copied whole; an administrator can make another one.',
    });
  }

  let methodsOf: ((path: string) => string[]) | undefined;
  app.setNotFoundHandler(async (request, reply) => {
    methodsOf ??= createMethodLookup(app.routeTable);
    const methods = methodsOf(pathOf(request));
    if (methods.length === 0 || methods.includes(request.method)) {
      throw new SlipwayError('route_not_found', 'There is nothing at this address', {
        hint: 'GET /api/openapi.json lists every address; /api/docs shows it.',
      });
    }
    reply.header('allow', methods.join(', '));
    throw new SlipwayError('method_not_allowed', `${request.method} is not allowed here`, {
      hint: `Allowed: ${methods.join(', ')}.`,
    });
  });
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply));
  app.addHook('onResponse', (request, reply, done) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const line = {
      requestId: request.id,
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime * 10) / 10,
      actor: request.principal?.actor ?? null,
      ...(request.project ? { project: request.project.name } : {}),
    };
    log[isRead && reply.statusCode < 500 ? 'debug' : 'info'](line, 'request');
    done();
  });

  function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const error = fromThrown(thrown);
    const problem = problemOf(error, pathOf(request), request.id);
    if (problem.status >= 500)
      log.error({ requestId: request.id, err: error.cause ?? error, code: error.code }, error.message);
    if (error.retryAfterS !== undefined) reply.header('retry-after', String(error.retryAfterS));
    // A body that nobody will read would otherwise be received to its end before the connection is used again.
    if (!request.raw.complete) reply.header('connection', 'close');
    reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id });
    void reply.code(problem.status).type(PROBLEM_TYPE).serializer(String).send(JSON.stringify(problem));
  }

  // What is under way may end, but an open log stream does not keep a stopping server for ever.
  app.addHook('preClose', (done) => {
    setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS).unref();
    done();
  });
  await registerOpenApi(app, { release: deps.release });
  app.get(
    '/healthz',
    {
      config: { permission: 'public' },
      schema: { tags: ['server'], summary: 'Whether this process answers' },
    },
    async () => ({ status: 'ok' }),
  );
  return app;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Compiles the schemas of all routes now, so that a test finds a faulty one. */
    compileSchemas(): void;
  }
}

function assertOutsideProjects(principal: Principal, permission: Permission, boundKeys: boolean): void {
  if (permission === 'any-key') return;
  if (principal.project !== null && !boundKeys) {
    throw new SlipwayError(
      'not_permitted',
      `The API key is bound to the project ${principal.project}; this is about all of them`,
      {
        hint: 'Use a key that is bound to no project.',
      },
    );
  }
  // A scope for one model covers nothing that is about all of them.
  if (!can(principal, permission as Verb, principal.project ?? '')) throw notPermitted(principal, permission as Verb);
}

/** `Authorization: Bearer <key>`, or `X-API-Key: <key>` for tools that cannot set the former. */
function keyOf({ headers }: FastifyRequest): string | null {
  const bearer = /^Bearer +([^\s]{1,200}) *$/i.exec(headers.authorization ?? '');
  if (bearer) return bearer[1]!;
  const plain = headers['x-api-key'];
  return headers.authorization === undefined && typeof plain === 'string' && plain !== '' ? plain : null;
}

/**
 * A cookie travels by itself, so a change that comes with one must come from a page of ours. Browsers name the origin of every change;
 * the hook before has refused foreign ones, and here none at all is as bad.
 */
function assertOwnPage({ method, headers }: FastifyRequest): void {
  if (method === 'GET' || method === 'HEAD') return;
  if (headers.origin !== undefined || headers['sec-fetch-site'] === 'same-origin') return;
  throw new SlipwayError('foreign_origin', 'A change with a session must name the page it comes from', {
    hint: 'Programs send a key: Authorization: Bearer <key>.',
  });
}

/** JSON in UTF-8 for all routes but those that take bytes, and those take nothing else. Nothing is decompressed here. */
function assertMedia({ headers, routeOptions }: FastifyRequest): void {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new SlipwayError('unsupported_media', 'Compressed bodies are not accepted here', {
      hint: 'Send the body without Content-Encoding.',
    });
  }
  const type = headers['content-type'];
  if (type === undefined) return;
  const [essence, ...parameters] = type.toLowerCase().split(';');
  const isStream = STREAM_TYPES.includes(essence!.trim());
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/.exec(parameter)?.[1])
    .find(Boolean);
  if (isStream !== (routeOptions.config.body === 'stream') || (charset !== undefined && charset !== 'utf-8')) {
    const wanted = routeOptions.config.body === 'stream' ? STREAM_TYPES[0] : 'application/json in UTF-8';
    throw new SlipwayError('unsupported_media', 'The content type is not accepted here', { hint: `Send ${wanted}.` });
  }
}

function pathOf(request: FastifyRequest): string {
  const url = request.raw.url ?? '/';
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

/** What Node refused before there was a request: answered in the same form, then closed. */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
  const problem = problemOf(new SlipwayError('invalid_request', 'This is not a valid HTTP request'), '/', uuidv7());
  const body = JSON.stringify({ ...problem, status });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
