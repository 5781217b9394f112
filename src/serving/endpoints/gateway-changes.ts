import type { Call } from '../../base/access/call.ts';
import { canSome, notPermitted, type Principal, seesProject } from '../../base/access/permission.ts';
import { SlipwayError } from '../../base/errors.ts';
import { type FindProject, unknownProject } from '../../base/http/project-routes.ts';
import type { ChangeAsked, EndpointChange, GivenFeedback } from './endpoint-change.ts';
import type { EndpointService } from './endpoint-service.ts';
import type { FolderModels } from './folder-models.ts';

/** Who asks where a container's platform does. */
const PLATFORM: Principal = { actor: 'platform', keyId: 'platform', project: null, scopes: ['deploy'] };

/**
 * Makes what gateways ask in their callers' names: with the same checks, in the same order, as the management API.
 * @param deps.folderModels where a container's platform may load and unload models without a key; null elsewhere
 */
export function createGatewayChanges(deps: {
  readonly authenticate: (key: string) => Promise<Principal | null>;
  readonly findProject: FindProject;
  readonly endpoints: EndpointService;
  readonly folderModels: FolderModels | null;
  /** Keeps feedback, or throws what the management API would answer. */
  readonly giveFeedback: (call: Call, endpoint: string | null, given: readonly GivenFeedback[]) => Promise<void>;
}): (asked: ChangeAsked) => Promise<void> {
  return async ({ key, project: name, endpoint, change, requestId }) => {
    const principal = key === null ? platform() : await deps.authenticate(key);
    if (principal === null) {
      throw new SlipwayError('key_invalid', 'The API key is unknown, expired or revoked', {
        hint: 'Check that it was copied whole; an administrator can make another one.',
      });
    }
    const project = await deps.findProject(name);
    if (project === null || !seesProject(principal, project.name)) throw unknownProject(name, principal.project);
    const call = { principal, project, requestId, dryRun: false, ifMatch: null, idempotencyKey: null };
    if ('feedback' in change) return deps.giveFeedback(call, endpoint, change.feedback);
    if (endpoint === null) throw new SlipwayError('endpoint_not_found', 'The change names no endpoint');
    if (!canSome(principal, 'deploy', project.name)) throw notPermitted(principal, 'deploy');
    if (key === null) await makeForPlatform(call, endpoint, change);
    else await make(call, endpoint, change);
  };

  function platform(): Principal {
    if (deps.folderModels !== null) return PLATFORM;
    throw new SlipwayError('key_missing', 'What is served is changed with an API key', {
      hint: 'Only a container for many models takes them from its platform without one.',
    });
  }

  async function makeForPlatform(call: Call, name: string, change: EndpointChange): Promise<void> {
    const models = deps.folderModels!;
    if ('create' in change && 'folder' in change.create) await models.load(call, name, change.create.folder);
    else if ('remove' in change) await models.unload(call, name);
    else throw new SlipwayError('not_permitted', 'A platform loads and unloads models, and nothing else');
  }

  /** What came over the socket is looked at as it came: a gateway may be of another release. */
  async function make(call: Call, name: string, change: EndpointChange): Promise<void> {
    const { endpoints } = deps;
    if ('create' in change) {
      if ('folder' in change.create) throw noFolders();
      const { model, version } = change.create;
      const target = typeof version === 'number' ? { version } : { alias: version };
      await endpoints.create(call, { name, model, target });
    } else if ('version' in change) await endpoints.update(call, name, { target: { version: change.version } });
    else if ('unpin' in change) {
      const { pins, revision } = await endpoints.get(call, name);
      const rest = pins.filter((pin) => pin !== change.unpin);
      await endpoints.update({ ...call, ifMatch: revision }, name, { pins: rest });
    } else if ('remove' in change) await endpoints.remove(call, name);
    else if ('loaded' in change) await endpoints.update(call, name, { loaded: change.loaded === true });
    else
      throw new SlipwayError('unsupported_option', 'Control does not know this change', {
        hint: 'Is the gateway of another release?',
      });
  }
}

function noFolders(): SlipwayError {
  return new SlipwayError('unsupported_option', 'Models are not taken from folders of this machine by a call', {
    hint: '`slipway deploy <folder>` sends them.',
  });
}
