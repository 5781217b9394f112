import { canSome, notPermitted, type Principal, seesProject } from '../../base/access/permission.ts';
import { SlipwayError } from '../../base/errors.ts';
import { type FindProject, unknownProject } from '../../base/http/project-routes.ts';
import type { ChangeAsked } from './endpoint-change.ts';
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
    const loaded = change.loaded === true;
    await deps.endpoints.update(call, endpoint, { loaded });
  };
}
