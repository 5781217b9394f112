/** Moves between phases that several places make. */

import { currentEvidence, type StageAssessment } from './assess-stage.ts';
import { freezeBaseline } from './baseline.ts';
import { hasLostWeight, isPromoted } from './desired-traffic.ts';
import type { GateReading, Verdict } from './gates/gate.ts';
import { type ActivePhase, ENDED, type Observations, type PauseCause, type Phase, type Rollout } from './rollout.ts';
import { keepStrata, meansOf, strataOf, withCurrent } from './strata.ts';

/** What a move changes, and why. */
export type Move = {
  readonly phase: Phase;
  readonly by: string;
  readonly reason: string;
  readonly verdict?: Verdict;
  readonly evidence?: readonly GateReading[];
  /** Further parts of the rollout that change with it. */
  readonly changes?: Partial<Rollout>;
};

/** Who moves a rollout when no person does. */
export const ITSELF = 'slipway';

/** The phase at work, also behind a pause; null for those that ended or are rolling back. */
export function activeOf(phase: Phase): ActivePhase | null {
  if (phase.kind === 'paused') return phase.was;
  return phase.kind === 'draft' || phase.kind === 'rolling-back' || ENDED.includes(phase.kind)
    ? null
    : (phase as ActivePhase);
}

export type Why = { readonly by?: string; readonly reason: string; readonly assessed?: StageAssessment };

function because({ by, reason, assessed }: Why): Pick<Move, 'by' | 'reason' | 'verdict' | 'evidence'> {
  return {
    by: by ?? ITSELF,
    reason,
    ...(assessed && { verdict: assessed.verdict, evidence: assessed.readings }),
  };
}

/**
 * Back to the old version. It answers already where the new one was not promoted; otherwise it is made ready first and gets traffic then. A
 * first version has nothing to go back to: the rollout pauses, and says so.
 */
export function rollBack(
  state: Rollout,
  observations: Observations,
  endsAs: 'rolled-back' | 'superseded' | 'failed-infra',
  why: Why,
): Move | null {
  const was = activeOf(state.phase);
  if (was === null) return null;
  if (state.from === null && isPromoted(was)) {
    if (state.phase.kind === 'paused' && state.phase.cause === 'fail') return null;
    return pause(state, 'fail', { ...why, reason: `${why.reason}. There is no earlier version to go back to` });
  }
  const hasMoved = !isPromoted(was) || observations.from === 'ready';
  return {
    ...because(why),
    phase: { kind: 'rolling-back', reason: why.reason, since: state.now, was, hasMoved, endsAs },
  };
}

export function pause(state: Rollout, cause: PauseCause, why: Why): Move | null {
  const active = activeOf(state.phase);
  if (active === null) return null;
  const { phase: was, changes } = state.phase.kind === 'paused' ? afterPause(state, state.phase) : { phase: active };
  return {
    ...because(why),
    phase: {
      kind: 'paused',
      cause,
      reason: why.reason,
      since: state.now,
      was,
      ...(hasLostWeight(state.phase) && { withoutWeight: true }),
    },
    ...(changes && { changes }),
  };
}

/**
 * Where a rollout goes on after a pause. What it paused for counts neither as its stage's time nor towards its deadline; where weight was taken
 * away, gateways have to be seen following again.
 */
export function afterPause(
  state: Rollout,
  paused: Extract<Phase, { kind: 'paused' }>,
): { readonly phase: ActivePhase; readonly changes: Pick<Rollout, 'deadlineWatchedMs'> } {
  const { was, since } = paused;
  const pausedMs = state.now.watchedMs - since.watchedMs;
  const resumed = { ...was, since: { atMs: was.since.atMs, watchedMs: was.since.watchedMs + pausedMs } };
  return {
    phase:
      hasLostWeight(paused) && resumed.kind === 'baking' ? { ...resumed, kind: 'ramping', since: state.now } : resumed,
    changes: { deadlineWatchedMs: state.deadlineWatchedMs + pausedMs },
  };
}

/** What a stage that ends leaves behind. */
export function leaveStage(state: Rollout, observations: Observations): Partial<Rollout> {
  const evidence = currentEvidence(state, observations);
  return {
    strata: keepStrata(state.strata, strataOf(evidence)),
    means: withCurrent(state.means, meansOf(evidence)),
    ...freezeBaseline(state, evidence),
    approvals: [],
  };
}

/**
 * The move into a stage, or why it has to wait: nobody is sent to a version that is not ready.
 * @param index past the last stage: the rollout is complete
 */
export function enterStage(
  state: Rollout,
  observations: Observations,
  index: number,
  why: Why,
): Move | { readonly wait: string } {
  const stage = state.plan.stages[index];
  const changes = leaveStage(state, observations);
  const since = state.now;
  const base = { ...because(why), changes };
  if (stage === undefined) {
    const was = activeOf(state.phase);
    const isDone = was !== null && isPromoted(was);
    return { ...base, phase: { kind: 'completed', since, isPromoted: isDone, isWarm: isDone && state.from !== null } };
  }
  if (stage.kind === 'approve') return { ...base, phase: { kind: 'awaiting-approval', stage: index, since } };
  if (observations.to !== 'ready') return { wait: `Version ${state.to.version} to be ready for stage ${stage.name}` };
  if (stage.kind === 'promote') return { ...base, phase: { kind: 'promoting', stage: index, since } };
  return { ...base, phase: { kind: 'ramping', stage: index, since, extensions: 0 } };
}
