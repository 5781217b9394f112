import type { Call } from '../../base/access/call.ts';
import { assertCan } from '../../base/access/permission.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { uuidv7 } from '../../base/ids.ts';
import { findModelOf } from '../../registry/find-model.ts';
import type { Registry } from '../../registry/registry.ts';
import { type Conversion, type ConversionSpec, planConversion } from './conversion.ts';
import * as store from './conversion-store.ts';
import type { ConversionWorker } from './conversion-worker.ts';

export const MAX_WAIT_MS = 60_000;

export type ConversionService = ReturnType<typeof createConversionService>;

/** The verbs on conversions. What becomes of one is an ordinary version, validated like any other. */
export function createConversionService(deps: {
  database: Database;
  clock: Clock;
  registry: Pick<Registry, 'versions'>;
  worker: ConversionWorker;
}) {
  const { database, clock, registry, worker } = deps;

  async function find(call: Call, model: string, id: string): Promise<store.StoredConversion> {
    assertCan(call.principal, 'read', call.project.name, model);
    const { id: modelId } = await findModelOf(database.db, call, model);
    const found = await store.findConversion(database.db, id);
    if (found?.modelId === modelId) return found;
    throw new SlipwayError('conversion_not_found', `${model} has no conversion ${id.slice(0, 64)}`, {
      hint: `\`slipway versions list ${model}\` shows what was made.`,
    });
  }

  return {
    /**
     * Asks for a version made of another. It is done in the background.
     * @throws SlipwayError `version_not_servable` for one that did not pass its validation, `model_unsupported`
     */
    async create(call: Call, model: string, ref: string, spec: ConversionSpec): Promise<Conversion> {
      assertCan(call.principal, 'deploy', call.project.name, model);
      const from = await registry.versions.get(call, model, ref);
      if (from.status !== 'ready') {
        throw new SlipwayError(
          'version_not_servable',
          `${model}@${from.version} is ${from.status}, so nothing is made of it`,
          {
            hint: `See \`slipway versions show ${model}@${from.version}\`.`,
          },
        );
      }
      planConversion(spec, from);
      const { id: modelId } = await findModelOf(database.db, call, model);
      const now = clock.now();
      const made = {
        id: uuidv7(now.getTime()),
        projectId: call.project.id,
        modelId,
        from: from.version,
        spec,
        status: 'waiting' as const,
        reason: null,
        hint: null,
        report: null,
        version: null,
        attempts: 0,
        createdAt: now.toISOString(),
        createdBy: call.principal.actor,
        finishedAt: null,
      };
      if (!call.dryRun) {
        await database.transaction(async (tx) => {
          await store.insertConversion(tx, made);
          await appendAudit(
            tx,
            {
              project: call.project.name,
              actor: call.principal.actor,
              action: 'conversion.create',
              resource: `version/${model}@${from.version}`,
              detail: { conversion: made.id, spec },
              requestId: call.requestId,
            },
            clock,
          );
        });
        worker.add(made.id);
      }
      return show({ ...made, model, project: call.project.name });
    },

    /** The newest first. */
    async list(call: Call, model: string, page: { after: string | null; limit: number }): Promise<Conversion[]> {
      assertCan(call.principal, 'read', call.project.name, model);
      const { id } = await findModelOf(database.db, call, model);
      return (await store.listConversions(database.db, id, page)).map(show);
    },

    /** @param options `waitMs`: answers when it ends, or says something else, or after this time, at most 60 s */
    async get(call: Call, model: string, id: string, options: { waitMs?: number } = {}): Promise<Conversion> {
      const found = await find(call, model, id);
      const waitMs = Math.min(options.waitMs ?? 0, MAX_WAIT_MS);
      if (found.finishedAt !== null || waitMs <= 0) return show(found);
      // Listening starts before the state is read again, so an end in between is not missed.
      const ended = worker.wait(id, waitMs);
      const now = await store.findConversion(database.db, id);
      if (now === null || now.finishedAt !== null) return show(now ?? found);
      await ended;
      if (worker.isClosed()) return show(now);
      return show((await store.findConversion(database.db, id)) ?? now);
    },
  };
}

function show(one: store.StoredConversion): Conversion {
  const { projectId: _id, project: _name, modelId: _model, attempts: _attempts, ...shown } = one;
  return shown;
}
