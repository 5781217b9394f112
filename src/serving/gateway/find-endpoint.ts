import { notPermitted, type Principal, seesProject } from '../../base/access/permission.ts';
import { closestWord } from '../../base/closest-word.ts';
import { SlipwayError } from '../../base/errors.ts';
import { type Assignment, WHOLE } from '../endpoints/assignment.ts';
import { type EndpointRef, pickVersion } from '../endpoints/routing.ts';
import { mayUse } from './inference-access.ts';
import { PINNED } from './prediction-observer.ts';
import type { ServedVersion } from './served-version.ts';
import { notLoaded, notReady, unloaded } from './server-view.ts';
import { isLoaded, type ServedEndpoint, type ServingState } from './serving-state.ts';
import { shown } from './shown-text.ts';
import { readsContent, routeSplit, type SplitCall } from './split-routing.ts';

/** What a caller names, as its protocol read it. */
export type Named = {
  /** It may not exist. */
  readonly project: string;
  /** Null where nothing, or nothing that can exist, is named. */
  readonly ref: EndpointRef | null;
  /** The text of an endpoint that cannot exist, such as `churn@x`. */
  readonly badRef: string | null;
};

/** The version that is to answer a call, and why it. */
export type Route = {
  readonly endpoint: ServedEndpoint;
  readonly version: ServedVersion;
  readonly assignment: Assignment;
  /** Whether the arm is still to be found, in what the body says; until then it is the fallback. */
  readonly waitsForContent: boolean;
};

/** Finds what callers name, whatever the protocol: does the project exist, does the endpoint, may the caller, which version answers. */
export type EndpointFinder = {
  /** @throws SlipwayError `project_not_found`, also for a project that the key may not see */
  assertProject(project: string, principal: Principal | null): void;
  /** @throws SlipwayError `endpoint_not_found`, `forbidden` */
  locate(named: Named, principal: Principal | null, verb: 'predict' | 'read'): ServedEndpoint;
  /**
   * The version that a reference pins, by its number or by a label; null where it pins none.
   * @throws SlipwayError `version_not_found`
   */
  pinOf(endpoint: ServedEndpoint, ref: EndpointRef | null): number | null;
  /**
   * The version that answers, now: ask again after any wait, because it may have been switched meanwhile.
   * @throws SlipwayError `version_not_found`, `not_ready`
   */
  choose(endpoint: ServedEndpoint, pin: number | null): ServedVersion;
  /**
   * The same for a call that is to be answered: with the arm of endpoints whose calls are shared out.
   * @throws SlipwayError as `choose`; `not_permitted` and `invalid_request` for an arm that the call names
   */
  route(endpoint: ServedEndpoint, pin: number | null, call: SplitCall): Route;
};

export function createEndpointFinder(deps: {
  readonly state: ServingState;
  readonly retryAfterS: number;
}): EndpointFinder {
  const { state, retryAfterS } = deps;

  const noEndpoint = ({ project, ref, badRef }: Named, principal: Principal | null): SlipwayError => {
    const name = ref?.name ?? badRef ?? '';
    const names = [...(state.endpointsOf(project)?.values() ?? [])]
      .filter((one) => mayUse(principal, 'read', project, one.spec.model))
      .map((one) => one.spec.name);
    const near = badRef !== null ? null : closestWord(name.slice(0, 100), names);
    const hint =
      badRef !== null
        ? 'A version is a number: name@2.'
        : near !== null
          ? `Did you mean ${near}?`
          : 'GET /endpoints lists what is served.';
    return new SlipwayError('endpoint_not_found', `There is no endpoint ${shown(name)}`, { hint });
  };

  const finder: EndpointFinder = {
    assertProject(project, principal) {
      const known = project === 'default' || state.endpointsOf(project) !== undefined || principal?.project === project;
      // A project that the key may not see answers word for word like one that does not exist.
      if (known && (principal === null || seesProject(principal, project))) return;
      const own = principal?.project ?? null;
      throw new SlipwayError('project_not_found', `There is no project ${shown(project)}`, {
        ...(own === null
          ? {}
          : { hint: `The key belongs to the project ${own}, whose endpoints are below /p/${own}/.` }),
      });
    },
    locate(named, principal, verb) {
      const { project, ref } = named;
      const endpoint = ref === null ? undefined : state.find(project, ref.name);
      if (endpoint === undefined) throw noEndpoint(named, principal);
      if (!mayUse(principal, verb, project, endpoint.spec.model)) {
        throw notPermitted(principal!, verb, endpoint.spec.model);
      }
      return endpoint;
    },
    pinOf({ spec }, ref) {
      if (ref?.label === undefined) return ref?.pin ?? null;
      const labels = new Map(Object.entries(spec.labels ?? {}));
      const version = labels.get(ref.label);
      if (version !== undefined) return version;
      throw new SlipwayError(
        'version_not_found',
        `The endpoint ${spec.name} has no version labelled ${shown(ref.label)}`,
        {
          hint:
            labels.size === 0
              ? `No version that it holds has an alias. \`slipway aliases set ${spec.model} <alias> <version>\` gives one.`
              : `Labels: ${[...labels.keys()].join(', ')}.`,
        },
      );
    },
    choose(endpoint, pin) {
      if (endpoint.serving === null && !isLoaded(endpoint.spec)) throw unloaded(endpoint.spec.name);
      const { version, reason } = pickVersion(endpoint, pin);
      if (reason === 'not-loaded') throw notLoaded(endpoint, pin!);
      if (version === null || !version.wasReady) throw notReady(endpoint, pin === null ? null : version, retryAfterS);
      return version;
    },
    route(endpoint, pin, call) {
      const { split } = endpoint;
      if (split === null || pin !== null) {
        const version = finder.choose(endpoint, pin);
        return { endpoint, version, assignment: pin === null ? WHOLE : PINNED, waitsForContent: false };
      }
      const { version, assignment } = routeSplit(endpoint, split, call);
      if (version === null || !version.wasReady) throw notReady(endpoint, null, retryAfterS);
      const waitsForContent = call.content === null && readsContent(split.spec);
      return { endpoint, version, assignment, waitsForContent };
    },
  };
  return finder;
}
