import type { Call } from '../base/access/call.ts';
import { can, notPermitted, type Verb } from '../base/access/permission.ts';
import type { Db } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import type { EndpointSpec } from '../serving/endpoints/endpoint.ts';
import { findEndpoint } from '../serving/endpoints/endpoint-store.ts';

/**
 * The endpoint that somebody asks about, by its name.
 * @throws SlipwayError `not_permitted`, also where there is none, so that names are not told; `endpoint_not_found`
 */
export async function endpointOf(db: Db, call: Call, name: string, verb: Verb): Promise<EndpointSpec> {
  const spec = await findEndpoint(db, call.project.id, name);
  if (!can(call.principal, verb, call.project.name, spec?.model)) throw notPermitted(call.principal, verb);
  if (spec !== null) return spec;
  throw new SlipwayError('endpoint_not_found', `There is no endpoint ${name}`, {
    hint: '`slipway endpoints list` shows them; a first version is deployed by `slipway deploy`.',
  });
}
