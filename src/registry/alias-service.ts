import type { Call } from '../base/access/call.ts';
import { assertCan } from '../base/access/permission.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Db, Tx } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import { type Alias, type AliasChange, assertAliasName } from './alias.ts';
import * as store from './alias-store.ts';
import type { EndpointFacts } from './endpoint-facts.ts';
import { findModelOf } from './find-model.ts';
import { assertRevision } from './model.ts';
import type { StoredModel } from './model-store.ts';
import { versionExists } from './version-store.ts';

export type SetAlias = { readonly version: number; readonly reason?: string; readonly allowBreaking?: boolean };

export type AliasService = ReturnType<typeof createAliasService>;

type Page = { readonly after: string | null; readonly limit: number };

/** The verbs on aliases. Every move is written to a history that nothing can change, with who, when, from, to and why. */
export function createAliasService(deps: {
  database: Database;
  clock: Clock;
  endpoints: EndpointFacts;
  onChange: () => void | Promise<void>;
}) {
  const { database, clock, endpoints, onChange } = deps;

  return {
    async list(call: Call, model: string, page: Page): Promise<Alias[]> {
      assertCan(call.principal, 'read', call.project.name, model);
      const { id } = await findModelOf(database.db, call, model);
      return store.listAliases(database.db, id, page);
    },

    /** The last move first; also of an alias that was removed. */
    async history(call: Call, model: string, alias: string, page: Page): Promise<(AliasChange & { id: string })[]> {
      assertCan(call.principal, 'read', call.project.name, model);
      const { id } = await findModelOf(database.db, call, model);
      const moves = await store.listHistory(database.db, id, alias, page);
      if (moves.length === 0 && page.after === null) throw notFound(model, alias);
      return moves;
    },

    /** Sets or moves an alias. To the version it names already: nothing changes and nothing is noted. */
    async set(call: Call, model: string, alias: string, input: SetAlias): Promise<Alias> {
      assertCan(call.principal, 'promote', call.project.name, model);
      assertAliasName(alias);
      const result = await database.transaction(async (tx) => {
        const found = await findModelOf(tx, call, model);
        const before = await store.findAlias(tx, found.id, alias);
        assertRevision(`${model}@${alias}`, before?.revision ?? 0, call.ifMatch);
        if (!(await versionExists(tx, found.id, input.version))) {
          throw new SlipwayError('version_not_found', `There is no ${model}@${input.version}`, {
            hint: `\`slipway versions list ${model}\` shows them.`,
          });
        }
        if (before?.version === input.version) return { alias: before, changed: false };
        await endpoints.assertAliasMovable(tx, {
          modelId: found.id,
          alias,
          version: input.version,
          allowBreaking: input.allowBreaking === true,
        });
        const at = clock.now().toISOString();
        const revision = await store.nextAliasRevision(tx, found.id, alias);
        const after: Alias = { model, name: alias, version: input.version, revision, updatedAt: at };
        if (call.dryRun) return { alias: after, changed: false };
        const from = before?.version ?? null;
        const reason = input.reason ?? null;
        await store.putAlias(tx, { ...moveOf(call, found, alias, clock), from, to: input.version, reason, revision });
        const { actor } = call.principal;
        const note = {
          projectId: call.project.id,
          modelId: found.id,
          alias,
          actor,
          reason,
          requestId: call.requestId,
          at,
        };
        await endpoints.noteAliasMove(tx, note);
        await audit(tx, call, 'alias.set', { model, alias, from, to: input.version, reason });
        return { alias: after, changed: true };
      });
      if (result.changed) await onChange();
      return result.alias;
    },

    async remove(call: Call, model: string, alias: string, input: { reason?: string } = {}): Promise<void> {
      assertCan(call.principal, 'promote', call.project.name, model);
      await database.transaction(async (tx) => {
        const found = await findModelOf(tx, call, model);
        const before = await store.findAlias(tx, found.id, alias);
        if (!before) throw notFound(model, alias);
        assertRevision(`${model}@${alias}`, before.revision, call.ifMatch);
        const users = await endpoints.following(tx, found.id, alias);
        if (users.length > 0) {
          throw new SlipwayError('in_use', `${model}@${alias} is followed by ${users.join(', ')}`, {
            hint: `Point the endpoint elsewhere first: slipway endpoints update ${users[0]} --version ${before.version}`,
            extra: { endpoints: users },
          });
        }
        if (call.dryRun) return;
        const reason = input.reason ?? null;
        await store.deleteAlias(tx, { ...moveOf(call, found, alias, clock), from: before.version, to: null, reason });
        await audit(tx, call, 'alias.delete', { model, alias, from: before.version, to: null, reason });
      });
      if (!call.dryRun) await onChange();
    },
  };

  function audit(
    tx: Tx,
    call: Call,
    action: string,
    move: { model: string; alias: string; from: number | null; to: number | null; reason: string | null },
  ): Promise<void> {
    return appendAudit(
      tx,
      {
        project: call.project.name,
        actor: call.principal.actor,
        action,
        resource: `alias/${move.model}@${move.alias}`,
        detail: { from: move.from, to: move.to },
        reason: move.reason,
        requestId: call.requestId,
      },
      clock,
    );
  }
}

/** Notes that a model's aliases end with it. */
export async function insertRemovals(tx: Db, call: Call, model: StoredModel, clock: Clock): Promise<void> {
  for (const [name, version] of Object.entries(model.aliases)) {
    const reason = `the model ${model.name} was deleted`;
    await store.deleteAlias(tx, { ...moveOf(call, model, name, clock), from: version, to: null, reason });
  }
}

function moveOf(call: Call, model: StoredModel, name: string, clock: Clock) {
  const now = clock.now();
  return {
    id: uuidv7(now.getTime()),
    projectId: call.project.id,
    modelId: model.id,
    name,
    actor: call.principal.actor,
    at: now.toISOString(),
  };
}

function notFound(model: string, alias: string): SlipwayError {
  return new SlipwayError('alias_not_found', `${model} has no alias ${alias.slice(0, 80)}`, {
    hint: `\`slipway models show ${model}\` lists them.`,
  });
}
