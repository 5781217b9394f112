import { setTimeout } from 'node:timers/promises';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import { SlipwayError } from '../../base/errors.ts';
import { callOf } from '../../base/http/management-server.ts';
import { Name, Nullable } from '../../base/http/schema-parts.ts';
import { type CallPass, PASS_MESSAGE } from './call-pass.ts';
import type { DesiredStatePublisher } from './desired-state-publisher.ts';

export const TriedSchema = Type.Object({
  status: Type.Integer({ description: 'As the gateway answered.' }),
  body: Type.String({ description: 'What it answered, as it came.' }),
  version: Nullable(Type.String()),
  predictionId: Nullable(Type.String()),
  requestId: Nullable(Type.String()),
  timings: Type.Array(Type.Object({ stage: Type.String(), ms: Type.Number() })),
  tookMs: Type.Number({ description: 'As control saw it.' }),
});

const PASS_LIFE_MS = 30_000;
const MAX_BODY_CHARS = 4_000_000;
const MAX_ANSWER_CHARS = 4_000_000;

/**
 * One prediction, asked by way of control: pages may call no other server than the one they come from, and a session has no key to
 * send. The gateway judges and counts the call as one of the caller's key.
 */
export function registerTryRoutes(instance: FastifyInstance, publisher: DesiredStatePublisher): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.post(
    '/endpoints/:endpoint/try',
    {
      config: { permission: 'predict' },
      schema: {
        tags: ['endpoints'],
        summary: 'One prediction by way of the management API, with its timings',
        params: Type.Object({ endpoint: Name }),
        body: Type.Object({
          body: Type.String({ maxLength: MAX_BODY_CHARS, description: 'JSON of the plain form, as text.' }),
          version: Type.Optional(
            Type.Integer({ minimum: 1, description: 'A version that the endpoint keeps loaded.' }),
          ),
        }),
        response: { 200: TriedSchema },
      },
    },
    async (request) => {
      const { project, principal, requestId, dryRun } = callOf(request);
      if (dryRun)
        throw new SlipwayError('unsupported_option', 'A prediction changes nothing: there is no dry run of it');
      const gateway = publisher.gateways()[0];
      if (gateway === undefined) {
        throw new SlipwayError('not_ready', 'No gateway is connected', { retryAfterS: 1, hint: 'Retry in a moment.' });
      }
      const { body, version } = request.body;
      const { id, secret, text } = makeKey();
      const pass: CallPass = { id, secretSha256: hashSecret(secret), principal, lifeMs: PASS_LIFE_MS };
      for (const one of publisher.gateways()) one.send({ type: PASS_MESSAGE, pass });
      const name = version === undefined ? request.params.endpoint : `${request.params.endpoint}@${version}`;
      const prefix = project.name === 'default' ? '' : `/p/${encodeURIComponent(project.name)}`;
      const url = `${gateway.httpUrl}${prefix}/endpoints/${encodeURIComponent(name)}/predict`;
      const headers = {
        authorization: `Bearer ${text}`,
        'content-type': 'application/json',
        'x-request-id': requestId,
      };
      for (let tried = 0; ; tried++) {
        const startedMs = performance.now();
        let answer: Response;
        try {
          answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(PASS_LIFE_MS) });
        } catch (error) {
          throw new SlipwayError('not_ready', 'The gateway did not answer', { retryAfterS: 1, cause: error });
        }
        // The pass travels on another line than the call and may come after it.
        if (answer.status === 401 && tried < 20) {
          await setTimeout(25);
          continue;
        }
        const said = await answer.text();
        const tookMs = performance.now() - startedMs;
        if (answer.status === 404) {
          throw new SlipwayError('endpoint_not_found', `No gateway serves an endpoint ${name}`, {
            hint: '`slipway endpoints list` shows them.',
          });
        }
        return {
          status: answer.status,
          body: said.slice(0, MAX_ANSWER_CHARS),
          version: answer.headers.get('x-slipway-version'),
          predictionId: answer.headers.get('x-prediction-id'),
          requestId: answer.headers.get('x-request-id'),
          timings: timingsOf(answer.headers.get('server-timing') ?? ''),
          tookMs: Math.round(tookMs * 100) / 100,
        };
      }
    },
  );
}

function timingsOf(header: string): { stage: string; ms: number }[] {
  return [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, stage, ms]) => ({ stage: stage!, ms: Number(ms) }));
}
