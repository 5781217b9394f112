import type { FastifyInstance } from 'fastify';
import { canSome, notPermitted, seesProject, type Verb } from '../access/permission.ts';
import { SlipwayError } from '../errors.ts';
import { markMount } from './route-rules.ts';

export const DEFAULT_PROJECT = 'default';

export type FindProject = (name: string) => Promise<{ readonly id: string; readonly name: string } | null>;

declare module 'fastify' {
  interface FastifyInstance {
    readonly findProject: FindProject;
  }
}

/**
 * Mounts routes on things of a project twice: under `/api/v1` for the default project and under `/api/v1/projects/:project`. A
 * project that does not exist and one that the key does not see answer alike; in both cases the store is asked.
 */
export function registerProjectRoutes(app: FastifyInstance, routes: (scope: FastifyInstance) => void): void {
  const mount = (prefix: string, kind: 'default' | 'named'): void => {
    void app.register(
      async (scope) => {
        markMount(scope, kind);
        scope.addHook('onRequest', async (request) => {
          const { permission } = request.routeOptions.config;
          const name = (request.params as { project?: string }).project ?? DEFAULT_PROJECT;
          const project = await app.findProject(name);
          const { principal } = request;
          if (project === null || principal === null || !seesProject(principal, project.name))
            throw unknownProject(name, principal?.project ?? null);
          if (permission !== 'any-key' && !canSome(principal, permission as Verb, project.name)) {
            throw notPermitted(principal, permission as Verb);
          }
          request.project = project;
        });
        routes(scope);
      },
      { prefix },
    );
  };
  mount('/api/v1', 'default');
  mount('/api/v1/projects/:project', 'named');
}

/** @param own the project that the caller's key is bound to; what is said depends on nothing else */
export function unknownProject(name: string, own: string | null): SlipwayError {
  return new SlipwayError('project_not_found', `There is no project ${name.slice(0, 63)}`, {
    hint:
      own === null
        ? '`slipway projects list` shows them (GET /api/v1/projects).'
        : `The key belongs to the project ${own}: name it with --project ${own} or SLIPWAY_PROJECT=${own} (over REST /api/v1/projects/${own}/…).`,
  });
}
