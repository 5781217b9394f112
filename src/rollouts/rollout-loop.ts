import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Tx } from '../base/db/database.ts';
import type { Logger } from '../base/log.ts';
import type { Outcomes } from '../monitoring/predictions/arm-outcomes.ts';
import type { EvidenceReport, StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { DesiredStatePublisher } from '../serving/endpoints/desired-state-publisher.ts';
import { findEndpoint, setEndpointTraffic } from '../serving/endpoints/endpoint-store.ts';
import { noteLive } from '../serving/endpoints/live-history-store.ts';
import type { Ask } from './external-metrics.ts';
import { ITSELF } from './moves.ts';
import { type DesiredTraffic, ENDED, type Observations, type Rollout, type StepResult } from './rollout.ts';
import { createRolloutAtWork, type RolloutAtWork } from './rollout-at-work.ts';
import { observeGateways, pinsWith, trafficOf } from './rollout-observations.ts';
import * as store from './rollout-store.ts';
import { step } from './step.ts';

const TICK_MS = 1000;
/** Watched time and readings are written this often when nothing happens; what is lost in between is watched again. */
const SAVE_EVERY_MS = 15_000;

export type GoldenResult = Observations['golden'];

export type RolloutLoop = {
  start(): void;
  stop(): Promise<void>;
  /** A gateway's reports; in any order, any number of times. */
  takeEvidence(reports: readonly EvidenceReport[]): void;
  /** Steps now: somebody asked for something, or a gateway followed. */
  wake(): void;
  /** One round over all rollouts at work; for tests, which have their own clock. */
  round(): Promise<void>;
  /** The newest state of a rollout at work; null when it is not. */
  latest(id: string): Rollout | null;
  /** What gateways have counted in its present stage. */
  evidence(id: string): StageEvidence | null;
};

/**
 * Steps every rollout once a second, and at once when calls failed: harm does not wait for the second. A step's state, its records and the traffic
 * it wants are one transaction, so there is nothing between them at which control could die; gateways are told after the commit, and again at
 * every start.
 */
export function createRolloutLoop(deps: {
  database: Database;
  publisher: DesiredStatePublisher;
  clock: Clock;
  log: Logger;
  ask: Ask;
  goldenOf: (modelId: string, version: number) => Promise<GoldenResult>;
  /** Feedback joined with arms, of the rollout's epoch; null where its version is gone. */
  outcomesOf: (stored: store.StoredRollout, modelId: string) => Promise<Outcomes | null>;
}): RolloutLoop {
  const { database, publisher, clock, log, ask, goldenOf, outcomesOf } = deps;
  const atWork = new Map<string, RolloutAtWork>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | null = null;
  let isAskedAgain = false;

  const loaded = async (stored: store.StoredRollout, modelId: string): Promise<RolloutAtWork> => {
    const known = atWork.get(stored.state.id);
    if (known !== undefined) {
      // Somebody else wrote a newer one: what is in memory was made from an older.
      if (known.state.revision !== stored.state.revision) known.replace(stored.state, true);
      return known;
    }
    const made = createRolloutAtWork(
      { database, clock, log, ask, outcomesOf: (state) => outcomesOf({ ...stored, state }, modelId) },
      stored.state,
      await store.listEvidence(database.db, stored.state.id),
    );
    atWork.set(stored.state.id, made);
    return made;
  };

  const stepOne = async (stored: store.StoredRollout): Promise<boolean> => {
    const spec = await findEndpoint(database.db, stored.projectId, stored.state.endpoint);
    if (spec === null || spec.id !== stored.endpointId) {
      await database.transaction((tx) =>
        store.saveRollout(tx, stored.state, stored.state, { isActive: false, endedAt: clock.now().toISOString() }),
      );
      atWork.delete(stored.state.id);
      return false;
    }
    const work = await loaded(stored, spec.modelId);
    const asked = await store.listCommands(database.db, stored.state.id);
    const observations: Observations = {
      ...observeGateways(work.state, spec, publisher.observed(), publisher.generation(), clock.now()),
      ...work.observed(),
      traffic: trafficOf(spec, work.state),
      golden: await goldenOf(spec.modelId, work.state.to.version),
      commands: asked.map((one) => one.command),
    };
    const stepped = step(work.state, observations, clock.now().getTime());
    const { rollout, effects, records } = stepped;
    const traffic = effects.find((one) => one.kind === 'set-traffic');
    const isDue = clock.monotonicMs() - work.savedMs >= SAVE_EVERY_MS;
    const isWritten = records.length > 0 || asked.length > 0 || traffic !== undefined || isDue;
    if (isWritten) {
      const isSaved = await write(stored, stepped, asked);
      if (!isSaved) {
        atWork.delete(stored.state.id);
        return true;
      }
      if (traffic !== undefined) await publisher.publish();
    }
    work.replace(rollout, isWritten);
    for (const record of records)
      log.info({ rollout: rollout.id, from: record.from, to: record.to, reason: record.reason }, 'rollout moved');
    await work.keep(records.length > 0);
    work.ask(effects);
    if (isDone(rollout)) atWork.delete(rollout.id);
    else work.join();
    return records.length > 0;
  };

  /** @returns false when somebody else has stepped the rollout in the meantime; then nothing was written */
  const write = (
    stored: store.StoredRollout,
    { rollout, effects, records }: StepResult,
    asked: readonly { readonly id: string }[],
  ): Promise<boolean> =>
    database.transaction(async (tx) => {
      const endedAt = ENDED.includes(rollout.phase.kind) ? (stored.endedAt ?? clock.now().toISOString()) : null;
      const ends = { isActive: !isDone(rollout), endedAt };
      if (!(await store.saveRollout(tx, rollout, stored.state, ends))) return false;
      await store.appendRecords(tx, rollout.id, records);
      const taken = asked.map((one) => one.id);
      await store.deleteCommands(tx, taken);
      if (records.length > 0) await store.insertEffects(tx, rollout, effects, clock.now().toISOString());
      for (const record of records)
        await appendAudit(
          tx,
          {
            project: rollout.project,
            actor: actorOf(record.by),
            action: `rollout.${record.to}`,
            resource: `rollout/${rollout.endpoint}`,
            detail: { rollout: rollout.id, from: record.from, stage: record.stage, verdict: record.verdict },
            reason: record.reason,
          },
          clock,
        );
      for (const effect of effects)
        if (effect.kind === 'set-traffic') await apply(tx, stored, rollout, effect.desired, records.at(-1));
      return true;
    });

  const apply = async (
    tx: Tx,
    stored: store.StoredRollout,
    rollout: Rollout,
    desired: DesiredTraffic,
    why: { readonly by: string; readonly reason: string } = { by: ITSELF, reason: 'The rollout restores its traffic' },
  ): Promise<void> => {
    // Read again, in the transaction: what was observed may have changed since.
    const spec = await findEndpoint(tx, stored.projectId, stored.state.endpoint);
    if (spec === null || (spec.traffic?.revision ?? 0) > desired.traffic.revision) return;
    const at = clock.now().toISOString();
    const isMoved = desired.target !== null && desired.target !== spec.targetVersion;
    await setEndpointTraffic(
      tx,
      spec.id,
      {
        target: isMoved ? { version: desired.target! } : spec.target,
        pins: pinsWith(spec, rollout, desired.pins),
        traffic: desired.traffic,
        revision: spec.revision + 1,
      },
      at,
    );
    const { by, reason } = why;
    const actor = actorOf(by);
    await noteLive(tx, { projectId: stored.projectId, endpoint: spec.name, actor, reason, requestId: null, at });
  };

  const round = async (): Promise<void> => {
    const active = await store.listActive(database.db);
    const ids = new Set(active.map((one) => one.state.id));
    for (const id of atWork.keys()) if (!ids.has(id)) atWork.delete(id);
    for (const stored of active) {
      try {
        if (await stepOne(stored)) isAskedAgain = true;
      } catch (error) {
        // One rollout that cannot be stepped must not stop the others; it is tried again next time.
        log.error({ err: error, rollout: stored.state.id }, 'a rollout could not be stepped');
      }
    }
  };

  const run = (): void => {
    if (running !== null) {
      isAskedAgain = true;
      return;
    }
    running = round()
      .catch((error: unknown) => log.error({ err: error }, 'rollouts could not be read'))
      .finally(() => {
        running = null;
        if (!isAskedAgain || timer === undefined) return;
        isAskedAgain = false;
        setTimeout(run, 50).unref();
      });
  };

  return {
    start() {
      timer = setInterval(run, TICK_MS).unref();
      run();
    },
    async stop() {
      clearInterval(timer);
      timer = undefined;
      await running;
    },
    takeEvidence(reports) {
      let hasFailures = false;
      for (const report of reports) hasFailures = atWork.get(report.evidence.id)?.take(report) === true || hasFailures;
      if (hasFailures && timer !== undefined) run();
    },
    wake: run,
    round,
    latest: (id) => atWork.get(id)?.state ?? null,
    evidence: (id) => atWork.get(id)?.evidence() ?? null,
  };
}

function actorOf(by: string): string {
  return by === ITSELF ? 'system' : by;
}

function isDone(rollout: Rollout): boolean {
  const { phase } = rollout;
  return ENDED.includes(phase.kind) && !('isWarm' in phase && phase.isWarm);
}
