import { Readable } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { callerOf } from '../../base/http/management-server.ts';
import type { DesiredStatePublisher } from '../endpoints/desired-state-publisher.ts';
import { readMarks } from './status-store.ts';
import { STEP_MS } from './traffic-series.ts';

const LOOK_MS = 1_000;
const QUIET_MS = 15_000;
/** A stream ends then and the reader comes back, so that a revoked key or an ended session sees no more. */
const LIFE_MS = 5 * 60_000;
const MOST_STREAMS = 200;

/** What may have changed: readers ask anew for what they show of it. */
export type ChangeKind = 'registry' | 'validation' | 'rollouts' | 'observed' | 'traffic';

/** Server-sent events: what changed, never what it is now, so that one small stream serves every page and leaks nothing. */
export function registerEventRoutes(
  instance: FastifyInstance,
  deps: { database: Database; publisher: DesiredStatePublisher },
): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const { database, publisher } = deps;
  let streams = 0;

  app.get(
    '/api/v1/events',
    {
      config: { permission: 'read', boundKeys: true },
      schema: {
        tags: ['server'],
        summary: 'What changes, as server-sent events; ends after five minutes, to be opened again',
        produces: ['text/event-stream'],
      },
    },
    async (request, reply) => {
      if (streams >= MOST_STREAMS) {
        throw new SlipwayError('overloaded', `${MOST_STREAMS} pages listen already`, { retryAfterS: 30 });
      }
      streams += 1;
      const gone = new AbortController();
      reply.raw.on('close', () => {
        streams -= 1;
        gone.abort();
      });
      const { project } = callerOf(request).principal;
      return reply.type('text/event-stream').send(Readable.from(events(project, gone.signal), { objectMode: false }));
    },
  );

  async function* events(project: string | null, signal: AbortSignal): AsyncGenerator<string> {
    const until = performance.now() + LIFE_MS;
    let last = await look(project);
    let saidAt = performance.now();
    yield 'retry: 2000\nevent: open\ndata: {}\n\n';
    while (!signal.aborted && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (signal.aborted) return;
      const now = await look(project);
      const changed = (Object.keys(now) as ChangeKind[]).filter((kind) => now[kind] !== last[kind]);
      last = now;
      if (changed.length > 0) yield `event: changed\ndata: ${JSON.stringify({ changed })}\n\n`;
      else if (performance.now() - saidAt > QUIET_MS) yield ': still here\n\n';
      else continue;
      saidAt = performance.now();
    }
  }

  async function look(project: string | null): Promise<Record<ChangeKind, string>> {
    const marks = await readMarks(database.db, project);
    const observed = publisher
      .observed()
      .map(({ generation, versions }) => [
        generation,
        versions
          .filter((one) => project === null || one.project === project)
          .map(({ model, version, state, reason, restarts }) => [model, version, state, reason, restarts]),
      ]);
    return { ...marks, observed: JSON.stringify(observed), traffic: String(Math.floor(performance.now() / STEP_MS)) };
  }
}
