import type { FastifyInstance } from 'fastify';
import { registerFeedbackRoutes } from './feedback/feedback-routes.ts';
import { registerImportRoutes } from './imports/import-routes.ts';
import type { Monitoring } from './monitoring.ts';
import { registerLogRoutes } from './predictions/log-routes.ts';
import { registerProfileRoutes } from './profiles/profile-routes.ts';
import { registerQualityRoutes } from './quality/quality-routes.ts';

/** Mounted once for the default project and once for named ones. */
export function registerMonitoringRoutes(scope: FastifyInstance, monitoring: Monitoring): void {
  registerFeedbackRoutes(scope, monitoring.feedback);
  registerLogRoutes(scope, monitoring);
  registerImportRoutes(scope, monitoring.imports);
  registerProfileRoutes(scope, monitoring);
  registerQualityRoutes(scope, monitoring.quality);
}
