import type { Call } from '../base/access/call.ts';
import { principalOf } from '../base/access/key-service.ts';
import { findKey } from '../base/access/key-store.ts';
import { can, notPermitted } from '../base/access/permission.ts';
import { findProject } from '../base/access/project-store.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import { type Database, type Db, isDatabaseDown, type Tx } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { DesiredStatePublisher } from '../serving/endpoints/desired-state-publisher.ts';
import type { EndpointSpec } from '../serving/endpoints/endpoint.ts';
import { findEndpoint, setEndpointTraffic } from '../serving/endpoints/endpoint-store.ts';
import { findServable } from '../serving/endpoints/endpoint-targets.ts';
import { listChanges, noteLive } from '../serving/endpoints/live-history-store.ts';
import type { RollbackIntent, RollbackIntents } from './rollback-intents.ts';
import type { RollBack, RollbackInput, RolledBack } from './rollback-routes.ts';
import { createRollbackWithoutDatabase } from './rollback-without-database.ts';
import type { RolloutLoop } from './rollout-loop.ts';
import type { RolloutService } from './rollout-service.ts';
import * as store from './rollout-store.ts';

const DEFAULT_REASON = 'Rolled back';

/** One step back, whatever happens: by the database, or without it where it is down. */
export function createRollbackService(deps: {
  database: Database;
  publisher: DesiredStatePublisher;
  clock: Clock;
  log: Logger;
  loop: RolloutLoop;
  intents: RollbackIntents;
  abort: RolloutService['command'];
}): { readonly rollBack: RollBack; readonly enterIntents: () => Promise<void> } {
  const { database, publisher, clock, log, loop, intents, abort } = deps;

  const withoutDatabase = createRollbackWithoutDatabase({
    intents,
    clock,
    current: publisher.current,
    send: publisher.sendAhead,
  });

  /** Back to the version before, or to one that is named: the rollout under way is aborted, or the endpoint is moved at once. */
  const byDatabase = async (call: Call, name: string, input: RollbackInput): Promise<RolledBack> => {
    const { principal, project } = call;
    const spec = await findEndpoint(database.db, project.id, name);
    if (!can(principal, 'deploy', project.name, spec?.model)) throw notPermitted(principal, 'deploy');
    if (spec === null)
      throw new SlipwayError('endpoint_not_found', `There is no endpoint ${name}`, {
        hint: '`slipway endpoints list` shows them.',
      });
    const latest = await store.findLatest(database.db, project.id, name);
    const running = store.underWay(latest);
    const from = running?.state.from ?? null;
    if (from !== null && (input.to === undefined || input.to === from.version)) {
      await abort(call, name, 'abort', { reason: input.reason ?? DEFAULT_REASON });
      return { version: from.version, isEntered: true };
    }
    if (running !== null)
      throw new SlipwayError(
        'rollout_refused',
        from === null
          ? `${name} is in the rollout of its first version: there is nothing to go back to`
          : `${name} is in a rollout, which goes back to version ${from.version}`,
        { hint: `Abort it first: slipway rollouts abort ${name}` },
      );
    const version = input.to ?? (await previousVersion(database.db, spec, project.id));
    if (version === null)
      throw new SlipwayError('rollout_refused', `Nothing is known of an earlier version of ${name}`, {
        hint: `Name one: slipway rollback ${name} --to VERSION`,
      });
    if (version === spec.targetVersion)
      throw new SlipwayError('rollout_refused', `${name} serves version ${version} already`, {
        hint: `\`slipway history ${name}\` shows what it served before.`,
      });
    await database.transaction(async (tx) => {
      await findServable(tx, spec.modelId, spec.model, version);
      if (call.dryRun) return;
      if (latest?.isActive === true) await store.deactivate(tx, latest.state.id);
      const { actor } = principal;
      const { reason = DEFAULT_REASON } = input;
      await moveTo(tx, {
        name,
        projectId: project.id,
        project: project.name,
        version,
        actor,
        reason,
        requestId: call.requestId,
      });
    });
    if (!call.dryRun) await publisher.publish();
    return { version, isEntered: true };
  };

  /** All calls to one version, with what says so. */
  const moveTo = async (
    tx: Tx,
    { name, projectId, project, version, ...why }: Moved,
    detail: Record<string, unknown> = {},
  ): Promise<void> => {
    const now = (await findEndpoint(tx, projectId, name))!;
    const at = clock.now().toISOString();
    const isMoved = now.targetVersion !== version;
    await setEndpointTraffic(
      tx,
      now.id,
      {
        target: isMoved ? { version } : now.target,
        // the one that is left stays warm where it was pinned or shared out
        pins: now.pins.filter((pin) => pin !== version),
        traffic: { revision: (now.traffic?.revision ?? 0) + 1, split: null, shadows: [] },
        revision: now.revision + 1,
      },
      at,
    );
    await noteLive(tx, { projectId, endpoint: name, ...why, at });
    const resource = `rollout/${name}`;
    const change = { from: now.targetVersion, to: version, ...detail };
    await appendAudit(tx, { project, action: 'endpoint.rollback', resource, detail: change, ...why }, clock);
  };

  const enter = async (tx: Tx, intent: RollbackIntent): Promise<void> => {
    const { project, endpoint: name, version } = intent;
    const projectId = (await findProject(tx, project))?.id ?? null;
    const spec = projectId === null ? null : await findEndpoint(tx, projectId, name);
    if (projectId === null || spec === null) {
      log.error({ intent }, 'an endpoint that was rolled back without the database is not in it');
      return;
    }
    const reason = intent.reason ?? DEFAULT_REASON;
    const actor = await actorOf(tx, intent);
    const latest = await store.findLatest(tx, projectId, name);
    const running = store.underWay(latest);
    if (running !== null) {
      const command = { kind: 'abort', by: actor, reason } as const;
      const at = clock.now();
      await store.insertCommand(tx, {
        id: uuidv7(at.getTime()),
        rolloutId: running.state.id,
        command,
        at: at.toISOString(),
      });
    } else if (latest?.isActive === true) await store.deactivate(tx, latest.state.id);
    const detail = { decidedAt: intent.at, withoutDatabase: true };
    await moveTo(tx, { name, projectId, project, version, actor, reason, requestId: intent.requestId }, detail);
  };

  return {
    async rollBack(call, name, input) {
      try {
        return await byDatabase(call, name, input);
      } catch (error) {
        if (!isDatabaseDown(error)) throw error;
        log.error({ err: error, endpoint: name }, 'the database is down: rolling back without it');
        const done = await withoutDatabase(call, name, input);
        // tries until the database takes it
        void publisher.publish();
        return done;
      }
    },

    /** Enters what was promised while the database was down. Entered twice is entered once. */
    async enterIntents() {
      const waiting = intents.all();
      if (waiting.length === 0) return;
      const ids = waiting.map((one) => one.id);
      await database.transaction(async (tx) => {
        const entered = await store.enteredIntents(tx);
        for (const intent of waiting) if (!entered.includes(intent.id)) await enter(tx, intent);
        await store.noteEnteredIntents(tx, ids);
      });
      await intents
        .clear(ids)
        .catch((error: unknown) => log.warn({ err: error }, 'entered rollbacks are still in their file'));
      loop.wake();
    },
  };
}

type Moved = {
  readonly name: string;
  readonly projectId: string;
  readonly project: string;
  readonly version: number;
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
};

/** By the key's name, as everywhere; without the database only its id was known. */
async function actorOf(db: Db, { keyId, actor }: RollbackIntent): Promise<string> {
  const key = await findKey(db, keyId);
  return key === null ? actor : principalOf(key).actor;
}

/**
 * The version that served before the present one. Going back leaves a version for good: asked once more, it is one step further back, never
 * forward to what was left.
 */
async function previousVersion(db: Db, spec: EndpointSpec, projectId: string): Promise<number | null> {
  const changes = await listChanges(db, projectId, spec.name, { before: null, limit: 100 });
  const served: number[] = [];
  for (const { live } of changes.reverse()) {
    const version = live?.target?.version;
    if (version === undefined) continue;
    const place = served.indexOf(version);
    if (place === -1) served.push(version);
    else served.length = place + 1;
  }
  return served.at(-1) === spec.targetVersion ? (served.at(-2) ?? null) : (served.at(-1) ?? null);
}
