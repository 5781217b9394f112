import { type EndpointRef, parseEndpointRef } from '../endpoints/routing.ts';
import {
  type EndpointName,
  type InferRoute,
  type Method,
  methodsOf,
  type Protocol,
  type ReadRoute,
  type Route,
} from '../protocols/protocol.ts';
import { matchPattern, overlap, type PathParameters, type PathPattern, readPattern } from './path-pattern.ts';

/** What a method of a path means. */
export type Match<R extends Route = Route> = {
  readonly protocol: Protocol;
  readonly route: R;
  /** As the path names it, so it may not exist; `default` where it names none. */
  readonly project: string;
  /** The endpoint that the request names; null where it names none, or where its route is still to be asked. */
  readonly ref: EndpointRef | null;
  /** The text of an endpoint that cannot exist, such as `churn@x`. */
  readonly badRef: string | null;
  readonly path: string;
  readonly params: PathParameters;
  /** Without the question mark. */
  readonly query: string;
};

/** What a path means, by method. */
export type Found = {
  readonly methods: ReadonlyMap<string, Match>;
  /** For all other methods: the part of a protocol that is absent. */
  readonly absent: Match | null;
  /** Whose form an error has when no route is found. */
  readonly protocol: Protocol;
  readonly path: string;
  /** For the Allow header; empty where there is nothing at this path. */
  readonly allow: string;
};

export type RouteTable = { match(url: string): Found };

const DEFAULT_PROJECT = 'default';
/** Short paths that were matched before are found by one look. Bounded, because callers choose paths. */
const REMEMBERED = 2000;
const LONGEST_REMEMBERED = 256;
const LONGEST_PATH = 2048;

type Row = { readonly protocol: Protocol; readonly route: Route; readonly pattern: PathPattern };

/**
 * Paths of all protocols, each also below `/p/{project}`. Where two routes claim one method of one path, that of the protocol listed first has it, and of one
 * protocol's own the first. A part that is absent claims every method that nobody before it has. The protocol of a path without any route is the first one that
 * has a path beginning like it, so that the error has the form that the caller expects.
 * @param fallback whose form an error has where no protocol has a path like it
 */
export function createRouteTable(protocols: readonly Protocol[], fallback: Protocol): RouteTable {
  const rows = rowsOf(protocols);
  const remembered = new Map<string, Found>();

  const find = (url: string): Found => {
    const at = url.indexOf('?');
    const query = at === -1 ? '' : url.slice(at + 1);
    const path = (at === -1 ? url : url.slice(0, at)).slice(0, LONGEST_PATH + 1);
    const segments = path.split('/').slice(1).map(decode);
    const inProject = segments[0] === 'p' && segments.length > 2;
    const project = inProject ? segments[1]! : DEFAULT_PROJECT;
    const rest = inProject ? segments.slice(2) : segments;
    const methods = new Map<string, Match>();
    let absent: Match | null = null;
    if (path.length <= LONGEST_PATH && path[0] === '/') {
      for (const { protocol, route, pattern } of rows) {
        const params = matchPattern(pattern, rest);
        if (params === null || (inProject && params['project'] !== undefined)) continue;
        const named = params['endpoint'] === undefined ? null : (params as PathParameters & { endpoint: string });
        const ref = named === null ? null : readRef({ ...named, name: named.endpoint });
        const badRef = named !== null && ref === null ? textOf(named.endpoint, named['version']) : null;
        const match: Match = {
          protocol,
          route,
          project: params['project'] ?? project,
          ref,
          badRef,
          path,
          params,
          query,
        };
        if (route.kind === 'absent') {
          absent = match;
          break;
        }
        for (const method of methodsOf(route)) if (!methods.has(method)) methods.set(method, match);
      }
    }
    const get = methods.get('GET');
    if (get?.route.kind === 'read') methods.set('HEAD', get);
    const [first] = methods.values();
    const protocol = first?.protocol ?? absent?.protocol ?? likeliest(protocols, rest) ?? fallback;
    return { methods, absent, protocol, path, allow: [...methods.keys()].sort().join(', ') };
  };

  return {
    match(url) {
      const known = remembered.get(url);
      if (known !== undefined) return known;
      const found = find(url);
      if ((found.methods.size > 0 || found.absent !== null) && url.length <= LONGEST_REMEMBERED) {
        if (remembered.size >= REMEMBERED) remembered.clear();
        remembered.set(url, found);
      }
      return found;
    },
  };
}

export type Conflict = {
  readonly method: Method;
  /** Of the one who does not get it. */
  readonly path: string;
  readonly loser: string;
  readonly winner: string;
};

/** Methods of paths that more than one protocol claims, and who has them: by the order of the list. */
export function conflictsOf(protocols: readonly Protocol[]): Conflict[] {
  const rows = rowsOf(protocols);
  return rows.flatMap(({ protocol, route, pattern }, at) =>
    methodsOf(route).flatMap((method): Conflict[] => {
      const before = rows.slice(0, at).find((one) => {
        if (one.protocol === protocol || !overlap(one.pattern, pattern)) return false;
        return one.route.kind === 'absent' || methodsOf(one.route).includes(method);
      });
      return before === undefined
        ? []
        : [{ method, path: route.path, loser: protocol.name, winner: before.protocol.name }];
    }),
  );
}

/** A match whose route has named the endpoint. */
export function withName<R extends InferRoute | ReadRoute>(match: Match<R>, named: WholeName): Match<R> {
  const ref = readRef(named);
  return { ...match, ref, badRef: ref === null ? textOf(named.name, named.version) : null };
}

/** What a request names, with the endpoint's own name. */
type WholeName = EndpointName & { readonly name: string };

function readRef(named: WholeName): EndpointRef | null {
  const ref = parseEndpointRef(named.name, named.version);
  if (ref === null || named.label === undefined) return ref;
  return ref.pin === null ? { ...ref, label: named.label } : null;
}

function rowsOf(protocols: readonly Protocol[]): Row[] {
  return protocols.flatMap((protocol) =>
    protocol.routes.map((route) => ({
      protocol,
      route,
      pattern: readPattern(route.at ?? route.path, route.anyCase === true),
    })),
  );
}

function likeliest(protocols: readonly Protocol[], [first]: readonly (string | null)[]): Protocol | undefined {
  if (!first) return undefined;
  return protocols.find(({ routes }) => routes.some(({ path }) => path.split('/')[1] === first));
}

function textOf(name: string, version: string | undefined): string {
  return version === undefined ? name : `${name} version ${version}`;
}

/** Null for what is no percent-encoding: it matches nothing. */
function decode(segment: string): string | null {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
