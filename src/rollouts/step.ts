/**
 * The next state of a rollout. Pure: no clock, no database, no await; what it decides is in the rollout it returns, what is to be done in
 * its effects. One transition a step, besides what people ask for, because what gateways follow was observed of the state before. Effects
 * say what is wanted as a whole, so that a controller that dies between any two writes finds by the next step what is still to be done.
 */
import { isDeepStrictEqual } from 'node:util';
import { gatesAt } from './assess-stage.ts';
import { commandMove, inOrder } from './commands.ts';
import { desiredTraffic, stageOf, wantedTraffic } from './desired-traffic.ts';
import type { Move } from './moves.ts';
import { nextPhase } from './next-phase.ts';
import type { Effect, Moment, Observations, Rollout, StepResult, TransitionRecord } from './rollout.ts';
import { ENDED } from './rollout.ts';

/** A step later than that after the last one counts as that much: nobody was watching in between. */
export const MOST_WATCHED_MS = 60_000;
/** Gateways report every second; evidence older than this is none. */
export const FRESH_EVIDENCE_MS = 5_000;

export function step(rollout: Rollout, observations: Observations, nowMs: number): StepResult {
  const now = advance(rollout.now, nowMs);
  const isFresh = observations.evidenceAgeMs !== null && observations.evidenceAgeMs <= FRESH_EVIDENCE_MS;
  const records: TransitionRecord[] = [];
  let state: Rollout = {
    ...rollout,
    now,
    waitingFor: null,
    telemetryWatchedMs: isFresh ? now.watchedMs : rollout.telemetryWatchedMs,
  };
  const take = (move: Move): void => {
    records.push(recordOf(state, move));
    state = moved(state, move);
  };
  for (const command of inOrder(observations.commands)) {
    const move = commandMove(state, observations, command);
    if (move !== null) take(move);
  }
  // What people asked for may have changed the traffic: what gateways follow was observed before that.
  const { move, ...seen } = nextPhase(
    state,
    state.trafficRevision === rollout.trafficRevision
      ? observations
      : { ...observations, gateways: { ...observations.gateways, following: 0 } },
  );
  state = { ...state, ...seen };
  if (move !== null) take(move);
  return { rollout: state, effects: effectsOf(state, observations, records), records };
}

/** A clock that steps back stands still; one that jumps, or a controller that was away, adds a minute at most. */
export function advance(last: Moment, nowMs: number): Moment {
  const passedMs = Math.min(Math.max(0, nowMs - last.atMs), MOST_WATCHED_MS);
  return { atMs: nowMs, watchedMs: last.watchedMs + passedMs };
}

function moved(state: Rollout, { phase, changes }: Move): Rollout {
  const next: Rollout = { ...state, ...changes, phase, revision: state.revision + 1 };
  if (isDeepStrictEqual(wantedTraffic(state), wantedTraffic(next))) return next;
  return { ...next, trafficRevision: state.trafficRevision + 1 };
}

function recordOf(state: Rollout, { phase, by, reason, verdict, evidence }: Move): TransitionRecord {
  return {
    revision: state.revision + 1,
    atMs: state.now.atMs,
    from: state.phase.kind,
    to: phase.kind,
    stage: stageOf(phase) >= 0 ? stageOf(phase) : null,
    by,
    reason,
    verdict: verdict ?? null,
    evidence: evidence ?? [],
    planVersion: state.planVersion,
  };
}

function effectsOf(state: Rollout, observations: Observations, records: readonly TransitionRecord[]): Effect[] {
  const effects: Effect[] = [];
  const desired = desiredTraffic(state);
  if (desired !== null && !isDeepStrictEqual(desired, observations.traffic) && !isFenced(state, observations))
    effects.push({ kind: 'set-traffic', desired });
  if (!ENDED.includes(state.phase.kind) && state.phase.kind !== 'draft') {
    for (const gate of gatesAt(state.plan, stageOf(state.phase))) {
      if (gate.kind !== 'external') continue;
      const last = observations.external[gate.name]?.values[0];
      // A reading of the future is of before the clock stepped back: ask again rather than wait for that time.
      const isDue = last === undefined || Math.abs(state.now.atMs - last.atMs) >= gate.everyMs;
      if (isDue) effects.push({ kind: 'ask-external', gate: gate.name });
    }
  }
  for (const { to, reason } of records) effects.push({ kind: 'notify', event: to, text: reason });
  return effects;
}

/**
 * An ended rollout has given the endpoint back: it may still take its own split and pins away, once, and nothing of what others wanted since.
 */
function isFenced(state: Rollout, { traffic }: Observations): boolean {
  if (!ENDED.includes(state.phase.kind)) return false;
  return traffic.target !== wantedTraffic(state)?.target || traffic.traffic.revision >= state.trafficRevision;
}
