import type { FastifyInstance } from 'fastify';
import { registerFeedbackRoutes } from './feedback/feedback-routes.ts';
import type { Monitoring } from './monitoring.ts';

/** Mounted once for the default project and once for named ones. */
export function registerMonitoringRoutes(scope: FastifyInstance, monitoring: Monitoring): void {
  registerFeedbackRoutes(scope, monitoring.feedback);
}
