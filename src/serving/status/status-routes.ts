import { join } from 'node:path';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Clock } from '../../base/clock.ts';
import { LOG_FILE } from '../../base/data-folder.ts';
import type { Database } from '../../base/db/database.ts';
import { callerOf } from '../../base/http/management-server.ts';
import { reachableUrl } from '../../base/http/reachable-url.ts';
import { Nullable, oneOf, Time } from '../../base/http/schema-parts.ts';
import { type Origin, readSettings, SETTINGS, type SettingName, type Settings } from '../../base/settings.ts';
import type { DesiredStatePublisher } from '../endpoints/desired-state-publisher.ts';
import { runChecks } from './doctor.ts';
import { joinGatewayMetrics } from './gateway-metrics.ts';
import { readLog } from './log-file.ts';
import { readServerStatus } from './server-status.ts';

export const ServerStatusSchema = Type.Object({
  release: Type.String(),
  startedAt: Time,
  generation: Type.Integer(),
  inferenceUrl: Nullable(Type.String()),
  gateways: Type.Array(
    Type.Object({
      instance: Type.String(),
      httpUrl: Type.String(),
      grpcAddress: Nullable(Type.String()),
      generation: Type.Integer(),
      observedAt: Time,
    }),
  ),
  counts: Type.Object({
    models: Type.Integer(),
    versions: Type.Integer(),
    endpoints: Type.Integer(),
    endpointsReady: Type.Integer(),
  }),
});

export const CheckSchema = Type.Object({
  name: Type.String(),
  outcome: oneOf(['pass', 'warn', 'fail']),
  detail: Type.String(),
  fix: Nullable(Type.String()),
});

export const SettingSchema = Type.Object({
  name: Type.String(),
  env: Type.String(),
  value: Type.String(),
  default: Type.String(),
  origin: oneOf(['default', 'file', 'env', 'flag']),
  help: Type.String(),
});

type StatusDeps = {
  database: Database;
  publisher: DesiredStatePublisher;
  settings: Settings;
  clock: Clock;
  release: string;
};

const tags = ['server'];

/** Routes about the server itself; they belong to no project. Paths are absolute. */
export function registerStatusRoutes(instance: FastifyInstance, deps: StatusDeps): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const { database, publisher, settings, clock, release } = deps;
  const startedAt = clock.now();

  app.get(
    '/api/v1/status',
    {
      // Every client asks it where predictions go; a key of one project sees the counts of that project.
      config: { permission: 'any-key', boundKeys: true },
      schema: {
        tags,
        summary: 'What runs, since when, and how many endpoints are ready',
        response: { 200: ServerStatusSchema },
      },
    },
    async (request) => {
      const { project } = callerOf(request).principal;
      const now = clock.now();
      const status = await readServerStatus({ db: database.db, project, publisher, release, startedAt, now });
      if (status.inferenceUrl === null) return status;
      return { ...status, inferenceUrl: reachableUrl(status.inferenceUrl, settings.host, request.headers.host) };
    },
  );

  app.get(
    '/api/v1/doctor',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Checks of the server, each with its fix',
        response: { 200: Type.Object({ checks: Type.Array(CheckSchema) }) },
      },
    },
    async () => ({ checks: await runChecks({ database, publisher, settings, now: clock.now() }) }),
  );

  app.get(
    '/api/v1/settings',
    {
      config: { permission: 'admin' },
      schema: {
        tags,
        summary: 'Every setting of the server, its value and where it comes from; secrets are hidden',
        response: { 200: Type.Object({ items: Type.Array(SettingSchema) }) },
      },
    },
    async () => ({ items: shownSettings(settings) }),
  );

  app.get(
    '/api/v1/logs',
    {
      config: { permission: 'admin' },
      schema: {
        tags,
        summary: 'The log, one JSON object a line; with follow=1 until the reader goes away',
        produces: ['application/x-ndjson'],
        querystring: Type.Object({
          lines: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000, default: 100 })),
          follow: Type.Optional(Type.Union([Type.Literal('1'), Type.Literal('true')])),
        }),
      },
    },
    async (request, reply) => {
      const gone = new AbortController();
      reply.raw.on('close', () => gone.abort());
      const options = {
        lines: request.query.lines ?? 100,
        follow: request.query.follow !== undefined,
        signal: gone.signal,
      };
      return reply.type('application/x-ndjson').send(readLog(join(settings.dataDir, LOG_FILE), options));
    },
  );

  app.get(
    '/metrics',
    {
      config: { permission: 'read' },
      schema: { tags, summary: 'Metrics in the Prometheus text format', produces: ['text/plain'] },
    },
    async (_request, reply) => {
      const status = await readServerStatus({
        db: database.db,
        project: null,
        publisher,
        release,
        startedAt,
        now: clock.now(),
      });
      return reply.type('text/plain; version=0.0.4; charset=utf-8').send(renderMetrics(status, publisher));
    },
  );
}

function renderMetrics(status: Awaited<ReturnType<typeof readServerStatus>>, publisher: DesiredStatePublisher): string {
  const gauge = (name: string, help: string, value: number) =>
    `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`;
  return [
    gauge('slipway_models', 'Models in the registry.', status.counts.models),
    gauge('slipway_versions', 'Versions in the registry.', status.counts.versions),
    gauge('slipway_endpoints', 'Endpoints.', status.counts.endpoints),
    gauge('slipway_endpoints_ready', 'Endpoints that are ready.', status.counts.endpointsReady),
    gauge('slipway_generation', 'Number of the desired state.', status.generation),
    gauge('slipway_gateways', 'Gateways connected to control.', status.gateways.length),
    joinGatewayMetrics(publisher.gateways()),
  ].join('');
}

/** A process is given by its environment what was typed as a flag, so both read as `env` here. */
function shownSettings(settings: Settings) {
  let origins: Readonly<Record<SettingName, Origin>> | null = null;
  try {
    origins = readSettings(process.env).origins;
  } catch {
    // the file was changed since the start, and is wrong now: where values came from is not known any more
  }
  const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  return (Object.keys(SETTINGS) as SettingName[]).map((name) => ({
    name,
    env: SETTINGS[name].env as string,
    value: SETTINGS[name].secret ? '(hidden)' : text(settings[name]),
    default: text(SETTINGS[name].default),
    origin: origins?.[name] ?? ('default' as const),
    help: SETTINGS[name].help,
  }));
}
