import type { Call } from '../../base/access/call.ts';
import { assertCan, can, notPermitted, type Verb } from '../../base/access/permission.ts';
import type { Db } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { type ColumnKind, columnsOfSignature } from '../../registry/signature-columns.ts';
import type { EndpointSpec } from '../../serving/endpoints/endpoint.ts';
import { findEndpoint, findServableVersion } from '../../serving/endpoints/endpoint-store.ts';
import { endpointsWithSegments, listSegments } from './log-segments.ts';
import { findPolicy, listFiles } from './log-store.ts';

/**
 * The right to do something with an endpoint's log: that to its model. A log of a model that is served elsewhere has no endpoint here; it takes
 * the right to all of the project.
 */
export async function assertLogAccess(
  db: Db,
  call: Call,
  verb: Verb,
  endpoint: string,
  options: { readonly dataDir: string; readonly mayBeNew?: boolean },
): Promise<EndpointSpec | null> {
  const { principal, project } = call;
  const spec = await findEndpoint(db, project.id, endpoint);
  if (spec !== null) {
    if (!can(principal, verb, project.name, spec.model)) throw notPermitted(principal, verb);
    return spec;
  }
  assertCan(principal, verb, project.name);
  const isKnown =
    options.mayBeNew === true ||
    (await findPolicy(db, project.id, endpoint)) !== null ||
    (await listFiles(db, { projectId: project.id, endpoint })).length > 0 ||
    listSegments(options.dataDir, project.name, endpoint).length > 0;
  if (isKnown) return null;
  throw new SlipwayError('endpoint_not_found', `There is no endpoint ${endpoint}`, {
    hint: '`slipway endpoints list` shows them. For a model that is served elsewhere, first say what may be kept: `slipway policy set --elsewhere`.',
  });
}

/** Endpoints of a project that have a log. */
export async function endpointsWithLog(
  db: Db,
  dataDir: string,
  project: { readonly id: string; readonly name: string },
): Promise<string[]> {
  const files = await listFiles(db, { projectId: project.id });
  const segments = endpointsWithSegments(dataDir).filter((one) => one.project === project.name);
  return [...new Set([...files.map((file) => file.endpoint), ...segments.map((one) => one.endpoint)])].sort();
}

export async function mayReadLog(db: Db, { principal, project }: Call, endpoint: string): Promise<boolean> {
  const spec = await findEndpoint(db, project.id, endpoint);
  return can(principal, 'read', project.name, spec?.model);
}

/** Fields of the version that an endpoint serves; null where it serves none. */
export async function fieldsOf(
  db: Db,
  spec: EndpointSpec | null,
): Promise<{ name: string; kind: ColumnKind }[] | null> {
  if (spec?.targetVersion == null) return null;
  const version = await findServableVersion(db, spec.modelId, spec.targetVersion);
  if (version === null) return null;
  return columnsOfSignature(version.signature).columns.map(({ name, kind }) => ({ name, kind }));
}
