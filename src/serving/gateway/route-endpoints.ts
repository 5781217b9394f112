import { SlipwayError } from '../../base/errors.ts';
import type { EndpointName, InferRoute } from '../protocols/protocol.ts';
import { headOf } from './content.ts';
import type { Exchange } from './exchange.ts';
import { type Match, withName } from './route-table.ts';

/** Names of one route that are remembered. Bounded, because callers choose them. */
const REMEMBERED = 200;

/**
 * For routes whose path does not say which endpoint it is: headers, the body or the setting do.
 * @param defaultEndpoint empty for none
 */
export function createRouteEndpoints(
  defaultEndpoint: string,
): (exchange: Exchange, match: Match<InferRoute>, body: Buffer | null) => Match<InferRoute> | null {
  const known = new WeakMap<Match, Map<string, Match<InferRoute>>>();

  const named = (match: Match<InferRoute>, name: EndpointName): Match<InferRoute> => {
    const ofMatch = known.get(match) ?? new Map<string, Match<InferRoute>>();
    known.set(match, ofMatch);
    const key = JSON.stringify([name.name, name.version, name.label]);
    const before = ofMatch.get(key);
    if (before !== undefined) return before;
    const found = withName(match, name);
    if (ofMatch.size >= REMEMBERED) ofMatch.clear();
    ofMatch.set(key, found);
    return found;
  };

  return (exchange, match, body) => {
    const { route } = match;
    if (route.nameEndpoint === undefined) return match;
    const name = route.nameEndpoint(headOf(exchange, match), body);
    if (name !== null) return named(match, name);
    if (body === null && route.namedInBody === true) return null;
    if (defaultEndpoint !== '') return named(match, { name: defaultEndpoint });
    throw new SlipwayError(
      'endpoint_not_found',
      'The request names no endpoint, and none is set to answer such requests',
      {
        hint: 'Set SLIPWAY_DEFAULT_ENDPOINT to the name of one.',
      },
    );
  };
}
