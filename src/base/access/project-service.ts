import { appendAudit } from '../audit.ts';
import type { Clock } from '../clock.ts';
import { type Database, isUniqueViolation } from '../db/database.ts';
import { SlipwayError } from '../errors.ts';
import { isName, NAME_RULE, uuidv7 } from '../ids.ts';
import type { Caller } from './call.ts';
import { deleteKeysOfProject, listLiveKeys } from './key-store.ts';
import { assertCan } from './permission.ts';
import * as store from './project-store.ts';

export type Project = { readonly name: string; readonly createdAt: string };

export type ProjectService = ReturnType<typeof createProjectService>;

const DEFAULT = 'default';

export function createProjectService({ database, clock }: { readonly database: Database; readonly clock: Clock }) {
  const newRow = (name: string): store.ProjectRow => {
    const now = clock.now();
    return { id: uuidv7(now.getTime()), name, created_at: now.toISOString() };
  };

  return {
    /** Makes the project `default` at the first start. */
    async ensureDefault(): Promise<void> {
      await database.transaction(async (tx) => {
        if (await store.findProject(tx, DEFAULT)) return;
        await store.insertProject(tx, newRow(DEFAULT));
        const entry = { actor: 'system', action: 'project.create', resource: `project/${DEFAULT}`, detail: null };
        await appendAudit(tx, { ...entry, project: DEFAULT }, clock);
      });
    },

    /** For the router, which asks before it knows who may see the project. */
    async find(name: string): Promise<{ id: string; name: string } | null> {
      const row = await store.findProject(database.db, name);
      return row && { id: row.id, name: row.name };
    },

    async list(caller: Caller, page: { after: string | null; limit: number }): Promise<Project[]> {
      assertCan(caller.principal, 'admin', '*');
      return (await store.listProjects(database.db, page)).map(show);
    },

    async create(caller: Caller, input: { readonly name: string }): Promise<Project> {
      assertCan(caller.principal, 'admin', '*');
      if (!isName(input.name)) {
        throw new SlipwayError('invalid_name', `A project cannot be named like this: ${NAME_RULE}`, {
          fields: [{ pointer: '/name', message: NAME_RULE }],
        });
      }
      const taken = new SlipwayError('already_exists', `There is a project ${input.name} already`);
      return database.transaction(async (tx) => {
        if (await store.findProject(tx, input.name)) throw taken;
        const row = newRow(input.name);
        if (caller.dryRun) return show(row);
        await store.insertProject(tx, row).catch((error: unknown) => {
          throw isUniqueViolation(error) ? taken : error;
        });
        await appendAudit(tx, entry(caller, 'project.create', input.name), clock);
        return show(row);
      });
    },

    /** Only one without endpoints, models and live keys. Its revoked keys go too, and files that were sent for no model. */
    async remove(caller: Caller, name: string): Promise<void> {
      assertCan(caller.principal, 'admin', '*');
      await database.transaction(async (tx) => {
        const row = await store.findProject(tx, name);
        if (!row) throw new SlipwayError('project_not_found', `There is no project ${name}`);
        if (name === DEFAULT) {
          throw new SlipwayError('in_use', 'The project default is needed and cannot be deleted');
        }
        const contents: Partial<Record<string, number>> = await store.countContents(tx, row.id);
        const live = await listLiveKeys(tx, clock.now().toISOString());
        const keys = live.filter((key) => key.project_id === row.id).length;
        if (keys > 0) contents['live keys'] = keys;
        if (Object.keys(contents).length > 0) {
          const held = Object.entries(contents).map(([what, count]) => `${count} ${what}`);
          throw new SlipwayError('in_use', `The project ${name} still holds ${held.join(', ')}`, {
            hint: `Delete its endpoints and models and revoke its keys first: \`slipway endpoints list --project ${name}\`, \`slipway models list --project ${name}\` and \`slipway keys list\` show them.`,
          });
        }
        if (caller.dryRun) return;
        await deleteKeysOfProject(tx, row.id);
        await store.deleteProject(tx, row.id);
        await appendAudit(tx, entry(caller, 'project.delete', name), clock);
      });
    },
  };
}

function entry(caller: Caller, action: string, name: string) {
  const { principal, requestId } = caller;
  return { project: name, actor: principal.actor, action, resource: `project/${name}`, detail: null, requestId };
}

function show(row: store.ProjectRow): Project {
  return { name: row.name, createdAt: row.created_at };
}
