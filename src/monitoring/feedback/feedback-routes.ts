import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callOf } from '../../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../../base/http/paging.ts';
import { Name, Nullable, oneOf, Time } from '../../base/http/schema-parts.ts';
import { FEEDBACK_KINDS, type FeedbackInput, MAX_FEEDBACK_ITEMS } from './feedback.ts';
import type { FeedbackService } from './feedback-service.ts';

const ITEM = {
  predictionId: Type.Optional(
    Type.String({
      maxLength: 256,
      description: 'The id of the answer (X-Prediction-Id), or `<id>.<row>` of one row.',
    }),
  ),
  joinKey: Type.Optional(
    Type.String({ maxLength: 256, description: 'A key that the prediction carries itself, such as an order number.' }),
  ),
  truth: Type.Optional(Type.Unknown({ description: 'The outcome that came true.' })),
  score: Type.Optional(Type.Number({ description: 'A reward or a loss.' })),
  rating: Type.Optional(Type.Number({ description: 'An opinion, e.g. 1 to 5.' })),
  correction: Type.Optional(Type.Unknown({ description: 'The output as a person would have given it.' })),
  text: Type.Optional(Type.String({ description: 'Free words.' })),
  revision: Type.Optional(
    Type.Integer({ minimum: 1, description: 'Grows with every correction; the next one unless named.' }),
  ),
  source: Type.Optional(
    Type.String({ minLength: 1, maxLength: 128, description: "Who says it; the key's name unless named." }),
  ),
  weight: Type.Optional(Type.Number({ description: 'How much it counts, above 0; 1 unless named.' })),
  at: Type.Optional(Time),
};
export const FeedbackItemSchema = Type.Object(ITEM);

/** One item, or a list of them; a union would tell faults of both forms. */
export const FeedbackBody = Type.Object({
  ...ITEM,
  items: Type.Optional(
    Type.Array(FeedbackItemSchema, {
      maxItems: MAX_FEEDBACK_ITEMS,
      description: 'Many at once, instead of one.',
    }),
  ),
});

export const FeedbackReceiptSchema = Type.Object({
  accepted: Type.Integer({ description: 'Records written.' }),
  revised: Type.Integer({ description: 'Of these, corrections of earlier ones.' }),
  superseded: Type.Integer({ description: 'Of these, older revisions that came after a newer one.' }),
  repeated: Type.Integer({ description: 'Already there; nothing was written.' }),
  matched: Type.Integer({ description: 'Written, and their prediction is in the log.' }),
  parked: Type.Integer({ description: 'Written, and kept until their prediction is found, or given up.' }),
  dropped: Type.Integer({ description: 'Not written: the policy of the endpoint keeps nothing of it.' }),
  conflicts: Type.Array(Type.Object({ index: Type.Integer(), message: Type.String() })),
  id: Nullable(Type.String()),
  revision: Nullable(Type.Integer()),
});

export const FeedbackEventSchema = Type.Object({
  seq: Type.Integer(),
  id: Type.String(),
  endpoint: Nullable(Name),
  predictionId: Nullable(Type.String()),
  row: Nullable(Type.Integer()),
  joinKey: Nullable(Type.String()),
  kind: oneOf(FEEDBACK_KINDS),
  value: Type.Unknown(),
  revision: Type.Integer(),
  source: Type.String(),
  weight: Type.Number(),
  occurredAt: Nullable(Time),
  arrivedAt: Time,
  actor: Type.String(),
  state: oneOf(['parked', 'matched'] as const),
  predictedAt: Nullable(Time),
  expiresAt: Nullable(Time),
});

const ByName = Type.Object({ endpoint: Name });
const Filter = {
  ...PageQuery.properties,
  kind: Type.Optional(oneOf(FEEDBACK_KINDS)),
  state: Type.Optional(oneOf(['parked', 'matched'] as const)),
};
const Listed = Type.Object({ items: Type.Array(FeedbackEventSchema), nextCursor: Nullable(Type.String()) });
const tags = ['feedback'];

function itemsOf(body: { readonly items?: readonly FeedbackInput[] } & FeedbackInput) {
  const { items, ...one } = body;
  if (items === undefined) return { items: [one], pointer: '' };
  // What stands beside the list would be ignored, so it is told: an item without a subject.
  return Object.keys(one).length === 0 ? { items, pointer: '/items' } : { items: [one], pointer: '' };
}

/** Mounted once for the default project and once for named ones. */
export function registerFeedbackRoutes(instance: FastifyInstance, feedback: FeedbackService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.post(
    '/endpoints/:endpoint/feedback',
    {
      config: { permission: 'predict' },
      schema: {
        tags,
        summary: 'Say what became of predictions of an endpoint, by prediction id or join key',
        params: ByName,
        body: FeedbackBody,
        response: { 200: FeedbackReceiptSchema },
      },
    },
    async (request) => {
      const { items, pointer } = itemsOf(request.body as FeedbackInput);
      return (await feedback.send(callOf(request), request.params.endpoint, items, pointer)) as never;
    },
  );

  scope.post(
    '/feedback',
    {
      config: { permission: 'predict' },
      schema: {
        tags,
        summary: 'Say what became of predictions, by prediction id alone',
        body: FeedbackBody,
        response: { 200: FeedbackReceiptSchema },
      },
    },
    async (request) => {
      const { items, pointer } = itemsOf(request.body as FeedbackInput);
      return (await feedback.send(callOf(request), null, items, pointer)) as never;
    },
  );

  scope.get(
    '/endpoints/:endpoint/feedback',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Feedback of an endpoint, every revision, in the order it came',
        params: ByName,
        querystring: Type.Object(Filter),
        response: { 200: Listed },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const { kind, state } = request.query;
      const filter = { endpoint: request.params.endpoint, kind, state };
      const items = await feedback.list(callOf(request), { after, limit: limit + 1 }, filter);
      return pageOf(items, limit, (item) => String(item.seq)) as never;
    },
  );

  scope.get(
    '/feedback',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Feedback of the project, every revision, in the order it came',
        querystring: Type.Object({ ...Filter, predictionId: Type.Optional(Type.String({ maxLength: 256 })) }),
        response: { 200: Listed },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const { kind, state, predictionId } = request.query;
      const items = await feedback.list(callOf(request), { after, limit: limit + 1 }, { kind, state, predictionId });
      return pageOf(items, limit, (item) => String(item.seq)) as never;
    },
  );
}
