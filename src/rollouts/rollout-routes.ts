import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf } from '../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../base/http/paging.ts';
import { Name, Nullable, oneOf, ProjectName, Time } from '../base/http/schema-parts.ts';
import { Reason } from '../registry/version-schema.ts';
import type { Command } from './rollout.ts';
import type { RolloutService } from './rollout-service.ts';

const Text = Type.String();
const Numbered = Nullable(Type.Object({ version: Type.Integer(), digest: Text }));

const GateSchema = Type.Object({
  name: Text,
  kind: Text,
  role: oneOf(['guardrail', 'tripwire', 'signal', 'report'] as const),
  verdict: oneOf(['PASS', 'FAIL', 'CONTINUE', 'INCONCLUSIVE', 'INVALID'] as const),
  measured: Nullable(Type.Number()),
  bound: Nullable(Type.Number({ description: 'What it is held against.' })),
  evidence: Type.Number({ description: 'Predictions, pairs or readings looked at.' }),
  remaining: Nullable(Type.Number({ description: 'About how many more until it can decide.' })),
  remainingMs: Nullable(Type.Number({ description: "The same in time, at today's traffic." })),
  text: Text,
});

const StageSchema = Type.Object({
  index: Type.Integer(),
  name: Text,
  kind: Text,
  weight: Nullable(Type.Number()),
  state: oneOf(['done', 'now', 'next', 'left'] as const),
  gates: Type.Array(GateSchema),
  needsCalls: Nullable(Type.Number()),
  needsMs: Nullable(Type.Number()),
});

export const RolloutSchema = Type.Object({
  id: Text,
  project: ProjectName,
  endpoint: Name,
  model: Name,
  from: Numbered,
  to: Type.Object({ version: Type.Integer(), digest: Text }),
  strategy: Text,
  planVersion: Type.String({ description: 'Digest of the plan, logged with each prediction.' }),
  phase: Text,
  stage: Nullable(Type.Integer()),
  since: Time,
  isEnded: Type.Boolean(),
  isPromoted: Type.Boolean(),
  epoch: Type.Integer(),
  revision: Type.Integer(),
  startedBy: Text,
  startedAt: Time,
  weight: Type.Object({ asked: Type.Number(), observed: Nullable(Type.Number()) }),
  approvals: Type.Array(Text),
  text: Type.String({ description: 'What happened or is waited for, in one sentence.' }),
  next: Nullable(Type.String({ description: 'What to type next.' })),
  stages: Type.Array(StageSchema),
});

const RecordSchema = Type.Object({
  revision: Type.Integer(),
  at: Time,
  from: Text,
  to: Text,
  stage: Nullable(Type.Integer()),
  by: Text,
  reason: Text,
  verdict: Nullable(Text),
  evidence: Type.Array(Type.Unknown()),
  planVersion: Text,
});

const Counted = (type: Parameters<typeof Type.Record>[1], description: string) =>
  Type.Record(Text, type, { description });
const ShadowSchema = Type.Object({
  name: Type.String({ description: 'candidate, noise-floor (the current version against itself), or version-N.' }),
  statuses: Counted(Type.Integer(), 'Copies by what became of them.'),
  pairs: Type.Integer(),
  flips: Type.Integer({ description: 'Pairs whose decision differs.' }),
  kappa: Nullable(Type.Number()),
  concordance: Nullable(Type.Number()),
  similarity: Nullable(Type.Number()),
  bias: Nullable(Type.Number()),
  otherForms: Type.Integer(),
  newErrors: Counted(Type.Integer(), 'Failures by code that live calls do not have.'),
  p99Ms: Type.Object({ live: Nullable(Type.Number()), shadow: Nullable(Type.Number()) }),
  slices: Type.Array(Type.Object({ slice: Text, pairs: Type.Integer(), flips: Type.Integer() })),
  worst: Type.Array(
    Type.Object({
      predictionId: Text,
      cost: Type.Number(),
      live: Text,
      shadow: Text,
      slice: Nullable(Text),
    }),
    { description: 'Pairs that differ, the most costly first; at most 50.' },
  ),
});

const Live = Type.Object({ version: Type.Integer(), digest: Text });
const Shared = Type.Object({ name: Text, version: Type.Integer(), digest: Text, share: Type.Number() });
export const LiveChangeSchema = Type.Object({
  id: Text,
  at: Time,
  actor: Text,
  reason: Nullable(Text),
  requestId: Nullable(Text),
  live: Nullable(
    Type.Object({
      model: Name,
      target: Nullable(Live),
      loaded: Type.Boolean(),
      arms: Nullable(Type.Array(Shared)),
      shadows: Type.Array(Shared),
      pins: Type.Array(Live),
      rollout: Nullable(Type.Object({ id: Text, stage: Type.Integer(), planVersion: Text })),
    }),
  ),
});

const StartBody = Type.Object({
  to: Type.String({ minLength: 1, maxLength: 63, description: 'A version by number or alias, or `latest`.' }),
  strategy: Type.Optional(oneOf(['canary', 'blue-green', 'shadow'] as const)),
  plan: Type.Optional(
    Type.Union([
      Type.String({ maxLength: 65_536, description: 'A plan as YAML.' }),
      Type.Object({}, { additionalProperties: true, description: 'The same as an object.' }),
    ]),
  ),
  sample: Type.Optional(Type.String({ maxLength: 16, description: 'Of a shadow, such as `20%`.' })),
  reason: Type.Optional(Reason),
  allowBreaking: Type.Optional(Type.Boolean()),
  supersede: Type.Optional(
    Type.Boolean({ description: 'A rollout under way goes back first, and this one takes its place.' }),
  ),
});

const Estimate = Type.Object({
  stage: Text,
  gates: Type.Array(Type.Object({ gate: Text, calls: Nullable(Type.Number()) })),
  calls: Nullable(Type.Number({ description: 'Calls of the endpoint that the stage needs, about.' })),
  ms: Nullable(Type.Number()),
});
const StartedSchema = Type.Object({
  rollout: Nullable(RolloutSchema),
  plan: Type.Unknown(),
  estimates: Type.Array(Estimate),
});

const ByName = Type.Object({ endpoint: Name });
const tags = ['rollouts'];

/** Verbs that people have on a rollout, with what each does. */
const COMMANDS: readonly (readonly [Exclude<Command['kind'], 'supersede'>, string])[] = [
  ['pause', 'Stop a rollout where it is; traffic stays, guardrails stay armed'],
  ['resume', 'Go on with a paused rollout'],
  ['promote', 'Give the new version all traffic now, whatever the gates say'],
  ['abort', 'Give all traffic back to the old version'],
  ['approve', 'Agree to what a rollout waits for'],
];

/** Mounted once for the default project and once for named ones. */
export function registerRolloutRoutes(instance: FastifyInstance, rollouts: RolloutService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.get(
    '/rollouts',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'List rollouts, the newest first',
        querystring: Type.Object({ ...PageQuery.properties, endpoint: Type.Optional(Name) }),
        response: { 200: Type.Object({ items: Type.Array(RolloutSchema), nextCursor: Nullable(Text) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const filter = { endpoint: request.query.endpoint ?? null };
      const items = await rollouts.list(callOf(request), filter, { before: after, limit: limit + 1 });
      return pageOf(items, limit, (item) => item.id) as never;
    },
  );

  scope.post(
    '/endpoints/:endpoint/rollouts',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Start a rollout to another version; with dryRun, show its plan and the traffic it needs',
        params: ByName,
        body: StartBody,
        response: { 200: StartedSchema, 201: StartedSchema },
      },
    },
    async (request, reply) => {
      const call = callOf(request);
      const started = await rollouts.start(call, request.params.endpoint, request.body as never);
      return reply.code(call.dryRun ? 200 : 201).send(started as never);
    },
  );

  scope.get(
    '/endpoints/:endpoint/rollout',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'The last rollout of an endpoint, with every transition',
        params: ByName,
        response: {
          200: Type.Object({
            rollout: RolloutSchema,
            records: Type.Array(RecordSchema),
            shadows: Type.Array(ShadowSchema, { description: 'Comparisons of its last stage with shadows.' }),
          }),
        },
      },
    },
    async (request) => {
      const { rollout, records, shadows } = await rollouts.get(callOf(request), request.params.endpoint);
      const shown = records.map(({ atMs, ...rest }) => ({ ...rest, at: new Date(atMs).toISOString() }));
      return { rollout, records: shown, shadows } as never;
    },
  );

  for (const [kind, summary] of COMMANDS) {
    scope.post(
      `/endpoints/:endpoint/rollout/${kind}`,
      {
        config: { permission: kind === 'promote' || kind === 'approve' ? 'promote' : 'deploy' },
        schema: {
          tags,
          summary,
          params: ByName,
          body: Type.Object({
            reason: Type.Optional(Reason),
            ...(kind === 'approve' && { stage: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })) }),
          }),
          response: { 200: RolloutSchema },
        },
      },
      async (request) =>
        (await rollouts.command(
          callOf(request),
          (request.params as { endpoint: string }).endpoint,
          kind,
          request.body as never,
        )) as never,
    );
  }

  scope.get(
    '/endpoints/:endpoint/history',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What was live when, by whom and why: every change, or what held at one time',
        params: ByName,
        querystring: Type.Object({ ...PageQuery.properties, at: Type.Optional(Time) }),
        response: { 200: Type.Object({ items: Type.Array(LiveChangeSchema), nextCursor: Nullable(Text) }) },
      },
    },
    async (request) => {
      const { at } = request.query;
      if (at !== undefined) {
        const found = await rollouts.liveAt(callOf(request), request.params.endpoint, at);
        return { items: found === null ? [] : [found], nextCursor: null } as never;
      }
      const { limit, after } = decodeCursor(request.query);
      const items = await rollouts.history(callOf(request), request.params.endpoint, {
        before: after,
        limit: limit + 1,
      });
      return pageOf(items, limit, (item) => item.id) as never;
    },
  );
}
