/** Where a rollout goes by itself: what it observes against what its plan asks for. */
import { assessStage, currentEvidence, pairsOf, type StageAssessment } from './assess-stage.ts';
import { LEAST_TIMED, needsBaseline, timedByControl } from './baseline.ts';
import { isApproved } from './commands.ts';
import { hasLostWeight, isPromoted } from './desired-traffic.ts';
import type { GateReading } from './gates/gate.ts';
import { activeOf, afterPause, enterStage, ITSELF, type Move, pause, rollBack } from './moves.ts';
import type { Plan } from './plan.ts';
import { type ActivePhase, ENDED, type Observations, type Phase, type Rollout } from './rollout.ts';

type Next = {
  readonly move: Move | null;
  readonly readings: readonly GateReading[];
  readonly waitingFor: string | null;
};

export function nextPhase(state: Rollout, observations: Observations): Next {
  const stay = (waitingFor: string | null): Next => ({ move: null, readings: state.readings, waitingFor });
  const go = (move: Move | null): Next => ({ move, readings: state.readings, waitingFor: null });
  const { phase } = state;
  if (phase.kind === 'draft') return stay('Somebody to start it');
  if (ENDED.includes(phase.kind)) return go(releaseWarm(state));
  if (phase.kind === 'rolling-back') return goBack(state, observations, phase);
  const active = activeOf(phase)!;
  const broken = brokenVersion(state, observations, active);
  if (broken !== null) return go(broken);
  switch (phase.kind) {
    case 'provisioning':
      return provision(state, observations);
    case 'warming':
      return warmUp(state, observations);
    case 'ramping':
    case 'promoting':
      return follow(state, observations, phase);
    case 'baking':
    case 'awaiting-approval':
    case 'soaking':
    case 'paused':
      return watch(state, observations, phase);
    default:
      return stay(null);
  }
}

/** A version that cannot be had at all ends the rollout; one that starts again keeps it waiting, without weight. */
function brokenVersion(state: Rollout, observations: Observations, active: ActivePhase): Move | null {
  const why = observations.toReason === null ? '' : `: ${observations.toReason}`;
  const name = `Version ${state.to.version}`;
  if (observations.to === 'failed')
    return rollBack(state, observations, 'failed-infra', { reason: `${name} cannot run${why}` });
  const isAtWork = active.kind === 'ramping' || active.kind === 'baking' || active.kind === 'awaiting-approval';
  if (!isAtWork || observations.to === 'ready' || hasLostWeight(state.phase)) return null;
  const reason = `${name} is not ready${why}; its calls go to the current version`;
  const { phase } = state;
  // what it paused for still holds
  if (phase.kind === 'paused') return { phase: { ...phase, withoutWeight: true }, by: ITSELF, reason };
  return pause(state, 'not-ready', { reason });
}

function provision(state: Rollout, observations: Observations): Next {
  const { phase, now, plan } = state;
  const since = phase.kind === 'provisioning' ? phase.since : now;
  const isFromReady = state.from === null || observations.from === 'ready';
  if (observations.to === 'ready' && isFromReady)
    return {
      move: { phase: { kind: 'warming', since: now }, by: ITSELF, reason: `Version ${state.to.version} is ready` },
      readings: [],
      waitingFor: null,
    };
  if (now.watchedMs - since.watchedMs >= plan.provisionTimeoutMs) {
    const name = isFromReady ? state.to.version : state.from!.version;
    const reason = `Version ${name} was not ready within ${durationText(plan.provisionTimeoutMs)}${observations.toReason === null ? '' : `: ${observations.toReason}`}`;
    return { move: rollBack(state, observations, 'failed-infra', { reason }), readings: [], waitingFor: null };
  }
  const late = isFromReady ? state.to.version : state.from!.version;
  return { move: null, readings: [], waitingFor: `Version ${late} to be loaded` };
}

function warmUp(state: Rollout, observations: Observations): Next {
  const timed = timedByControl(currentEvidence(state, observations));
  const needed = state.from !== null && needsBaseline(state.plan) && state.latencyLevelsMs === null;
  if (needed && timed < LEAST_TIMED) {
    const late = deadlineMove(state, observations);
    return {
      move: late,
      readings: [],
      waitingFor: `${timed} of ${LEAST_TIMED} predictions of the current version, which the new one is compared with`,
    };
  }
  return entering(state, observations, 0, { reason: 'Warmed up' }, []);
}

/** Traffic was asked for; the stage begins when every connected gateway follows. */
function follow(state: Rollout, observations: Observations, phase: Extract<Phase, { stage: number }>): Next {
  const { connected, following } = observations.gateways;
  if (connected > 0 && following >= connected) {
    const since = state.now;
    const next: Phase =
      phase.kind === 'ramping'
        ? { kind: 'baking', stage: phase.stage, since, extensions: phase.extensions }
        : { kind: 'soaking', stage: phase.stage, since };
    const changes = { telemetryWatchedMs: state.now.watchedMs };
    return {
      move: { phase: next, by: ITSELF, reason: 'Every gateway follows', changes },
      readings: [],
      waitingFor: null,
    };
  }
  const waitingFor =
    connected === 0 ? 'A gateway to connect' : `${connected - following} of ${connected} gateways to follow`;
  return { move: deadlineMove(state, observations), readings: state.readings, waitingFor };
}

type Watched = Extract<Phase, { kind: 'baking' | 'awaiting-approval' | 'soaking' | 'paused' }>;

/** Evidence is judged; guardrails stay armed while a person is waited for and during a pause. */
function watch(state: Rollout, observations: Observations, phase: Watched): Next {
  const { plan } = state;
  const assessed = assessStage(state, observations, isBudgetSpent(state));
  const next = (move: Move | null, waitingFor: string | null): Next => ({
    move,
    readings: assessed.readings,
    waitingFor,
  });
  if (assessed.verdict === 'FAIL') {
    const move = failMove(state, observations, assessed, phase);
    if (move !== null) return next(move, null);
  }
  if (phase.kind === 'paused') return next(recovered(state, observations, assessed, phase), phase.reason);
  const late = deadlineMove(state, observations);
  if (late !== null) return next(late, null);
  if (assessed.verdict === 'INVALID') {
    const why = { reason: assessed.because[0]!.text, assessed };
    const move =
      plan.onInvalid === 'rollback' ? rollBack(state, observations, 'rolled-back', why) : pause(state, 'invalid', why);
    return next(move, null);
  }
  const silentMs = state.now.watchedMs - state.telemetryWatchedMs;
  if (silentMs >= plan.onTelemetryLoss.afterMs) {
    const why = { reason: `No gateway has reported evidence for ${durationText(silentMs)}`, assessed };
    const move =
      plan.onTelemetryLoss.do === 'rollback'
        ? rollBack(state, observations, 'rolled-back', why)
        : pause(state, 'telemetry', why);
    return next(move, null);
  }
  if (assessed.holds.length > 0)
    return next(pause(state, 'signal', { reason: assessed.holds[0]!.text, assessed }), null);
  if (phase.kind === 'awaiting-approval') {
    if (!isApproved(state)) return next(null, 'A person to approve it');
    const names = state.approvals.map((one) => one.by).join(', ');
    const why = { by: names, reason: 'Approved', assessed };
    return entering(state, observations, phase.stage + 1, why, assessed.readings);
  }
  return phase.kind === 'soaking'
    ? soak(state, observations, assessed, phase)
    : bake(state, observations, assessed, phase);
}

function bake(
  state: Rollout,
  observations: Observations,
  assessed: StageAssessment,
  phase: Extract<Phase, { kind: 'baking' }>,
): Next {
  const { plan, now } = state;
  const stage = plan.stages[phase.stage]!;
  const next = (move: Move | null, waitingFor: string | null): Next => ({
    move,
    readings: assessed.readings,
    waitingFor,
  });
  if (stage.kind === 'approve' || stage.kind === 'promote') return next(null, null);
  const missing = missingOf(state, observations, assessed, stage);
  // A stage without guardrails is for people to judge: only their consent leads on.
  const isForPeople = stage.approve !== null && !stage.gates.some((gate) => gate.role === 'guardrail');
  const isPassed = assessed.verdict === 'PASS' || isForPeople;
  const leftMs = stage.minDwellMs - (now.watchedMs - phase.since.watchedMs);
  if (isPassed && missing === null && leftMs <= 0) {
    if (stage.approve !== null)
      return next(
        {
          phase: { kind: 'awaiting-approval', stage: phase.stage, since: now },
          by: ITSELF,
          reason: `Stage ${stage.name} waits for approval`,
          verdict: assessed.verdict,
          evidence: assessed.readings,
        },
        null,
      );
    const why = { reason: `Stage ${stage.name} passed: ${assessed.because[0]?.text ?? ''}`, assessed };
    return entering(state, observations, phase.stage + 1, why, assessed.readings);
  }
  if (isBudgetSpent(state)) return next(inconclusive(state, observations, assessed, phase, missing), null);
  if (missing !== null) return next(null, missing);
  if (!isPassed) return next(null, assessed.because.map((one) => one.text).join('; ') || 'Evidence');
  return next(null, `${durationText(leftMs)} more at this stage`);
}

function missingOf(
  state: Rollout,
  observations: Observations,
  assessed: StageAssessment,
  stage: Exclude<Plan['stages'][number], { kind: 'approve' | 'promote' }>,
): string | null {
  if (stage.kind === 'canary' && assessed.exposures < stage.minExposures)
    return `${assessed.exposures} of ${stage.minExposures} predictions of the canary`;
  if (stage.kind === 'shadow') {
    const pairs = pairsOf(state, observations);
    if (pairs < stage.minPairs) return `${pairs} of ${stage.minPairs} pairs of the shadow`;
  }
  return null;
}

/** The budget is spent and it is not sure: never a pass. */
function inconclusive(
  state: Rollout,
  observations: Observations,
  assessed: StageAssessment,
  phase: Extract<Phase, { kind: 'baking' }>,
  missing: string | null,
): Move | null {
  const { plan, now } = state;
  const open = missing ?? (assessed.because.map((one) => one.text).join('; ') || 'nothing says that it is well');
  const reason = `Not decided within ${durationText(now.watchedMs - phase.since.watchedMs)}: ${open}`;
  const why = { reason, assessed: { ...assessed, verdict: 'INCONCLUSIVE' as const } };
  const policy = plan.onInconclusive;
  switch (policy.do) {
    case 'rollback':
      return rollBack(state, observations, 'rolled-back', why);
    case 'extend':
      if (phase.extensions < policy.times)
        return {
          phase: { ...phase, extensions: phase.extensions + 1 },
          by: ITSELF,
          reason: `${reason}; extended`,
          verdict: 'INCONCLUSIVE',
          evidence: assessed.readings,
        };
      return pause(state, 'inconclusive', why);
    case 'ask':
      return pause(state, 'inconclusive', { ...why, reason: `${reason}; ${policy.approver} may promote it` });
    case 'pause':
      return pause(state, 'inconclusive', why);
  }
}

function soak(
  state: Rollout,
  observations: Observations,
  assessed: StageAssessment,
  phase: Extract<Phase, { kind: 'soaking' }>,
): Next {
  const stage = state.plan.stages[phase.stage]!;
  if (stage.kind !== 'promote') return { move: null, readings: assessed.readings, waitingFor: null };
  const leftMs = stage.soakMs - (state.now.watchedMs - phase.since.watchedMs);
  const hasGuardrail = stage.gates.some((gate) => gate.role === 'guardrail');
  if (leftMs > 0)
    return { move: null, readings: assessed.readings, waitingFor: `${durationText(leftMs)} more of soaking` };
  if (!hasGuardrail || assessed.verdict === 'PASS') {
    const why = { reason: `Version ${state.to.version} serves all traffic`, assessed };
    return entering(state, observations, state.plan.stages.length, why, assessed.readings);
  }
  const text = assessed.because.map((one) => one.text).join('; ');
  if (!isBudgetSpent(state)) return { move: null, readings: assessed.readings, waitingFor: text };
  const move = pause(state, 'inconclusive', { reason: `Soaked, and not decided: ${text}`, assessed });
  return { move, readings: assessed.readings, waitingFor: null };
}

function failMove(state: Rollout, observations: Observations, assessed: StageAssessment, phase: Watched): Move | null {
  const why = { reason: assessed.because[0]!.text, assessed };
  if (state.plan.onFail === 'rollback') return rollBack(state, observations, 'rolled-back', why);
  return phase.kind === 'paused' && phase.cause === 'fail' ? null : pause(state, 'fail', why);
}

/** Pauses that end by themselves: what caused them is gone. */
function recovered(
  state: Rollout,
  observations: Observations,
  assessed: StageAssessment,
  phase: Extract<Phase, { kind: 'paused' }>,
): Move | null {
  const { cause } = phase;
  const { phase: was, changes } = afterPause(state, phase);
  const back = (to: ActivePhase, reason: string): Move => ({ phase: to, by: ITSELF, reason, changes });
  if (cause === 'signal' && assessed.holds.length === 0) return back(was, 'What it waited for has recovered');
  if (cause === 'telemetry' && state.telemetryWatchedMs === state.now.watchedMs)
    return back(was, 'Gateways report evidence again');
  if (cause === 'not-ready' && observations.to === 'ready')
    return back(was, `Version ${state.to.version} is ready again`);
  return null;
}

/** A passed deadline stops; it never promotes. */
function deadlineMove(state: Rollout, observations: Observations): Move | null {
  const { now, plan, deadlineWatchedMs, phase } = state;
  const active = activeOf(phase);
  if (now.watchedMs < deadlineWatchedMs || active === null || isPromoted(active)) return null;
  const reason = `Not done within its deadline of ${durationText(plan.deadlineMs)}`;
  return plan.onInconclusive.do === 'rollback'
    ? rollBack(state, observations, 'rolled-back', { reason })
    : pause(state, 'deadline', { reason });
}

function goBack(state: Rollout, observations: Observations, phase: Extract<Phase, { kind: 'rolling-back' }>): Next {
  const { now } = state;
  const next = (move: Move | null, waitingFor: string | null): Next => ({ move, readings: state.readings, waitingFor });
  const { reason } = phase;
  if (!phase.hasMoved) {
    if (observations.from !== 'ready') return next(null, `Version ${state.from?.version} to be ready`);
    return next({ phase: { ...phase, hasMoved: true }, by: ITSELF, reason }, null);
  }
  const { connected, following } = observations.gateways;
  if (connected === 0 || following < connected)
    return next(null, connected === 0 ? 'A gateway to connect' : `${connected - following} gateways to follow`);
  const ended: Phase =
    phase.endsAs === 'rolled-back'
      ? { kind: 'rolled-back', reason, since: now, isWarm: true }
      : { kind: phase.endsAs, reason, since: now };
  return next({ phase: ended, by: ITSELF, reason }, null);
}

/** The other version is let go when it was kept warm long enough. */
function releaseWarm(state: Rollout): Move | null {
  const { phase, now, plan } = state;
  if ((phase.kind !== 'completed' && phase.kind !== 'rolled-back') || !phase.isWarm) return null;
  const promote = plan.stages.find((stage) => stage.kind === 'promote');
  if (now.watchedMs - phase.since.watchedMs < (promote?.keepWarmMs ?? 0)) return null;
  return { phase: { ...phase, isWarm: false }, by: ITSELF, reason: 'The other version is no longer kept warm' };
}

function isBudgetSpent(state: Rollout): boolean {
  const { phase, now, plan } = state;
  if (phase.kind === 'baking')
    return now.watchedMs - phase.since.watchedMs >= plan.stageBudgetMs * (1 + phase.extensions);
  if (phase.kind !== 'soaking') return false;
  const stage = plan.stages[phase.stage];
  const soakMs = stage?.kind === 'promote' ? stage.soakMs : 0;
  return now.watchedMs - phase.since.watchedMs >= soakMs + plan.stageBudgetMs;
}

function entering(
  state: Rollout,
  observations: Observations,
  index: number,
  why: Parameters<typeof enterStage>[3],
  readings: readonly GateReading[],
): Next {
  const move = enterStage(state, observations, index, why);
  return 'wait' in move ? { move: null, readings, waitingFor: move.wait } : { move, readings, waitingFor: null };
}

export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
