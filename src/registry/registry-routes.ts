import type { FastifyInstance } from 'fastify';
import { registerAliasRoutes } from './alias-routes.ts';
import { registerCollectRoute, registerUploadRoutes } from './artifacts/upload-routes.ts';
import { registerModelRoutes } from './model-routes.ts';
import type { Registry } from './registry.ts';
import { registerVersionRoutes } from './version-routes.ts';

/** Routes on a project's things: for `registerProjectRoutes`. */
export function registerRegistryRoutes(scope: FastifyInstance, registry: Registry): void {
  registerUploadRoutes(scope, registry.uploads);
  registerModelRoutes(scope, registry.models);
  registerVersionRoutes(scope, registry.versions);
  registerAliasRoutes(scope, registry.aliases);
}

/** Routes that belong to no project. */
export function registerArtifactRoutes(app: FastifyInstance, registry: Registry): void {
  registerCollectRoute(app, registry.collector);
}
