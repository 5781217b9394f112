import type { Db } from '../../base/db/database.ts';
import type { ObservedState } from '../endpoints/desired-state.ts';
import type { DesiredStatePublisher } from '../endpoints/desired-state-publisher.ts';
import type { EndpointStatus } from '../endpoints/endpoint.ts';
import { assessEndpoint } from '../endpoints/endpoint.ts';
import { listAllEndpoints } from '../endpoints/endpoint-store.ts';
import { countRows } from './status-store.ts';

export type ServerStatus = {
  readonly release: string;
  readonly startedAt: string;
  readonly generation: number;
  readonly inferenceUrl: string | null;
  readonly gateways: Pick<ObservedState, 'instance' | 'httpUrl' | 'grpcAddress' | 'generation' | 'observedAt'>[];
  readonly counts: { models: number; versions: number; endpoints: number; endpointsReady: number };
};

export type EndpointAtAGlance = { readonly project: string; readonly name: string; readonly status: EndpointStatus };

/** Every endpoint of every project with its observed status: what `doctor` and the counts are made of. */
export async function assessAllEndpoints(
  db: Db,
  publisher: DesiredStatePublisher,
  now: Date,
): Promise<EndpointAtAGlance[]> {
  const specs = await listAllEndpoints(db);
  return specs.map((spec) => ({
    project: spec.project,
    name: spec.name,
    status: assessEndpoint(spec, publisher.generation(), publisher.observed(), now),
  }));
}

/** @param deps.project counts only what belongs to it; null counts all */
export async function readServerStatus(deps: {
  db: Db;
  project: string | null;
  publisher: DesiredStatePublisher;
  release: string;
  startedAt: Date;
  now: Date;
}): Promise<ServerStatus> {
  const { db, publisher } = deps;
  const endpoints = (await assessAllEndpoints(db, publisher, deps.now)).filter(
    (one) => deps.project === null || one.project === deps.project,
  );
  const gateways = publisher.observed();
  return {
    release: deps.release,
    startedAt: deps.startedAt.toISOString(),
    generation: publisher.generation(),
    inferenceUrl: publisher.gateways()[0]?.httpUrl ?? null,
    gateways: gateways.map(({ instance, httpUrl, grpcAddress = null, generation, observedAt }) => ({
      instance,
      httpUrl,
      grpcAddress,
      generation,
      observedAt,
    })),
    counts: {
      models: await countRows(db, 'models', deps.project),
      versions: await countRows(db, 'versions', deps.project),
      endpoints: endpoints.length,
      endpointsReady: endpoints.filter((one) => one.status.state === 'ready').length,
    },
  };
}
