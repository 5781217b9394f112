import { SlipwayError } from '../../base/errors.ts';
import type { EndpointName, InferRoute, ReadRoute } from '../protocols/protocol.ts';
import { seldonModelOf } from '../protocols/seldon-model.ts';
import { headOf } from './content.ts';
import type { Exchange } from './exchange.ts';
import { type Match, withName } from './route-table.ts';

/** Names of one route that are remembered. Bounded, because callers choose them. */
const REMEMBERED = 200;

/**
 * For routes whose path does not say which endpoint it is: headers, the body or the setting do. Null where only the body says it, and is not there.
 * @param defaultEndpoint empty for none
 */
export function createRouteEndpoints(
  defaultEndpoint: string,
): <R extends InferRoute | ReadRoute>(exchange: Exchange, match: Match<R>, body: Buffer | null) => Match<R> | null {
  const known = new WeakMap<Match, Map<string, Match>>();

  const named = <R extends InferRoute | ReadRoute>(
    match: Match<R>,
    { name, version, label }: EndpointName,
  ): Match<R> => {
    const whole = {
      name: name ?? nameOfDefault(),
      ...(version === undefined ? {} : { version }),
      ...(label === undefined ? {} : { label }),
    };
    const ofMatch = known.get(match) ?? new Map<string, Match>();
    known.set(match, ofMatch);
    const key = JSON.stringify([whole.name, version, label]);
    const before = ofMatch.get(key);
    if (before !== undefined) return before as Match<R>;
    const found = withName(match, whole);
    if (ofMatch.size >= REMEMBERED) ofMatch.clear();
    ofMatch.set(key, found);
    return found;
  };

  const nameOfDefault = (): string => {
    if (defaultEndpoint !== '') return defaultEndpoint;
    throw new SlipwayError(
      'endpoint_not_found',
      'The request names no endpoint, and none is set to answer such requests',
      {
        hint: 'Set SLIPWAY_DEFAULT_ENDPOINT to the name of one.',
      },
    );
  };

  return (exchange, match, body) => {
    const { route } = match;
    const routed = route.routedBy === undefined ? null : seldonModelOf(exchange.wire.headers[route.routedBy]);
    if (routed !== null) {
      const version = match.params['version'];
      return named(match, version === undefined ? { name: routed } : { name: routed, version });
    }
    if (route.nameEndpoint === undefined) return match;
    const name = route.nameEndpoint(headOf(exchange, match), body);
    if (name === null && body === null && route.kind === 'infer' && route.namedInBody === true) return null;
    return named(match, name ?? {});
  };
}
