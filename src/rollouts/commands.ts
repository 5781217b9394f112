/** What people ask of a rollout. Supersede and abort win over everything, in whatever order they came. */
import { isPromoted } from './desired-traffic.ts';
import { activeOf, afterPause, enterStage, type Move, pause, rollBack } from './moves.ts';
import type { Approval } from './plan.ts';
import { COMMAND_RANK, type Command, type Observations, type Phase, type Rollout } from './rollout.ts';

export function inOrder(commands: readonly Command[]): Command[] {
  return [...commands].sort((a, b) => COMMAND_RANK.indexOf(a.kind) - COMMAND_RANK.indexOf(b.kind));
}

/** Why a command cannot be followed now, as a sentence for whoever asked; null when it can. */
export function refusalOf(state: Rollout, observations: Observations, command: Command): string | null {
  const { phase } = state;
  const active = activeOf(phase);
  if (phase.kind === 'rolling-back') return 'The rollout is already on its way back';
  if (active === null) return `The rollout has ended: it is ${phase.kind}`;
  switch (command.kind) {
    case 'supersede':
    case 'abort':
    case 'pause':
      return null;
    case 'resume':
      return phase.kind === 'paused' ? null : 'The rollout is not paused';
    case 'promote': {
      if (isPromoted(active)) return 'The new version was promoted already';
      if (!state.plan.stages.some((stage) => stage.kind === 'promote')) return 'Its plan has no stage that promotes';
      return observations.to === 'ready' ? null : `Version ${state.to.version} is not ready`;
    }
    case 'approve':
      return refusalOfApproval(state, command.by, command.stage);
  }
}

/** The consent that a rollout waits for; null when it waits for none. */
export function approvalAsked(state: Rollout): Approval | null {
  const { phase, plan } = state;
  if (phase.kind !== 'awaiting-approval') return null;
  const stage = plan.stages[phase.stage];
  if (stage === undefined || stage.kind === 'promote') return null;
  return stage.kind === 'approve' ? stage.approval : stage.approve;
}

/** Whether enough different people have agreed. */
export function isApproved(state: Rollout): boolean {
  const asked = approvalAsked(state);
  return asked !== null && state.approvals.length >= asked.count;
}

function refusalOfApproval(state: Rollout, by: string, stage: number): string | null {
  const asked = approvalAsked(state);
  if (asked === null || state.phase.kind !== 'awaiting-approval') return 'No approval is asked for now';
  if (state.phase.stage !== stage) return `Approval is asked for stage ${state.phase.stage}, not for ${stage}`;
  if (state.approvals.some((one) => one.by === by)) return `${by} has approved it already`;
  if (asked.separateDuties && by === state.startedBy) return 'Whoever started the rollout may not approve it';
  if (asked.separateDuties && by === state.versionBy) return 'Whoever made the version may not approve it';
  return null;
}

/** The move that a command asks for; null when it cannot be followed (`refusalOf` says why). */
export function commandMove(state: Rollout, observations: Observations, command: Command): Move | null {
  if (refusalOf(state, observations, command) !== null) return null;
  const { phase, now } = state;
  const { by } = command;
  switch (command.kind) {
    case 'supersede':
      return rollBack(state, observations, 'superseded', { by, reason: `Superseded by rollout ${command.rollout}` });
    case 'abort':
      return rollBack(state, observations, 'rolled-back', { by, reason: command.reason || 'Aborted' });
    case 'pause':
      return pause(state, 'person', { by, reason: command.reason || 'Paused' });
    case 'promote': {
      const index = state.plan.stages.findIndex((stage) => stage.kind === 'promote');
      const move = enterStage(state, observations, index, {
        by,
        reason: command.reason || 'Promoted whatever the gates say',
      });
      return 'wait' in move ? null : move;
    }
    case 'approve':
      return {
        phase,
        by,
        reason: 'Approved',
        changes: { approvals: [...state.approvals, { by, atMs: now.atMs }] },
      };
    case 'resume':
      return phase.kind === 'paused' ? resume(state, phase, by, command.reason || 'Resumed') : null;
  }
}

/**
 * Goes on where it paused. A FAIL that a person has seen is overruled; evidence that was invalid is thrown away, and the comparison starts
 * again with a new salt; a spent budget and a passed deadline are granted again.
 */
function resume(state: Rollout, phase: Extract<Phase, { kind: 'paused' }>, by: string, reason: string): Move {
  const { now, plan, readings } = state;
  const { phase: was, changes } = afterPause(state, phase);
  switch (phase.cause) {
    case 'invalid':
      return isPromoted(was)
        ? { phase: was, by, reason, changes }
        : {
            phase: { kind: 'warming', since: now },
            by,
            reason: `${reason}; the comparison starts again`,
            changes: { ...changes, epoch: state.epoch + 1, strata: {}, means: {}, approvals: [] },
          };
    case 'fail':
    case 'signal': {
      const failed = readings.filter((one) => one.verdict === 'FAIL').map((one) => one.gate);
      const overruled = [...new Set([...state.overruled, ...failed])];
      return {
        phase: was,
        by,
        reason: `${reason}; overruled ${failed.join(', ')}`,
        changes: { ...changes, overruled },
      };
    }
    case 'inconclusive':
      return { phase: { ...was, since: now }, by, reason: `${reason}; with another budget`, changes };
    case 'deadline':
      return {
        phase: was,
        by,
        reason: `${reason}; with another deadline`,
        changes: { deadlineWatchedMs: now.watchedMs + plan.deadlineMs },
      };
    case 'not-ready':
    case 'person':
    case 'telemetry':
      return { phase: was, by, reason, changes };
  }
}
