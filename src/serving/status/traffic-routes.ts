import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf } from '../../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../../base/http/paging.ts';
import { Name, Nullable, Time } from '../../base/http/schema-parts.ts';
import type { DesiredStatePublisher } from '../endpoints/desired-state-publisher.ts';
import type { EndpointService } from '../endpoints/endpoint-service.ts';
import { latencyBounds } from './endpoint-counters.ts';
import { STEP_MS, type TrafficSeries } from './traffic-series.ts';
import { figuresOf, pointsOf } from './traffic-view.ts';

const Ms = Nullable(Type.Number());
const Figures = Type.Object({
  requestsPerS: Type.Number(),
  errorShare: Nullable(Type.Number({ description: 'Of calls answered, those with a 5xx; null without calls.' })),
  p50Ms: Ms,
  p95Ms: Ms,
  p99Ms: Ms,
});

export const EndpointTrafficSchema = Type.Object({
  endpoint: Name,
  now: Nullable(Figures),
  hour: Nullable(Figures),
  observedAt: Nullable(Time),
});

export const TrafficSeriesSchema = Type.Object({
  endpoint: Name,
  stepMs: Type.Integer(),
  points: Type.Array(
    Type.Object({
      ...Figures.properties,
      at: Time,
      refusedPerS: Type.Number({ description: 'Calls answered with a 4xx.' }),
      queueMs: Nullable(Type.Number({ description: 'Mean time in the queue.' })),
      batchRows: Nullable(Type.Number({ description: 'Mean rows of a run.' })),
      inFlight: Type.Number(),
    }),
  ),
});

/** Steps that make up "now": a minute. */
const NOW_STEPS = 12;

export type TrafficRoutesDeps = {
  readonly series: TrafficSeries;
  readonly endpoints: EndpointService;
  readonly publisher: DesiredStatePublisher;
};

/** Mounted once for the default project and once for named ones. */
export function registerTrafficRoutes(instance: FastifyInstance, deps: TrafficRoutesDeps): void {
  const { series, endpoints, publisher } = deps;
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();
  const bounds = (): number[] => latencyBounds(publisher.gateways()[0]?.metricsText ?? '');

  scope.get(
    '/traffic',
    {
      config: { permission: 'read' },
      schema: {
        tags: ['endpoints'],
        summary: 'How much comes to each endpoint and how it is answered: the last minute beside the last hour',
        querystring: PageQuery,
        response: {
          200: Type.Object({ items: Type.Array(EndpointTrafficSchema), nextCursor: Nullable(Type.String()) }),
        },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const specs = await endpoints.list(callOf(request), { after, limit: limit + 1 });
      const page = pageOf(specs, limit, (one) => one.name);
      const at = bounds();
      const items = page.items.map(({ project, name }) => {
        const steps = series.steps(project, name);
        const last = steps.at(-1);
        return {
          endpoint: name,
          now: last === undefined ? null : figuresOf(steps.slice(-NOW_STEPS), at),
          hour: last === undefined ? null : figuresOf(steps, at),
          observedAt: last === undefined ? null : new Date(last.atMs).toISOString(),
        };
      });
      return { ...page, items };
    },
  );

  scope.get(
    '/endpoints/:endpoint/traffic',
    {
      config: { permission: 'read' },
      schema: {
        tags: ['endpoints'],
        summary: "An endpoint's last hour, step by step",
        params: Type.Object({ endpoint: Name }),
        querystring: Type.Object({
          minutes: Type.Optional(Type.Integer({ minimum: 1, maximum: 60, default: 60 })),
          stepMs: Type.Optional(Type.Integer({ minimum: STEP_MS, maximum: 600_000, default: STEP_MS })),
        }),
        response: { 200: TrafficSeriesSchema },
      },
    },
    async (request) => {
      const { minutes = 60, stepMs = STEP_MS } = request.query;
      const { project, name } = await endpoints.get(callOf(request), request.params.endpoint);
      const steps = series.steps(project, name).slice(-Math.ceil((minutes * 60_000) / STEP_MS));
      const perPoint = Math.max(1, Math.round(stepMs / STEP_MS));
      return { endpoint: name, stepMs: perPoint * STEP_MS, points: pointsOf(steps, bounds(), perPoint) };
    },
  );
}
