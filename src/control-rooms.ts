/** Puts the rooms of the control program together: services, and the management API over them. */
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { registerAccessRoutes } from './base/access/access-routes.ts';
import { createKeyService } from './base/access/key-service.ts';
import { createProjectService } from './base/access/project-service.ts';
import { registerSessionRoutes } from './base/access/session-routes.ts';
import { createSessionService } from './base/access/session-service.ts';
import { registerAuditRoutes } from './base/audit-routes.ts';
import type { Clock } from './base/clock.ts';
import { ROLLBACKS_FILE, RUN_FOLDER } from './base/data-folder.ts';
import type { Database } from './base/db/database.ts';
import { registerConsoleRoutes } from './base/http/console-routes.ts';
import { createManagementServer, registerProjectRoutes } from './base/http/management-server.ts';
import type { Logger } from './base/log.ts';
import { RELEASE } from './base/release.ts';
import type { Settings } from './base/settings.ts';
import { createMonitoring, type Monitoring } from './monitoring/monitoring.ts';
import { registerMonitoringRoutes } from './monitoring/monitoring-routes.ts';
import { createFileStore } from './registry/artifacts/file-store.ts';
import { limitsOfSettings } from './registry/limits.ts';
import { createRegistry, type Registry } from './registry/registry.ts';
import { registerArtifactRoutes, registerRegistryRoutes } from './registry/registry-routes.ts';
import { openRollbackIntents } from './rollouts/rollback-intents.ts';
import { registerRollbackRoute } from './rollouts/rollback-routes.ts';
import { registerRolloutRoutes } from './rollouts/rollout-routes.ts';
import { createRollouts, type Rollouts } from './rollouts/rollouts.ts';
import { registerConversionRoutes } from './serving/conversion/conversion-routes.ts';
import { type Conversions, createConversions } from './serving/conversion/conversions.ts';
import type { DesiredStatePublisher } from './serving/endpoints/desired-state-publisher.ts';
import type { ChangeAsked } from './serving/endpoints/endpoint-change.ts';
import { endpointFacts } from './serving/endpoints/endpoint-facts.ts';
import { registerEndpointRoutes } from './serving/endpoints/endpoint-routes.ts';
import { createEndpointService } from './serving/endpoints/endpoint-service.ts';
import { createFolderModels } from './serving/endpoints/folder-models.ts';
import { createGatewayChanges } from './serving/endpoints/gateway-changes.ts';
import { registerTryRoutes } from './serving/endpoints/try-routes.ts';
import { ENGINES } from './serving/engines/engine-facts.ts';
import { createEnvironments } from './serving/python/environments.ts';
import { createValidator } from './serving/runner/validate-version.ts';
import { registerEventRoutes } from './serving/status/event-routes.ts';
import { registerStatusRoutes } from './serving/status/status-routes.ts';
import { trafficFactsOf } from './serving/status/traffic-facts.ts';
import { registerTrafficRoutes } from './serving/status/traffic-routes.ts';
import { createTrafficSeries } from './serving/status/traffic-series.ts';

export type ControlRooms = {
  readonly server: FastifyInstance;
  readonly registry: Registry;
  readonly conversions: Conversions;
  readonly monitoring: Monitoring;
  readonly rollouts: Rollouts;
  /** Makes what gateways ask in their callers' names. */
  readonly changeForGateway: (asked: ChangeAsked) => Promise<void>;
};

export async function composeControl(deps: {
  readonly settings: Settings;
  readonly database: Database;
  readonly publisher: DesiredStatePublisher;
  readonly log: Logger;
  readonly clock: Clock;
  /** Where a container's platform keeps models that it loads and unloads. */
  readonly modelsFolder?: string | null;
}): Promise<ControlRooms> {
  const { settings, database, publisher, log, clock } = deps;
  const { dataDir } = settings;
  const onChange = (): Promise<void> => publisher.publish();
  const keys = createKeyService({ database, clock, log, onChange });
  const projects = createProjectService({ database, clock });
  await projects.ensureDefault();
  const artifacts = createFileStore({ root: join(dataDir, 'artifacts') });
  const scratchDir = join(dataDir, RUN_FOLDER);
  const environments =
    settings.python === 'off'
      ? {}
      : {
          environments: createEnvironments({
            dataDir,
            log,
            interpreters: settings.interpreters,
            wheels: settings.wheels,
            timeoutMs: settings.environmentTimeoutMs,
          }),
        };
  const limits = limitsOfSettings(settings);
  const registry = createRegistry({
    database,
    clock,
    log,
    artifacts,
    engines: ENGINES,
    limits,
    maxUploadBytes: settings.maxUploadBytes,
    validate: createValidator({ log, scratchDir, clock, ...environments }),
    endpoints: endpointFacts,
    onChange,
  });
  const conversions = createConversions({
    database,
    clock,
    log,
    artifacts,
    registry,
    scratchDir,
    limits,
    timeoutMs: settings.environmentTimeoutMs,
    ...environments,
  });
  const endpoints = createEndpointService({ database, publisher, clock });

  const monitoring = createMonitoring({ database, clock, log, artifacts, settings });

  const intents = await openRollbackIntents(join(dataDir, ROLLBACKS_FILE));
  const series = createTrafficSeries({ publisher, clock });
  const factsOf = trafficFactsOf.bind(null, series);
  const rollouts = createRollouts({
    database,
    publisher,
    clock,
    log,
    settings,
    intents,
    outcomes: monitoring.outcomes,
    factsOf,
  });

  const { authenticate } = keys;
  const sessions = createSessionService({ database, clock, keys, settings });
  const server = await createManagementServer({
    settings,
    log,
    authenticate,
    findSession: sessions.find,
    findProject: projects.find,
    release: RELEASE,
  });
  registerAccessRoutes(server, { keys, projects });
  registerSessionRoutes(server, sessions);
  registerConsoleRoutes(server);
  registerAuditRoutes(server, { database });
  registerArtifactRoutes(server, registry);
  registerStatusRoutes(server, { database, publisher, settings, clock, release: RELEASE });
  registerEventRoutes(server, { database, publisher });
  registerProjectRoutes(server, (scope) => {
    registerRegistryRoutes(scope, registry);
    registerConversionRoutes(scope, conversions.service);
    registerEndpointRoutes(scope, { endpoints, host: settings.host });
    registerTrafficRoutes(scope, { series, endpoints, publisher });
    registerTryRoutes(scope, publisher);
    registerMonitoringRoutes(scope, monitoring);
    registerRolloutRoutes(scope, rollouts.service);
    registerRollbackRoute(scope, rollouts.rollBack);
  });
  const modelsFolder = deps.modelsFolder ?? null;
  const folderModels = modelsFolder === null ? null : createFolderModels({ root: modelsFolder, registry, endpoints });
  const changeForGateway = createGatewayChanges({
    authenticate,
    findProject: projects.find,
    endpoints,
    folderModels,
    giveFeedback: async (call, endpoint, given) => {
      await monitoring.feedback.send(call, endpoint, given, '');
    },
  });
  return { server, registry, conversions, monitoring, rollouts, changeForGateway };
}
