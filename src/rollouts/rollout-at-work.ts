/** What control knows of a rollout at work besides its row: what gateways counted, what external gates read, and what became of predictions. */
import type { Clock } from '../base/clock.ts';
import type { Database } from '../base/db/database.ts';
import type { Logger } from '../base/log.ts';
import type { Outcomes } from '../monitoring/predictions/arm-outcomes.ts';
import type { EvidenceReport, StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import { BASELINE, stageOf, wantedTraffic } from './desired-traffic.ts';
import { type Ask, addReading, readExternal } from './external-metrics.ts';
import { CANDIDATE } from './gates/shadow-gates.ts';
import { isNewer, mergeReports } from './merge-evidence.ts';
import { needsOutcomes, outcomeEvidence } from './outcomes.ts';
import type { Effect, ExternalReading, Observations, Rollout } from './rollout.ts';
import * as store from './rollout-store.ts';

const KEEP_EVIDENCE_MS = 5_000;
/** Feedback is joined anew this often, and takes as long as it takes: steps go on with what was joined last. */
const JOIN_OUTCOMES_MS = 5_000;

export type RolloutAtWork = {
  /** The last step's state, whose watched time is ahead of the one written down. */
  readonly state: Rollout;
  /** When that state was last written down, by the monotonic clock. */
  readonly savedMs: number;
  /** The state after a step, or one that somebody else wrote. */
  replace(state: Rollout, isSaved: boolean): void;
  /**
   * A gateway's report; in any order, any number of times.
   * @returns whether it tells of calls that failed since the report before
   */
  take(report: EvidenceReport): boolean;
  /** What gateways have counted in the present stage, with the feedback on it. */
  evidence(): StageEvidence | null;
  observed(): Pick<Observations, 'evidence' | 'evidenceAgeMs' | 'outcomes' | 'external'>;
  /** Writes reports down, so that a gateway that is lost while control restarts leaves what it said, and a stage that ended can be read. */
  keep(isDue: boolean): Promise<void>;
  /** Asks the external gates that a step wants asked; answers come to later steps. */
  ask(effects: readonly Effect[]): void;
  /** Joins feedback where gates look at it and the last joining is some time ago. */
  join(): void;
};

export type AtWorkDeps = {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly ask: Ask;
  /** Feedback joined with arms, of the rollout's epoch; null where its version is gone. */
  readonly outcomesOf: (state: Rollout) => Promise<Outcomes | null>;
};

/** @param known reports that were written down before */
export function createRolloutAtWork(
  deps: AtWorkDeps,
  stored: Rollout,
  known: readonly EvidenceReport[],
): RolloutAtWork {
  const { database, clock, log } = deps;
  const reports = new Map(known.map((one) => [keyOf(one), one]));
  const unsaved = new Set<string>();
  const external: Record<string, ExternalReading> = {};
  const asking = new Set<string>();
  let state = stored;
  let savedMs = clock.monotonicMs();
  let keptMs = clock.monotonicMs();
  let reportedMs: number | null = null;
  let outcomes: Outcomes | null = null;
  let joinedMs: number | null = null;
  let isJoining = false;

  const evidence = (): StageEvidence | null => {
    const stage = wantedTraffic(state)?.split?.stage ?? BASELINE;
    const merged = mergeReports(reports.values(), { id: state.id, epoch: state.epoch, stage });
    const candidate = merged?.shadows[CANDIDATE];
    if (merged === null || candidate === undefined || outcomes === null) return merged;
    return { ...merged, shadows: { ...merged.shadows, [CANDIDATE]: { ...candidate, ...outcomes.paired } } };
  };

  return {
    get state() {
      return state;
    },
    get savedMs() {
      return savedMs;
    },
    replace(next, isSaved) {
      if (next.epoch !== state.epoch) outcomes = null;
      state = next;
      if (isSaved) savedMs = clock.monotonicMs();
    },
    take(report) {
      reportedMs = clock.monotonicMs();
      const key = keyOf(report);
      const before = reports.get(key);
      // A gateway that starts again and again without a call leaves nothing behind.
      if (!isNewer(report, before) || (before === undefined && isEmpty(report))) return false;
      reports.set(key, report);
      unsaved.add(key);
      return failuresOf(report) > (before === undefined ? 0 : failuresOf(before));
    },
    evidence,
    observed: () => ({
      evidence: evidence(),
      evidenceAgeMs: reportedMs === null ? null : clock.monotonicMs() - reportedMs,
      outcomes: outcomes === null ? [] : outcomeEvidence(outcomes),
      external,
    }),
    async keep(isDue) {
      if (unsaved.size === 0 || !(isDue || clock.monotonicMs() - keptMs >= KEEP_EVIDENCE_MS)) return;
      const kept = [...unsaved].map((key) => reports.get(key)!);
      const at = clock.now().toISOString();
      await database.transaction(async (tx) => {
        for (const report of kept) await store.putEvidence(tx, report, at);
      });
      keptMs = clock.monotonicMs();
      // those that came meanwhile are written next time
      for (const report of kept) if (reports.get(keyOf(report)) === report) unsaved.delete(keyOf(report));
    },
    ask(effects) {
      const stage = state.plan.stages[Math.max(0, stageOf(state.phase))];
      for (const effect of effects) {
        if (effect.kind !== 'ask-external' || asking.has(effect.gate)) continue;
        const gates = stage === undefined || stage.kind === 'approve' ? [] : stage.gates;
        const gate = gates.find((one) => one.name === effect.gate);
        if (gate?.kind !== 'external') continue;
        asking.add(gate.name);
        void readExternal(gate, state, deps.ask, () => clock.now().getTime()).then((value) => {
          asking.delete(gate.name);
          external[gate.name] = addReading(external[gate.name], value);
        });
      }
    },
    join() {
      const { id, plan, outputs, epoch } = state;
      const isDue = joinedMs === null || clock.monotonicMs() - joinedMs >= JOIN_OUTCOMES_MS;
      const names = outputs.map((one) => one.output);
      if (isJoining || !isDue || !needsOutcomes(plan, names)) return;
      isJoining = true;
      deps
        .outcomesOf(state)
        .then((joined) => {
          // a comparison that began anew has no outcomes yet
          if (state.epoch === epoch) outcomes = joined;
        })
        .catch((error: unknown) => log.error({ err: error, rollout: id }, 'feedback could not be joined with arms'))
        .finally(() => {
          isJoining = false;
          joinedMs = clock.monotonicMs();
        });
    },
  };
}

function keyOf({ instance, evidence }: EvidenceReport): string {
  return `${evidence.epoch}/${evidence.stage}/${instance}`;
}

function isEmpty({ evidence: { arms, shadows } }: EvidenceReport): boolean {
  return Object.keys(shadows).length === 0 && Object.values(arms).every((arm) => arm.assigned === 0);
}

function failuresOf({ evidence }: EvidenceReport): number {
  return Object.values(evidence.arms).reduce((sum, arm) => sum + arm.failed, 0);
}
