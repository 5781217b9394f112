import type { Call } from '../../base/access/call.ts';
import { canSome, notPermitted, type Principal, seesProject } from '../../base/access/permission.ts';
import { SlipwayError } from '../../base/errors.ts';
import { type FindProject, unknownProject } from '../../base/http/project-routes.ts';
import type { ChangeAsked, EndpointChange } from './endpoint-change.ts';
import type { EndpointService } from './endpoint-service.ts';

/** Makes what gateways ask in their callers' names: with the same checks, in the same order, as the management API. */
export function createGatewayChanges(deps: {
  readonly authenticate: (key: string) => Promise<Principal | null>;
  readonly findProject: FindProject;
  readonly endpoints: EndpointService;
}): (asked: ChangeAsked) => Promise<void> {
  return async ({ key, project: name, endpoint, change, requestId }) => {
    const principal = await deps.authenticate(key);
    if (principal === null) {
      throw new SlipwayError('key_invalid', 'The API key is unknown, expired or revoked', {
        hint: 'Check that it was copied whole; an administrator can make another one.',
      });
    }
    const project = await deps.findProject(name);
    if (project === null || !seesProject(principal, project.name)) throw unknownProject(name, principal.project);
    if (!canSome(principal, 'deploy', project.name)) throw notPermitted(principal, 'deploy');
    const call = { principal, project, requestId, dryRun: false, ifMatch: null, idempotencyKey: null };
    await make(call, endpoint, change);
  };

  /** What came over the socket is looked at as it came: a gateway may be of another release. */
  async function make(call: Call, name: string, change: EndpointChange): Promise<void> {
    const { endpoints } = deps;
    if ('create' in change) {
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
