/**
 * What control does while its database cannot be opened: it gives traffic back to versions that are loaded, and nothing else. It knows keys and
 * endpoints from what the gateways keep (docs/decisions/0023-rolling-back-without-a-database.md).
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Clock } from './base/clock.ts';
import { ROLLBACKS_FILE } from './base/data-folder.ts';
import { SlipwayError, toSlipwayError } from './base/errors.ts';
import { registerConsoleRoutes } from './base/http/console-routes.ts';
import { listenUntilFree } from './base/http/listen.ts';
import { createManagementServer, registerProjectRoutes } from './base/http/management-server.ts';
import type { Logger } from './base/log.ts';
import type { Lifecycle } from './base/program.ts';
import { RELEASE } from './base/release.ts';
import type { Settings } from './base/settings.ts';
import { openRollbackIntents } from './rollouts/rollback-intents.ts';
import { type RollBack, registerRollbackRoute } from './rollouts/rollback-routes.ts';
import { createRollbackWithoutDatabase } from './rollouts/rollback-without-database.ts';
import { CONTROL_SOCKET, listenControlSocket } from './serving/endpoints/control-socket.ts';
import type { DesiredState } from './serving/endpoints/desired-state.ts';
import { createDesiredStateFile } from './serving/gateway/desired-state-file.ts';
import { createInferenceAccess } from './serving/gateway/inference-access.ts';

const TRY_EVERY_MS = 1000;
/** Gateways come back by themselves; what they serve is known when they are there. */
const GATEWAY_WITHIN_MS = 1500;

/**
 * Opens the database. Where that fails in a server that ran before, it stands in until it succeeds.
 * @param isRestart a server that never ran has nothing to go back to: it says what is wrong, and ends
 */
export async function untilDatabase<T>(deps: {
  readonly open: () => Promise<T>;
  readonly isRestart: boolean;
  readonly settings: Settings;
  readonly log: Logger;
  readonly clock: Clock;
  readonly lifecycle: Lifecycle;
}): Promise<T> {
  const { open, isRestart, log } = deps;
  try {
    return await open();
  } catch (error) {
    if (!isRestart || toSlipwayError(error).code === 'data_newer' || (await isAnswered(CONTROL_SOCKET))) throw error;
    log.error({ err: error }, 'the database cannot be opened: only rollbacks are taken until it can');
    const close = await standIn(deps, toSlipwayError(error));
    for (;;) {
      await setTimeout(TRY_EVERY_MS);
      const opened = await open().catch(() => null);
      if (opened === null) continue;
      await close();
      log.info('the database is back');
      return opened;
    }
  }
}

async function standIn(
  { settings, log, clock, lifecycle }: Parameters<typeof untilDatabase>[0],
  why: SlipwayError,
): Promise<() => Promise<void>> {
  let state = createDesiredStateFile({ path: 'desired-state.json', log, clock }).load();
  const access = createInferenceAccess({ keyNeeded: true, clock });
  access.replaceKeys(state?.keys ?? []);
  const socket = await listenControlSocket({ log });
  // A gateway that is ahead of the file has what the file lacks: nothing is built on the file then.
  socket.onHello((generation) => {
    if (generation > (state?.generation ?? 0)) state = null;
  });
  const refuse = async (): Promise<never> => {
    throw new SlipwayError('database_down', `The database cannot be used: ${why.message}`, {
      hint: `Predictions go on, and \`slipway rollback\` works to versions that are loaded. ${why.hint ?? ''}`.trim(),
      retryAfterS: 1,
    });
  };
  const server = await createManagementServer({
    settings,
    log,
    authenticate: async (key) => {
      try {
        return access.principalOf({ authorization: `Bearer ${key}` });
      } catch {
        return null;
      }
    },
    // Sessions are in the database: who has one is told what is wrong, not that it is over.
    findSession: refuse,
    findProject: async (name) => ({ id: '', name }),
    release: RELEASE,
  });
  const rollBack = createRollbackWithoutDatabase({
    intents: await openRollbackIntents(join(settings.dataDir, ROLLBACKS_FILE)),
    clock,
    current: () => (socket.gateways().length === 0 ? null : state),
    send: (next: DesiredState) => {
      state = next;
      socket.publish(next);
    },
  });
  const rollBackWhenConnected: RollBack = async (...asked) => {
    const untilMs = performance.now() + GATEWAY_WITHIN_MS;
    while (socket.gateways().length === 0 && performance.now() < untilMs) await setTimeout(20);
    return rollBack(...asked);
  };
  registerProjectRoutes(server, (scope) => registerRollbackRoute(scope, rollBackWhenConnected));
  // Its page says what is wrong, and goes on by itself when the database is back.
  registerConsoleRoutes(server);
  server.all('/*', { config: { permission: 'public' } }, refuse);
  const { host, controlPort: port } = settings;
  const url = await listenUntilFree(server.server, { host, port, portSetting: 'SLIPWAY_CONTROL_PORT' }, (at) =>
    server.listen(at),
  );
  lifecycle.ready(url);
  return async () => {
    await server.close();
    await socket.close();
  };
}

/** Whether another control listens on a socket; one that was killed leaves the file, and nobody behind it. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
