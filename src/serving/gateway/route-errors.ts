/** Why there is no route for a method of a path. */
import { SlipwayError } from '../../base/errors.ts';
import type { Found } from './route-table.ts';
import { shown } from './shown-text.ts';

/** Whether no method whatever would find something. */
export function isNowhere({ absent, allow }: Found): boolean {
  return absent === null && allow === '';
}

/** @param found without a route for the method */
export function noRoute(found: Found, method: string): SlipwayError {
  if (isNowhere(found)) return unknownRoute(found.path);
  const { absent, allow } = found;
  return absent?.route.kind === 'absent' ? notOffered(absent.route.reason) : wrongMethod(method, allow);
}

function unknownRoute(path: string): SlipwayError {
  return new SlipwayError('route_not_found', `There is nothing at ${shown(path)}`, {
    hint:
      path === '/metrics'
        ? 'Metrics are at GET /metrics of the management API, which listens on its own port (8082 unless set), with a key that may read.'
        : 'GET /endpoints lists what is served here; the management API listens on its own port.',
  });
}

function notOffered(reason: string): SlipwayError {
  return new SlipwayError('not_offered', reason);
}

function wrongMethod(method: string, allow: string): SlipwayError {
  return new SlipwayError('method_not_allowed', `${method} is not allowed here`, { hint: `Use ${allow}.` });
}
