import type { Call } from '../base/access/call.ts';
import { can, notPermitted } from '../base/access/permission.ts';
import type { Clock } from '../base/clock.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import type { DesiredState } from '../serving/endpoints/desired-state.ts';
import type { RollbackIntents } from './rollback-intents.ts';
import type { RollbackInput, RolledBack } from './rollback-routes.ts';
import { endpointOfState, rolledBackState, versionToGoBackTo } from './rolled-back-state.ts';

/**
 * Rolls back with nothing but what gateways serve. What was decided is on the disk before gateways are told, and they are told before it is
 * answered (docs/decisions/0023-rolling-back-without-a-database.md).
 */
export function createRollbackWithoutDatabase(deps: {
  readonly intents: RollbackIntents;
  readonly clock: Clock;
  /** What gateways serve now; null where that is not known. */
  readonly current: () => DesiredState | null;
  /** Gives gateways a state that is newer than theirs. */
  readonly send: (state: DesiredState) => void;
}) {
  const { intents, clock, current, send } = deps;
  return async (
    call: Omit<Call, 'project'> & { project: { name: string } },
    name: string,
    input: RollbackInput,
  ): Promise<RolledBack> => {
    const { principal, project } = call;
    const state = current();
    if (state === null)
      throw new SlipwayError('database_down', 'The database is down, and what gateways serve is not known', {
        hint: 'See `slipway logs`. Predictions go on as they are.',
        retryAfterS: 1,
      });
    const endpoint = endpointOfState(state, project.name, name);
    if (!can(principal, 'deploy', project.name, endpoint?.model)) throw notPermitted(principal, 'deploy');
    if (endpoint === null)
      throw new SlipwayError('endpoint_not_found', `There is no endpoint ${name}`, {
        hint: '`slipway endpoints list` shows them when the database is back.',
      });
    // Asked again, because the answer was lost perhaps: not one step further, and not forward again.
    const before = intents.all().findLast((one) => one.project === project.name && one.endpoint === name);
    if (before !== undefined && (input.to ?? before.version) === endpoint.version)
      return { version: endpoint.version, isEntered: false };
    const version = versionToGoBackTo(state, endpoint, input.to ?? before?.version);
    if (call.dryRun) return { version, isEntered: false };
    const now = clock.now();
    await intents.add({
      id: uuidv7(now.getTime()),
      at: now.toISOString(),
      keyId: principal.keyId,
      actor: principal.actor,
      requestId: call.requestId,
      project: project.name,
      endpoint: name,
      version,
      reason: input.reason ?? null,
    });
    const moved = rolledBackState(current()!, endpointOfState(current()!, project.name, name)!, version);
    send({ ...moved, generation: moved.generation + 1 });
    return { version, isEntered: false };
  };
}
