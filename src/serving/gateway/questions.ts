/** What is asked of the gateway besides predictions: questions about what is served, and deeds. */
import type { Principal } from '../../base/access/permission.ts';
import type { ActionRoute, Protocol, ReadRoute, ServerView } from '../protocols/protocol.ts';
import { type ActionDeps, handleAction } from './actions.ts';
import { contentOf, headOf } from './content.ts';
import type { Exchange } from './exchange.ts';
import type { EndpointFinder } from './find-endpoint.ts';
import type { InferenceAccess } from './inference-access.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { Done } from './request-body.ts';
import type { Match } from './route-table.ts';
import { viewEndpoint, viewServer } from './server-view.ts';
import type { Readiness, ServingState } from './serving-state.ts';

export type QuestionDeps = ActionDeps & {
  readonly state: ServingState;
  readonly access: InferenceAccess;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  readonly assess: () => Readiness;
  /** On this port. */
  readonly protocols: readonly Protocol[];
  /** The match with the endpoint that its route names, where it has a way to. */
  readonly endpointOf: (exchange: Exchange, match: Match<ReadRoute>) => Match<ReadRoute>;
};

/** What these throw is to be answered. */
export type Questions = {
  read(exchange: Exchange, match: Match<ReadRoute>): void;
  act(exchange: Exchange, match: Match<ActionRoute>, read: (done: Done) => void): void;
};

export function createQuestions(deps: QuestionDeps): Questions {
  const { state, access, finder, metrics, assess } = deps;
  const spoken = deps.protocols.map(({ name }) => name);

  const viewOf = (exchange: Exchange, { project, path }: Match, principal: Principal | null): ServerView =>
    viewServer(
      { state, keyNeeded: access.keyNeeded, spoken, assess, metrics },
      {
        project,
        principal,
        host: exchange.wire.headers.host ?? '',
        prefix: path.startsWith('/p/') ? `/p/${project}` : '',
      },
    );

  return {
    read(exchange, found) {
      const { headers } = exchange.wire;
      const { route } = found;
      const principal = route.public ? null : access.principalOf(headers);
      if (!route.public) finder.assertProject(found.project, principal);
      const match = deps.endpointOf(exchange, found);
      const named = match.ref !== null || match.badRef !== null;
      const located = named ? finder.locate(match, principal, 'read') : null;
      const endpoint = located === null ? null : viewEndpoint(located, finder.pinOf(located, match.ref), metrics);
      const server = viewOf(exchange, match, principal);
      if (endpoint !== null) exchange.version = `${endpoint.version}`;
      deps.answer(exchange, contentOf(route.read(server, endpoint, headOf(exchange, match))));
    },
    act(exchange, match, read) {
      const principal = access.principalOf(exchange.wire.headers);
      finder.assertProject(match.project, principal);
      handleAction(deps, exchange, match, viewOf(exchange, match, principal), read);
    },
  };
}
