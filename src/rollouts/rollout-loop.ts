import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Tx } from '../base/db/database.ts';
import type { Logger } from '../base/log.ts';
import type { Outcomes } from '../monitoring/predictions/arm-outcomes.ts';
import type { EvidenceReport, StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { DesiredStatePublisher } from '../serving/endpoints/desired-state-publisher.ts';
import type { EndpointSpec } from '../serving/endpoints/endpoint.ts';
import { findEndpoint, setEndpointTraffic } from '../serving/endpoints/endpoint-store.ts';
import { noteLive } from '../serving/endpoints/live-history-store.ts';
import { BASELINE, stageOf, wantedTraffic } from './desired-traffic.ts';
import { type Ask, addReading, readExternal } from './external-metrics.ts';
import { CANDIDATE } from './gates/shadow-gates.ts';
import { isNewer, mergeReports } from './merge-evidence.ts';
import { ITSELF } from './moves.ts';
import { needsOutcomes, outcomeEvidence } from './outcomes.ts';
import { type Command, type Effect, ENDED, type ExternalReading, type Observations, type Rollout } from './rollout.ts';
import { observeGateways, pinsWith, trafficOf } from './rollout-observations.ts';
import * as store from './rollout-store.ts';
import { step } from './step.ts';

const TICK_MS = 1000;
/** Watched time and readings are written this often when nothing happens; what is lost in between is watched again. */
const SAVE_EVERY_MS = 15_000;
const KEEP_EVIDENCE_MS = 5_000;
/** Feedback is joined anew this often, and takes as long as it takes: steps go on with what was joined last. */
const JOIN_OUTCOMES_MS = 5_000;

export type GoldenResult = Observations['golden'];

/** What is kept in memory of a rollout at work. */
type AtWork = {
  /** The last step's state, whose watched time is ahead of the one written down. */
  state: Rollout;
  savedMs: number;
  readonly reports: Map<string, EvidenceReport>;
  readonly unsaved: Set<string>;
  keptMs: number;
  reportedMs: number | null;
  readonly external: Record<string, ExternalReading>;
  readonly asking: Set<string>;
  outcomes: Outcomes | null;
  joinedMs: number | null;
  isJoining: boolean;
};

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
 * Steps every rollout once a second. A step's state, its records and the traffic it wants are one transaction, so there is nothing between them at
 * which control could die; gateways are told after the commit, and again at every start.
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
  const atWork = new Map<string, AtWork>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | null = null;
  let isAskedAgain = false;

  const loaded = async (stored: store.StoredRollout): Promise<AtWork> => {
    const known = atWork.get(stored.state.id);
    if (known !== undefined) {
      // Somebody else wrote a newer one: what is in memory was made from an older.
      if (known.state.revision !== stored.state.revision) known.state = stored.state;
      return known;
    }
    const reports = await store.listEvidence(database.db, stored.state.id);
    const made: AtWork = {
      state: stored.state,
      savedMs: clock.monotonicMs(),
      reports: new Map(reports.map((one) => [keyOf(one), one])),
      unsaved: new Set(),
      keptMs: clock.monotonicMs(),
      reportedMs: null,
      external: {},
      asking: new Set(),
      outcomes: null,
      joinedMs: null,
      isJoining: false,
    };
    atWork.set(stored.state.id, made);
    return made;
  };

  const observe = async (work: AtWork, spec: EndpointSpec, commands: readonly Command[]): Promise<Observations> => {
    const { state } = work;
    return {
      ...observeGateways(state, spec, publisher.observed(), publisher.generation(), clock.now()),
      traffic: trafficOf(spec, state),
      evidence: evidenceOf(work),
      evidenceAgeMs: work.reportedMs === null ? null : clock.monotonicMs() - work.reportedMs,
      outcomes: work.outcomes === null ? [] : outcomeEvidence(work.outcomes),
      golden: await goldenOf(spec.modelId, state.to.version),
      external: work.external,
      commands,
    };
  };

  const stepOne = async (stored: store.StoredRollout): Promise<boolean> => {
    const work = await loaded(stored);
    const spec = await findEndpoint(database.db, stored.projectId, stored.state.endpoint);
    if (spec === null || spec.id !== stored.endpointId) {
      await database.transaction((tx) =>
        store.saveRollout(tx, work.state, stored.state, { isActive: false, endedAt: clock.now().toISOString() }),
      );
      atWork.delete(stored.state.id);
      return false;
    }
    const asked = await store.listCommands(database.db, stored.state.id);
    const observations = await observe(
      work,
      spec,
      asked.map((one) => one.command),
    );
    const { rollout, effects, records } = step(work.state, observations, clock.now().getTime());
    const traffic = effects.find((one) => one.kind === 'set-traffic');
    const isDue = clock.monotonicMs() - work.savedMs >= SAVE_EVERY_MS;
    if (records.length > 0 || asked.length > 0 || traffic !== undefined || isDue) {
      const isSaved = await database.transaction(async (tx) => {
        const isLeft = !isDone(rollout);
        const endedAt = ENDED.includes(rollout.phase.kind) ? (stored.endedAt ?? clock.now().toISOString()) : null;
        if (!(await store.saveRollout(tx, rollout, stored.state, { isActive: isLeft, endedAt }))) return false;
        await store.appendRecords(tx, rollout.id, records);
        await store.deleteCommands(
          tx,
          asked.map((one) => one.id),
        );
        if (records.length > 0) await store.insertEffects(tx, rollout, effects, clock.now().toISOString());
        for (const record of records)
          await appendAudit(
            tx,
            {
              project: rollout.project,
              actor: record.by === ITSELF ? 'system' : record.by,
              action: `rollout.${record.to}`,
              resource: `rollout/${rollout.endpoint}`,
              detail: { rollout: rollout.id, from: record.from, stage: record.stage, verdict: record.verdict },
              reason: record.reason,
            },
            clock,
          );
        if (traffic !== undefined) {
          const last = records.at(-1);
          await apply(
            tx,
            stored,
            rollout,
            traffic,
            last?.by ?? ITSELF,
            last?.reason ?? 'The rollout restores its traffic',
          );
        }
        return true;
      });
      if (!isSaved) {
        atWork.delete(stored.state.id);
        return true;
      }
      work.savedMs = clock.monotonicMs();
      if (traffic !== undefined) await publisher.publish();
    }
    if (rollout.epoch !== work.state.epoch) work.outcomes = null;
    work.state = rollout;
    for (const record of records)
      log.info({ rollout: rollout.id, from: record.from, to: record.to, reason: record.reason }, 'rollout moved');
    await keepEvidence(work, records.length > 0);
    askExternal(work, effects);
    joinOutcomes(work, stored, spec);
    if (isDone(rollout)) atWork.delete(rollout.id);
    return records.length > 0;
  };

  const apply = async (
    tx: Tx,
    stored: store.StoredRollout,
    rollout: Rollout,
    { desired }: Extract<Effect, { kind: 'set-traffic' }>,
    by: string,
    reason: string,
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
    const actor = by === ITSELF ? 'system' : by;
    await noteLive(tx, { projectId: stored.projectId, endpoint: spec.name, actor, reason, requestId: null, at });
  };

  /** Evidence is written down too, so that a gateway that is lost while control restarts leaves what it said, and a stage that ended can be read. */
  const keepEvidence = async (work: AtWork, isMoved: boolean): Promise<void> => {
    const isDue = isMoved || clock.monotonicMs() - work.keptMs >= KEEP_EVIDENCE_MS;
    if (work.unsaved.size === 0 || !isDue) return;
    const reports = [...work.unsaved].map((key) => work.reports.get(key)!);
    work.unsaved.clear();
    work.keptMs = clock.monotonicMs();
    const at = clock.now().toISOString();
    await database.transaction(async (tx) => {
      for (const report of reports) await store.putEvidence(tx, report, at);
    });
  };

  const askExternal = (work: AtWork, effects: readonly Effect[]): void => {
    const stage = work.state.plan.stages[Math.max(0, stageOf(work.state.phase))];
    for (const effect of effects) {
      if (effect.kind !== 'ask-external' || work.asking.has(effect.gate)) continue;
      const gate =
        stage === undefined || stage.kind === 'approve'
          ? undefined
          : stage.gates.find((one) => one.name === effect.gate);
      if (gate?.kind !== 'external') continue;
      work.asking.add(gate.name);
      void readExternal(gate, work.state, ask, () => clock.now().getTime()).then((value) => {
        work.asking.delete(gate.name);
        work.external[gate.name] = addReading(work.external[gate.name], value);
      });
    }
  };

  const joinOutcomes = (work: AtWork, stored: store.StoredRollout, spec: EndpointSpec): void => {
    const { plan, outputs, epoch } = work.state;
    const isDue = work.joinedMs === null || clock.monotonicMs() - work.joinedMs >= JOIN_OUTCOMES_MS;
    const names = outputs.map((one) => one.output);
    if (work.isJoining || !isDue || isDone(work.state) || !needsOutcomes(plan, names)) return;
    work.isJoining = true;
    outcomesOf({ ...stored, state: work.state }, spec.modelId)
      .then((joined) => {
        // a comparison that began anew has no outcomes yet
        if (work.state.epoch === epoch) work.outcomes = joined;
      })
      .catch((error: unknown) =>
        log.error({ err: error, rollout: work.state.id }, 'feedback could not be joined with arms'),
      )
      .finally(() => {
        work.isJoining = false;
        work.joinedMs = clock.monotonicMs();
      });
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
      for (const report of reports) {
        const work = atWork.get(report.evidence.id);
        if (work === undefined) continue;
        work.reportedMs = clock.monotonicMs();
        const key = keyOf(report);
        if (!isNewer(report, work.reports.get(key))) continue;
        work.reports.set(key, report);
        work.unsaved.add(key);
      }
    },
    wake: run,
    round,
    latest: (id) => atWork.get(id)?.state ?? null,
    evidence: (id) => {
      const work = atWork.get(id);
      return work === undefined ? null : evidenceOf(work);
    },
  };
}

function evidenceOf({ state, reports, outcomes }: AtWork): StageEvidence | null {
  const stage = wantedTraffic(state)?.split?.stage ?? BASELINE;
  const merged = mergeReports(reports.values(), { id: state.id, epoch: state.epoch, stage });
  const candidate = merged?.shadows[CANDIDATE];
  if (merged === null || candidate === undefined || outcomes === null) return merged;
  return { ...merged, shadows: { ...merged.shadows, [CANDIDATE]: { ...candidate, ...outcomes.paired } } };
}

function isDone(rollout: Rollout): boolean {
  const { phase } = rollout;
  return ENDED.includes(phase.kind) && !('isWarm' in phase && phase.isWarm);
}

function keyOf({ instance, evidence }: EvidenceReport): string {
  return `${evidence.epoch}/${evidence.stage}/${instance}`;
}
