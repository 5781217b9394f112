/**
 * The control program: the database's only writer, the management API, and the line to the gateways. Started by `slipway serve`, with its
 * settings in the environment and `<data>/run` as working directory.
 */
import { join } from 'node:path';
import { registerAccessRoutes } from './base/access/access-routes.ts';
import { ensureAdminKey } from './base/access/admin-key.ts';
import { createKeyService } from './base/access/key-service.ts';
import { createProjectService } from './base/access/project-service.ts';
import { registerAuditRoutes } from './base/audit-routes.ts';
import { systemClock as clock } from './base/clock.ts';
import { openSqlite } from './base/db/database.ts';
import { listen } from './base/http/listen.ts';
import { createManagementServer, registerProjectRoutes } from './base/http/management-server.ts';
import { createLogger } from './base/log.ts';
import { runProgram } from './base/program.ts';
import { RELEASE } from './base/release.ts';
import { assertSafeBind } from './base/settings.ts';
import { createFileStore } from './registry/artifacts/file-store.ts';
import { limitsOfSettings } from './registry/limits.ts';
import { createRegistry } from './registry/registry.ts';
import { registerArtifactRoutes, registerRegistryRoutes } from './registry/registry-routes.ts';
import { listenControlSocket } from './serving/endpoints/control-socket.ts';
import { createDesiredStatePublisher } from './serving/endpoints/desired-state-publisher.ts';
import { endpointFacts } from './serving/endpoints/endpoint-facts.ts';
import { registerEndpointRoutes } from './serving/endpoints/endpoint-routes.ts';
import { createEndpointService } from './serving/endpoints/endpoint-service.ts';
import { createValidator } from './serving/runner/validate-version.ts';
import { registerStatusRoutes } from './serving/status/status-routes.ts';

/** Engines that versions may name, the preferred one first; `src/runner.ts` has the engines themselves. */
const ENGINES = [{ name: 'onnxruntime', formats: ['onnx'] }];

void runProgram('control', async (settings, { ready, onStop }) => {
  assertSafeBind(settings);
  const { dataDir } = settings;
  const log = createLogger('control', settings.logLevel);
  const database = await openSqlite({ path: join(dataDir, 'slipway.db'), clock });
  onStop(() => database.close());
  const adminKey = await ensureAdminKey({ database, clock, dataDir });

  const socket = await listenControlSocket({ log });
  onStop(() => socket.close());
  const publisher = createDesiredStatePublisher({ database, socket, log });
  const onChange = (): Promise<void> => publisher.publish();

  const keys = createKeyService({ database, clock, log, onChange });
  const projects = createProjectService({ database, clock });
  await projects.ensureDefault();
  const registry = createRegistry({
    database,
    clock,
    log,
    artifacts: createFileStore({ root: join(dataDir, 'artifacts') }),
    engines: ENGINES,
    limits: limitsOfSettings(settings),
    maxUploadBytes: settings.maxUploadBytes,
    validate: createValidator({ log, scratchDir: join(dataDir, 'run'), clock }),
    endpoints: endpointFacts,
    onChange,
  });
  const endpoints = createEndpointService({ database, publisher, clock });

  const server = await createManagementServer({
    settings,
    log,
    authenticate: keys.authenticate,
    findProject: projects.find,
    release: RELEASE,
  });
  registerAccessRoutes(server, { keys, projects });
  registerAuditRoutes(server, { database });
  registerArtifactRoutes(server, registry);
  registerStatusRoutes(server, { database, publisher, settings, clock, release: RELEASE });
  registerProjectRoutes(server, (scope) => {
    registerRegistryRoutes(scope, registry);
    registerEndpointRoutes(scope, endpoints);
  });
  const url = await listen(server, { host: settings.host, port: settings.controlPort });
  onStop(() => server.close());

  await publisher.publish();
  await registry.start();
  onStop(async () => registry.close());
  log.info({ url, release: RELEASE }, 'control is ready');
  ready(url, adminKey.key === null ? {} : { adminKey: adminKey.key });
});
