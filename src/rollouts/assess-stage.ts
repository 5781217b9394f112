/** What the evidence says of the stage that a rollout is at: every gate's reading, and the verdict of all. */
import type { StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import { MAX_SLICES, stageOf, wantedTraffic } from './desired-traffic.ts';
import type { Gate, GateReading } from './gates/gate.ts';
import type { GateContext } from './gates/gate-context.ts';
import { judgeGate } from './gates/judge.ts';
import { CANDIDATE } from './gates/shadow-gates.ts';
import { closeReadings, type StageVerdict, stageVerdict } from './gates/stage-verdict.ts';
import type { Plan } from './plan.ts';
import type { Observations, Rollout } from './rollout.ts';
import { CANARY, meansOf, outcomeStrata, strataOf, withCurrent } from './strata.ts';

/** Gates of a stage; while a person is asked, those of the stage before stay armed. */
export function gatesAt(plan: Plan, index: number): readonly Gate[] {
  for (let at = index; at >= 0; at--) {
    const stage = plan.stages[at];
    if (stage !== undefined && stage.kind !== 'approve') return stage.gates;
  }
  return [];
}

/** Different tests that may end a rollout, over all its stages: the error probability is shared among them. */
export function failTestsOf(plan: Plan): number {
  const tests = new Set<string>();
  for (const stage of plan.stages) {
    for (const gate of stage.kind === 'approve' ? [] : stage.gates) {
      if (gate.role !== 'guardrail' && gate.role !== 'tripwire') continue;
      if (gate.kind === 'rate-ratio' || gate.kind === 'mean-difference')
        tests.add(`${gate.kind} ${gate.metric} ${gate.failMargin}`);
      if (gate.kind === 'exceedance') tests.add(`${gate.kind} ${gate.level} ${gate.failMargin}`);
      if (gate.kind === 'paired-accuracy') tests.add(`${gate.kind} ${gate.failMargin}`);
    }
  }
  return Math.max(1, tests.size);
}

/** Evidence of this very epoch and stage; what comes late from another is not looked at. */
export function currentEvidence(rollout: Rollout, observations: Observations): StageEvidence | null {
  const { evidence } = observations;
  const split = wantedTraffic(rollout)?.split;
  if (evidence === null || split === undefined || split === null) return null;
  const isCurrent = evidence.id === rollout.id && evidence.epoch === rollout.epoch && evidence.stage === split.stage;
  return isCurrent ? evidence : null;
}

export type StageAssessment = StageVerdict & {
  readonly readings: readonly GateReading[];
  /** Analysed predictions of the canary, or pairs of the shadow, in this stage. */
  readonly exposures: number;
};

export function assessStage(rollout: Rollout, observations: Observations, isBudgetSpent: boolean): StageAssessment {
  const { plan } = rollout;
  const evidence = currentEvidence(rollout, observations);
  const late = outcomeStrata(observations.outcomes);
  const arms = wantedTraffic(rollout)?.split?.arms ?? [];
  const analysed = arms.filter((arm) => arm.isAnalysed && arm.ranges.length > 0);
  const context: GateContext = {
    strata: { ...withCurrent(rollout.strata, strataOf(evidence)), ...late.strata },
    means: { ...withCurrent(rollout.means, meansOf(evidence)), ...late.means },
    evidence,
    armShares: Object.fromEntries(
      analysed.map((arm) => [arm.name, arm.ranges.reduce((sum, [from, to]) => sum + (to - from), 0)]),
    ),
    maxSlices: MAX_SLICES,
    outcomes: observations.outcomes,
    golden: observations.golden,
    external: observations.external,
    failTests: failTestsOf(plan),
    wallMs: rollout.now.atMs,
  };
  const readings = gatesAt(plan, stageOf(rollout.phase)).map((gate) => judgeGate(gate, context));
  const canary = evidence?.arms[CANARY];
  return {
    ...stageVerdict(readings, { isBudgetSpent, overruled: rollout.overruled }),
    readings: isBudgetSpent ? closeReadings(readings) : readings,
    exposures: canary ? canary.answered + canary.failed : 0,
  };
}

/** Compared pairs of the candidate's shadow in this stage. */
export function pairsOf(rollout: Rollout, observations: Observations): number {
  return currentEvidence(rollout, observations)?.shadows[CANDIDATE]?.pairs ?? 0;
}
