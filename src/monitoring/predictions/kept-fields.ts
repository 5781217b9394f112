import type { Db } from '../../base/db/database.ts';
import { findPolicy } from './log-store.ts';
import { actionOf, DEFAULT_POLICY } from './privacy-policy.ts';

/** The first of these fields of an endpoint's predictions that its policy does not keep as it is; undefined when it keeps them all. */
export async function fieldNotKept(
  db: Db,
  projectId: string,
  endpoint: string,
  fields: readonly string[],
): Promise<string | undefined> {
  const policy = (await findPolicy(db, projectId, endpoint))?.policy ?? DEFAULT_POLICY;
  return fields.find((field) => actionOf(policy, field).action.action !== 'keep');
}
