/**
 * The control program: the database's only writer, the management API, and the line to the gateways. Started by `slipway serve`, with its
 * settings in the environment and `<data>/run` as working directory.
 */
import { join } from 'node:path';
import { ensureAdminKey } from './base/access/admin-key.ts';
import { systemClock as clock } from './base/clock.ts';
import { readContract } from './base/contract.ts';
import { DATABASE_FILE } from './base/data-folder.ts';
import { openSqlite } from './base/db/database.ts';
import { listenUntilFree } from './base/http/listen.ts';
import { createLogger } from './base/log.ts';
import { runProgram } from './base/program.ts';
import { RELEASE } from './base/release.ts';
import { assertSafeBind } from './base/settings.ts';
import { composeControl } from './control-rooms.ts';
import { untilDatabase } from './control-without-database.ts';
import { limitsOfSettings } from './registry/limits.ts';
import { listenControlSocket } from './serving/endpoints/control-socket.ts';
import { createDesiredStatePublisher } from './serving/endpoints/desired-state-publisher.ts';

/** Whether this server has run before; the supervisor says so. */
const IS_RESTART = process.argv.includes('again');

void runProgram('control', async (settings, lifecycle) => {
  const { ready, onStop } = lifecycle;
  assertSafeBind(settings);
  const log = createLogger('control', settings.logLevel);
  const database = await untilDatabase({
    open: () => openSqlite({ path: join(settings.dataDir, DATABASE_FILE), clock }),
    isRestart: IS_RESTART,
    settings,
    log,
    clock,
    lifecycle,
  });
  onStop(() => database.close());
  const adminKey = await ensureAdminKey({ database, clock, dataDir: settings.dataDir });

  const socket = await listenControlSocket({ log });
  onStop(() => socket.close());
  const publisher = createDesiredStatePublisher({ database, socket, log, limits: limitsOfSettings(settings) });
  const { server, registry, conversions, monitoring, rollouts, changeForGateway } = await composeControl({
    settings,
    database,
    publisher,
    log,
    clock,
    modelsFolder: readContract(process.env, settings)?.modelsFolder ?? null,
  });
  socket.onChange(changeForGateway);
  socket.onMessage('evidence', rollouts.takeEvidence);
  socket.onObserved(rollouts.loop.wake);
  const { host, controlPort: port } = settings;
  const url = await listenUntilFree(server.server, { host, port, portSetting: 'SLIPWAY_CONTROL_PORT' }, (at) =>
    server.listen(at),
  );
  onStop(() => server.close());

  await publisher.publish();
  await registry.start();
  onStop(async () => registry.stop());
  await conversions.start();
  onStop(async () => conversions.stop());
  await monitoring.start();
  onStop(() => monitoring.stop());
  rollouts.loop.start();
  onStop(() => rollouts.loop.stop());
  log.info({ url, release: RELEASE }, 'control is ready');
  ready(url, { adminKey: adminKey.key });
});
