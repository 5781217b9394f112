import type { ArmEvidence, EvidenceReport, ShadowEvidence, StageEvidence } from '../endpoints/arm-evidence.ts';
import { isAnalysed } from '../endpoints/assignment.ts';
import type { TrafficSplit } from '../endpoints/traffic.ts';
import { ArmCounts } from './arm-counts.ts';
import type { ObservedPrediction, PredictionObserver } from './prediction-observer.ts';
import type { ServingState } from './serving-state.ts';

/** Stages whose totals are kept after they ended, for the last calls of them; control may have missed the last report. */
const KEPT_STAGES = 32;

export type EvidenceRecorder = {
  readonly observe: PredictionObserver;
  /** Totals of every stage that is on, also of one without a call, and of those that ended lately. Each reading is a report of its own. */
  reports(): readonly EvidenceReport[];
};

/** The totals of one shadow in one stage. */
export type ShadowReading = {
  readonly id: string;
  readonly epoch: number;
  readonly stage: number;
  readonly name: string;
  readonly evidence: ShadowEvidence;
};

type Stage = {
  readonly id: string;
  readonly epoch: number;
  readonly stage: number;
  readonly arms: Map<string, ArmCounts>;
};

/**
 * Counts the calls of each arm and stage. What is reported are totals since this gateway's start, so that a report may be lost, come twice or
 * late; control keeps the last one of each gateway and adds them up.
 */
export function createEvidenceRecorder(deps: {
  /** Of this start of the gateway. */
  readonly instance: string;
  readonly state: Pick<ServingState, 'endpoints'>;
  readonly shadows: () => readonly ShadowReading[];
  /** Milliseconds of a clock that does not step back. */
  readonly nowMs: () => number;
}): EvidenceRecorder {
  const { instance, state, shadows, nowMs } = deps;
  const stages = new Map<string, Stage>();
  let sequence = 0;
  let lastSplit: TrafficSplit | null = null;
  let lastStage: Stage | null = null;

  const stageOf = (split: TrafficSplit): Stage => {
    if (split === lastSplit) return lastStage!;
    const key = keyOf(split);
    let stage = stages.get(key);
    if (stage === undefined) {
      const { id, epoch, stage: place } = split;
      stage = { id, epoch, stage: place, arms: new Map() };
      stages.set(key, stage);
      if (stages.size > KEPT_STAGES) stages.delete(stages.keys().next().value!);
    }
    lastSplit = split;
    lastStage = stage;
    return stage;
  };

  const armOf = (split: TrafficSplit, name: string): ArmCounts => {
    const { arms } = stageOf(split);
    let counts = arms.get(name);
    if (counts === undefined) {
      counts = new ArmCounts(split.measure, split.unit.key !== 'request');
      arms.set(name, counts);
    }
    return counts;
  };

  return {
    observe(prediction: ObservedPrediction) {
      const { split, assignment } = prediction;
      if (split === null || prediction.shadowOf !== null || !isAnalysed(split, assignment)) return;
      armOf(split, assignment.arm!).add(prediction, nowMs());
    },
    reports() {
      for (const { split } of state.endpoints()) {
        if (split === null) continue;
        for (const arm of split.spec.arms) if (arm.isAnalysed) armOf(split.spec, arm.name);
      }
      sequence += 1;
      const at = nowMs();
      const reported = new Map<string, StageEvidence>();
      for (const [key, { id, epoch, stage, arms }] of stages) {
        const read = Object.fromEntries(
          [...arms].map(([name, counts]): [string, ArmEvidence] => [name, counts.read(at)]),
        );
        reported.set(key, { id, epoch, stage, arms: read, shadows: {} });
      }
      for (const { id, epoch, stage, name, evidence } of shadows()) {
        const key = keyOf({ id, epoch, stage });
        const known = reported.get(key) ?? { id, epoch, stage, arms: {}, shadows: {} };
        reported.set(key, { ...known, shadows: { ...known.shadows, [name]: evidence } });
      }
      return [...reported.values()].map((evidence) => ({ instance, sequence, evidence }));
    },
  };
}

function keyOf({ id, epoch, stage }: { id: string; epoch: number; stage: number }): string {
  return `${id}/${epoch}/${stage}`;
}
