import { type EndpointRef, parseEndpointRef } from '../endpoints/routing.ts';
import type { AbsentRoute, ActionRoute, InferRoute, Protocol, ReadRoute } from '../protocols/protocol.ts';

/** What a path means. */
export type Match = {
  readonly kind: 'match';
  readonly protocol: Protocol;
  /** As the path names it, so it may not exist; `default` where it names none. */
  readonly project: string;
  readonly get: ReadRoute | null;
  readonly post: InferRoute | null;
  readonly action: ActionRoute | null;
  readonly absent: AbsentRoute | null;
  /** The endpoint that the path names; null where it names none. */
  readonly ref: EndpointRef | null;
  /** The text of an endpoint that cannot exist, such as `churn@x`. */
  readonly badRef: string | null;
  /** For the Allow header. */
  readonly allow: string;
  readonly path: string;
};

export type NoMatch = { readonly kind: 'none'; readonly protocol: Protocol; readonly path: string };

export type RouteTable = { match(url: string): Match | NoMatch };

const DEFAULT_PROJECT = 'default';
/** Short paths that were matched before are found by one look. Bounded, because callers choose paths. */
const REMEMBERED = 2000;
const LONGEST_REMEMBERED = 256;
const LONGEST_PATH = 2048;

type Pattern = {
  readonly protocol: Protocol;
  readonly segments: readonly string[];
  get: ReadRoute | null;
  post: InferRoute | null;
  action: ActionRoute | null;
  absent: AbsentRoute | null;
};

/**
 * Paths of all protocols, each also below `/p/{project}`. The protocol of an unknown path is the one whose routes begin like it, so that
 * the error has the form that the caller expects; else the last.
 */
export function createRouteTable(protocols: readonly Protocol[]): RouteTable {
  const patterns = protocols.flatMap(patternsOf);
  const remembered = new Map<string, Match>();

  const find = (url: string): Match | NoMatch => {
    const query = url.indexOf('?');
    const path = (query === -1 ? url : url.slice(0, query)).slice(0, LONGEST_PATH + 1);
    const segments = path.split('/').slice(1).map(decode);
    const inProject = segments[0] === 'p' && segments.length > 2;
    const project = inProject ? segments[1]! : DEFAULT_PROJECT;
    const rest = inProject ? segments.slice(2) : segments;
    const protocol = protocols.find((one) => patternsOf(one)[0]!.segments[0] === rest[0]) ?? protocols.at(-1)!;
    if (path.length > LONGEST_PATH || path[0] !== '/') return { kind: 'none', protocol, path };
    for (const pattern of patterns) {
      const params = matchSegments(pattern.segments, rest);
      if (params === null) continue;
      const ref = params.endpoint === undefined ? null : parseEndpointRef(params.endpoint, params.version);
      return {
        kind: 'match',
        protocol: pattern.protocol,
        project,
        get: pattern.get,
        post: pattern.post,
        action: pattern.action,
        absent: pattern.absent,
        ref,
        badRef: params.endpoint !== undefined && ref === null ? versionText(params) : null,
        allow: [...(pattern.get ? ['GET', 'HEAD'] : []), ...(pattern.post || pattern.action ? ['POST'] : [])].join(
          ', ',
        ),
        path,
      };
    }
    return { kind: 'none', protocol, path };
  };

  return {
    match(url) {
      const known = remembered.get(url);
      if (known !== undefined) return known;
      const found = find(url);
      if (found.kind === 'match' && url.length <= LONGEST_REMEMBERED) {
        if (remembered.size >= REMEMBERED) remembered.clear();
        remembered.set(url, found);
      }
      return found;
    },
  };
}

type Params = { endpoint?: string; version?: string };

function patternsOf(protocol: Protocol): Pattern[] {
  const byPath = new Map<string, Pattern>();
  for (const route of protocol.routes) {
    const segments = route.path.split('/').slice(1);
    const none = { get: null, post: null, action: null, absent: null };
    const pattern: Pattern = byPath.get(route.path) ?? { protocol, segments, ...none };
    if (route.kind === 'read') pattern.get = route;
    else if (route.kind === 'infer') pattern.post = route;
    else if (route.kind === 'action') pattern.action = route;
    else pattern.absent = route;
    byPath.set(route.path, pattern);
  }
  return [...byPath.values()];
}

function matchSegments(pattern: readonly string[], segments: readonly (string | null)[]): Params | null {
  const open = pattern.at(-1) === '{rest}';
  if (open ? segments.length < pattern.length : pattern.length !== segments.length) return null;
  const params: Params = {};
  for (let i = 0; i < pattern.length; i++) {
    const wanted = pattern[i]!;
    if (wanted === '{rest}') return params;
    const given = segments[i];
    if (given === null || given === undefined || (given === '' && wanted !== '')) return null;
    if (wanted === '{endpoint}') params.endpoint = given;
    else if (wanted === '{version}') params.version = given;
    else if (wanted[0] !== '{' && wanted !== given) return null;
  }
  return params;
}

function versionText({ endpoint, version }: Params): string {
  return version === undefined ? endpoint! : `${endpoint} version ${version}`;
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
