import type { Call } from '../base/access/call.ts';
import { assertCan, can, canSome, notPermitted } from '../base/access/permission.ts';
import { readPermittedPage } from '../base/access/permitted-page.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import { type Database, isUniqueViolation } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import { insertRemovals } from './alias-service.ts';
import type { EndpointFacts } from './endpoint-facts.ts';
import { findModelOf } from './find-model.ts';
import { assertName, assertRevision, assertWords, type Model, type Tags } from './model.ts';
import * as store from './model-store.ts';

export type CreateModel = {
  readonly name: string;
  readonly description?: string;
  readonly card?: string;
  readonly tags?: Tags;
};

export type ChangeModel = {
  readonly description?: string | null;
  readonly card?: string | null;
  readonly tags?: Tags;
};

export type ModelService = ReturnType<typeof createModelService>;

/** The verbs on models. */
export function createModelService(deps: { database: Database; clock: Clock; endpoints: EndpointFacts }) {
  const { database, clock, endpoints } = deps;

  const audit = (tx: Parameters<typeof appendAudit>[0], call: Call, action: string, model: string, detail: unknown) =>
    appendAudit(
      tx,
      {
        project: call.project.name,
        actor: call.principal.actor,
        action,
        resource: `model/${model}`,
        detail,
        requestId: call.requestId,
      },
      clock,
    );

  return {
    /** One page by name; a key for some models sees those only. */
    async list(call: Call, page: { after: string | null; limit: number }): Promise<Model[]> {
      const { principal, project } = call;
      if (!canSome(principal, 'read', project.name)) throw notPermitted(principal, 'read');
      const models = await readPermittedPage(
        page,
        (next) => store.listModels(database.db, project.id, next),
        (model) => can(principal, 'read', project.name, model.name),
      );
      return models.map(show);
    },

    async get(call: Call, name: string): Promise<Model> {
      assertCan(call.principal, 'read', call.project.name, name);
      return show(await findModelOf(database.db, call, name));
    },

    async create(call: Call, input: CreateModel): Promise<Model> {
      assertCan(call.principal, 'deploy', call.project.name, input.name);
      assertName(input.name, '/name', 'a model');
      assertWords(input);
      const now = clock.now();
      const model: store.StoredModel = {
        id: uuidv7(now.getTime()),
        project: call.project.name,
        name: input.name,
        description: input.description ?? null,
        card: input.card ?? null,
        tags: input.tags ?? {},
        latestVersion: null,
        aliases: {},
        revision: 1,
        createdAt: now.toISOString(),
        createdBy: call.principal.actor,
      };
      const taken = new SlipwayError('already_exists', `There is a model ${input.name} already`, {
        hint: `Push a version of it: slipway deploy <file> --name ${input.name}`,
      });
      await database.transaction(async (tx) => {
        if (await store.findModel(tx, call.project.id, input.name)) throw taken;
        if (call.dryRun) return;
        await store.insertModel(tx, { ...model, projectId: call.project.id }).catch((error: unknown) => {
          throw isUniqueViolation(error) ? taken : error;
        });
        await audit(tx, call, 'model.create', input.name, { description: model.description, tags: model.tags });
      });
      return show(model);
    },

    async update(call: Call, name: string, change: ChangeModel): Promise<Model> {
      assertCan(call.principal, 'deploy', call.project.name, name);
      assertWords(change);
      return database.transaction(async (tx) => {
        const before = await findModelOf(tx, call, name);
        assertRevision(name, before.revision, call.ifMatch);
        const after: store.StoredModel = {
          ...before,
          description: change.description === undefined ? before.description : change.description,
          card: change.card === undefined ? before.card : change.card,
          tags: change.tags ?? before.tags,
          revision: before.revision + 1,
        };
        if (call.dryRun) return show({ ...after, revision: before.revision });
        await store.updateModel(tx, after);
        const words = ({ description, tags }: Model) => ({ description, tags });
        const cardChanged = before.card !== after.card;
        await audit(tx, call, 'model.update', name, { from: words(before), to: words(after), cardChanged });
        return show(after);
      });
    },

    /** Removes a model with all its versions and aliases; refused while an endpoint is there. Bytes go with the next collection. */
    async remove(call: Call, name: string): Promise<void> {
      assertCan(call.principal, 'deploy', call.project.name, name);
      await database.transaction(async (tx) => {
        const model = await findModelOf(tx, call, name);
        assertRevision(name, model.revision, call.ifMatch);
        const users = await endpoints.ofModel(tx, model.id);
        if (users.length > 0) {
          throw new SlipwayError('in_use', `${name} is served by ${users.join(', ')}`, {
            hint: `Delete the endpoint first: slipway endpoints delete ${users[0]}`,
            extra: { endpoints: users },
          });
        }
        if (call.dryRun) return;
        await insertRemovals(tx, call, model, clock);
        await store.deleteModel(tx, model.id);
        await audit(tx, call, 'model.delete', name, { latestVersion: model.latestVersion, aliases: model.aliases });
      });
    },
  };
}

function show({ id: _id, ...model }: store.StoredModel): Model {
  return model;
}
